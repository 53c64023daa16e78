"""CertReps read and judged with other eyes than those that wrote them (RFC 8894 3.3.2).

`read_reply` reads strictly: DER or an assertion fails. `check_reply` holds a reply against what was
sent and published; whoever receives a reply in a test calls it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from . import asn1, openssl
from .certificates import read_certificate
from .envelope import (
    CIPHERS,
    DATA,
    ENVELOPED_DATA,
    OAEP,
    PBKDF2,
    PWRI_KEK,
    SIGNED_DATA,
    cbc_decrypt,
    issuer_and_serial,
    pad,
    unwrap,
)
from .keys import DIGESTS, RSA, Key, digest, hash_of
from .message import (
    CONTENT_TYPE,
    FAIL_INFO,
    FAIL_INFO_TEXT,
    MESSAGE_DIGEST,
    MESSAGE_TYPE,
    MICROSOFT_ERROR,
    MICROSOFT_MESSAGE,
    PKI_STATUS,
    RECIPIENT_NONCE,
    SENDER_NONCE,
    SIGNING_TIME,
    TRANSACTION_ID,
)

SUCCESS, FAILURE, PENDING = "0", "2", "3"
_ALLOWED = {
    CONTENT_TYPE,
    MESSAGE_DIGEST,
    SIGNING_TIME,
    MESSAGE_TYPE,
    PKI_STATUS,
    FAIL_INFO,
    FAIL_INFO_TEXT,
    SENDER_NONCE,
    RECIPIENT_NONCE,
    TRANSACTION_ID,
    MICROSOFT_ERROR,
    MICROSOFT_MESSAGE,
}
_DIGEST_NAMES = {dotted: name for name, dotted in DIGESTS.items()}
_CIPHER_NAMES = {dotted: name for name, (dotted, _, _) in CIPHERS.items()}


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What a reply must agree with: fields of the request, and the keys that can open the reply."""

    transaction_id: str
    sender_nonce: bytes | None
    certificate: bytes
    key: Key
    password: bytes | None = None
    digest: str = "sha256"
    cipher: str | None = "aes128"
    oaep: str | None = None


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A CertRep as read."""

    raw: bytes
    attributes: dict[str, asn1.Node]
    order: tuple[bytes, ...]
    digest: str
    content: bytes
    certificates: tuple[bytes, ...]
    signer_info: asn1.Node = field(repr=False)
    signed_data: asn1.Node = field(repr=False)

    @property
    def status(self) -> str:
        """pkiStatus as sent."""
        return self.attributes[PKI_STATUS].content.decode()

    @property
    def fail_info(self) -> int | None:
        """failInfo as a number."""
        found = self.attributes.get(FAIL_INFO)
        return None if found is None else int(found.content)

    @property
    def fail_info_text(self) -> str:
        """failInfoText, empty when absent."""
        found = self.attributes.get(FAIL_INFO_TEXT)
        return "" if found is None else found.content.decode()

    @property
    def hresult(self) -> str:
        """Microsoft's HRESULT as sent, empty when absent."""
        found = self.attributes.get(MICROSOFT_ERROR)
        return "" if found is None else found.content.decode()

    @property
    def words(self) -> str:
        """Every text of the reply that is meant for people."""
        found = self.attributes.get(MICROSOFT_MESSAGE)
        return self.fail_info_text if found is None else f"{self.fail_info_text} {found.content.decode()}"

    def __str__(self) -> str:
        if self.status == FAILURE:
            return f"CertRep FAILURE failInfo {self.fail_info}: {self.fail_info_text!r}"
        return f"CertRep pkiStatus {self.status}"


def demand(truth: object, text: str) -> None:
    """Fail with ``text`` unless ``truth``: these modules are not rewritten by pytest."""
    if not truth:
        raise AssertionError(text)


def read_reply(raw: bytes) -> Reply:
    """Read a CertRep; every structural rule of a reply is checked on the way."""
    outer = asn1.read(raw)
    demand(outer[0].dotted == SIGNED_DATA, f"reply is a ContentInfo of {outer[0].dotted}")
    signed = outer[1][0]
    demand(signed[0].number == 1, f"SignedData version is {signed[0].number}, expected 1")
    signers = signed[-1]
    demand(len(signers) == 1, f"{len(signers)} signerInfos, expected 1")
    info = signers[0]
    demand(info[0].number == 1, f"SignerInfo version is {info[0].number}, expected 1")
    demand(info[3].tag == 0xA0, "reply has no signed attributes")
    attributes = {one[0].dotted: one[1] for one in info[3].children}
    demand(len(attributes) == len(info[3]), "an attribute occurs twice in the reply")
    for dotted, values in attributes.items():
        demand(len(values) == 1, f"attribute {dotted} has {len(values)} values")
    encapsulated = signed[2]
    demand(encapsulated[0].dotted == DATA, f"eContentType is {encapsulated[0].dotted}, expected id-data")
    demand(len(encapsulated) == 2, "eContent is absent, expected a zero-length OCTET STRING at least")
    certificates = signed[3].children if signed[3].tag == 0xA0 else ()
    return Reply(
        raw=raw,
        attributes={dotted: values[0] for dotted, values in attributes.items()},
        order=tuple(one.raw for one in info[3].children),
        digest=_DIGEST_NAMES.get(info[2][0].dotted, info[2][0].dotted),
        content=encapsulated[1][0].content,
        certificates=tuple(one.raw for one in certificates),
        signer_info=info,
        signed_data=signed,
    )


