"""pkcsPKIEnvelope, the EnvelopedData inside a pkiMessage: opened with our keys, sealed for a client.

What can be refused from the structure alone (algorithms, number of recipients, content type) is
refused by name. Everything that depends on a key ends in one `Undecryptable`: an encrypted key that
does not decrypt is replaced by a random one and the work goes on (RFC 3218 2.3.2), so that neither
the answer nor its delay tells a wrong key from wrong padding.

RFC 5652 6 defines the structure, RFC 8894 3.2.2 its use.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from ca import der

from . import ciphers
from .certificates import matches
from .errors import BadAlgorithm, BadRequest, Undecryptable
from .guards import refusing
from .identifiers import (
    AlgorithmIdentifier,
    find_cipher,
    find_key_transport,
    key_transport_identifier,
    read_identifier,
)
from .messages import (
    IssuerAndSerial,
    KeyTransportRecipient,
    MessageType,
    OpenedMessage,
    PasswordRecipient,
)
from .passwords import read_iv, read_password_recipient, wrap_for_password
from .signatures import HASHES, is_rsa
from .signed import ID_DATA, ID_ENVELOPED_DATA

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .algorithms import AlgorithmPolicy, ContentCipher, KeyTransport
    from .messages import PkiMessage, Recipient, SignerCertificate

ID_ENCRYPTED_DATA = "1.2.840.113549.1.7.6"
# AuthenticatedData, and AuthEnvelopedData with its AEAD ciphers: known, not part of RFC 8894.
_OTHER_ENVELOPES = ("1.2.840.113549.1.9.16.1.2", "1.2.840.113549.1.9.16.1.23")

MAX_RECIPIENTS = 10
SUBSTITUTE_CEK_OCTETS = 32


class Decryptor(Protocol):
    """One of our decryption keys, with the certificate that names it in a recipientInfo."""

    @property
    def certificate(self) -> SignerCertificate:
        """The certificate whose issuer and serial number address this key."""

    @property
    def subject_key_identifier(self) -> bytes:
        """The identifier that addresses this key instead."""

    def decrypt(self, key_transport: KeyTransport, encrypted_key: bytes) -> bytes:
        """Return the decrypted octets, whatever they are; raise ValueError when there are none."""


@dataclass(frozen=True, slots=True)
class _KeyTransportInfo:
    """A KeyTransRecipientInfo (RFC 5652 6.2.1)."""

    recipient_id: IssuerAndSerial | bytes
    algorithm: AlgorithmIdentifier
    encrypted_key: bytes


@dataclass(frozen=True, slots=True)
class _Envelope:
    """An EnvelopedData as read; recipientInfos still encoded."""

    recipients: tuple[der.Element, ...]
    content_type_oid: str
    algorithm: AlgorithmIdentifier
    ciphertext: bytes | None


def open_envelope(
    message: PkiMessage,
    decryptors: Sequence[Decryptor],
    policy: AlgorithmPolicy,
    passwords: Iterable[bytes] | None = None,
    *,
    substitute_cek: bytes,
) -> OpenedMessage:
    """Return a verified message with the plaintext of its envelope.

    ``passwords`` are tried on a PasswordRecipientInfo; None means that there is no such support.
    ``substitute_cek`` are 32 fresh random octets, which stand in for a key that does not decrypt.

    Raises:
        BadRequest: no EnvelopedData, too many recipients, or another content type.
        BadAlgorithm: cipher, key transport or kind of recipient that is unknown or refused.
        Undecryptable: everything else, without distinction.

    """
    if len(substitute_cek) < SUBSTITUTE_CEK_OCTETS:
        raise ValueError(f"substitute_cek has {len(substitute_cek)} octets, expected {SUBSTITUTE_CEK_OCTETS}")
    if message.envelope is None:
        raise BadRequest("there is no pkcsPKIEnvelope to open (RFC 8894 3.2.2)")
    with refusing(BadRequest, "pkcsPKIEnvelope cannot be read (RFC 8894 3.2.2)"):
        envelope = _read_envelope(message.envelope)
    warnings = _check_content_type(envelope.content_type_oid, policy)
    cipher = find_cipher(envelope.algorithm.oid, policy)
    if cipher.legacy:
        warnings += (f"content encryption {cipher.name} MUST NOT be used (RFC 8894 2.9)",)
    with refusing(BadRequest, "recipientInfo cannot be read (RFC 5652 6.2)"):
        recipient, cek = _find_key(envelope, message, decryptors, policy, passwords, cipher)
    if len(cek) != cipher.key_size:
        cek = substitute_cek[: cipher.key_size]
    plaintext = ciphers.decrypt(cipher, cek, read_iv(envelope.algorithm), envelope.ciphertext)
    if plaintext is None:
        raise Undecryptable
    return OpenedMessage(
        message=message, content=plaintext, cipher=cipher, recipient=recipient, warnings=warnings
    )


def seal(
    plaintext: bytes,
    recipient: Recipient,
    cipher: ContentCipher,
    *,
    cek: bytes,
    iv: bytes,
    password_seed: bytes = b"",
) -> bytes:
    """Return ``plaintext`` as ContentInfo with an EnvelopedData for one recipient.

    ``cek`` and ``iv`` are fresh random octets of the cipher's key and block size, ``password_seed``
    48 more for a password recipient. Version 0, issuerAndSerialNumber copied octet for octet from
    the recipient's certificate, definite lengths throughout.

    Raises:
        BadAlgorithm: a recipient whose key takes no key transport.
        ValueError: octets of the wrong size, or single DES, which is never emitted (RFC 8894 2.9).

    """
    if cipher.legacy or len(cek) != cipher.key_size or len(iv) != cipher.block_size:
        raise ValueError(
            f"{cipher.name} with a key of {len(cek)} and an IV of {len(iv)} octets is not emitted"
        )
    if isinstance(recipient, PasswordRecipient):
        version = 3
        info = wrap_for_password(recipient.password, cipher, cek, password_seed)
    else:
        version = 0
        info = _transport_key(recipient, cek)
    ciphertext = ciphers.encrypt(cipher, cek, iv, plaintext)
    algorithm = AlgorithmIdentifier(oid=cipher.value, parameters_der=der.octet_string(iv))
    encrypted = der.sequence(der.oid(ID_DATA), algorithm.encode(), der.implicit(0, ciphertext))
    enveloped = der.sequence(der.integer(version), der.tlv(der.SET, info), encrypted)
    return der.sequence(der.oid(ID_ENVELOPED_DATA), der.explicit(0, enveloped))


def can_receive(certificate: SignerCertificate) -> bool:
    """Tell whether a reply can be enveloped for this certificate's key (RFC 8894 3.1: RSA keys)."""
    return is_rsa(certificate.public_key_der)


