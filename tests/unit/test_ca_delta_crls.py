"""Delta CRLs, judged by openssl, cryptography and pkilint."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from ca_world import NOW, CaWorld, ca_world, openssl
from cryptography import x509
from forge.csr import CsrForge
from forge.keys import KeyPool
from pkilint.bin import lint_crl

from ca import errors, extensions, names, oids
from ca.folders import to_pem
from ca.records import CertificateRecord, CrlKind, CrlRecord, RevocationReason

# The linter's command line leaves its input open.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")

KEYS = KeyPool(primes=0)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[CaWorld]:
    with ca_world(tmp_path / "pki") as opened:
        yield opened


def issue(world: CaWorld, name: str = "device") -> tuple[CertificateRecord, bytes]:
    der = world.issue(CsrForge(key=KEYS.ec(), subject=names.build_name(f"CN={name}")).encode())
    serial = x509.load_der_x509_certificate(der).serial_number
    with world.store.reading() as transaction:
        record = transaction.certificate_by_serial(world.authority.issuer_key_id, serial)
    assert record is not None
    return record, der


def revoke(world: CaWorld, record: CertificateRecord, reason: RevocationReason) -> None:
    with world.store.transaction() as transaction:
        if reason is RevocationReason.REMOVE_FROM_CRL:
            world.authority.release(transaction, record.id)
        else:
            world.authority.revoke(transaction, record.id, reason)


def entries(crl: CrlRecord) -> dict[int, x509.ReasonFlags | None]:
    found = {}
    for revoked in x509.load_der_x509_crl(crl.der):
        try:
            reason = revoked.extensions.get_extension_for_class(x509.CRLReason).value.reason
        except x509.ExtensionNotFound:
            reason = None
        found[revoked.serial_number] = reason
    return found


def verify(world: CaWorld, leaf: bytes, crls: list[bytes], folder: Path, *, succeeds: bool = True) -> str:
    """Let openssl judge with base and delta CRLs."""
    (folder / "leaf.pem").write_bytes(to_pem(leaf))
    pems = [
        subprocess.run(
            ["openssl", "crl", "-inform", "DER"], input=crl, capture_output=True, check=True
        ).stdout
        for crl in (world.folder.issuing_root_crl.read_bytes(), *crls)
    ]
    (folder / "crls.pem").write_bytes(b"".join(pems))
    return openssl(
        "verify", "-x509_strict", "-crl_check_all", "-use_deltas", "-extended_crl",
        "-attime", str(int(world.clock.now().timestamp())),
        "-CAfile", world.folder.issuing_root_certificate, "-untrusted", world.folder.issuing_certificate,
        "-CRLfile", folder / "crls.pem", folder / "leaf.pem", succeeds=succeeds,
    )  # fmt: skip


def test_openssl_learns_of_a_revocation_and_of_a_release_from_the_delta_alone(
    world: CaWorld, tmp_path: Path
) -> None:
    record, leaf = issue(world)
    base, _ = world.authority.sign_crls(world.store)
    assert "OK" in verify(world, leaf, [base.der], tmp_path)
    revoke(world, record, RevocationReason.CERTIFICATE_HOLD)
    (held,) = world.authority.sign_crls(world.store, CrlKind.DELTA)
    assert "certificate revoked" in verify(world, leaf, [base.der, held.der], tmp_path, succeeds=False)
    second, _ = world.authority.sign_crls(world.store)
    assert "certificate revoked" in verify(world, leaf, [second.der], tmp_path, succeeds=False)
    revoke(world, record, RevocationReason.REMOVE_FROM_CRL)
    (released,) = world.authority.sign_crls(world.store, CrlKind.DELTA)
    assert entries(released) == {record.serial_number: x509.ReasonFlags.remove_from_crl}
    assert "OK" in verify(world, leaf, [second.der, released.der], tmp_path)


def test_base_and_delta_share_one_counter_and_a_number_when_signed_together(world: CaWorld) -> None:
    base, beside = world.authority.sign_crls(world.store)
    (delta,) = world.authority.sign_crls(world.store, CrlKind.DELTA)
    again, _ = world.authority.sign_crls(world.store)
    assert (base.kind, beside.kind, delta.kind) == (CrlKind.BASE, CrlKind.DELTA, CrlKind.DELTA)
    assert [base.number, beside.number, delta.number, again.number] == [2, 2, 3, 4]


def test_delta_lists_what_changed_since_its_base_until_a_base_did(world: CaWorld) -> None:
    before, _ = issue(world, "before")
    after, _ = issue(world, "after")
    revoke(world, before, RevocationReason.SUPERSEDED)
    base, beside = world.authority.sign_crls(world.store)
    assert (set(entries(base)), entries(beside)) == ({before.serial_number}, {})
    revoke(world, after, RevocationReason.KEY_COMPROMISE)
    for _ in range(2):
        (delta,) = world.authority.sign_crls(world.store, CrlKind.DELTA)
        assert entries(delta) == {after.serial_number: x509.ReasonFlags.key_compromise}
    last, beside = world.authority.sign_crls(world.store)
    assert (set(entries(last)), entries(beside)) == ({before.serial_number, after.serial_number}, {})


def test_delta_says_which_base_it_completes_and_where_it_is(world: CaWorld) -> None:
    base, _ = world.authority.sign_crls(world.store)
    (delta,) = world.authority.sign_crls(world.store, CrlKind.DELTA)
    found = {one.oid.dotted_string: one for one in x509.load_der_x509_crl(delta.der).extensions}
    indicator = found[oids.DELTA_CRL_INDICATOR]
    assert indicator.critical
    assert isinstance(indicator.value, x509.DeltaCRLIndicator)
    assert indicator.value.crl_number == base.number
    virtual, places = found[oids.MS_VIRTUAL_BASE_CRL_NUMBER], found[oids.MS_PUBLISHED_CRL_LOCATIONS]
    assert virtual.value.public_bytes() == b"\x02\x01" + bytes((base.number,))
    assert extensions.read_distribution_urls(places.value.public_bytes()) == (
        "http://127.0.0.1:8081/CertEnroll/NDES%20Lab%20Test%20Issuing%20CA+.crl",
    )
    assert oids.FRESHEST_CRL not in found
    of_base = x509.load_der_x509_crl(base.der).extensions.get_extension_for_class(x509.FreshestCRL)
    assert not of_base.critical
    assert of_base.value[0].full_name is not None
    assert of_base.value[0].full_name[0].value.endswith("/NDES%20Lab%20Test%20Issuing%20CA+.crl")


def test_delta_does_not_outlive_its_base(world: CaWorld) -> None:
    base, _ = world.authority.sign_crls(world.store)
    (delta,) = world.authority.sign_crls(world.store, CrlKind.DELTA)
    day = timedelta(days=1)
    assert delta.this_update == NOW - timedelta(minutes=10)
    assert delta.next_publish == NOW + day
    assert delta.next_update == NOW + day * 1.1 + timedelta(minutes=10)
    world.clock.advance(days=7)
    (last,) = world.authority.sign_crls(world.store, CrlKind.DELTA)
    assert last.next_update == last.next_publish == base.next_update
    world.clock.time = base.next_update
    with pytest.raises(errors.BadRequestStatus, match="no base CRL is valid"):
        world.authority.sign_crls(world.store, CrlKind.DELTA)


def test_an_entry_that_expires_stays_on_deltas_until_a_base_has_it(world: CaWorld) -> None:
    record, _ = issue(world)
    world.authority.sign_crls(world.store)
    revoke(world, record, RevocationReason.SUPERSEDED)
    with world.store.transaction() as transaction:
        changed = list(
            transaction.changed_entries(
                record.issuer_key_id, since_crl_number=2, not_expired_at=record.not_after
            )
        )
    assert len(changed) == 1


def test_no_deltas_where_the_settings_want_none(tmp_path: Path) -> None:
    for number, settings in enumerate(
        (
            {"crl_delta_period": "0 Days"},
            {"crl_publication_urls": ("1:C:\\CertEnroll\\%3%8%9.crl", "6:http://%1/%3%8%9.crl")},
        )
    ):
        with ca_world(tmp_path / str(number), **settings) as world:
            (base,) = world.authority.sign_crls(world.store)
            parsed = x509.load_der_x509_crl(base.der)
            assert [one for one in parsed.extensions if isinstance(one.value, x509.FreshestCRL)] == []
            with pytest.raises(errors.BadRequestStatus, match="no delta CRLs"):
                world.authority.sign_crls(world.store, CrlKind.DELTA)


def test_oldest_base_that_is_valid_is_completed_where_that_is_wanted(
    tmp_path: Path,
) -> None:
    with ca_world(tmp_path / "pki", crl_delta_use_oldest_unexpired_base=True) as world:
        record, leaf = issue(world)
        old, _ = world.authority.sign_crls(world.store)
        revoke(world, record, RevocationReason.SUPERSEDED)
        base, beside = world.authority.sign_crls(world.store)
        assert set(entries(beside)) == {record.serial_number}
        found = {one.oid.dotted_string: one.value for one in x509.load_der_x509_crl(beside.der).extensions}
        indicator = found[oids.DELTA_CRL_INDICATOR]
        assert isinstance(indicator, x509.DeltaCRLIndicator)
        assert indicator.crl_number == 1  # of the ceremony
        assert found[oids.MS_VIRTUAL_BASE_CRL_NUMBER].public_bytes() == b"\x02\x01" + bytes((base.number,))
        said = verify(world, leaf, [old.der, beside.der], tmp_path, succeeds=False)
        assert "certificate revoked" in said


def test_openssl_takes_base_and_delta_with_a_distribution_point(tmp_path: Path) -> None:
    line = "207:http://127.0.0.1:8081/CertEnroll/%3%8%9.crl"  # 128 + 79
    with ca_world(tmp_path / "pki", crl_publication_urls=(line,)) as world:
        record, leaf = issue(world)
        base, _ = world.authority.sign_crls(world.store)
        revoke(world, record, RevocationReason.AA_COMPROMISE)
        (delta,) = world.authority.sign_crls(world.store, CrlKind.DELTA)
        scopes = [
            x509.load_der_x509_crl(crl.der).extensions.get_extension_for_class(x509.IssuingDistributionPoint)
            for crl in (base, delta)
        ]
        assert scopes[0] == scopes[1]
        assert scopes[0].critical
        assert "OK" in verify(world, leaf, [base.der], tmp_path)
        assert "certificate revoked" in verify(world, leaf, [base.der, delta.der], tmp_path, succeeds=False)


def test_certificates_name_the_delta_crl_where_that_is_switched_on(tmp_path: Path) -> None:
    with ca_world(tmp_path / "pki", freshest_crl_in_certificates=True) as world:
        _, leaf = issue(world)
        point = x509.load_der_x509_certificate(leaf).extensions.get_extension_for_class(x509.FreshestCRL)
        assert point.value[0].full_name is not None
        assert point.value[0].full_name[0].value.endswith("+.crl")
        base, delta = world.authority.sign_crls(world.store)
        assert "OK" in verify(world, leaf, [base.der, delta.der], tmp_path)


def test_the_linter_has_nothing_to_say(
    world: CaWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record, _ = issue(world)
    world.authority.sign_crls(world.store)
    revoke(world, record, RevocationReason.KEY_COMPROMISE)
    (delta,) = world.authority.sign_crls(world.store, CrlKind.DELTA)
    base, _ = world.authority.sign_crls(world.store)
    for crl in (delta, base):
        (tmp_path / "c.crl").write_bytes(crl.der)
        lint_crl.main(["lint", "-t", "CRL", "-p", "PKIX", "-s", "NOTICE", str(tmp_path / "c.crl")])
        assert capsys.readouterr().out.strip() == ""
