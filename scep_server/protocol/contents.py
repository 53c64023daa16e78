"""What is inside an envelope: requests by messageType, and certs-only SignedData.

Where the line between "cannot be decrypted" and "is not what was announced" runs: a plaintext that is
not one whole, well-formed SEQUENCE down to its last element counts as not decrypted, and gets the one
`Undecryptable`. A random key yields such garbage, and so do the altered ciphertexts of a padding
oracle, among them a good request followed by other octets; were these answered differently, the
answer would tell whether the padding was right (RFC 3218). A whole SEQUENCE of the wrong kind has
come through encryption intact, so it is a BadRequest with its reason (RFC 8894 3.2.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ca import der

from .ber import BerError, BerLimits, is_normal, normalise
from .certificates import read_certificate
from .errors import BadRequest, Undecryptable
from .messages import (
    CertificationRequest,
    IssuerAndSerial,
    IssuerAndSubject,
    MessageType,
)
from .signed import ID_DATA, ID_SIGNED_DATA, read_certs_only

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .messages import OpenedMessage, RequestContent

# A request beyond the usual limits has still been decrypted, and may be told so.
_WIDE_LIMITS = BerLimits(elements=1_000_000, identifier_octets=1 << 24, integer_octets=1 << 24)


def interpret(opened: OpenedMessage) -> RequestContent:
    """Return the request in an opened message, as its messageType calls for it (RFC 8894 3.3).

    Raises:
        BadRequest: a structure of another kind, or one beyond the limits.
        Undecryptable: no structure at all.

    """
    encoding = _one_sequence(opened.content)
    message_type = opened.message.message_type
    try:
        if message_type in (MessageType.PKCS_REQ, MessageType.RENEWAL_REQ):
            return _read_certification_request(encoding)
        if message_type is MessageType.CERT_POLL:
            return _read_issuer_and_subject(encoding)
        if message_type in (MessageType.GET_CERT, MessageType.GET_CRL):
            return _read_issuer_and_serial(encoding)
    except der.DerError as error:
        raise BadRequest(
            f"the content is not what {message_type.rfc_name} carries (RFC 8894 3.3): {error}"
        ) from error
    raise BadRequest(f"{message_type.rfc_name} is no request (RFC 8894 3.3)")


def encode_content(content: RequestContent) -> bytes:
    """Return the DER of what goes into a request's envelope."""
    if isinstance(content, CertificationRequest):
        return content.csr
    if isinstance(content, IssuerAndSubject):
        return der.sequence(content.issuer_der, content.subject_der)
    return der.sequence(content.issuer_der, der.integer(content.serial_number))


def encode_certs_only(certificates: Sequence[bytes], crls: Sequence[bytes] = ()) -> bytes:
    """Return a degenerate SignedData with certificates and CRLs in the given order.

    eContent is omitted (RFC 8894 3.4). The order is kept although DER sorts a SET: scepclient
    installs whichever certificate comes first.
    """
    fields = [der.integer(1), der.tlv(der.SET), der.sequence(der.oid(ID_DATA))]
    if certificates:
        fields.append(der.explicit(0, *certificates))
    if crls:
        fields.append(der.explicit(1, *crls))
    fields.append(der.tlv(der.SET))
    return der.sequence(der.oid(ID_SIGNED_DATA), der.explicit(0, der.sequence(*fields)))


def decode_ca_certificates(octets: bytes) -> tuple[bytes, ...]:
    """Return the certificates in a GetCACert response: one certificate, or a certs-only SignedData.

    Raises:
        ca.der.DerError: neither.

    """
    encoding = normalise(octets)
    if der.one(encoding, what="GetCACert response").peek() == der.OBJECT_IDENTIFIER:
        certificates, _ = read_certs_only(encoding)
        if not certificates:
            raise der.DerError("a GetCACert response without certificates (RFC 8894 4.2.1)")
        return certificates
    return (read_certificate(encoding).der,)


def _one_sequence(content: bytes) -> bytes:
    try:
        encoding = normalise(content)
    except BerError as error:
        if is_normal(content, _WIDE_LIMITS):
            raise BadRequest(f"the content is beyond what is read here: {error}") from error
        raise Undecryptable from error
    if encoding[0] != der.SEQUENCE:
        raise Undecryptable
    return encoding


def _read_certification_request(encoding: bytes) -> CertificationRequest:
    """Check the outline of a PKCS#10 (RFC 2986 4.2); what is in it is the CA's to read."""
    request = der.one(encoding, what="CertificationRequest")
    info = request.enter(what="certificationRequestInfo")
    request.element(der.SEQUENCE, "signatureAlgorithm")
    request.element(der.BIT_STRING, "signature")
    request.finish("CertificationRequest")
    info.element(der.INTEGER, "version")
    return CertificationRequest(csr=encoding)


def _read_issuer_and_subject(encoding: bytes) -> IssuerAndSubject:
    reader = der.one(encoding, what="IssuerAndSubject")
    issuer, subject = _read_name(reader, "issuer"), _read_name(reader, "subject")
    reader.finish("IssuerAndSubject")
    return IssuerAndSubject(issuer_der=issuer, subject_der=subject)


def _read_issuer_and_serial(encoding: bytes) -> IssuerAndSerial:
    reader = der.one(encoding, what="IssuerAndSerialNumber")
    issuer = _read_name(reader, "issuer")
    serial_number = reader.integer("serialNumber")
    reader.finish("IssuerAndSerialNumber")
    return IssuerAndSerial(issuer_der=issuer, serial_number=serial_number)


def _read_name(reader: der.Reader, what: str) -> bytes:
    """Read a Name (RFC 5280 4.1.2.4) in outline: a SEQUENCE of SETs."""
    name = reader.element(der.SEQUENCE, what)
    members = name.reader()
    while not members.done:
        members.element(der.SET, f"RelativeDistinguishedName of {what}")
    return name.raw