# -- reading ---------------------------------------------------------------------------


def _read_envelope(content_info_der: bytes) -> _Envelope:
    content_info = der.one(content_info_der, what="ContentInfo")
    content_type = content_info.oid("contentType")
    if content_type in _OTHER_ENVELOPES:
        raise BadAlgorithm(f"the envelope is {content_type}, expected envelopedData (RFC 8894 3.2.2)")
    if content_type != ID_ENVELOPED_DATA:
        raise BadRequest(f"pkcsPKIEnvelope is {content_type}, expected envelopedData (RFC 8894 3.2.2)")
    enveloped = content_info.enter(0xA0, "content").enter(what="EnvelopedData")
    enveloped.integer("EnvelopedData version")
    enveloped.optional(0xA0)
    recipients = tuple(enveloped.enter(der.SET, "recipientInfos").elements())
    if not 0 < len(recipients) <= MAX_RECIPIENTS:
        raise BadRequest(f"{len(recipients)} recipientInfos, expected 1 to {MAX_RECIPIENTS} (RFC 8894 3.2.2)")
    encrypted = enveloped.enter(what="encryptedContentInfo")
    content_type_oid = encrypted.oid("contentType")
    algorithm = read_identifier(encrypted, "contentEncryptionAlgorithm")
    content = encrypted.optional(0x80)
    encrypted.finish("encryptedContentInfo")
    return _Envelope(recipients, content_type_oid, algorithm, content.content if content else None)


def _check_content_type(oid: str, policy: AlgorithmPolicy) -> tuple[str, ...]:
    if oid == ID_DATA:
        return ()
    if oid == ID_ENCRYPTED_DATA and policy.legacy == "accept":
        # A .NET client names the encrypted content so (micromdm/scep issue 224).
        return ("encrypted content type is id-encryptedData, expected id-data (RFC 8894 3.2.2)",)
    raise BadRequest(f"encrypted content type is {oid}, expected id-data (RFC 8894 3.2.2)")


