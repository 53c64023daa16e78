"""OCSP messages, judged by openssl ocsp and by cryptography."""

from __future__ import annotations

import contextlib
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.x509 import ocsp as judge
from hypothesis import given
from hypothesis import strategies as st

from ca import der, names, ocsp
from ca.certificates import CertificateInfo, TbsCertificate, read_certificate, sign_certificate
from ca.extensions import basic_constraints, subject_key_identifier
from ca.keys import KeyKind, PrivateKey, generate_key
from ca.ocsp import CertStatus, MalformedOcspRequest, ResponseData, ResponseStatus, SingleResponse
from ca.records import Revocation, RevocationReason

NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


def certificate(subject: str, key: PrivateKey, issuer: str, issuing_key: PrivateKey, serial: int) -> bytes:
    is_ca = subject == issuer
    return sign_certificate(
        TbsCertificate(
            serial_number=serial,
            signature_algorithm=issuing_key.signature_algorithm_der,
            issuer_der=names.build_name(issuer),
            not_before=NOW - timedelta(days=1),
            not_after=NOW + timedelta(days=3650),
            subject_der=names.build_name(subject),
            public_key_der=key.public_key_der,
            extensions=(basic_constraints(is_ca=is_ca), subject_key_identifier(key.subject_key_id)),
        ),
        issuing_key,
    )


class Pki:
    """One CA that answers for itself, and one certificate of it, as files for openssl."""

    def __init__(self, folder: Path) -> None:
        self.key = generate_key(KeyKind.ECDSA_P256)
        self.issuer: CertificateInfo = read_certificate(
            certificate("CN=Issuer", self.key, "CN=Issuer", self.key, 1)
        )
        leaf_key = generate_key(KeyKind.ECDSA_P256)
        self.leaf = read_certificate(certificate("CN=Leaf", leaf_key, "CN=Issuer", self.key, 0x7F001122))
        self.folder = folder
        for name, octets in (("issuer", self.issuer.der), ("leaf", self.leaf.der)):
            (folder / f"{name}.der").write_bytes(octets)
            subprocess.run(
                ["openssl", "x509", "-inform", "DER", "-in", f"{name}.der", "-out", f"{name}.pem"],
                cwd=folder,
                check=True,
            )

    def ask(self, *options: str, digest: str = "-sha1") -> bytes:
        # the -nonce options come before -cert, as openssl reads them in order
        subprocess.run(
            [
                "openssl",
                "ocsp",
                digest,
                "-issuer",
                "issuer.pem",
                *options,
                "-cert",
                "leaf.pem",
                "-reqout",
                "request.der",
            ],
            cwd=self.folder,
            check=True,
            capture_output=True,
        )
        return (self.folder / "request.der").read_bytes()

    def answer(self, request: ocsp.OcspRequest, status: CertStatus, revocation: Revocation | None) -> bytes:
        data = ResponseData.by(
            self.issuer,
            produced_at=NOW,
            responses=[
                SingleResponse(
                    cert_id=cert_id,
                    status=status,
                    this_update=NOW,
                    next_update=NOW + timedelta(hours=1),
                    revocation=revocation,
                )
                for cert_id in request.cert_ids
            ],
            nonce=request.nonce,
        )
        return ocsp.sign_response(data, self.key, ())

    def verdict(self, response: bytes, *options: str) -> subprocess.CompletedProcess[str]:
        (self.folder / "response.der").write_bytes(response)
        return subprocess.run(
            [
                "openssl",
                "ocsp",
                "-respin",
                "response.der",
                "-issuer",
                "issuer.pem",
                *options,
                "-CAfile",
                "issuer.pem",
                "-attime",
                str(int(NOW.timestamp()) + 60),
                "-validity_period",
                "999999999",
            ],
            cwd=self.folder,
            check=False,
            capture_output=True,
            text=True,
        )


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("ocsp"))


