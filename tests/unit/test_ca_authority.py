"""The authority: what it issues, waits for, revokes and lists, judged by openssl."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from ca_requests import (
    CSR,
    KEY,
    KEYS,
    REQUESTER,
    emptied,
    issued,
    prepare,
    prepare_in,
    templated_world,
    wish,
)
from ca_world import NOW, CaWorld, ca_world, openssl, openssl_verify
from cryptography import x509
from forge import asn1

from ca import errors, oids
from ca.authority import CertificateAuthority
from ca.certificates import TbsCertificate, read_certificate, sign_certificate
from ca.keys import KeyKind
from ca.opening import open_authority, open_issuing_key, open_registration_keys
from ca.pkcs10 import parse_request, verify_request
from ca.records import CertificateFilter, RequestStatus, RevocationReason
from ca.templates import TemplateSet


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CaWorld]:
    with templated_world(tmp_path_factory.mktemp("authority") / "pki") as made:
        yield made


@pytest.fixture
def world(shared: CaWorld) -> CaWorld:
    return emptied(shared)


# -- what is issued --------------------------------------------------------------------


@pytest.mark.parametrize("digest", ["sha1", "md5"])
def test_hashes_that_the_ca_does_not_accept_are_refused_whoever_verified(tmp_path: Path, digest: str) -> None:
    request = parse_request(replace(CSR, digest=digest).encode())
    generous = verify_request(request, allow_sha1=True, allow_md5=True)
    with ca_world(tmp_path / "pki", **{f"accept_{digest}_requests": False}) as world:
        for one in (request, generous):
            with world.store.transaction() as transaction, pytest.raises(errors.BadRequestAlgorithm):
                world.authority.prepare(
                    transaction, one, template="SCEP-Client-Auth", requester="Authenticated Users"
                )
    with ca_world(tmp_path / "other") as world, world.store.transaction() as transaction:
        world.authority.prepare(
            transaction, generous, template="SCEP-Client-Auth", requester="Authenticated Users"
        )


def test_openssl_accepts_the_chain_with_crls_for_rsa_and_ec_leaves(world: CaWorld, tmp_path: Path) -> None:
    with world.store.transaction() as transaction:
        world.authority.sign_crl(transaction)
    for key in (KEYS.fresh(), KEYS.ec()):
        leaf = world.issue(replace(CSR, key=key).encode())
        assert "OK" in openssl_verify(world, leaf, tmp_path, "-purpose", "sslclient")


def test_an_ec_certificate_has_no_key_encipherment(world: CaWorld) -> None:
    usage = issued(world, replace(CSR, key=KEYS.ec())).extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_encipherment) == (True, False)


def test_templates_that_replace_others_hold_for_the_next_request(tmp_path: Path) -> None:
    with ca_world(tmp_path / "pki") as world:
        first = read_certificate(world.issue(CSR.encode()))
        template = world.authority.templates.published("SCEP-Client-Auth")
        tab = template.extensions.model_copy(update={"ocsp_no_check": True, "revocation_information": False})
        world.authority.templates = world.authority.templates.having(
            template.model_copy(update={"extensions": tab})
        )
        second = read_certificate(world.issue(replace(CSR, key=KEYS.fresh()).encode()))
    changed = {oids.OCSP_NO_CHECK, oids.CRL_DISTRIBUTION_POINTS}
    kept = [{one.oid for one in leaf.extensions} & changed for leaf in (first, second)]
    assert kept == [{oids.CRL_DISTRIBUTION_POINTS}, {oids.OCSP_NO_CHECK}]


def test_the_certificate_says_where_crl_issuer_and_ocsp_are(world: CaWorld) -> None:
    leaf = world.issue(CSR.encode())
    text = openssl("x509", "-inform", "DER", "-noout", "-text", given=leaf)
    assert "URI:http://127.0.0.1:8081/CertEnroll/NDES%20Lab%20Test%20Issuing%20CA.crl" in text
    name = "127.0.0.1_NDES%20Lab%20Test%20Issuing%20CA.crt"
    assert f"CA Issuers - URI:http://127.0.0.1:8081/CertEnroll/{name}" in text
    assert "OCSP - URI:http://127.0.0.1:8081/ocsp" in text


def test_microsofts_template_extensions_are_what_asn1_says(world: CaWorld) -> None:
    certificate = issued(world, CSR)
    values = {one.oid.dotted_string: one.value.public_bytes() for one in certificate.extensions}
    template = world.authority.templates.published("SCEP-Client-Auth")
    assert values[oids.MS_TEMPLATE] == asn1.seq(asn1.oid(template.oid), asn1.integer(100), asn1.integer(2))
    assert values[oids.MS_APPLICATION_POLICIES] == asn1.seq(asn1.seq(asn1.oid(oids.CLIENT_AUTH)))


def test_serial_numbers_are_random_positive_and_of_19_octets(world: CaWorld) -> None:
    serials = {prepare(world, CSR).tbs.serial_number for _ in range(20)}
    assert len(serials) == 20
    assert all(len(asn1.integer(serial)) == 2 + 19 and serial > 0 for serial in serials)


def test_the_record_is_the_certificate(world: CaWorld) -> None:
    leaf = world.issue(CSR.encode(), requester=REQUESTER)
    certificate = read_certificate(leaf)
    with world.store.reading() as transaction:
        found = transaction.certificate_by_serial(world.authority.issuer_key_id, certificate.serial_number)
    assert found is not None
    assert (found.der, found.sha1, found.template, found.requester) == (
        leaf, hashlib.sha1(leaf).hexdigest(), "SCEP-Client-Auth", REQUESTER,
    )  # fmt: skip
    assert found.public_key_sha256 == hashlib.sha256(KEY.spki).hexdigest()
    assert (found.not_before, found.not_after) == (certificate.not_before, certificate.not_after)


def test_the_signer_is_a_collaborator_that_gets_the_parts(world: CaWorld) -> None:
    key = open_issuing_key(world.folder, world.settings).key

    class Longer:
        def sign(self, tbs: TbsCertificate) -> bytes:
            return sign_certificate(replace(tbs, not_after=tbs.not_after + timedelta(days=1)), key)

    authority = open_authority(
        world.folder, world.settings, clock=world.clock, entropy=os.urandom, signer=Longer()
    )
    with world.store.transaction() as transaction:
        prepared = authority.prepare(
            transaction, parse_request(CSR.encode()), template="SCEP-Client-Auth", requester=REQUESTER
        )
        record = authority.issue(transaction, prepared)
    assert read_certificate(record.der).not_after == prepared.tbs.not_after + timedelta(days=1)


def test_a_ca_with_somebody_elses_key_does_not_open(world: CaWorld) -> None:
    ra = open_registration_keys(world.folder, world.settings).signing
    with pytest.raises(errors.InvalidCaCertificate):
        CertificateAuthority(
            certificate=world.authority.certificate,
            chain=world.authority.chain,
            key=ra.key,
            templates=TemplateSet.load(),
            clock=world.clock,
            entropy=os.urandom,
            locations=world.authority.locations,
            settings=world.settings,
        )


# -- approval --------------------------------------------------------------------------


def test_a_template_with_approval_is_submitted_approved_and_issued_once(world: CaWorld) -> None:
    prepared = prepare(world, CSR, "Pending")
    assert prepared.needs_approval
    with world.store.transaction() as transaction:
        with pytest.raises(errors.BadRequestStatus, match="approval"):
            world.authority.issue(transaction, prepared)
        waiting = world.authority.submit(transaction, prepared)
    assert waiting.status is RequestStatus.PENDING
    world.clock.advance(days=3)
    with world.store.transaction() as transaction:
        record = world.authority.approve(transaction, waiting.id)
        resolved = transaction.request(waiting.id)
        assert resolved is not None
        assert (resolved.status, resolved.certificate_id) == (RequestStatus.ISSUED, record.id)
        assert record.not_before == NOW + timedelta(days=3, minutes=-10)
        for again in (world.authority.approve, world.authority.deny):
            with pytest.raises(errors.BadRequestStatus, match="issued"):
                again(transaction, waiting.id)


def test_a_denied_request_keeps_its_message_and_is_not_approved(world: CaWorld) -> None:
    with world.store.transaction() as transaction:
        waiting = world.authority.submit(transaction, prepare_in(world, "Pending"))
        denied = world.authority.deny(transaction, waiting.id, "not this device")
        assert (denied.status, denied.disposition_message) == (RequestStatus.DENIED, "not this device")
        with pytest.raises(errors.BadRequestStatus):
            world.authority.approve(transaction, waiting.id)
        with pytest.raises(errors.NoSuchRequest):
            world.authority.deny(transaction, 4711)
        assert not transaction.find_certificates(CertificateFilter(), now=NOW)


def test_an_approval_that_meets_a_refusal_leaves_the_request_pending(world: CaWorld) -> None:
    with world.store.transaction() as transaction:
        waiting = world.authority.submit(transaction, prepare_in(world, "Pending"))
    world.clock.time = world.authority.certificate.not_after
    with world.store.transaction() as transaction:
        with pytest.raises(errors.InvalidCaCertificate):
            world.authority.approve(transaction, waiting.id)
        found = transaction.request(waiting.id)
    assert found is not None
    assert found.status is RequestStatus.PENDING


def test_a_renewal_by_a_valid_certificate_is_excused_from_approval(world: CaWorld) -> None:
    with world.store.transaction() as transaction:
        waiting = world.authority.submit(transaction, prepare_in(world, "Pending"))
        old = world.authority.approve(transaction, waiting.id)
        renewal = world.authority.prepare(
            transaction,
            parse_request(CSR.encode()),
            template="Pending",
            requester=REQUESTER,
            renewal_of=old,
        )
        assert world.authority.issue(transaction, renewal).id != old.id


# -- revocation and CRL ----------------------------------------------------------------


def test_revoked_certificates_are_on_the_crl_and_openssl_refuses_them(world: CaWorld, tmp_path: Path) -> None:
    leaf = world.issue(CSR.encode())
    with world.store.transaction() as transaction:
        first = world.authority.sign_crl(transaction)
    assert "OK" in openssl_verify(world, leaf, tmp_path)
    with world.store.transaction() as transaction:
        [record] = transaction.find_certificates(CertificateFilter(), now=NOW)
        world.authority.revoke(
            transaction, record.id, RevocationReason.SUPERSEDED, invalidity_date=NOW - timedelta(days=1)
        )
        second = world.authority.sign_crl(transaction)
    assert (second.number, second.entries) == (first.number + 1, 1)
    [entry] = x509.load_der_x509_crl(second.der)
    assert entry.serial_number == record.serial_number
    assert "certificate revoked" in openssl_verify(world, leaf, tmp_path, succeeds=False)


def test_a_hold_is_released_or_made_final_and_nothing_is_revoked_twice(world: CaWorld) -> None:
    world.issue(CSR.encode())
    authority = world.authority
    with world.store.transaction() as transaction:
        [record] = transaction.find_certificates(CertificateFilter(), now=NOW)
        with pytest.raises(errors.BadRequestStatus, match="not on hold"):
            authority.release(transaction, record.id)
        held = authority.revoke(transaction, record.id, RevocationReason.CERTIFICATE_HOLD)
        assert held.revocation is not None
        assert authority.release(transaction, record.id).revocation is None
        authority.revoke(transaction, record.id, RevocationReason.CERTIFICATE_HOLD)
        final = authority.revoke(transaction, record.id, RevocationReason.KEY_COMPROMISE)
        assert final.revocation is not None
        assert final.revocation.reason is RevocationReason.KEY_COMPROMISE
        for refused in (RevocationReason.SUPERSEDED, RevocationReason.REMOVE_FROM_CRL):
            with pytest.raises(errors.BadRequestStatus):
                authority.revoke(transaction, record.id, refused)
        with pytest.raises(errors.BadRequestStatus):
            authority.release(transaction, record.id)
        with pytest.raises(errors.NoSuchRequest):
            authority.revoke(transaction, 4711, RevocationReason.SUPERSEDED)


def test_an_expired_certificate_is_on_one_more_crl(world: CaWorld) -> None:
    world.issue(wish("5", "Days").encode())
    with world.store.transaction() as transaction:
        [record] = transaction.find_certificates(CertificateFilter(), now=NOW)
        world.authority.revoke(transaction, record.id, RevocationReason.UNSPECIFIED)
        assert world.authority.sign_crl(transaction).entries == 1
        world.clock.advance(days=7)
        assert world.authority.sign_crl(transaction).entries == 1
        world.clock.advance(days=7)
        assert world.authority.sign_crl(transaction).entries == 0


def test_crl_times_are_those_of_ad_cs(world: CaWorld) -> None:
    with world.store.transaction() as transaction:
        crl = x509.load_der_x509_crl(world.authority.sign_crl(transaction).der)
    assert crl.last_update_utc == NOW - timedelta(minutes=10)
    assert crl.next_update_utc == NOW + timedelta(days=7, hours=12, minutes=10)
    assert [one.oid.dotted_string for one in crl.extensions] == [
        oids.AUTHORITY_KEY_IDENTIFIER, oids.MS_CA_VERSION, oids.CRL_NUMBER, oids.MS_NEXT_CRL_PUBLISH,
        oids.FRESHEST_CRL, oids.MS_PUBLISHED_CRL_LOCATIONS,
    ]  # fmt: skip


def test_every_ca_error_has_an_hresult_of_its_own_name() -> None:
    leaves = errors.CaError.__subclasses__()
    assert len({leaf.hresult_name for leaf in leaves}) == len(leaves)
    assert all(leaf.hresult & 0x80000000 and leaf.message.endswith(".") for leaf in leaves)


def test_every_kind_of_ca_key_signs_leaves(tmp_path: Path) -> None:
    for kind in (KeyKind.RSA_3072, KeyKind.ECDSA_P384):
        with ca_world(tmp_path / kind.value, issuing_key=kind) as world:
            leaf = world.issue(CSR.encode())
            assert "OK" in openssl_verify(world, leaf, tmp_path)
