"""The forge's well-formed output is judged by OpenSSL, so that what the tables call odd is odd on purpose."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from forge import asn1, openssl
from forge.certificates import CertificateForge, common_name, dns, key_usage, subject_alt_name
from forge.csr import CsrForge
from forge.envelope import Envelope, KeyTransport, Password
from forge.keys import Key, KeyPool, rsa_public_only
from forge.message import PkiMessage, degenerate
from forge.reply import read_degenerate

PLAINTEXT = b"thirty-one octets of plain text"


@pytest.fixture(scope="module")
def recipient(key_pool: KeyPool) -> tuple[Key, bytes]:
    ski = b"\x04\x08recipien"
    extensions = [key_usage(0, 2), asn1.seq(asn1.oid("2.5.29.14"), asn1.octets(ski))]
    return key_pool.other, CertificateForge(key=key_pool.other, extensions=extensions).encode()


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("pss", [False, True])
def test_openssl_verifies_forged_messages(key_pool: KeyPool, digest: str, pss: bool) -> None:
    certificate = CertificateForge(key=key_pool.signer).encode()
    message = PkiMessage(
        key=key_pool.signer,
        certificate=certificate,
        content=PLAINTEXT,
        transaction_id="F00D",
        digest=digest,
        pss=pss,
    ).encode()
    assert openssl.run("cms", "-verify", "-noverify", "-binary", "-inform", "DER", stdin=message) == PLAINTEXT


def test_openssl_verifies_messages_of_ec_keys(key_pool: KeyPool) -> None:
    key = key_pool.ec()
    message = PkiMessage(
        key=key, certificate=CertificateForge(key=key).encode(), content=PLAINTEXT, transaction_id="F00D"
    ).encode()
    assert openssl.run("cms", "-verify", "-noverify", "-binary", "-inform", "DER", stdin=message) == PLAINTEXT


@pytest.mark.parametrize(
    "style",
    [
        asn1.Style(indefinite=True),
        asn1.Style(chunk=100),
        asn1.Style(indefinite=True, chunk=7, levels=3),
        asn1.Style(padded_lengths=2),
    ],
    ids=["indefinite", "chunked", "nested", "padded"],
)
def test_openssl_reads_every_ber_style(key_pool: KeyPool, style: asn1.Style) -> None:
    certificate = CertificateForge(key=key_pool.signer).encode()
    message = PkiMessage(
        key=key_pool.signer, certificate=certificate, content=PLAINTEXT, transaction_id="F00D", style=style
    ).encode()
    assert openssl.run("cms", "-verify", "-noverify", "-binary", "-inform", "DER", stdin=message) == PLAINTEXT


@pytest.mark.parametrize("cipher", ["3des", "aes128", "aes192", "aes256"])
@pytest.mark.parametrize("oaep", [None, "sha1", "sha256"])
@pytest.mark.parametrize("use_ski", [False, True])
def test_openssl_opens_forged_envelopes(
    recipient: tuple[Key, bytes], cipher: str, oaep: str | None, use_ski: bool
) -> None:
    key, certificate = recipient
    envelope = Envelope(
        plaintext=PLAINTEXT,
        recipients=[KeyTransport(certificate=certificate, oaep=oaep, use_ski=use_ski)],
        cipher=cipher,
        version=2 if use_ski else 0,
    ).encode()
    assert openssl.decrypt(envelope, key_pem=key.pem, certificate=certificate) == PLAINTEXT


def test_openssl_opens_constructed_encrypted_content(recipient: tuple[Key, bytes]) -> None:
    key, certificate = recipient
    der = Envelope(plaintext=PLAINTEXT, recipients=[KeyTransport(certificate=certificate)]).encode()
    ber = asn1.restyle(der, asn1.Style(implicit_chunk=16))
    assert ber != der
    assert openssl.decrypt(ber, key_pem=key.pem, certificate=certificate) == PLAINTEXT


@pytest.mark.parametrize("prf", [None, "sha256"])
def test_openssl_opens_envelopes_under_a_password(prf: str | None) -> None:
    envelope = Envelope(
        plaintext=PLAINTEXT, recipients=[Password(password=b"open sesame", prf=prf)], version=3
    ).encode()
    assert openssl.decrypt_with_password(envelope, b"open sesame") == PLAINTEXT


def test_openssl_opens_single_des_with_its_legacy_provider(recipient: tuple[Key, bytes], tmp_path) -> None:
    key, certificate = recipient
    (tmp_path / "key.pem").write_bytes(key.pem)
    envelope = Envelope(
        plaintext=PLAINTEXT, recipients=[KeyTransport(certificate=certificate)], cipher="des"
    ).encode()
    opened = openssl.run(
        "cms", "-decrypt", "-binary", "-inform", "DER", "-inkey", str(tmp_path / "key.pem"),
        "-provider", "legacy", "-provider", "default",
        stdin=envelope,
    )  # fmt: skip
    assert opened == PLAINTEXT


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha512"])
def test_openssl_verifies_forged_requests(key_pool: KeyPool, digest: str) -> None:
    csr = CsrForge(
        key=key_pool.signer,
        subject=common_name("printer"),
        challenge="S3cret",
        extensions=[subject_alt_name(dns("printer.example"))],
        digest=digest,
    ).encode()
    text = openssl.check_request(csr)
    assert "challengePassword" in text
    assert "DNS:printer.example" in text


def test_openssl_verifies_an_ec_request(key_pool: KeyPool) -> None:
    csr = CsrForge(key=key_pool.ec(ec.SECP384R1()), digest="sha384").encode()
    assert "ecdsa-with-SHA384" in openssl.check_request(csr)


def test_openssl_reads_forged_certificates_and_degenerate_messages(key_pool: KeyPool) -> None:
    certificate = CertificateForge(key=key_pool.signer, serial=b"\x00\xff" * 16).encode()
    printed = openssl.run("x509", "-inform", "DER", "-noout", "-text", stdin=certificate)
    assert b"forged device" in printed
    message = degenerate(certificate)
    assert b"BEGIN CERTIFICATE" in openssl.run("pkcs7", "-inform", "DER", "-print_certs", stdin=message)
    assert read_degenerate(message).certificates == (certificate,)


def test_public_keys_made_of_numbers_have_the_size_they_claim() -> None:
    text = openssl.run(
        "pkey", "-pubin", "-inform", "DER", "-noout", "-text", stdin=rsa_public_only(16384).spki
    )
    assert b"16384 bit" in text