@pytest.mark.parametrize("digest", ["-sha1", "-sha256", "-sha384", "-sha512"])
def test_reads_what_openssl_asks_and_knows_the_issuer(pki: Pki, digest: str) -> None:
    request = ocsp.read_request(pki.ask("-nonce", digest=digest))
    (cert_id,) = request.cert_ids
    assert cert_id.serial_number == pki.leaf.serial_number
    assert cert_id.names_issuer(pki.issuer)
    assert not cert_id.names_issuer(pki.leaf)
    assert request.nonce is not None
    assert len(request.nonce) == 16


@pytest.mark.parametrize(
    ("status", "revocation", "says"),
    [
        (CertStatus.GOOD, None, "leaf.pem: good"),
        (CertStatus.UNKNOWN, None, "leaf.pem: unknown"),
        (
            CertStatus.REVOKED,
            Revocation(revoked_at=NOW - timedelta(hours=2), reason=RevocationReason.KEY_COMPROMISE),
            "Reason: keyCompromise",
        ),
        (
            CertStatus.REVOKED,
            Revocation(revoked_at=NOW - timedelta(hours=2), reason=RevocationReason.UNSPECIFIED),
            "leaf.pem: revoked",
        ),
    ],
)
def test_openssl_verifies_the_answer_and_reads_the_status(
    pki: Pki, status: CertStatus, revocation: Revocation | None, says: str
) -> None:
    request = ocsp.read_request(pki.ask("-nonce"))
    response = pki.answer(request, status, revocation)
    run = pki.verdict(response, "-reqin", "request.der")
    assert "Response verify OK" in run.stderr
    assert "Nonce" not in run.stderr  # neither missing nor different
    assert says in pki.verdict(response, "-no_nonce", "-cert", "leaf.pem").stdout


def test_an_answer_without_nonce_has_none(pki: Pki) -> None:
    request = ocsp.read_request(pki.ask("-no_nonce"))
    assert request.nonce is None
    response = judge.load_der_ocsp_response(pki.answer(request, CertStatus.GOOD, None))
    assert len(response.extensions) == 0
    assert response.serial_number == pki.leaf.serial_number
    assert response.next_update_utc == NOW + timedelta(hours=1)


@pytest.mark.parametrize("status", [status for status in ResponseStatus if status.value])
def test_cryptography_reads_every_error_answer(status: ResponseStatus) -> None:
    response = judge.load_der_ocsp_response(ocsp.error_response(status))
    assert response.response_status.value == status.value


def test_refuses_an_unknown_critical_extension(pki: Pki) -> None:
    asked = ocsp.read_request(pki.ask("-no_nonce")).cert_ids[0].der
    extension = der.sequence(der.oid("1.2.3.4"), der.boolean(True), der.octet_string(b""))
    tbs = der.sequence(der.sequence(der.sequence(asked)), der.explicit(2, der.sequence(extension)))
    with pytest.raises(MalformedOcspRequest, match=r"critical extension 1\.2\.3\.4"):
        ocsp.read_request(der.sequence(tbs))


@pytest.mark.parametrize("count", [0, 21])
def test_refuses_none_and_too_many_questions(pki: Pki, count: int) -> None:
    asked = ocsp.read_request(pki.ask("-no_nonce")).cert_ids[0].der
    octets = der.sequence(der.sequence(der.sequence(*[der.sequence(asked)] * count)))
    with pytest.raises(MalformedOcspRequest, match=f"has {count} entries"):
        ocsp.read_request(octets)


@given(st.binary(max_size=300))
def test_any_octets_are_a_request_or_malformed(octets: bytes) -> None:
    with contextlib.suppress(MalformedOcspRequest):
        ocsp.read_request(octets)


def test_every_cut_of_a_good_request_is_malformed(pki: Pki) -> None:
    good = pki.ask("-nonce")
    for end in range(len(good)):
        with pytest.raises(MalformedOcspRequest):
            ocsp.read_request(good[:end])