def _find_key(
    envelope: _Envelope,
    message: PkiMessage,
    decryptors: Sequence[Decryptor],
    policy: AlgorithmPolicy,
    passwords: Iterable[bytes] | None,
    cipher: ContentCipher,
) -> tuple[Recipient, bytes]:
    """Return whom a reply goes to, and the decrypted content encryption key (of any length)."""
    transported = [_read_key_transport(found) for found in envelope.recipients if found.tag == der.SEQUENCE]
    for info in transported:
        for decryptor in decryptors:
            if _addresses(info.recipient_id, decryptor):
                key_transport = find_key_transport(info.algorithm)
                recipient = KeyTransportRecipient(certificate=message.signer, key_transport=key_transport)
                return recipient, _decrypt_key(decryptor, key_transport, info.encrypted_key)
    by_password = next((found for found in envelope.recipients if found.tag == 0xA3), None)
    if by_password is not None:
        info_by_password = read_password_recipient(by_password.reader(), policy)
        if message.message_type is not MessageType.CERT_REP and can_receive(message.signer):
            raise BadAlgorithm("a PasswordRecipientInfo from a signer whose key is RSA (RFC 8894 3.1)")
        if passwords is None:
            raise BadAlgorithm("PasswordRecipientInfo is not enabled here (RFC 8894 3.1)")
        password, cek = info_by_password.find_key(passwords, cipher.key_size)
        return PasswordRecipient(password=password), cek
    if transported:
        raise Undecryptable
    raise BadAlgorithm("no recipientInfo is of a kind that RFC 8894 3.1 has: key transport or password")


def _read_key_transport(element: der.Element) -> _KeyTransportInfo:
    reader = element.reader()
    reader.integer("KeyTransRecipientInfo version")
    if reader.peek() == 0x80:
        recipient_id: IssuerAndSerial | bytes = reader.element().content
    else:
        fields = reader.enter(what="issuerAndSerialNumber")
        issuer = fields.element(der.SEQUENCE, "issuer").raw
        recipient_id = IssuerAndSerial(issuer_der=issuer, serial_number=fields.integer("serialNumber"))
    algorithm = read_identifier(reader, "keyEncryptionAlgorithm")
    return _KeyTransportInfo(recipient_id, algorithm, reader.octets("encryptedKey"))


def _addresses(recipient_id: IssuerAndSerial | bytes, decryptor: Decryptor) -> bool:
    if isinstance(recipient_id, bytes):
        return recipient_id == decryptor.subject_key_identifier
    return matches(decryptor.certificate, recipient_id)


def _decrypt_key(decryptor: Decryptor, key_transport: KeyTransport, encrypted_key: bytes) -> bytes:
    try:
        return decryptor.decrypt(key_transport, encrypted_key)
    except ValueError:
        return b""


# -- key transport with keys of the cryptography package --------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDecryptor:
    """A `Decryptor` on an RSA private key in memory."""

    certificate: SignerCertificate
    subject_key_identifier: bytes
    key: rsa.RSAPrivateKey

    def decrypt(self, key_transport: KeyTransport, encrypted_key: bytes) -> bytes:
        """Return the decrypted octets; raise ValueError when there are none."""
        return self.key.decrypt(encrypted_key, _padding(key_transport))


def _padding(key_transport: KeyTransport) -> padding.AsymmetricPadding:
    digest = key_transport.oaep_digest
    if digest is None:
        return padding.PKCS1v15()
    mgf_digest = key_transport.oaep_mgf_digest or digest
    return padding.OAEP(padding.MGF1(HASHES[mgf_digest]), HASHES[digest], key_transport.oaep_label or None)


def _transport_key(recipient: KeyTransportRecipient, cek: bytes) -> bytes:
    """Return a KeyTransRecipientInfo, version 0."""
    certificate = recipient.certificate
    with refusing(BadAlgorithm, "the recipient's public key"):
        try:
            key = load_der_public_key(certificate.public_key_der)
        except UnsupportedAlgorithm as error:
            raise BadAlgorithm("the recipient's public key is of a kind that is not known here") from error
        if not isinstance(key, rsa.RSAPublicKey):
            raise BadAlgorithm("the recipient's key is not RSA and takes no key transport (RFC 8894 3.1)")
        encrypted_key = key.encrypt(cek, _padding(recipient.key_transport))
    return der.sequence(
        der.integer(0),
        der.sequence(certificate.issuer_der, certificate.serial_der),
        key_transport_identifier(recipient.key_transport),
        der.octet_string(encrypted_key),
    )
