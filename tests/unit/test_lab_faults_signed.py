"""CRLs and OCSP responses taken apart and put together again: unchanged they are the same to the octet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ca import oids
from ca.certificates import read_certificate
from ca.extensions import Extension, find
from ca.records import CrlKind
from lab import ScepLab
from lab.faults.ca_keys import issuing_key, responder_credential
from lab.faults.signed_crls import CrlParts, naming_delta_at
from lab.faults.signed_ocsp import UNKNOWN, OcspParts
from lab.trust import X509Certificate
from lab.trust.crls import CertificateRevocationList
from lab.trust.ocsp import OcspQuestion, read_answer


@pytest.fixture(scope="module")
def scep_lab() -> Iterator[ScepLab]:
    with ScepLab() as running:
        running.revoke(running.certificates()[0])
        yield running


def _crl(scep_lab: ScepLab, kind: CrlKind = CrlKind.BASE) -> bytes:
    found = scep_lab.world.latest_crl(kind)
    assert found is not None
    return found.der


def _question(scep_lab: ScepLab, nonce: bytes | None) -> OcspQuestion:
    world = scep_lab.world
    return OcspQuestion(
        certificate=X509Certificate.read(world.registration_authority.encryption.der),
        issuer=X509Certificate.read(world.authority.certificate.der),
        nonce=nonce,
    )


def _ocsp(scep_lab: ScepLab, nonce: bytes | None = None) -> bytes:
    return scep_lab.world.responder.answer(_question(scep_lab, nonce).encode()).der


@pytest.mark.parametrize("kind", CrlKind)
def test_crl_put_together_unchanged_is_the_same_octets(scep_lab: ScepLab, kind: CrlKind) -> None:
    octets = _crl(scep_lab, kind)
    key = issuing_key(scep_lab.world, CrlParts.read(octets).authority_key_id)
    assert key is not None
    assert CrlParts.read(octets).sign(key) == octets


@pytest.mark.parametrize("nonce", [None, b"n" * 32])
def test_ocsp_response_put_together_unchanged_is_the_same_octets(
    scep_lab: ScepLab, nonce: bytes | None
) -> None:
    octets = _ocsp(scep_lab, nonce)
    parts = OcspParts.read(octets)
    credential = responder_credential(scep_lab.world, read_certificate(parts.certificates[0]))
    assert credential is not None
    assert parts.certificates == (credential.certificate.der,)
    assert parts.sign(credential.key) == octets
    assert parts.by(parts.certificates, credential.certificate.public_key_der) == parts


def test_crl_says_what_was_changed_alone(scep_lab: ScepLab) -> None:
    octets = _crl(scep_lab)
    key = issuing_key(scep_lab.world, CrlParts.read(octets).authority_key_id)
    assert key is not None
    ends = datetime(2030, 1, 1, tzinfo=UTC)
    good = CertificateRevocationList.read(octets, origin="good")
    bent = CertificateRevocationList.read(
        replace(CrlParts.read(octets), next_update=ends).sign(key), origin="bent"
    )
    assert bent.next_update == ends
    assert (bent.number, bent.this_update, bent.freshest_urls) == (
        good.number,
        good.this_update,
        good.freshest_urls,
    )


def test_extension_takes_the_place_of_the_one_of_its_type(scep_lab: ScepLab) -> None:
    parts = CrlParts.read(_crl(scep_lab))
    number = Extension(oid=oids.CRL_NUMBER, value=b"\x02\x01\x09")
    changed = parts.with_extension(number)
    assert [each.oid for each in changed.extensions] == [each.oid for each in parts.extensions]
    assert changed.number() == 9
    added = Extension(oid="1.2.3", value=b"\x05\x00")
    assert parts.with_extension(added).extensions == (*parts.extensions, added)
    assert find(parts.without_extension(oids.CRL_NUMBER).extensions, oids.CRL_NUMBER) is None


def test_root_crl_has_no_key_here(scep_lab: ScepLab) -> None:
    name = scep_lab.world.root_locations.crl_file
    file = scep_lab.world.publication.find(name)
    assert file is not None
    assert issuing_key(scep_lab.world, CrlParts.read(file.content).authority_key_id) is None
    assert issuing_key(scep_lab.world, None) is None
    assert naming_delta_at(file.content, ("http://a.example/+.crl",), scep_lab.world) == file.content


def test_delta_crl_names_no_freshest_crl_and_stays(scep_lab: ScepLab) -> None:
    octets = _crl(scep_lab, CrlKind.DELTA)
    assert naming_delta_at(octets, ("http://a.example/+.crl",), scep_lab.world) == octets


def test_ocsp_status_is_changed_and_still_verifies(scep_lab: ScepLab) -> None:
    question = _question(scep_lab, b"n" * 32)
    parts = OcspParts.read(_ocsp(scep_lab, b"n" * 32))
    credential = responder_credential(scep_lab.world, read_certificate(parts.certificates[0]))
    assert credential is not None
    bent = parts.each(lambda single: replace(single, status=UNKNOWN)).sign(credential.key)
    at = scep_lab.clock.now() + timedelta(seconds=1)
    answer = read_answer(bent, question, at=at, responder_revoked=lambda _: "")
    assert answer.status.value == "unknown"
    assert answer.nonce_repeated


def test_nonce_is_replaced_or_left_out(scep_lab: ScepLab) -> None:
    parts = OcspParts.read(_ocsp(scep_lab, b"n" * 32))
    assert parts.nonce is not None
    assert parts.with_nonce(None).nonce is None
    assert parts.with_nonce(b"n" * 32) == parts
    assert parts.with_nonce(b"m" * 32).nonce != parts.nonce


def test_responder_of_another_ca_has_no_key_here(scep_lab: ScepLab) -> None:
    assert responder_credential(scep_lab.world, scep_lab.world.root) is None


def test_responder_that_got_another_certificate_answers_with_it(scep_lab: ScepLab) -> None:
    before = read_certificate(OcspParts.read(_ocsp(scep_lab)).certificates[0])
    assert responder_credential(scep_lab.world, before) is not None
    scep_lab.reset()
    after = read_certificate(OcspParts.read(_ocsp(scep_lab)).certificates[0])
    assert after.der != before.der
    credential = responder_credential(scep_lab.world, after)
    assert credential is not None
    assert credential.certificate.der == after.der
