"""The outer SignedData of a pkiMessage: read without trust, then verified.

`parse` yields whatever is needed to answer, or raises `Unanswerable`: no CertRep can be addressed to
a sender whose transactionID cannot be read. `verify` proves that the one signer signed exactly these
attributes and this content, before anything is decrypted.

RFC 5652 is CMS, RFC 8894 3.1 and 3.2 say how SCEP uses it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ca import der

from . import attributes as scep
from .attributes import SignedAttributes, read_signed_attributes
from .ber import DEFAULT_LIMITS, BerLimits, normalise
from .certificates import find_certificate
from .errors import BadMessageCheck, BadRequest, Unanswerable
from .guards import refusing
from .identifiers import AlgorithmIdentifier, find_digest, read_identifier
from .messages import IssuerAndSerial, MessageType, PkiMessage, PkiStatus, UnverifiedMessage
from .signatures import find_signature_algorithm, load_public_key

if TYPE_CHECKING:
    from collections.abc import Collection

    from .algorithms import AlgorithmPolicy
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
        signed = _enter_signed_data(encoding)
        signed.enter(der.SET, "digestAlgorithms")
        content_type, content, content_defect = _read_content(signed.enter(what="encapContentInfo"))
        certificates = _read_certificates(signed)
        signed.optional(0xA1)
        signer = _only_signer(signed)
        signer_id = _read_signer_id(signer)
        digest = read_identifier(signer, "digestAlgorithm")
        signed_attributes = signer.optional(0xA0)
        if signed_attributes is None:
            raise Unanswerable("no authenticated attributes (RFC 8894 3.2)")
        found = read_signed_attributes(signed_attributes.content)
        algorithm = read_identifier(signer, "signatureAlgorithm")
        signature = signer.octets("signature")
        signer.optional(0xA1)
        signer.finish("SignerInfo")
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
        digest_oid=digest.oid,
        signature_oid=algorithm.oid,
        signature_parameters_der=algorithm.parameters_der,
        signed_attributes_der=signed_attributes.content,
        attribute_values=found.values,
        signature=signature,
        content_type_oid=content_type,
        content=content,
        signer_id=signer_id,
        certificates=certificates,
        defects=_defects(found, content_defect),
    )


def verify(
    unverified: UnverifiedMessage,
    policy: AlgorithmPolicy,
    *,
    accepted: Collection[MessageType] = REQUEST_TYPES,
) -> PkiMessage:
    """Return the message with its signer, once the signature is proved and the attributes complete.

    ``accepted`` are the message types this side takes: a CertRep is no request.

    Raises:
        MessageError: BadRequest for attributes and types, BadAlgorithm for algorithms and keys,
            BadMessageCheck for signer, digest and signature.

    """
    if unverified.defects:
        raise unverified.defects[0]
    message_type = _find_message_type(unverified.message_type, accepted)
    digest = find_digest(unverified.digest_oid, policy)
    signer = _find_signer(unverified)
    _check_signature(unverified, signer, policy)
    _check_content(unverified, digest.hash_name)
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


# -- reading ---------------------------------------------------------------------------


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


def _read_content(encapsulated: der.Reader) -> tuple[str, bytes | None, BadRequest | None]:
    """Return eContentType, the octets of eContent, and a defect if they are in no OCTET STRING.

    PKCS#7 v1.5 has the content itself there, digested without tag and length (RFC 5652 5.2.1).
    """
    content_type = encapsulated.oid("eContentType")
    explicit = encapsulated.optional(0xA0)
    if explicit is None:
        return content_type, None, None
    inner = explicit.reader()
    found = inner.element(what="eContent")
    inner.finish("eContent")
    if found.tag not in (der.OCTET_STRING, der.SEQUENCE):
        return (
            content_type,
            None,
            BadRequest(f"eContent has tag 0x{found.tag:02X}, expected OCTET STRING (RFC 5652 5.2)"),
        )
    return content_type, found.content, None


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


def _defects(found: SignedAttributes, content_defect: BadRequest | None) -> tuple[Exception, ...]:
    return found.defects if content_defect is None else (*found.defects, content_defect)


# -- verifying -------------------------------------------------------------------------


def _find_message_type(text: str | None, accepted: Collection[MessageType]) -> MessageType:
    """Return the type that is spelled exactly so: "019" and "19 " are none (RFC 8894 3.2.1.2)."""
    for message_type in accepted:
        if text == str(message_type.value):
            return message_type
    names = ", ".join(f"{known.value} {known.rfc_name}" for known in MessageType if known in accepted)
    raise BadRequest(f"messageType is {text!a:.20}, expected one of {names} (RFC 8894 3.2.1.2)")


def _find_signer(unverified: UnverifiedMessage) -> SignerCertificate:
    if unverified.signer_id is not None:
        signer = find_certificate(unverified.certificates, unverified.signer_id)
        if signer is not None:
            return signer
    raise BadMessageCheck(
        f"none of the {len(unverified.certificates)} certificates is the one that SignerInfo names "
        "(RFC 8894 3.2)"
    )


def _check_signature(
    unverified: UnverifiedMessage, signer: SignerCertificate, policy: AlgorithmPolicy
) -> None:
    """Verify over the attributes as received, then as DER would have them.

    .NET and Bouncy Castle sign them in the order sent, RFC 5652 5.4 wants them sorted.
    """
    identifier = AlgorithmIdentifier(
        oid=unverified.signature_oid, parameters_der=unverified.signature_parameters_der
    )
    algorithm = find_signature_algorithm(identifier, find_digest(unverified.digest_oid, policy), policy)
    key = load_public_key(signer.public_key_der, policy)
    received = der.tlv(der.SET, unverified.signed_attributes_der)
    algorithm.check_key(key)
    if algorithm.verifies(key, unverified.signature, received):
        return
    ordered = der.set_of(element.raw for element in der.Reader(unverified.signed_attributes_der).elements())
    if ordered == received or not algorithm.verifies(key, unverified.signature, ordered):
        raise BadMessageCheck("the signature does not verify with the signer's key (RFC 5652 5.6)")


def _check_content(unverified: UnverifiedMessage, hash_name: str) -> None:
    """Tie the content to the signed attributes (RFC 5652 5.4, 11.1, 11.2)."""
    attributes = dict(unverified.attribute_values)
    expected = hashlib.new(hash_name, unverified.content or b"", usedforsecurity=False).digest()
    if attributes.get(scep.MESSAGE_DIGEST) != der.octet_string(expected):
        raise BadMessageCheck("messageDigest is not the digest of eContent (RFC 5652 11.2)")
    if attributes.get(scep.CONTENT_TYPE) != der.oid(unverified.content_type_oid):
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
