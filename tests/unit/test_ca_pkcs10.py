"""PKCS#10: what deployed clients write is read, what says two things is refused.

The requests are forged octet by octet; openssl and `cryptography` write the ordinary ones.
"""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from forge import asn1
from forge import certificates as forged
from forge import keys as forged_keys
from forge.csr import (
    CHALLENGE_PASSWORD,
    EXTENSION_REQUEST,
    FRIENDLY_NAME,
    MICROSOFT_EXTENSION_REQUEST,
    VERISIGN_EXTENSION_REQUEST,
    CsrForge,
    attribute,
    challenge_attribute,
    extension_request,
)
from hypothesis import given
from hypothesis import strategies as st

from ca import oids
from ca.errors import BadPublicKey, BadRequestAlgorithm, BadRequestSignature, CaError, MalformedRequest
from ca.periods import Period
from ca.pkcs10 import ENROLLMENT_NAME_VALUE_PAIR, VerifiedRequest, parse_request, verify_request
from ca.public_keys import KeyAlgorithm

KEY = forged_keys.of(ec.generate_private_key(ec.SECP256R1()))
RSA_KEY = forged_keys.of(rsa.generate_private_key(65537, 2048))
CSR = CsrForge(key=KEY)
SAN = forged.subject_alt_name(forged.dns("a.lab.example"))
KU = forged.key_usage(0, 2)


def verify(octets: bytes, *, sha1: bool = True, md5: bool = True) -> VerifiedRequest:
    return verify_request(parse_request(octets), allow_sha1=sha1, allow_md5=md5)


