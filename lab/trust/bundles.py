"""Certificates in files, however they are wrapped: DER, PEM, certs-only PKCS#7, Base64.

Does not live here: what is in a certificate (`certificates`).
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from asn1crypto import cms

from .certificates import UnreadableCertificate, X509Certificate

if TYPE_CHECKING:
    from collections.abc import Iterable

_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)


def read_certificates(octets: bytes) -> list[X509Certificate]:
    """Read every certificate of a file: DER, PEM (any number), or a certs-only PKCS#7 (DER, PEM, Base64).

    Raises:
        UnreadableCertificate: there is none in it, or one of them cannot be read.

    """
    blocks = [
        (label.decode(), _base64(body)) for label, body in _PEM.findall(octets) if not label.endswith(b"KEY")
    ]
    if blocks:
        found = [certificate for label, der in blocks for certificate in _of_block(label, der)]
        if not found:
            raise UnreadableCertificate(f"the PEM holds {blocks[0][0]}, expected CERTIFICATE or PKCS7")
        return found
    if octets[:1] != b"\x30":
        octets = _base64(octets)
    return list(_of_der(octets))


def _of_block(label: str, der: bytes) -> Iterable[X509Certificate]:
    if label in {"CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"}:
        return [X509Certificate.read(der)]
    return _of_pkcs7(der) if label in {"PKCS7", "CMS"} else []


def _of_der(der: bytes) -> Iterable[X509Certificate]:
    try:
        return [X509Certificate.read(der)]
    except UnreadableCertificate:
        certificates = _of_pkcs7(der)
        if not certificates:
            raise
        return certificates


def _of_pkcs7(der: bytes) -> list[X509Certificate]:
    try:
        info = cms.ContentInfo.load(der)
        if info["content_type"].native != "signed_data":
            return []
        choices = list(info["content"]["certificates"] or ())
        return [X509Certificate.read(choice.chosen.dump()) for choice in choices]
    except UnreadableCertificate:
        raise
    except (ValueError, TypeError, KeyError):
        return []


def _base64(text: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except ValueError as error:
        raise UnreadableCertificate(
            f"{len(text)} octets beginning {text[:8]!r} are neither DER, PEM nor Base64"
        ) from error