def check_reply(reply: Reply, sent: Sent, published: list[bytes]) -> None:
    """Check everything a conforming CertRep promises (section 4H), with OpenSSL as second judge."""
    _check_attributes(reply, sent)
    _check_signature(reply, published)
    demand(len(reply.raw) < 16_384, f"the reply is {len(reply.raw)} octets, sscep reads 16384")
    demand((reply.status == SUCCESS) == bool(reply.content), "there is an envelope if and only if SUCCESS")
    judged = openssl.verify_cms(reply.raw)
    demand(judged == reply.content, "openssl reads another content")


def _check_attributes(reply: Reply, sent: Sent) -> None:
    found = reply.attributes
    demand(list(reply.order) == asn1.sort_set(reply.order), "signed attributes are not in DER order")
    demand(not set(found) - _ALLOWED, f"unexpected attributes {set(found) - _ALLOWED}")
    demand(found[CONTENT_TYPE].dotted == DATA, "contentType is not id-data")
    demand(
        found[MESSAGE_DIGEST].content == digest(reply.digest, reply.content),
        "messageDigest does not match the content",
    )
    for dotted in (MESSAGE_TYPE, PKI_STATUS, TRANSACTION_ID):
        demand(found[dotted].tag == asn1.PRINTABLE, f"{dotted} has tag 0x{found[dotted].tag:02X}")
    demand(found[MESSAGE_TYPE].content == b"3", "messageType is not CertRep")
    demand(reply.status in (SUCCESS, FAILURE, PENDING), f"pkiStatus is {reply.status!r}")
    demand(
        found[TRANSACTION_ID].content == sent.transaction_id.encode(),
        f"transactionID is {found[TRANSACTION_ID].content!r}, sent was {sent.transaction_id!r}",
    )
    demand(found[SENDER_NONCE].tag == asn1.OCTET_STRING, "senderNonce is no OCTET STRING")
    demand(len(found[SENDER_NONCE].content) == 16, "senderNonce is not 16 octets")
    if sent.sender_nonce is None:
        demand(RECIPIENT_NONCE not in found, "recipientNonce although nothing could be echoed")
    else:
        demand(RECIPIENT_NONCE in found, "recipientNonce is missing")
        demand(found[RECIPIENT_NONCE].content == sent.sender_nonce, "recipientNonce is not our nonce")
    demand((reply.status == FAILURE) == (FAIL_INFO in found), "failInfo if and only if FAILURE")
    if FAIL_INFO in found:
        demand(found[FAIL_INFO].tag == asn1.PRINTABLE, "failInfo is no PrintableString")
        demand(reply.fail_info in range(5), f"failInfo is {reply.fail_info}")
    if MICROSOFT_ERROR in found:
        demand(reply.status == FAILURE, "an HRESULT in a reply that is no FAILURE")
        demand(found[MICROSOFT_ERROR].tag == asn1.PRINTABLE, "the HRESULT is no PrintableString")
        demand(-(1 << 31) <= int(reply.hresult) < 0, f"the HRESULT is {reply.hresult!r}")
    if MICROSOFT_MESSAGE in found:
        demand(found[MICROSOFT_MESSAGE].tag == asn1.UTF8, "Microsoft's message is no UTF8String")
    if FAIL_INFO_TEXT in found:
        demand(reply.status == FAILURE, "failInfoText in a reply that is no FAILURE")
        demand(found[FAIL_INFO_TEXT].tag == asn1.UTF8, "failInfoText is no UTF8String")
        demand(len(reply.fail_info_text) <= 200, "failInfoText is longer than 200 characters")
        demand(reply.fail_info_text.isprintable(), "failInfoText holds control characters")


def _check_signature(reply: Reply, published: list[bytes]) -> None:
    info = reply.signer_info
    digests = [one[0].dotted for one in reply.signed_data[1].children]
    demand(digests == [info[2][0].dotted], f"digestAlgorithms is {digests}")
    demand(info[4][0].dotted == RSA, f"signatureAlgorithm is {info[4][0].dotted}, expected rsaEncryption")
    demand(info[4][1].raw == asn1.NULL, "rsaEncryption comes without NULL")
    demand(reply.digest in ("sha1", "sha224", "sha256", "sha384", "sha512"), f"digest {reply.digest}")
    demand(reply.certificates, "the reply carries no certificate")
    unpublished = [one for one in reply.certificates if one not in published]
    demand(not unpublished, "a certificate of the reply is not among those of GetCACert")
    signer = next(
        (one for one in reply.certificates if issuer_and_serial(read_certificate(one)) == info[1].raw), None
    )
    demand(signer is not None, "no certificate of the reply matches its sid")
    public = load_der_public_key(read_certificate(signer or b"").spki)
    assert isinstance(public, RSAPublicKey)
    public.verify(info[5].content, asn1.set_of(*reply.order), padding.PKCS1v15(), hash_of(reply.digest))


