"""What every reply of a SCEP server must be, item by item (`lab.assertions` is where users find it).

Octets are read with a strict DER cursor and asn1crypto, not with the codec that may have made them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from asn1crypto import cms

from ca import der, oids
from lab.decoding.opening import CannotOpen, EnvelopeKeys, open_enveloped_data
from lab.trust import X509Certificate
from lab.trust.signatures import SignatureVerdict, verify_signature
from scep_server.protocol.messages import FailInfo, MessageType, PkiStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableSet, Sequence

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

MAXIMUM_REPLY: Final = 16_384  # sscep reads no more
_SCEP: Final = "2.16.840.1.113733.1.9."
_MESSAGE_TYPE, _PKI_STATUS, _FAIL_INFO = _SCEP + "2", _SCEP + "3", _SCEP + "4"
_SENDER_NONCE, _RECIPIENT_NONCE, _TRANSACTION_ID = _SCEP + "5", _SCEP + "6", _SCEP + "7"
_CONTENT_TYPE: Final = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST: Final = "1.2.840.113549.1.9.4"
_ID_DATA: Final = "1.2.840.113549.1.7.1"
_ID_SIGNED_DATA: Final = "1.2.840.113549.1.7.2"
_ID_ENVELOPED_DATA: Final = "1.2.840.113549.1.7.3"
_DIGESTS: Final = {
    "1.3.14.3.2.26": ("sha1", "5"),
    "2.16.840.1.101.3.4.2.1": ("sha256", "11"),
    "2.16.840.1.101.3.4.2.2": ("sha384", "12"),
    "2.16.840.1.101.3.4.2.3": ("sha512", "13"),
}
_NO_ENVELOPE: Final = (None, b"", b"\x00")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConformingCertRep:
    """What `assert_certrep_conforms` read of a reply; ``certificates`` only when a key opened it."""

    pki_status: PkiStatus
    fail_info: FailInfo | None
    sender_nonce: bytes
    digest: str
    certificates: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()


def expect_equal(what: str, found: object, expected: object, clause: str) -> None:
    """Raise AssertionError with found, expected and clause unless they are equal."""
    if found != expected:
        raise AssertionError(f"{what} is {found!r}, expected {expected!r} ({clause})")


def expect(truth: object, text: str) -> None:
    """Raise AssertionError with ``text`` unless ``truth``."""
    if not truth:
        raise AssertionError(text)


def assert_certrep_conforms(
    octets: bytes,
    *,
    transaction_id: str,
    sender_nonce: bytes,
    published: Sequence[bytes],
    recipient: bytes | None = None,
    recipient_key: RSAPrivateKey | None = None,
    password: bytes | None = None,
    public_key_der: bytes | None = None,
    pki_status: PkiStatus | None = None,
    fail_info: FailInfo | None = None,
    content_type: str | None = None,
    seen_nonces: MutableSet[bytes] | None = None,
) -> ConformingCertRep:
    """Assert that ``octets`` are a CertRep every deployed client reads, and return what it says.

    ``transaction_id`` and ``sender_nonce`` are those of the request, ``published`` the DER certificates
    of GetCACert, ``recipient`` the DER certificate that signed the request. A key or password opens
    the envelope; with ``public_key_der`` (SubjectPublicKeyInfo) the first certificate in it must be for
    that key, because some clients install the first. ``content_type`` is the HTTP header;
    ``seen_nonces`` collects nonces, none of which may come twice.
    """
    try:
        found = _certrep(
            octets,
            _Expected(transaction_id, sender_nonce, tuple(published), recipient, pki_status, fail_info),
            EnvelopeKeys(private_keys=(recipient_key,) if recipient_key else (), password=password),
            content_type,
            seen_nonces,
        )
    except der.DerError as error:
        raise AssertionError(f"the reply is not DER of a CertRep (RFC 8894 3.2): {error}") from error
    if public_key_der is not None and found.certificates:
        first = X509Certificate.read(found.certificates[0])
        expect(
            first.public_key_der == public_key_der,
            f"the first certificate is {first.subject}, expected the one that was asked for "
            "(RFC 8894 3.3.2.1; scepclient installs the first)",
        )
    return found


@dataclass(frozen=True, slots=True)
class _Expected:
    transaction_id: str
    sender_nonce: bytes
    published: tuple[bytes, ...]
    recipient: bytes | None
    pki_status: PkiStatus | None
    fail_info: FailInfo | None


def _certrep(
    octets: bytes,
    expected: _Expected,
    keys: EnvelopeKeys,
    content_type: str | None,
    seen_nonces: MutableSet[bytes] | None,
) -> ConformingCertRep:
    if content_type is not None:
        expect_equal("Content-Type", content_type, "application/x-pki-message", "RFC 8894 4.3.1")
    expect(
        len(octets) < MAXIMUM_REPLY, f"the reply has {len(octets)} octets, expected less than {MAXIMUM_REPLY}"
    )
    parts = _read_signed_data(octets, expected.published)
    values = _read_attributes(parts.attributes)
    digest_name, _ = _DIGESTS[parts.digest_oid]
    hashed = hashlib.new(digest_name, parts.content or b"", usedforsecurity=False).digest()
    expect_equal("messageDigest", values.get(_MESSAGE_DIGEST), der.octet_string(hashed), "RFC 5652 11.2")
    expect_equal("contentType", values.get(_CONTENT_TYPE), der.oid(_ID_DATA), "RFC 5652 11.1")
    _check_request_attributes(values, expected)
    status, fail_info = _check_status(values, expected)
    nonce = der.Reader(_present(values, _SENDER_NONCE, "senderNonce")).octets("senderNonce")
    expect_equal("length of senderNonce", len(nonce), 16, "RFC 8894 3.2.1.5")
    if seen_nonces is not None:
        expect(nonce not in seen_nonces, f"senderNonce {nonce.hex()} was used before (RFC 8894 3.2.1.5)")
        seen_nonces.add(nonce)
    _check_signature(parts)
    certificates: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()
    if status is PkiStatus.SUCCESS:
        expect(parts.content not in _NO_ENVELOPE, "a SUCCESS has no pkcsPKIEnvelope (RFC 8894 3.3.2.1)")
        _check_envelope(parts.content or b"", expected.recipient)
        if keys:
            certificates, crls = _open(parts.content or b"", keys)
    else:
        expect(
            parts.content in _NO_ENVELOPE,
            f"a {status.name} has {len(parts.content or b'')} octets of content, expected no envelope "
            "(RFC 8894 3.3.2.2, 3.3.2.3)",
        )
    return ConformingCertRep(
        pki_status=status,
        fail_info=fail_info,
        sender_nonce=nonce,
        digest=digest_name,
        certificates=certificates,
        crls=crls,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _SignedData:
    digest_oid: str
    content: bytes | None
    attributes: bytes
    signature_algorithm: bytes
    signature: bytes
    signer: bytes


def _read_signed_data(octets: bytes, published: tuple[bytes, ...]) -> _SignedData:
    info = der.one(octets, what="ContentInfo")
    expect_equal("contentType of the message", info.oid(), _ID_SIGNED_DATA, "RFC 8894 3.2")
    signed = info.enter(0xA0, "content").enter(what="SignedData")
    expect_equal("SignedData version", signed.integer(), 1, "RFC 5652 5.1")
    digests = [element.reader().oid() for element in signed.enter(der.SET, "digestAlgorithms").elements()]
    encapsulated = signed.enter(what="encapContentInfo")
    expect_equal("eContentType", encapsulated.oid(), _ID_DATA, "RFC 8894 3.2")
    explicit = encapsulated.optional(0xA0)
    content = explicit.reader().octets("eContent") if explicit else None
    bag = signed.optional(0xA0)
    certificates = [element.raw for element in bag.reader().elements()] if bag else []
    for certificate in certificates:
        expect(certificate in published, "a certificate in the reply is none of GetCACert's (RFC 8894 3.2)")
    signers = list(signed.enter(der.SET, "signerInfos").elements())
    expect_equal("number of signerInfos", len(signers), 1, "RFC 8894 3.2")
    signer = signers[0].reader()
    expect_equal("SignerInfo version", signer.integer(), 1, "RFC 5652 5.3")
    sid = signer.element(der.SEQUENCE, "issuerAndSerialNumber").content
    digest_oid = signer.enter(what="digestAlgorithm").oid()
    expect(digest_oid in _DIGESTS, f"digest {digest_oid} is none of RFC 8894 2.9")
    expect_equal("digestAlgorithms", digests, [digest_oid], "RFC 5652 5.1")
    attributes = signer.element(0xA0, "signedAttrs").content
    algorithm = signer.element(der.SEQUENCE, "signatureAlgorithm").raw
    return _SignedData(
        digest_oid=digest_oid,
        content=content,
        attributes=attributes,
        signature_algorithm=algorithm,
        signature=signer.octets("signature"),
        signer=_find_signer(sid, (*certificates, *published)),
    )


def _issuer_and_serial(certificate: bytes) -> bytes:
    """Return the content octets of IssuerAndSerialNumber, copied from a certificate."""
    tbs = der.one(certificate).enter()
    tbs.optional(0xA0)
    serial = tbs.element(der.INTEGER).raw
    tbs.element(der.SEQUENCE)
    return tbs.element(der.SEQUENCE).raw + serial


def _find_signer(sid: bytes, certificates: Iterable[bytes]) -> bytes:
    for certificate in certificates:
        if _issuer_and_serial(certificate) == sid:
            return certificate
    raise AssertionError("the signer of the reply is none of GetCACert's certificates (RFC 8894 3.2)")


def _read_attributes(content: bytes) -> dict[str, bytes]:
    elements = list(der.Reader(content).elements())
    encodings = [element.raw for element in elements]
    expect(encodings == sorted(encodings), "the signed attributes are not in DER's order (RFC 5652 5.3)")
    values: dict[str, bytes] = {}
    for element in elements:
        reader = element.reader()
        oid = reader.oid()
        found = list(reader.enter(der.SET, "attrValues").elements())
        expect_equal(f"number of values of attribute {oid}", len(found), 1, "RFC 8894 3.2.1")
        expect(oid not in values, f"attribute {oid} is there twice (RFC 5652 5.3)")
        values[oid] = found[0].raw
    return values


def _present(values: dict[str, bytes], oid: str, name: str) -> bytes:
    expect(oid in values, f"{name} is missing (RFC 8894 3.2.1)")
    return values[oid]


def _check_request_attributes(values: dict[str, bytes], expected: _Expected) -> None:
    """Check what is copied from the request, octet for octet and in the string type clients insist on."""
    expect_equal(
        "messageType",
        values.get(_MESSAGE_TYPE),
        der.printable_string(str(MessageType.CERT_REP.value)),
        "RFC 8894 3.2.1.2",
    )
    expect_equal(
        "transactionID",
        values.get(_TRANSACTION_ID),
        der.printable_string(expected.transaction_id),
        "RFC 8894 3.2.1.1",
    )
    expect_equal(
        "recipientNonce",
        values.get(_RECIPIENT_NONCE),
        der.octet_string(expected.sender_nonce),
        "RFC 8894 3.2.1.5",
    )


def _check_status(values: dict[str, bytes], expected: _Expected) -> tuple[PkiStatus, FailInfo | None]:
    encoded = _present(values, _PKI_STATUS, "pkiStatus")
    by_status = {der.printable_string(str(status.value)): status for status in PkiStatus}
    expect(encoded in by_status, f"pkiStatus is {encoded!r}, expected 0, 2 or 3 (RFC 8894 3.2.1.3)")
    status = by_status[encoded]
    by_reason = {der.printable_string(str(reason.value)): reason for reason in FailInfo}
    found = values.get(_FAIL_INFO)
    expect_equal("presence of failInfo", found is not None, status is PkiStatus.FAILURE, "RFC 8894 3.2.1.4")
    expect(found is None or found in by_reason, f"failInfo is {found!r}, expected 0 to 4 (RFC 8894 3.2.1.4)")
    reason = by_reason[found] if found is not None else None
    if expected.pki_status is not None:
        detail = f"{status.name} {reason.rfc_name}" if reason else status.name
        expect(
            status is expected.pki_status,
            f"pkiStatus is {detail}, expected {expected.pki_status.name} (RFC 8894 3.2.1.3)",
        )
    if expected.fail_info is not None:
        expect_equal("failInfo", reason, expected.fail_info, "RFC 8894 3.2.1.4")
    return status, reason


def _check_signature(parts: _SignedData) -> None:
    """Check the signature, and that RSA is named rsaEncryption: strongSwan 5.9.8 reads only that."""
    algorithm = parts.signature_algorithm
    oid = der.one(algorithm).oid()
    signer = X509Certificate.read(parts.signer)
    if der.one(signer.public_key_der).enter().oid() == oids.RSA_ENCRYPTION:
        expect_equal("signatureAlgorithm", oid, oids.RSA_ENCRYPTION, "RFC 3370 3.2")
        suffix = _DIGESTS[parts.digest_oid][1]
        algorithm = der.sequence(der.oid(f"1.2.840.113549.1.1.{suffix}"), der.null())
    verdict = verify_signature(
        public_key_der=signer.public_key_der,
        algorithm_der=algorithm,
        signature=parts.signature,
        data=der.tlv(der.SET, parts.attributes),
    )
    expect(
        verdict is SignatureVerdict.VALID,
        f"the signature of the reply is {verdict.value} under the key of {signer.subject} (RFC 5652 5.6)",
    )


def _check_envelope(content: bytes, recipient: bytes | None) -> None:
    info = der.one(content, what="pkcsPKIEnvelope")
    expect_equal("contentType of the envelope", info.oid(), _ID_ENVELOPED_DATA, "RFC 8894 3.2.2")
    enveloped = info.enter(0xA0, "content").enter(what="EnvelopedData")
    version = enveloped.integer()
    recipients = list(enveloped.enter(der.SET, "recipientInfos").elements())
    expect_equal("number of recipientInfos", len(recipients), 1, "RFC 8894 3.1")
    by_password = recipients[0].tag == 0xA3
    expect_equal("EnvelopedData version", version, 3 if by_password else 0, "RFC 5652 6.1")
    if not by_password:
        transport = recipients[0].reader()
        expect_equal("KeyTransRecipientInfo version", transport.integer(), 0, "RFC 5652 6.2.1")
        rid = transport.element(der.SEQUENCE, "issuerAndSerialNumber").content
        if recipient is not None:
            expect(
                rid == _issuer_and_serial(recipient),
                "the recipient is not named by issuer and serial number as its certificate has them "
                "(RFC 5652 6.2.1)",
            )
    encrypted = enveloped.enter(what="encryptedContentInfo")
    expect_equal("type of the encrypted content", encrypted.oid(), _ID_DATA, "RFC 8894 3.2.2")
    encrypted.element(der.SEQUENCE, "contentEncryptionAlgorithm")
    encrypted.element(0x80, "encryptedContent as primitive [0]")
    enveloped.finish("EnvelopedData")


def _open(content: bytes, keys: EnvelopeKeys) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    try:
        plaintext, _ = open_enveloped_data(cms.ContentInfo.load(content)["content"], keys)
    except CannotOpen as error:
        raise AssertionError(f"the envelope cannot be opened by its recipient: {error}") from error
    return assert_degenerate(plaintext)


def assert_degenerate(octets: bytes) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Assert that ``octets`` are a certs-only SignedData (RFC 8894 3.4); return certificates and CRLs."""
    try:
        info = der.one(octets, what="ContentInfo")
        expect_equal("contentType", info.oid(), _ID_SIGNED_DATA, "RFC 8894 3.4")
        signed = info.enter(0xA0, "content").enter(what="SignedData")
        expect_equal("SignedData version", signed.integer(), 1, "RFC 5652 5.1")
        expect_equal("digestAlgorithms", signed.element(der.SET).content, b"", "RFC 8894 3.4")
        expect_equal(
            "encapContentInfo", signed.element().raw, der.sequence(der.oid(_ID_DATA)), "RFC 8894 3.4"
        )
        certificates, crls = signed.optional(0xA0), signed.optional(0xA1)
        expect_equal("signerInfos", signed.element(der.SET).content, b"", "RFC 8894 3.4")
        signed.finish("SignedData")
        return _members(certificates), _members(crls)
    except der.DerError as error:
        raise AssertionError(f"not a certs-only SignedData (RFC 8894 3.4): {error}") from error


def _members(field: der.Element | None) -> tuple[bytes, ...]:
    return tuple(element.raw for element in field.reader().elements()) if field else ()