def test_reads_and_verifies_what_openssl_writes(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(RSA_KEY.pem)
    command = ["openssl", "req", "-new", "-key", "key.pem", "-subj", "/C=US/O=Example/CN=dev\\+1"]
    command += ["-addext", "subjectAltName=DNS:a.lab.example", "-outform", "DER"]
    octets = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout
    request = verify(octets)
    assert request.subject == "CN=dev\\+1,O=Example,C=US"
    assert request.public_key.algorithm is KeyAlgorithm.RSA
    assert request.public_key.bits == 2048
    assert [extension.oid for extension in request.extensions] == [oids.SUBJECT_ALT_NAME]
    assert request.defects == ()


@pytest.mark.parametrize(("version", "fine"), [(0, True), (1, True), (2, True), (3, False), (-1, False)])
def test_versions_0_to_2_are_read(version: int, fine: bool) -> None:
    octets = CSR.with_(version=version).encode()
    if fine:
        assert verify(octets).version == version
    else:
        with pytest.raises(MalformedRequest, match="version"):
            parse_request(octets)


def test_attributes_may_be_absent_unsorted_unknown_or_empty() -> None:
    absent = parse_request(CSR.with_(attributes_der=b"").encode())
    assert absent.attributes == ()
    assert "attributes [0] are absent" in absent.defects[0]
    listed = [
        extension_request(SAN),
        challenge_attribute("p"),
        attribute("1.2.3.4"),
        attribute(FRIENDLY_NAME),
    ]
    for order in (listed, listed[::-1]):
        request = parse_request(CSR.with_(attributes_der=asn1.explicit(0, *order)).encode())
        assert request.challenge_password == b"p"
        assert len(request.extensions) == 1


def test_octets_after_the_request_are_noted_and_ignored() -> None:
    request = verify(CSR.with_(trailing=b"\0\0\0").encode())
    assert request.defects == ("octets follow the CertificationRequest",)


@pytest.mark.parametrize(
    "dotted", [EXTENSION_REQUEST, MICROSOFT_EXTENSION_REQUEST, VERISIGN_EXTENSION_REQUEST]
)
def test_extensions_are_read_from_each_of_three_attributes(dotted: str) -> None:
    request = parse_request(CSR.with_(attributes=[extension_request(SAN, KU, dotted=dotted)]).encode())
    assert [extension.oid for extension in request.extensions] == [oids.SUBJECT_ALT_NAME, oids.KEY_USAGE]
    assert [extension.critical for extension in request.extensions] == [False, True]


@pytest.mark.parametrize(
    "attributes",
    [
        [extension_request(SAN), extension_request(KU)],
        [extension_request(SAN), extension_request(KU, dotted=MICROSOFT_EXTENSION_REQUEST)],
        [extension_request(SAN, SAN)],
        [attribute(EXTENSION_REQUEST, asn1.seq(SAN), asn1.seq(KU))],
        [attribute(EXTENSION_REQUEST)],
        [extension_request(forged.extension(oids.SUBJECT_ALT_NAME, b"\x30\x05\x82"))],
        [extension_request(forged.extension(oids.SUBJECT_ALT_NAME, b"\x30\x00"))],
        [extension_request(forged.subject_alt_name(forged.dns(b"a\0b")))],
        [extension_request(forged.subject_alt_name(forged.dns("ä".encode())))],
        [extension_request(forged.subject_alt_name(forged.ip(b"\0" * 8)))],
        [extension_request(forged.extension(oids.KEY_USAGE, b"\x05\x00"))],
        [extension_request(forged.extension(oids.EXTENDED_KEY_USAGE, b"\x30\x00"))],
        [extension_request(forged.extension(oids.BASIC_CONSTRAINTS, b"\x04\x00"))],
        [attribute(f"1.2.3.{number}") for number in range(65)],
    ],
)
def test_what_is_there_twice_or_cannot_be_read_is_refused(attributes: list[bytes]) -> None:
    with pytest.raises(MalformedRequest):
        parse_request(CSR.with_(attributes=attributes).encode())


@pytest.mark.parametrize(
    ("tag", "octets", "password"),
    [
        (asn1.PRINTABLE, b"ABC123", b"ABC123"),
        (asn1.PRINTABLE, "zoë_".encode(), "zoë_".encode()),
        (asn1.UTF8, "zoë".encode(), "zoë".encode()),
        (asn1.T61, b"zo\xeb", "zoë".encode()),
        (asn1.IA5, b"p@ss word\n", b"p@ss word\n"),
        (asn1.BMP, "zoë".encode("utf-16-be"), "zoë".encode()),
        (asn1.UNIVERSAL, "zoë".encode("utf-32-be"), "zoë".encode()),
        (asn1.NUMERIC, b"0123", b"0123"),
        (asn1.VISIBLE, b"x", b"x"),
        (asn1.UTF8, b"a\0b", b"a\0b"),
        (asn1.PRINTABLE, b"", b""),
        (asn1.UTF8, b"x" * 1_000_000, b"x" * 1_000_000),
    ],
)
def test_challenge_password_is_read_whatever_its_string_type(
    tag: int, octets: bytes, password: bytes
) -> None:
    request = parse_request(CSR.with_(challenge=octets, challenge_tag=tag).encode())
    assert request.challenge_password == password
    assert request.challenge_password_tag == tag
    assert request.challenge_password_defect == ""
    assert "challenge" not in repr(request).replace("challenge_password_", "")


@pytest.mark.parametrize(
    "attributes",
    [
        [challenge_attribute("a"), challenge_attribute("a")],
        [attribute(CHALLENGE_PASSWORD, asn1.string(asn1.UTF8, "a"), asn1.string(asn1.UTF8, "b"))],
        [attribute(CHALLENGE_PASSWORD)],
        [attribute(CHALLENGE_PASSWORD, asn1.seq(asn1.string(asn1.UTF8, "a")))],
        [challenge_attribute(b"\0a\0", asn1.BMP)],
        [challenge_attribute(b"\xd8\x00", asn1.BMP)],
    ],
)
def test_an_ambiguous_challenge_password_is_none_and_says_why(attributes: list[bytes]) -> None:
    request = parse_request(CSR.with_(attributes=attributes).encode())
    assert request.challenge_password is None
    assert "challengePassword" in request.challenge_password_defect


def _pair(name: str, value: str) -> bytes:
    return asn1.seq(asn1.string(asn1.BMP, name), asn1.string(asn1.BMP, value))


@pytest.mark.parametrize(
    ("pairs", "wish"),
    [
        ([("ValidityPeriod", "Weeks"), ("ValidityPeriodUnits", "3")], "3 Weeks"),
        ([("ValidityPeriod", "3"), ("ValidityPeriodUnits", "Weeks")], "3 Weeks"),
        ([("ValidityPeriodUnits", "100"), ("ValidityPeriod", "years"), ("Other", "x")], "100 Years"),
        ([("ValidityPeriod", "Weeks")], None),
        ([("ValidityPeriod", "Fortnights"), ("ValidityPeriodUnits", "3")], None),
        ([("ValidityPeriod", "Weeks"), ("ValidityPeriodUnits", "-3")], None),
        ([("ValidityPeriod", "Weeks"), ("ValidityPeriodUnits", "0")], None),
        ([("ValidityPeriod", "Weeks"), ("ValidityPeriodUnits", "9" * 400)], None),
    ],
)
def test_validity_wishes_are_read(pairs: list[tuple[str, str]], wish: str | None) -> None:
    together = [attribute(ENROLLMENT_NAME_VALUE_PAIR, *(_pair(*pair) for pair in pairs))]
    apart = [attribute(ENROLLMENT_NAME_VALUE_PAIR, _pair(*pair)) for pair in pairs]
    for attributes in (together, apart):
        request = parse_request(CSR.with_(attributes=attributes).encode())
        assert request.validity_wish == (Period.parse(wish) if wish else None)


def test_a_broken_name_value_pair_is_no_wish() -> None:
    broken = attribute(ENROLLMENT_NAME_VALUE_PAIR, asn1.NULL, asn1.seq(asn1.NULL))
    assert parse_request(CSR.with_(attributes=[broken]).encode()).validity_wish is None


@pytest.mark.parametrize("digest", ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"])
def test_rsa_signatures_verify_with_every_digest(digest: str) -> None:
    assert verify(CsrForge(key=RSA_KEY, digest=digest).encode()).public_key.bits == 2048


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_ecdsa_signatures_verify_on_every_curve(curve: ec.EllipticCurve, digest: str) -> None:
    key = forged_keys.of(ec.generate_private_key(curve))
    assert verify(CsrForge(key=key, digest=digest).encode()).public_key.bits == curve.key_size


def test_pss_and_ed25519_signatures_verify(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(RSA_KEY.pem)
    for options in (
        ["-sigopt", "rsa_padding_mode:pss", "-sha256"],
        ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:7", "-sha512"],
    ):
        command = ["openssl", "req", "-new", "-key", "key.pem", "-subj", "/CN=x", "-outform", "DER", *options]
        octets = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout
        assert verify(octets, sha1=False).public_key.algorithm is KeyAlgorithm.RSA
    ed25519 = forged_keys.KeyPool(primes=0).ed25519()
    assert verify(CsrForge(key=ed25519).encode()).public_key.algorithm is KeyAlgorithm.ED25519


@pytest.mark.parametrize(("digest", "sha1", "md5"), [("sha1", False, True), ("md5", True, False)])
def test_weak_digests_are_refused_where_not_allowed(digest: str, sha1: bool, md5: bool) -> None:
    with pytest.raises(BadRequestAlgorithm, match=digest.upper()):
        verify(CsrForge(key=RSA_KEY, digest=digest).encode(), sha1=sha1, md5=md5)


def test_unknown_and_foreign_signature_algorithms_are_refused() -> None:
    for algorithm in (
        asn1.algorithm("1.2.3.4"),
        asn1.algorithm(forged_keys.ECDSA_SIGNATURES["sha256"], None),
        asn1.algorithm("1.2.840.113549.1.1.10", asn1.seq(asn1.explicit(2, asn1.integer(10_000)))),
        asn1.algorithm("1.2.840.113549.1.1.10", asn1.seq(asn1.explicit(1, asn1.algorithm("1.2.3")))),
    ):
        with pytest.raises(BadRequestAlgorithm):
            verify(CsrForge(key=RSA_KEY, signature_algorithm=algorithm).encode())


def test_a_signature_by_another_key_or_over_other_octets_is_refused() -> None:
    other = forged_keys.of(ec.generate_private_key(ec.SECP256R1()))
    for forgery in (
        CSR.with_(signing_key=other),
        CSR.with_(signature=b""),
        CSR.with_(signature=b"\x30\x00"),
        CsrForge(key=RSA_KEY, signature=b"\0" * 256),
        CsrForge(key=RSA_KEY, signature=b"\xff" * 300),
    ):
        with pytest.raises(BadRequestSignature):
            verify(forgery.encode())


def test_agrees_with_cryptography_on_every_part() -> None:
    key = rsa.generate_private_key(65537, 2048)
    built = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name.from_rfc4514_string("CN=device,OU=Lab,O=Example,C=US"))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("a.lab.example")]), critical=False)
        .add_attribute(x509.oid.AttributeOID.CHALLENGE_PASSWORD, b"secret")
        .sign(key, hashes.SHA384())
    )
    request = verify(built.public_bytes(serialization.Encoding.DER))
    assert request.signed_octets == built.tbs_certrequest_bytes
    assert request.signature == built.signature
    assert request.subject == built.subject.rfc4514_string()
    assert request.subject_der == built.subject.public_bytes()
    assert request.challenge_password == b"secret"
    assert request.extensions[0].value == built.extensions[0].value.public_bytes()


@given(st.binary(max_size=200), st.integers(0, 400))
def test_any_octets_are_a_request_or_a_refusal(octets: bytes, position: int) -> None:
    whole = CsrForge(key=KEY, challenge="p", extensions=[SAN, KU]).encode()
    cut = position % len(whole)
    for candidate in (octets, whole[:cut], whole[:cut] + octets[:2] + whole[cut + 2 :]):
        with contextlib.suppress(CaError):
            verify(candidate)


def test_unreadable_keys_are_bad_keys() -> None:
    for spki in (asn1.seq(), asn1.seq(asn1.algorithm(forged_keys.RSA), asn1.bits(b"\x30\x00"))):
        with pytest.raises(BadPublicKey):
            verify(CSR.with_(spki=spki).encode())
