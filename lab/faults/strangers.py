"""Keys and certificates of people who have no part in a lab, for replies that are theirs."""

from __future__ import annotations

import functools
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from scep_server.protocol.certificates import read_certificate
from scep_server.protocol.messages import SignerCertificate

_BEGIN, _END = datetime(2020, 1, 1, tzinfo=UTC), datetime(2049, 1, 1, tzinfo=UTC)


@functools.cache
def stranger_key() -> rsa.RSAPrivateKey:
    """Return an RSA key that nobody in the lab has; made once a process."""
    return rsa.generate_private_key(65537, 2048)


@functools.cache
def recipient_certificate() -> SignerCertificate:
    """Return the self-signed certificate of another client."""
    name = x509.Name.from_rfc4514_string("CN=another client")
    return read_certificate(_signed(name, name, 0x5EED))


@functools.cache
def double_of(certificate: bytes) -> SignerCertificate:
    """Return a certificate with the names and the serial number of another, for the stranger's key.

    It is signed with that key too, as by a CA of the same name that the lab has nothing to do with.
    """
    real = x509.load_der_x509_certificate(certificate)
    return read_certificate(_signed(real.subject, real.issuer, real.serial_number))


def _signed(subject: x509.Name, issuer: x509.Name, serial_number: int) -> bytes:
    key = stranger_key()
    usage = dict.fromkeys(_USAGES, False) | {"digital_signature": True, "key_encipherment": True}
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(serial_number)
        .not_valid_before(_BEGIN)
        .not_valid_after(_END)
        .public_key(key.public_key())
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )


_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
