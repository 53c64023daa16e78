"""What the codec reads of a certificate: enough to name it, to find it, and to use its key.

Nothing is validated. A self-signed signer only lends its key, and deployed clients send serials of
33 octets, critical authorityKeyIdentifiers and version 1 (so no extension is looked at unless the
signer is named by its subjectKeyIdentifier). Who may sign is decided elsewhere.
"""

from __future__ import annotations

import hashlib
import unicodedata
from typing import TYPE_CHECKING

from ca import der, oids

from .messages import IssuerAndSerial, SignerCertificate

if TYPE_CHECKING:
    from collections.abc import Iterable

_STRING_CODECS = {
    der.UTF8_STRING: "utf-8",
    der.PRINTABLE_STRING: "latin-1",
    der.IA5_STRING: "latin-1",
    der.T61_STRING: "latin-1",
    der.NUMERIC_STRING: "latin-1",
    der.VISIBLE_STRING: "latin-1",
    der.BMP_STRING: "utf-16-be",
    der.UNIVERSAL_STRING: "utf-32-be",
}


def read_certificate(octets: bytes) -> SignerCertificate:
    """Return the fields of a DER certificate that SCEP needs (RFC 5280 4.1).

    Raises:
        ca.der.DerError: not a certificate.

    """
    certificate = der.one(octets, what="Certificate")
    tbs = certificate.enter(what="TBSCertificate")
    tbs.optional(0xA0)
    serial = tbs.element(der.INTEGER, "serialNumber")
    tbs.element(der.SEQUENCE, "signature")
    issuer = tbs.element(der.SEQUENCE, "issuer").raw
    tbs.element(der.SEQUENCE, "validity")
    subject = tbs.element(der.SEQUENCE, "subject").raw
    public_key = tbs.element(der.SEQUENCE, "subjectPublicKeyInfo").raw
    return SignerCertificate(
        der=octets,
        issuer_der=issuer,
        serial_number=int.from_bytes(serial.content, "big", signed=True),
        serial_der=serial.raw,
        subject_der=subject,
        public_key_der=public_key,
    )


def subject_key_identifier(certificate: SignerCertificate) -> bytes:
    """Return the subjectKeyIdentifier: the extension's, else the SHA-1 of the key (RFC 5280 4.2.1.2).

    Raises:
        ca.der.DerError: not a certificate.

    """
    extension = _extension(certificate, oids.SUBJECT_KEY_IDENTIFIER)
    if extension is not None:
        return der.Reader(extension).octets("subjectKeyIdentifier")
    key = der.one(certificate.public_key_der, what="subjectPublicKeyInfo")
    key.element(der.SEQUENCE, "algorithm")
    return hashlib.sha1(key.bits("subjectPublicKey"), usedforsecurity=False).digest()


def key_usage(certificate: SignerCertificate) -> frozenset[int] | None:
    """Return the numbers of the keyUsage bits that are set, None without the extension (4.2.1.3).

    Raises:
        ca.der.DerError: not a certificate.

    """
    extension = _extension(certificate, oids.KEY_USAGE)
    if extension is None:
        return None
    octets = der.Reader(extension).element(der.BIT_STRING, "keyUsage").content[1:]
    return frozenset(
        8 * index + bit for index, octet in enumerate(octets) for bit in range(8) if octet & 0x80 >> bit
    )


def _extension(certificate: SignerCertificate, oid: str) -> bytes | None:
    """Return the octets of extnValue of one extension, None when it is not there."""
    tbs = der.one(certificate.der, what="Certificate").enter(what="TBSCertificate")
    for element in tbs.elements():
        if element.tag == 0xA3:
            for extension in element.reader().enter(what="extensions").elements():
                fields = extension.reader()
                if fields.oid() == oid:
                    fields.optional(der.BOOLEAN)
                    return fields.octets("extnValue")
    return None


def find_certificate(
    certificates: Iterable[bytes], identifier: IssuerAndSerial | bytes
) -> SignerCertificate | None:
    """Return the certificate that a SignerInfo names, None when it is not among ``certificates``.

    Certificates that cannot be read are passed over: they may belong to another format.
    """
    for octets in certificates:
        try:
            certificate = read_certificate(octets)
            if matches(certificate, identifier):
                return certificate
        except der.DerError:
            continue
    return None


def matches(certificate: SignerCertificate, identifier: IssuerAndSerial | bytes) -> bool:
    """Tell whether an issuerAndSerialNumber or a subjectKeyIdentifier names this certificate.

    Names are compared by meaning, because clients re-encode and reorder them (jscep issue 180).
    """
    if isinstance(identifier, bytes):
        return subject_key_identifier(certificate) == identifier
    return certificate.serial_number == identifier.serial_number and same_name(
        certificate.issuer_der, identifier.issuer_der
    )


def same_name(one_der: bytes, other_der: bytes) -> bool:
    """Tell whether two DER Names mean the same (RFC 5280 7.1), whatever the order of their RDNs."""
    if one_der == other_der:
        return True
    try:
        return _canonical_name(one_der) == _canonical_name(other_der)
    except der.DerError:
        return False


def _canonical_name(name_der: bytes) -> list[list[tuple[bytes, int, str]]]:
    rdns = []
    for rdn in der.one(name_der, what="Name").elements():
        attributes = []
        for attribute in rdn.reader().elements():
            fields = attribute.reader()
            kind = fields.element(der.OBJECT_IDENTIFIER, "attribute type").content
            attributes.append((kind, *_canonical_value(fields.element(what="attribute value"))))
        rdns.append(sorted(attributes))
    return sorted(rdns)


def _canonical_value(value: der.Element) -> tuple[int, str]:
    """Return text folded as RFC 4518 2 has it in essence; other types by tag and octets."""
    codec = _STRING_CODECS.get(value.tag)
    if codec is None:
        return value.tag, value.content.hex()
    text = value.content.decode(codec, errors="replace")
    return 0, " ".join(unicodedata.normalize("NFKC", text).casefold().split())
