"""The issuing CA renewed: names, versions, CRLs of both keys, and openssl's opinion of all of it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ca_world import NOW, CaWorld, ca_world, openssl, ready_keys
from cryptography import x509
from forge.csr import CsrForge
from forge.keys import KeyPool
from pkilint.bin import lint_pkix_cert

from ca import errors, extensions, names, oids
from ca.authority import CertificateAuthority
from ca.certificates import CertificateInfo
from ca.folders import PkiExists, to_pem
from ca.keys import KeyKind, PrivateKey
from ca.opening import (
    open_authority,
    open_earlier_authorities,
    open_issuing_certificates,
    open_next_issuing,
)
from ca.pkcs10 import parse_request
from ca.records import CrlKind, RevocationReason
from ca.renewal import activate_next, renew_issuing
from ca.root import OfflineRoot

# The linter's command line leaves its input open.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")

KEYS = KeyPool(primes=0)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[CaWorld]:
    with ca_world(tmp_path / "pki") as opened:
        yield opened


def new_key(kind: KeyKind) -> PrivateKey:
    """Return a key that the ceremony did not use."""
    return ready_keys([kind] * 8)[7]


def other_key(kind: KeyKind) -> PrivateKey:
    return ready_keys([kind] * 7)[6]


def renew(world: CaWorld, **options: object) -> CertificateInfo:
    root = OfflineRoot.open(world.folder, world.settings, clock=world.clock)
    options.setdefault("make_key", new_key)
    return renew_issuing(world.folder, world.settings, root=root, entropy=os.urandom, **options)  # type: ignore[arg-type]


def authorities(world: CaWorld) -> tuple[CertificateAuthority, ...]:
    present = open_authority(world.folder, world.settings, clock=world.clock, entropy=os.urandom)
    earlier = open_earlier_authorities(world.folder, world.settings, clock=world.clock, entropy=os.urandom)
    return (present, *earlier)


def issue(world: CaWorld, authority: CertificateAuthority, name: str) -> bytes:
    csr = CsrForge(key=KEYS.ec(), subject=names.build_name(f"CN={name}")).encode()
    with world.store.transaction() as transaction:
        prepared = authority.prepare(
            transaction, parse_request(csr), template="SCEP-Client-Auth", requester="device"
        )
        return authority.issue(transaction, prepared).der


def verify(world: CaWorld, leaf: bytes, crls: list[bytes], folder: Path, *, succeeds: bool = True) -> str:
    (folder / "leaf.pem").write_bytes(to_pem(leaf))
    issuing = b"".join(to_pem(one.der) for one in open_issuing_certificates(world.folder))
    (folder / "issuing.pem").write_bytes(issuing)
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
        "-CAfile", world.folder.issuing_root_certificate, "-untrusted", folder / "issuing.pem",
        "-CRLfile", folder / "crls.pem", folder / "leaf.pem", succeeds=succeeds,
    )  # fmt: skip


def test_versions_and_names_are_those_of_ad_cs(world: CaWorld) -> None:
    name = "NDES Lab Test Issuing CA"
    same = renew(world, new_key=False)
    assert extensions.read_ca_version(same.extensions) == (0, 1)
    present, *earlier = authorities(world)
    assert earlier == []
    assert present.locations.certificate_file == f"127.0.0.1_{name}(0-1).crt"
    assert present.locations.crl_file == f"{name}.crl"
    renewed = renew(world)
    assert extensions.read_ca_version(renewed.extensions) == (2, 2)
    present, old = authorities(world)
    assert (present.certificate, old.certificate) == (renewed, same)
    places = present.locations
    assert (places.certificate_file, places.crl_file, places.delta_crl_file) == (
        f"127.0.0.1_{name}(2).crt", f"{name}(2).crl", f"{name}(2)+.crl",
    )  # fmt: skip
    assert places.crl_urls == ("http://127.0.0.1:8081/CertEnroll/NDES%20Lab%20Test%20Issuing%20CA(2).crl",)
    assert [one.sha1 for one in open_issuing_certificates(world.folder)][:2] == [renewed.sha1, same.sha1]


def test_first_new_key_is_v1_1_and_keeps_the_thumbprint_of_what_it_renews(world: CaWorld) -> None:
    before = world.authority.certificate
    renewed = renew(world)
    version = renewed.extension(oids.MS_CA_VERSION)
    previous = renewed.extension(oids.MS_PREVIOUS_CA_CERTIFICATE_HASH)
    assert version is not None
    assert version.value == b"\x02\x03\x01\x00\x01"
    assert previous is not None
    assert previous.value == b"\x04\x14" + bytes.fromhex(before.sha1)
    assert (renewed.subject_der, renewed.issuer_der) == (before.subject_der, before.issuer_der)
    assert renewed.public_key_der != before.public_key_der
    assert world.folder.issuing_key.stat().st_mode & 0o777 == 0o600


def test_openssl_verifies_leaves_of_both_keys_against_crls_of_both(world: CaWorld, tmp_path: Path) -> None:
    old_leaf = issue(world, world.authority, "old")
    renew(world)
    present, earlier = authorities(world)
    new_leaf = issue(world, present, "new")
    crls = [one.der for authority in (present, earlier) for one in authority.sign_crls(world.store)]
    for leaf in (old_leaf, new_leaf):
        assert "OK" in verify(world, leaf, crls, tmp_path)
    serial = x509.load_der_x509_certificate(old_leaf).serial_number
    with world.store.transaction() as transaction:
        record = transaction.certificate_by_serial(earlier.issuer_key_id, serial)
        assert record is not None
        with pytest.raises(errors.NoSuchRequest):
            present.revoke(transaction, record.id, RevocationReason.SUPERSEDED)
        earlier.revoke(transaction, record.id, RevocationReason.SUPERSEDED)
    (delta,) = earlier.sign_crls(world.store, CrlKind.DELTA)
    assert "certificate revoked" in verify(world, old_leaf, [*crls, delta.der], tmp_path, succeeds=False)
    assert "OK" in verify(world, new_leaf, [*crls, delta.der], tmp_path)


def test_crls_of_each_key_have_their_own_numbers_and_version(world: CaWorld) -> None:
    renew(world)
    present, earlier = authorities(world)
    numbers = [authority.sign_crls(world.store)[0] for authority in (earlier, present)]
    assert [one.number for one in numbers] == [2, 1]
    versions = [
        next(one.value.public_bytes() for one in x509.load_der_x509_crl(crl.der).extensions
             if one.oid.dotted_string == oids.MS_CA_VERSION)
        for crl in numbers
    ]  # fmt: skip
    assert versions == [b"\x02\x01\x00", b"\x02\x03\x01\x00\x01"]


def test_serial_numbers_tell_which_certificate_of_the_ca_issued_them(world: CaWorld) -> None:
    renew(world)
    present = authorities(world)[0]
    for request_id in (3, 4):
        serial = x509.load_der_x509_certificate(issue(world, present, "x")).serial_number.to_bytes(19, "big")
        assert (serial[1:5], serial[13:15], serial[15:]) == (
            request_id.to_bytes(4, "big"), b"\0\1", request_id.to_bytes(4, "big"),
        )  # fmt: skip


def test_no_device_gets_a_certificate_for_an_earlier_key_of_the_ca(world: CaWorld) -> None:
    from ca.pkcs10 import sign_request

    old = ready_keys([world.settings.root_key, world.settings.issuing_key])[1]
    renew(world)
    csr = sign_request(names.build_name("CN=thief"), old)
    with (
        world.store.transaction() as transaction,
        pytest.raises(errors.KeyInUse, match="key is that of this"),
    ):
        authorities(world)[0].prepare(
            transaction, parse_request(csr), template="SCEP-Client-Auth", requester="device"
        )


def test_next_certificate_waits_until_it_is_put_in_service(world: CaWorld) -> None:
    prepared = renew(world, as_next=True)
    assert open_next_issuing(world.folder) == prepared
    assert authorities(world)[0].certificate == world.authority.certificate
    with pytest.raises(errors.BadRequestStatus, match="prepared already"):
        renew(world)
    assert activate_next(world.folder) == prepared
    assert authorities(world)[0].certificate == prepared
    assert open_next_issuing(world.folder) is None
    with pytest.raises(errors.BadRequestStatus, match="no next certificate"):
        activate_next(world.folder)


def test_a_renewal_that_fails_leaves_everything_as_it_was(
    world: CaWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ca.renewal.write_file", full)
    with pytest.raises(OSError, match="No space"):
        renew(world)
    monkeypatch.undo()
    assert authorities(world)[0].certificate == world.authority.certificate
    assert sorted(path.name for path in (world.folder.path / "issuing").iterdir()) == [
        "issuing.crt", "issuing.key", "root.crl", "root.crt",
    ]  # fmt: skip


def test_of_two_renewals_at_once_one_wins(world: CaWorld) -> None:
    def slow(kind: KeyKind) -> PrivateKey:
        renew(world)
        return other_key(kind)

    with pytest.raises(PkiExists, match="faster"):
        renew(world, make_key=slow)
    assert len(open_issuing_certificates(world.folder)) == 2


def test_root_remembers_what_it_signed_and_can_revoke_it(world: CaWorld, tmp_path: Path) -> None:
    renewed = renew(world)
    root = OfflineRoot.open(world.folder, world.settings, clock=world.clock)
    assert [one.serial_number for one in root.index.certificates] == [
        world.authority.certificate.serial_number, renewed.serial_number,
    ]  # fmt: skip
    leaf = issue(world, authorities(world)[0], "leaf")
    crls = [one.der for authority in authorities(world) for one in authority.sign_crls(world.store)]
    assert "OK" in verify(world, leaf, crls, tmp_path)
    root.revoke(renewed.serial_number, RevocationReason.CA_COMPROMISE)
    assert "certificate revoked" in verify(world, leaf, crls, tmp_path, succeeds=False)


def test_the_linter_has_nothing_to_say(
    world: CaWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.pem").write_bytes(to_pem(renew(world).der))
    lint_pkix_cert.main(["lint", "-s", "NOTICE", str(tmp_path / "c.pem")])
    assert capsys.readouterr().out.strip() == ""
    assert world.clock.now() == NOW
