"""What the OCSP responder answers, judged by openssl, by cryptography and by pkilint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import pytest
from ca_world import NOW, ca_world
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from ocsp_world import (
    OcspWorld,
    OpensslJudge,
    ocsp_world,
    question,
    responder_of,
)
from pkilint.bin import lint_ocsp_response, lint_pkix_cert, lint_pkix_signer_signee_cert_chain

from ca import der
from ca.errors import ServiceUnavailable
from ca.folders import to_pem
from ca.keys import UnusableKey
from ca.ocsp import CertStatus, ResponseStatus, read_request
from ca.ocsp_responder import ServedIssuer
from ca.periods import Period
from ca.records import CertificateRecord, RevocationReason, StoreUnavailable

GOOD, REVOKED, UNKNOWN = ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.UNKNOWN
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OcspWorld]:
    with ocsp_world(tmp_path_factory.mktemp("ocsp") / "pki") as made:
        yield made


@pytest.fixture
def world(shared: OcspWorld) -> OcspWorld:
    shared.clock.time = NOW
    shared.credentials.failure = None
    shared.responder = shared.new_responder()
    return shared


@pytest.fixture
def leaf(world: OcspWorld) -> CertificateRecord:
    return world.leaf()


@pytest.fixture
def judge(world: OcspWorld, tmp_path: Path) -> OpensslJudge:
    return OpensslJudge(world, tmp_path)


def read(octets: bytes) -> ocsp.OCSPResponse:
    return ocsp.load_der_ocsp_response(octets)


# -- good, revoked, unknown ------------------------------------------------------------


def test_openssl_believes_good_and_unknown(
    world: OcspWorld, leaf: CertificateRecord, judge: OpensslJudge
) -> None:
    request = judge.question("-nonce", "-serial", "0x7766554433", leaf=leaf.der)
    answer = world.responder.answer(request)
    assert answer.cert_statuses == (CertStatus.UNKNOWN, CertStatus.GOOD)
    assert "onc" not in judge.verdict(answer.der, "-reqin", "request.der")  # a nonce, and the right one
    said = judge.verdict(answer.der, "-no_nonce", "-serial", "0x7766554433", leaf=leaf.der)
    assert "leaf.pem: good" in said
    assert "0x7766554433: unknown" in said


@pytest.mark.parametrize("reason", [r for r in RevocationReason if r is not RevocationReason.REMOVE_FROM_CRL])
def test_openssl_and_cryptography_read_when_and_why_a_certificate_was_revoked(
    world: OcspWorld, leaf: CertificateRecord, judge: OpensslJudge, reason: RevocationReason
) -> None:
    world.revoke(leaf, reason)
    answer = world.responder.answer(judge.question("-no_nonce", leaf=leaf.der))
    said = judge.verdict(answer.der, leaf=leaf.der)
    assert "leaf.pem: revoked" in said
    assert "Revocation Time: Mar  1 12:00:00 2026 GMT" in said
    found = read(answer.der)
    assert (found.certificate_status, found.revocation_time_utc) == (REVOKED, NOW)
    if reason is RevocationReason.UNSPECIFIED:  # RFC 5280 5.3.1: should be absent instead
        assert found.revocation_reason is None
    else:
        assert found.revocation_reason is x509.ReasonFlags(reason.rfc_name)
        # OpenSSL 3.0's ocsp has no names for the last two.
        assert f"Reason: {reason.rfc_name if reason.value < 9 else ''}" in said


def test_a_revocation_shows_at_once_and_so_does_a_release(world: OcspWorld, leaf: CertificateRecord) -> None:
    request = world.ask(leaf.serial_number)

    def status() -> ocsp.OCSPCertStatus:
        return read(world.responder.answer(request).der).certificate_status

    assert status() is GOOD
    world.revoke(leaf, RevocationReason.CERTIFICATE_HOLD)
    assert status() is REVOKED
    world.release(leaf)
    assert status() is GOOD
    world.revoke(leaf, RevocationReason.CERTIFICATE_HOLD)
    world.revoke(leaf, RevocationReason.KEY_COMPROMISE)
    assert read(world.responder.answer(request).der).revocation_reason is x509.ReasonFlags.key_compromise


@pytest.mark.parametrize("digest", [hashes.SHA1(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
def test_knows_its_issuer_by_every_digest_and_repeats_it(
    world: OcspWorld, leaf: CertificateRecord, digest: hashes.HashAlgorithm
) -> None:
    found = read(world.responder.answer(world.ask(leaf.serial_number, digest=digest)).der)
    assert found.certificate_status is GOOD
    assert found.hash_algorithm.name == digest.name


@pytest.mark.parametrize("serial", [1, 0, 2**159 - 1, 2**4000])
def test_what_was_never_issued_is_unknown(world: OcspWorld, serial: int) -> None:
    asked = read_request(world.ask(1)).cert_ids[0].der
    cert_id = der.one(asked)
    parts = [element.raw for element in cert_id.elements()][:-1]
    request = der.sequence(
        der.sequence(der.sequence(der.sequence(der.sequence(*parts, der.integer(serial)))))
    )
    assert world.responder.answer(request).cert_statuses == (CertStatus.UNKNOWN,)


# -- who signs it ----------------------------------------------------------------------


def test_the_answer_carries_a_delegated_certificate(
    world: OcspWorld, leaf: CertificateRecord, tmp_path: Path
) -> None:
    found = read(world.responder.answer(world.ask(leaf.serial_number)).der)
    (signer,) = found.certificates
    issuing = x509.load_der_x509_certificate(world.authority.certificate.der)
    signer.verify_directly_issued_by(issuing)
    assert signer.subject != issuing.subject
    usage = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.ExtendedKeyUsageOID.OCSP_SIGNING]
    assert signer.extensions.get_extension_for_class(x509.OCSPNoCheck)
    assert signer.not_valid_after_utc - NOW <= timedelta(days=14)
    key_id = signer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert found.responder_key_hash == key_id
    with world.store.reading() as transaction:
        kept = transaction.certificate_by_serial(world.authority.issuer_key_id, signer.serial_number)
    assert kept is not None
    assert (kept.template, kept.subject) == ("OCSPResponseSigning", "CN=NDES-LAB-OCSP")


# The linter's command line leaves its input open.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.parametrize("key", ["rsa-2048", "ecdsa-p384"])
def test_pkilint_finds_nothing(key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ocsp_world(tmp_path / "pki", issuing_key=key, ocsp={"key": key}) as world:
        good, revoked = world.leaf(), world.leaf()
        world.revoke(revoked, RevocationReason.SUPERSEDED)
        requests = [
            world.ask(good.serial_number, nonce=b"n" * 32),
            world.ask(revoked.serial_number),
            world.ask(4711),
            b"",
        ]
        answers = [world.responder.answer(request).der for request in requests]
        signer = read(answers[0]).certificates[0].public_bytes(Encoding.DER)
        capsys.readouterr()
        for answer in answers:
            path = tmp_path / "answer.der"
            path.write_bytes(answer)
            assert lint_ocsp_response.main(["lint", "-s", "NOTICE", str(path)]) == 0
            assert capsys.readouterr().out.strip() == ""
        for name, octets in (("signer", signer), ("issuer", world.authority.certificate.der)):
            (tmp_path / f"{name}.pem").write_bytes(to_pem(octets))
        assert lint_pkix_cert.main(["lint", "-s", "NOTICE", str(tmp_path / "signer.pem")]) == 0
        pair = [str(tmp_path / f"{name}.pem") for name in ("issuer", "signer")]
        assert lint_pkix_signer_signee_cert_chain.main(["lint", "-s", "NOTICE", *pair]) == 0
        assert capsys.readouterr().out.strip() == ""


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_the_linter_is_awake(world: OcspWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = world.responder.answer(world.ask(1)).der
    (tmp_path / "answer.der").write_bytes(answer.replace(b"\x0a\x01\x00", b"\x0a\x01\x04", 1))
    assert lint_ocsp_response.main(["lint", "-s", "NOTICE", str(tmp_path / "answer.der")]) > 0
    assert "ocsp_response_status_code_4" in capsys.readouterr().out


# -- times -----------------------------------------------------------------------------


def test_times_follow_the_settings(world: OcspWorld, leaf: CertificateRecord) -> None:
    answer = world.new_responder(validity=Period.parse("3 Hours")).answer(world.ask(leaf.serial_number))
    found = read(answer.der)
    assert found.produced_at_utc == NOW
    assert found.this_update_utc == NOW - timedelta(minutes=10)  # ClockSkewMinutes
    assert found.next_update_utc == NOW + 3 * HOUR
    assert answer.freshness is not None
    assert answer.freshness.maximum_age == timedelta(minutes=10)


def test_no_answer_outlives_the_certificate_it_is_signed_with(
    world: OcspWorld, leaf: CertificateRecord
) -> None:
    end = world.credentials.current().certificate.not_after
    answer = world.new_responder(validity=Period.parse("8 Weeks")).answer(world.ask(leaf.serial_number))
    assert read(answer.der).next_update_utc == end


def test_revoked_is_never_said_of_a_time_before_the_revocation(
    world: OcspWorld, leaf: CertificateRecord
) -> None:
    world.clock.advance(minutes=3)
    revoked = world.revoke(leaf, RevocationReason.KEY_COMPROMISE).revocation
    world.clock.advance(minutes=2)
    assert revoked is not None
    request = world.ask(leaf.serial_number)
    assert read(world.responder.answer(request).der).this_update_utc == revoked.revoked_at
    world.clock.advance(hours=2)
    later = read(world.responder.answer(request).der)
    assert later.this_update_utc == world.clock.now() - timedelta(minutes=10)


# -- signatures used again -------------------------------------------------------------


def test_the_same_question_is_signed_once_within_the_window(
    world: OcspWorld, leaf: CertificateRecord
) -> None:
    request, before = world.ask(leaf.serial_number), world.credentials.signatures
    first = world.responder.answer(request)
    world.clock.advance(minutes=9)
    again = world.responder.answer(request)
    assert again.der == first.der
    assert world.credentials.signatures == before + 1
    assert again.freshness is not None
    assert again.freshness.maximum_age == timedelta(minutes=1)
    world.clock.advance(minutes=1)
    assert read(world.responder.answer(request).der).produced_at_utc == NOW + timedelta(minutes=10)
    assert world.credentials.signatures == before + 2


def test_a_nonce_is_echoed_and_its_answer_is_for_nobody_else(
    world: OcspWorld, leaf: CertificateRecord
) -> None:
    for nonce in (b"a", b"b" * 16, b"b" * 128):
        request = world.ask(leaf.serial_number, nonce=nonce)
        first, second = world.responder.answer(request), world.responder.answer(request)
        for answer in (first, second):
            found = read(answer.der).extensions.get_extension_for_class(x509.OCSPNonce).value
            assert found.nonce == nonce
            assert answer.freshness is None
    plain = world.responder.answer(world.ask(leaf.serial_number))
    assert not read(plain.der).extensions


def test_a_clock_put_back_gets_an_answer_of_its_own_time(world: OcspWorld, leaf: CertificateRecord) -> None:
    request = world.ask(leaf.serial_number)
    world.responder.answer(request)
    world.clock.advance(minutes=-5)
    assert read(world.responder.answer(request).der).produced_at_utc == world.clock.now()


@pytest.mark.parametrize("settings", [{"remembered_answers": 0}, {"reuse": Period.parse("0 Minutes")}])
def test_each_answer_is_signed_where_none_is_to_be_kept(
    world: OcspWorld, leaf: CertificateRecord, settings: dict[str, object]
) -> None:
    responder, before = world.new_responder(**settings), world.credentials.signatures
    for _ in range(3):
        responder.answer(world.ask(leaf.serial_number))
    assert world.credentials.signatures == before + 3


def test_only_so_many_answers_are_kept_and_the_least_used_goes_first(world: OcspWorld) -> None:
    responder = world.new_responder(remembered_answers=2)
    one, two, three = (world.ask(serial) for serial in (1, 2, 3))
    before = world.credentials.signatures
    for request in (one, two, one, three, one):  # `two` has made room for `three`
        responder.answer(request)
    assert world.credentials.signatures == before + 3
    responder.answer(two)
    assert world.credentials.signatures == before + 4


# -- what is not answered --------------------------------------------------------------


def test_another_issuers_certificates_are_not_answered_for(world: OcspWorld, tmp_path: Path) -> None:
    with ca_world(tmp_path / "other", issuing_common_name="Another") as other:
        request = question(other.authority.certificate, 1)
    answer = world.responder.answer(request)
    assert read(answer.der).response_status is ocsp.OCSPResponseStatus.UNAUTHORIZED
    assert answer.freshness is None


def test_the_roots_certificates_are_not_answered_for(world: OcspWorld) -> None:
    from ca.opening import open_root_certificate

    root = open_root_certificate(world.folder)
    request = question(root, world.authority.certificate.serial_number)
    assert world.responder.answer(request).status is ResponseStatus.UNAUTHORIZED


def test_another_issuers_certificate_among_ours_is_unknown(
    world: OcspWorld, leaf: CertificateRecord, tmp_path: Path
) -> None:
    with ca_world(tmp_path / "other", issuing_common_name="Another") as other:
        foreign = read_request(question(other.authority.certificate, leaf.serial_number)).cert_ids[0]
    ours = read_request(world.ask(leaf.serial_number)).cert_ids[0]
    both = [der.sequence(foreign.der), der.sequence(ours.der)]
    answer = world.responder.answer(der.sequence(der.sequence(der.sequence(*both))))
    assert answer.cert_statuses == (CertStatus.UNKNOWN, CertStatus.GOOD)


@pytest.mark.parametrize("octets", [b"", b"0", b"\x30\x00", b"GET / HTTP/1.0", b"\x30\x03\x0a\x01\x00"])
def test_what_is_no_request_is_malformed(world: OcspWorld, octets: bytes) -> None:
    found = read(world.responder.answer(octets).der)
    assert found.response_status is ocsp.OCSPResponseStatus.MALFORMED_REQUEST


class NoStore:
    """A store that is away."""

    @contextmanager
    def _away(self) -> Iterator[NoReturn]:
        raise StoreUnavailable("the database cannot be used: disk gone")
        yield

    transaction = reading = _away

    def reset(self) -> None: ...
    def close(self) -> None: ...


def test_says_try_later_while_the_store_is_away(world: OcspWorld, leaf: CertificateRecord) -> None:
    responder = responder_of(world, [world.authority.certificate], [world.credentials], store=NoStore())
    answer = responder.answer(world.ask(leaf.serial_number))
    assert read(answer.der).response_status is ocsp.OCSPResponseStatus.TRY_LATER
    assert answer.freshness is None


@pytest.mark.parametrize("failure", [UnusableKey("gone"), ServiceUnavailable("the HSM does not answer")])
def test_says_internal_error_while_the_key_cannot_be_used_and_recovers(
    world: OcspWorld, leaf: CertificateRecord, failure: Exception
) -> None:
    request = world.ask(leaf.serial_number)
    world.responder.answer(request)  # an answer that is kept must not hide it
    world.credentials.failure = failure
    found = read(world.responder.answer(request).der)
    assert found.response_status is ocsp.OCSPResponseStatus.INTERNAL_ERROR
    world.credentials.failure = None
    assert world.responder.answer(request).status is ResponseStatus.SUCCESSFUL


# -- several keys of one CA ------------------------------------------------------------


def test_answers_for_each_key_of_the_ca_with_a_certificate_of_that_key(
    world: OcspWorld, leaf: CertificateRecord, tmp_path: Path
) -> None:
    with ocsp_world(tmp_path / "renewed", issuing_key="rsa-2048") as renewed:
        assert renewed.authority.certificate.subject_der == world.authority.certificate.subject_der
        newer = renewed.leaf()
        with world.store.transaction() as transaction:
            transaction.add_certificate(newer, newer.issued_at)
        world.responder.serve(
            [
                ServedIssuer(certificate=world.authority.certificate, credentials=world.credentials),
                ServedIssuer(certificate=renewed.authority.certificate, credentials=renewed.credentials),
            ]
        )
        for each, record, other in ((world, leaf, newer), (renewed, newer, leaf)):
            found = read(world.responder.answer(each.ask(record.serial_number)).der)
            assert found.certificate_status is GOOD
            found.certificates[0].verify_directly_issued_by(
                x509.load_der_x509_certificate(each.authority.certificate.der)
            )
            found = read(world.responder.answer(each.ask(other.serial_number)).der)
            assert found.certificate_status is UNKNOWN  # this key never issued it
            judge = OpensslJudge(each, tmp_path)
            answer = world.responder.answer(judge.question("-no_nonce", leaf=record.der))
            assert "leaf.pem: good" in judge.verdict(answer.der, leaf=record.der)
