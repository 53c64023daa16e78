"""Certificates of another PKI, for devices and servers that were given the wrong one."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from lab.trust import X509Certificate

if TYPE_CHECKING:
    from datetime import datetime

_ORGANIZATION = "NDES Lab (test only)"


def foreign_root(common_name: str, now: datetime) -> X509Certificate:
    """Return the self-signed certificate of a root CA that has nothing to do with the lab's."""
    key = _key()
    name = x509.Name.from_rfc4514_string(f"CN={common_name},O={_ORGANIZATION}")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return X509Certificate.read(certificate.public_bytes(Encoding.DER))


@cache
def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())
