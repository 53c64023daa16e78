"""The outer SignedData of a pkiMessage: read without trust, then verified.

`parse` yields whatever is needed to answer, or raises `Unanswerable`: no CertRep can be addressed to
a sender whose transactionID cannot be read. `verify` proves that the one signer signed exactly these
attributes and this content, before anything is decrypted.

RFC 5652 is CMS, RFC 8894 3.1 and 3.2 say how SCEP uses it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ca import der

from . import attributes as scep
from .attributes import read_attributes, read_signed_attributes
from .ber import DEFAULT_LIMITS, BerLimits, normalise
from .certificates import find_certificate
from .errors import BadMessageCheck, BadRequest, Unanswerable
from .guards import refusing
from .identifiers import AlgorithmIdentifier, find_digest, read_identifier
from .messages import IssuerAndSerial, MessageType, PkiMessage, PkiStatus, UnverifiedMessage
from .signatures import find_signature_algorithm, load_public_key

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from .algorithms import AlgorithmPolicy, DigestAlgorithm
    from .messages import SignerCertificate

ID_DATA = "1.2.840.113549.1.7.1"
ID_SIGNED_DATA = "1.2.840.113549.1.7.2"
ID_ENVELOPED_DATA = "1.2.840.113549.1.7.3"

MAX_CERTIFICATES = 21  # the signer's, and a chain
REQUEST_TYPES = frozenset(MessageType) - {MessageType.CERT_REP}
REPLY_TYPES = frozenset({MessageType.CERT_REP})

# NDES puts one zero octet where there is nothing to say; others a string of no octets, or no string.
_NO_CONTENT = (None, b"", b"\x00")


def parse(octets: bytes, limits: BerLimits = DEFAULT_LIMITS) -> UnverifiedMessage:
    """Return what the octets of a PKIOperation say, nothing of it verified.

    Raises:
        Unanswerable: not one SignedData with one SignerInfo and a readable transactionID. Nothing
            else is raised for any input.

    """
    with refusing(Unanswerable, "the pkiMessage cannot be read"):
        encoding = normalise(octets, limits)
        signed = _read_signed_data(encoding)
        if signed.attributes is None:
            raise Unanswerable("no authenticated attributes (RFC 8894 3.2)")
        found = read_signed_attributes(signed.attributes)
    return UnverifiedMessage(
        raw=octets,
        der=encoding,
        transaction_id=found.transaction_id,
        message_type=found.message_type,
        sender_nonce=found.sender_nonce,
        recipient_nonce=found.recipient_nonce,
        pki_status=found.pki_status,
        fail_info=found.fail_info,
        fail_info_text=found.fail_info_text,
        signing_time=found.signing_time,
        digest_oid=signed.digest_oid,
        signature_oid=signed.algorithm.oid,
        signature_parameters_der=signed.algorithm.parameters_der,
        signed_attributes_der=signed.attributes,
        attribute_values=found.values,
        signature=signed.signature,
        content_type_oid=signed.content_type_oid,
        content=signed.content,
        signer_id=signed.signer_id,
        certificates=signed.certificates,
        defects=(*found.defects, *signed.defects),
    )


def verify(
    unverified: UnverifiedMessage,
    policy: AlgorithmPolicy,
    *,
    accepted: Collection[MessageType] = REQUEST_TYPES,
    known: Sequence[bytes] = (),
) -> PkiMessage:
    """Return the message with its signer, once the signature is proved and the attributes complete.

    ``accepted`` are the message types this side takes: a CertRep is no request. ``known`` are
    certificates the signer may be named by besides those in the message (NDES sends none); they come
    first: a certificate of the RA in the message may be another one for the same key.

    Raises:
        MessageError: BadRequest for attributes and types, BadAlgorithm for algorithms and keys,
            BadMessageCheck for signer, digest and signature.

    """
    if unverified.defects:
        raise unverified.defects[0]
    message_type = _find_message_type(unverified.message_type, accepted)
    digest = find_digest(unverified.digest_oid, policy)
    signer = _find_signer(unverified.signer_id, (*known, *unverified.certificates))
    algorithm = AlgorithmIdentifier(
        oid=unverified.signature_oid, parameters_der=unverified.signature_parameters_der
    )
    _check_signature(
        signer, algorithm, digest, unverified.signed_attributes_der, unverified.signature, policy
    )
    _check_content(dict(unverified.attribute_values), unverified.content_type_oid, unverified.content, digest)
    if unverified.sender_nonce is None:
        raise BadRequest("senderNonce is missing (RFC 8894 3.2.1.5)")
    warnings = (f"digest {digest.hash_name} MUST NOT be used (RFC 8894 2.9)",) if digest.legacy else ()
    return PkiMessage(
        unverified=unverified,
        message_type=message_type,
        transaction_id=unverified.transaction_id,
        sender_nonce=unverified.sender_nonce,
        signer=signer,
        digest=digest,
        envelope=_read_envelope(unverified, message_type),
        warnings=warnings,
    )


def read_certs_only(octets: bytes) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Return certificates and CRLs of a SignedData, in the order sent; signatures are not looked at.

    Raises:
        ca.der.DerError: not a SignedData.

    """
    signed = _enter_signed_data(normalise(octets))
    signed.enter(der.SET, "digestAlgorithms")
    signed.enter(what="encapContentInfo")
    certificates = signed.optional(0xA0)
    crls = signed.optional(0xA1)
    return _sequences(certificates), _sequences(crls)


