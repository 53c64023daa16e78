"""The key and the PKCS#10 of an enrolment, from what a user writes on a command line."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ca import der, oids
from scep_server.protocol.algorithms import DigestAlgorithm
from scep_server.protocol.requests import make_certification_request

from .errors import InvalidOrder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scep_server.protocol.messages import CertificationRequest

ClientKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

KEY_TYPES: Final = (
    "rsa-1024",
    "rsa-2048",
    "rsa-3072",
    "rsa-4096",
    "ecdsa-p256",
    "ecdsa-p384",
    "ecdsa-p521",
)
_CURVES: Final[dict[str, type[ec.EllipticCurve]]] = {
    "p256": ec.SECP256R1,
    "p384": ec.SECP384R1,
    "p521": ec.SECP521R1,
}
_EMPTY_NAME: Final = der.sequence()
_UPN: Final = "1.3.6.1.4.1.311.20.2.3"


def generate_key(key_type: str) -> ClientKey:
    """Return a new private key of one of `KEY_TYPES`."""
    family, _, size = key_type.partition("-")
    if key_type not in KEY_TYPES:
        raise InvalidOrder(f"key type {key_type!r} is unknown; expected one of {', '.join(KEY_TYPES)}")
    if family == "rsa":
        return rsa.generate_private_key(65537, int(size))
    return ec.generate_private_key(_CURVES[size]())


def load_key(octets: bytes, *, origin: str, password: bytes | None = None) -> ClientKey:
    """Return a private key from PEM or DER; raises InvalidOrder for anything else."""
    pem = b"-----BEGIN" in octets
    load = serialization.load_pem_private_key if pem else serialization.load_der_private_key
    try:
        key = load(octets, password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidOrder(f"{origin} is no private key that can be read: {error}") from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise InvalidOrder(f"{origin} is no RSA or EC key")
    return key


def key_pem(key: ClientKey) -> bytes:
    """Return the key as unencrypted PKCS#8 PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def parse_subject(text: str) -> bytes:
    """Return the DER Name that RFC 4514 text stands for; raises InvalidOrder."""
    try:
        return x509.Name.from_rfc4514_string(text).public_bytes()
    except ValueError as error:
        raise InvalidOrder(f'subject {text!r} is no distinguished name like "CN=device,O=Lab"') from error


def parse_alternative_name(text: str) -> x509.GeneralName:
    """Return the GeneralName that ``dns:``, ``email:``, ``ip:``, ``uri:`` or ``upn:`` text stands for."""
    kind, separator, value = text.partition(":")
    try:
        if separator and value:
            if kind == "dns":
                return x509.DNSName(value)
            if kind == "email":
                return x509.RFC822Name(value)
            if kind == "uri":
                return x509.UniformResourceIdentifier(value)
            if kind == "ip":
                return x509.IPAddress(ipaddress.ip_address(value))
            if kind == "upn":
                return x509.OtherName(x509.ObjectIdentifier(_UPN), der.utf8_string(value))
    except ValueError as error:
        raise InvalidOrder(f"subject alternative name {text!r}: {error}") from error
    raise InvalidOrder(
        f"subject alternative name {text!r} is none of dns:NAME, email:ADDRESS, ip:ADDRESS, uri:URI, upn:NAME"
    )


def encode_names(names: Sequence[x509.GeneralName]) -> bytes:
    """Return the GeneralNames of a subjectAltName, empty for none."""
    return x509.SubjectAlternativeName(names).public_bytes() if names else b""


def build_request(
    key: ClientKey,
    subject_der: bytes,
    *,
    alternative_names: Sequence[x509.GeneralName] = (),
    challenge_password: str | None = None,
    digest: DigestAlgorithm,
) -> CertificationRequest:
    """Return a PKCS#10 (RFC 2986); an empty password is left out (RFC 8894 3.3.1).

    subjectAltName is critical when the subject is empty (RFC 5280 4.2.1.6). The request is signed with
    SHA-256 where ``digest`` is older than that.
    """
    extensions = []
    if alternative_names:
        value = encode_names(alternative_names)
        critical = der.boolean(True) if subject_der == _EMPTY_NAME else b""
        extensions.append(der.sequence(der.oid(oids.SUBJECT_ALT_NAME), critical, der.octet_string(value)))
    weak = digest.legacy or digest is DigestAlgorithm.SHA_1
    return make_certification_request(
        key,
        subject_der,
        challenge_password=challenge_password or None,
        extensions=extensions,
        digest=DigestAlgorithm.SHA_256 if weak else digest,
    )


def names_to_renew(certificate: bytes) -> tuple[bytes, tuple[x509.GeneralName, ...]]:
    """Return subject and alternative names of a certificate, which its renewal asks for again.

    Raises:
        InvalidOrder: the certificate cannot be read.

    """
    try:
        old = x509.load_der_x509_certificate(certificate)
        names = old.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return old.subject.public_bytes(), ()
    except ValueError as error:
        raise InvalidOrder(f"the certificate to renew cannot be read: {error}") from error
    return old.subject.public_bytes(), tuple(names)