# -- the envelope of a SUCCESS ---------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Issued:
    """What a SUCCESS delivers."""

    certificates: tuple[bytes, ...]
    crls: tuple[bytes, ...]


def open_reply(reply: Reply, sent: Sent) -> Issued:
    """Open a SUCCESS with the requester's key or password and read the degenerate SignedData in it."""
    outer = asn1.read(reply.content)
    demand(outer[0].dotted == ENVELOPED_DATA, f"the content is {outer[0].dotted}")
    enveloped = outer[1][0]
    recipients = enveloped[1]
    demand(len(recipients) == 1, f"{len(recipients)} recipientInfos, expected 1")
    recipient, encrypted = recipients[0], enveloped[2]
    demand(encrypted[0].dotted == DATA, "encryptedContentInfo is not id-data")
    demand(encrypted[2].tag == 0x80, "encryptedContent is not primitive")
    cipher = _CIPHER_NAMES.get(encrypted[1][0].dotted, "?")
    demand(cipher not in ("?", "des"), f"reply cipher is {encrypted[1][0].dotted}")
    if sent.cipher is not None:
        demand(cipher == sent.cipher, f"reply cipher is {cipher}, the request's was {sent.cipher}")
    if recipient.tag == asn1.SEQUENCE:
        demand(enveloped[0].number == 0, f"EnvelopedData version is {enveloped[0].number}, expected 0")
        cek = _transported_key(recipient, sent)
        judged = openssl.decrypt(reply.content, key_pem=sent.key.pem, certificate=sent.certificate)
    else:
        demand(enveloped[0].number == 3, "EnvelopedData with a password is version 3 (RFC 5652 6.1)")
        cek = _password_key(recipient, sent.password or b"")
        judged = openssl.decrypt_with_password(reply.content, sent.password or b"")
    padded = cbc_decrypt(cipher, cek, encrypted[1][1].content, encrypted[2].content)
    plaintext = padded[: -padded[-1]]
    demand(pad(plaintext, CIPHERS[cipher][2]) == padded, "the padding is not that of RFC 5652 6.3")
    demand(judged == plaintext, "openssl decrypts to something else")
    return read_degenerate(plaintext)


def _transported_key(recipient: asn1.Node, sent: Sent) -> bytes:
    demand(recipient[0].number == 0, "ktri with issuerAndSerialNumber is version 0")
    demand(
        recipient[1].raw == issuer_and_serial(read_certificate(sent.certificate)),
        "the recipient is not the certificate that signed the request, octet for octet",
    )
    wanted = OAEP if sent.oaep else RSA
    demand(recipient[2][0].dotted == wanted, f"key transport is {recipient[2][0].dotted}")
    if not sent.oaep:
        return sent.key.decrypt(recipient[3].content)
    scheme = padding.OAEP(padding.MGF1(hash_of(sent.oaep)), hash_of(sent.oaep), None)
    private = sent.key.private
    return private.decrypt(recipient[3].content, scheme)  # type: ignore[union-attr]


def _password_key(recipient: asn1.Node, password: bytes) -> bytes:
    version, kdf, key_encryption, wrapped = recipient.children
    demand(version.number == 0 and kdf[0].dotted == PBKDF2, "pwri is not version 0 with PBKDF2")
    demand(key_encryption[0].dotted == PWRI_KEK, "pwri is not wrapped by PWRI-KEK")
    parameters = kdf[1].children
    prf = "sha1"
    for one in parameters[2:]:
        if one.tag == asn1.SEQUENCE:
            prf = {"1.2.840.113549.2.7": "sha1", "1.2.840.113549.2.9": "sha256"}[one[0].dotted]
    cipher = _CIPHER_NAMES[key_encryption[1][0].dotted]
    salt, iterations = parameters[0].content, parameters[1].number
    kek = hashlib.pbkdf2_hmac(prf, password, salt, iterations, CIPHERS[cipher][1])
    return unwrap(wrapped.content, cipher, kek, key_encryption[1][1].content)


def read_degenerate(plaintext: bytes) -> Issued:
    """Read a certs-only SignedData (RFC 8894 3.4)."""
    outer = asn1.read(plaintext)
    demand(outer[0].dotted == SIGNED_DATA, f"degenerate message is {outer[0].dotted}")
    fields = list(outer[1][0].children)
    demand(fields[0].number == 1, "degenerate SignedData is not version 1")
    demand(fields[1].raw == asn1.set_of(), "degenerate SignedData has digestAlgorithms")
    demand(fields[2].raw == asn1.seq(asn1.oid(DATA)), "degenerate SignedData has a content field")
    demand(fields[-1].raw == asn1.set_of(), "degenerate SignedData has signerInfos")
    blocks = {one.tag: tuple(child.raw for child in one.children) for one in fields[3:-1]}
    demand(set(blocks) <= {0xA0, 0xA1}, "degenerate SignedData has unknown fields")
    return Issued(certificates=blocks.get(0xA0, ()), crls=blocks.get(0xA1, ()))