def verify_signed_data(
    octets: bytes, known: Sequence[bytes], policy: AlgorithmPolicy
) -> tuple[bytes, SignerCertificate]:
    """Return the content of a SignedData that is no pkiMessage, and who signed it (GetNextCACert).

    Raises:
        MessageError: BadRequest for what cannot be read or is signed over no attributes,
            BadAlgorithm and BadMessageCheck as in `verify`.

    """
    with refusing(BadRequest, "the SignedData cannot be read (RFC 5652 5.1)"):
        signed = _read_signed_data(normalise(octets))
        if signed.attributes is None:
            raise BadRequest("no signed attributes (RFC 5652 5.3)")
        values = read_attributes(signed.attributes).values
    if signed.defects:
        raise signed.defects[0]
    digest = find_digest(signed.digest_oid, policy)
    signer = _find_signer(signed.signer_id, (*known, *signed.certificates))
    _check_signature(signer, signed.algorithm, digest, signed.attributes, signed.signature, policy)
    _check_content(
        {oid: value.raw for oid, value in values.items()}, signed.content_type_oid, signed.content, digest
    )
    return signed.content or b"", signer


# -- reading ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _SignedData:
    """A SignedData with one SignerInfo as read; ``attributes`` are the content octets of their SET."""

    content_type_oid: str
    content: bytes | None
    certificates: tuple[bytes, ...]
    signer_id: IssuerAndSerial | bytes
    digest_oid: str
    attributes: bytes | None
    algorithm: AlgorithmIdentifier
    signature: bytes
    defects: tuple[BadRequest, ...]


def _read_signed_data(encoding: bytes) -> _SignedData:
    signed = _enter_signed_data(encoding)
    signed.enter(der.SET, "digestAlgorithms")
    content_type, content, defects = _read_content(signed.enter(what="encapContentInfo"))
    certificates = _read_certificates(signed)
    signed.optional(0xA1)
    signer = _only_signer(signed)
    signer_id = _read_signer_id(signer)
    digest = read_identifier(signer, "digestAlgorithm")
    attributes = signer.optional(0xA0)
    algorithm = read_identifier(signer, "signatureAlgorithm")
    signature = signer.octets("signature")
    signer.optional(0xA1)
    signer.finish("SignerInfo")
    return _SignedData(
        content_type,
        content,
        certificates,
        signer_id,
        digest.oid,
        attributes.content if attributes else None,
        algorithm,
        signature,
        defects,
    )


def _enter_signed_data(encoding: bytes) -> der.Reader:
    content_info = der.one(encoding, what="ContentInfo")
    content_type = content_info.oid("contentType")
    if content_type != ID_SIGNED_DATA:
        raise der.DerError(f"contentType is {content_type}, expected signedData (RFC 8894 3.2)")
    explicit = content_info.enter(0xA0, "content")
    content_info.finish("ContentInfo")
    signed = explicit.enter(what="SignedData")
    explicit.finish("content")
    _check_version(signed, "SignedData")
    return signed


def _check_version(reader: der.Reader, what: str) -> None:
    version = reader.integer(f"{what} version")
    if not 0 <= version <= 5:
        raise der.DerError(f"{what} version is {version}, expected 1 (RFC 5652 5.1, 5.3)")


def _read_content(encapsulated: der.Reader) -> tuple[str, bytes | None, tuple[BadRequest, ...]]:
    """Return eContentType, the octets of eContent, and a defect if it cannot be read.

    PKCS#7 v1.5 has the content itself there, digested without tag and length (RFC 5652 5.2.1).
    """
    content_type = encapsulated.oid("eContentType")
    explicit = encapsulated.optional(0xA0)
    if explicit is None:
        return content_type, None, ()
    inner = explicit.reader()
    found = inner.element(what="eContent")
    inner.finish("eContent")
    if found.tag not in (der.OCTET_STRING, der.SEQUENCE):
        defect = BadRequest(f"eContent has tag 0x{found.tag:02X}, expected OCTET STRING (RFC 5652 5.2)")
        return content_type, None, (defect,)
    return content_type, found.content, ()


def _read_certificates(signed: der.Reader) -> tuple[bytes, ...]:
    certificates = _sequences(signed.optional(0xA0))
    if len(certificates) > MAX_CERTIFICATES:
        raise der.DerError(f"{len(certificates)} certificates, expected at most {MAX_CERTIFICATES}")
    return certificates


def _sequences(field: der.Element | None) -> tuple[bytes, ...]:
    """Return the members that are plain certificates or CRLs; other formats are tagged otherwise."""
    if field is None:
        return ()
    return tuple(element.raw for element in field.reader().elements() if element.tag == der.SEQUENCE)


def _only_signer(signed: der.Reader) -> der.Reader:
    """Enter the one SignerInfo: with two, which of them counts would be the reader's choice."""
    signers = signed.enter(der.SET, "signerInfos")
    signed.finish("SignedData")
    signer = signers.enter(what="SignerInfo")
    signers.finish("signerInfos beyond the one that RFC 8894 3.2 has")
    _check_version(signer, "SignerInfo")
    return signer


def _read_signer_id(signer: der.Reader) -> IssuerAndSerial | bytes:
    if signer.peek() == 0x80:
        return signer.element().content
    fields = signer.enter(what="issuerAndSerialNumber")
    issuer = fields.element(der.SEQUENCE, "issuer").raw
    return IssuerAndSerial(issuer_der=issuer, serial_number=fields.integer("serialNumber"))


# -- verifying -------------------------------------------------------------------------


def _find_message_type(text: str | None, accepted: Collection[MessageType]) -> MessageType:
    """Return the type that is spelled exactly so: "019" and "19 " are none (RFC 8894 3.2.1.2)."""
    for message_type in accepted:
        if text == str(message_type.value):
            return message_type
    names = ", ".join(f"{known.value} {known.rfc_name}" for known in MessageType if known in accepted)
    raise BadRequest(f"messageType is {text!a:.20}, expected one of {names} (RFC 8894 3.2.1.2)")


def _find_signer(
    signer_id: IssuerAndSerial | bytes | None, certificates: Sequence[bytes]
) -> SignerCertificate:
    signer = find_certificate(certificates, signer_id) if signer_id is not None else None
    if signer is None:
        raise BadMessageCheck(
            f"none of the {len(certificates)} certificates is the one that SignerInfo names (RFC 8894 3.2)"
        )
    return signer


def _check_signature(
    signer: SignerCertificate,
    identifier: AlgorithmIdentifier,
    digest: DigestAlgorithm,
    attributes: bytes,
    signature: bytes,
    policy: AlgorithmPolicy,
) -> None:
    """Verify over the attributes as received, then as DER would have them.

    .NET and Bouncy Castle sign them in the order sent, RFC 5652 5.4 wants them sorted.
    """
    algorithm = find_signature_algorithm(identifier, digest, policy)
    key = load_public_key(signer.public_key_der, policy)
    algorithm.check_key(key)
    received = der.tlv(der.SET, attributes)
    if algorithm.verifies(key, signature, received):
        return
    ordered = der.set_of(element.raw for element in der.Reader(attributes).elements())
    if ordered == received or not algorithm.verifies(key, signature, ordered):
        raise BadMessageCheck("the signature does not verify with the signer's key (RFC 5652 5.6)")


def _check_content(
    attributes: dict[str, bytes], content_type_oid: str, content: bytes | None, digest: DigestAlgorithm
) -> None:
    """Tie the content to the signed attributes (RFC 5652 5.4, 11.1, 11.2)."""
    expected = hashlib.new(digest.hash_name, content or b"", usedforsecurity=False).digest()
    if attributes.get(scep.MESSAGE_DIGEST) != der.octet_string(expected):
        raise BadMessageCheck("messageDigest is not the digest of eContent (RFC 5652 11.2)")
    if attributes.get(scep.CONTENT_TYPE) != der.oid(content_type_oid):
        raise BadMessageCheck("the contentType attribute is not eContentType (RFC 5652 11.1)")


def _read_envelope(unverified: UnverifiedMessage, message_type: MessageType) -> bytes | None:
    """Return pkcsPKIEnvelope as a ContentInfo; only a reply without SUCCESS may lack it."""
    if unverified.content_type_oid not in (ID_DATA, ID_ENVELOPED_DATA):
        raise BadRequest(f"eContentType is {unverified.content_type_oid}, expected id-data (RFC 8894 3.2)")
    content = unverified.content
    if content is None or content in _NO_CONTENT:
        if message_type is not MessageType.CERT_REP or unverified.pki_status == str(PkiStatus.SUCCESS.value):
            raise BadRequest("there is no pkcsPKIEnvelope in eContent (RFC 8894 3.2.2)")
        return None
    with refusing(BadRequest, "pkcsPKIEnvelope cannot be read (RFC 8894 3.2.2)"):
        # Octets that begin with an identifier are a ContentInfo that stood there without OCTET STRING.
        encoding = normalise(der.sequence(content) if content[0] == der.OBJECT_IDENTIFIER else content)
        if der.one(encoding, what="ContentInfo").peek() == der.INTEGER:
            # A bare EnvelopedData under eContentType id-envelopedData.
            return der.sequence(der.oid(ID_ENVELOPED_DATA), der.explicit(0, encoding))
        return encoding
