"""Requests as a client makes them: the certificate to sign with, the PKCS#10, the pkiMessage.

Everything random or timely arrives as a value, so that equal inputs yield equal octets (but for the
padding that RSA encryption draws itself).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ca import der, oids

from . import attributes
from .algorithms import ContentCipher, DigestAlgorithm
from .certificates import read_certificate
from .contents import encode_content
from .enveloped import seal
from .messages import (
    CertificationRequest,
    IssuerAndSerial,
    IssuerAndSubject,
    MessageType,
    SignerCertificate,
)
from .parts import SignedDataParts, encode_attribute, make_parts
from .passwords import SEED_OCTETS
from .signers import PrivateKey, SignatureScheme, sign_with, usual_scheme

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from .messages import Recipient, RequestContent
    from .signers import MessageSigner

NONCE_OCTETS = 16
RANDOM_OCTETS = NONCE_OCTETS + 32 + 16 + SEED_OCTETS

_CONTENT_OF = {
    MessageType.PKCS_REQ: CertificationRequest,
    MessageType.RENEWAL_REQ: CertificationRequest,
    MessageType.CERT_POLL: IssuerAndSubject,
    MessageType.GET_CERT: IssuerAndSerial,
    MessageType.GET_CRL: IssuerAndSerial,
}
_DIGITAL_SIGNATURE, _KEY_ENCIPHERMENT = 0, 2
_PRINTABLE = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?"  # X.680 41.4
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestForm:
    """The algorithms of a request, and what goes along with it.

    ``certificates`` are sent besides the signer's own. ``signing_time`` None leaves the attribute out.
    """

    digest: DigestAlgorithm = DigestAlgorithm.SHA_256
    cipher: ContentCipher = ContentCipher.AES_128_CBC
    signing_time: datetime | None = None
    certificates: tuple[bytes, ...] = ()


def public_key_der(key: PrivateKey) -> bytes:
    """Return the subjectPublicKeyInfo of a private key."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def transaction_id_for(public_key: bytes) -> str:
    """Return the transactionID most clients derive from a key: a digest, in upper-case hex.

    ``public_key`` is a subjectPublicKeyInfo; the same key yields the same ID (RFC 8894 3.2.1.1 allows
    any that is unique).
    """
    return hashlib.sha256(public_key).hexdigest().upper()


def make_self_signed(
    key: PrivateKey,
    subject_der: bytes,
    *,
    serial_number: int,
    not_before: datetime,
    not_after: datetime,
    digest: DigestAlgorithm = DigestAlgorithm.SHA_256,
    scheme: SignatureScheme | None = None,
) -> SignerCertificate:
    """Return the certificate a client without one signs with (RFC 8894 2.3).

    Key usage is digitalSignature, and keyEncipherment for RSA, which takes the reply's key.
    """
    usage = [_DIGITAL_SIGNATURE, _KEY_ENCIPHERMENT] if isinstance(key, rsa.RSAPrivateKey) else [0]
    key_usage = der.sequence(
        der.oid(oids.KEY_USAGE), der.boolean(True), der.octet_string(der.named_bits(usage))
    )
    scheme, algorithm = _certificate_scheme(key, digest, scheme)
    tbs = der.sequence(
        der.explicit(0, der.integer(2)),
        der.integer(serial_number),
        algorithm,
        subject_der,
        der.sequence(der.time(not_before), der.time(not_after)),
        subject_der,
        public_key_der(key),
        der.explicit(3, der.sequence(key_usage)),
    )
    signature = sign_with(key, tbs, digest, scheme)
    return read_certificate(der.sequence(tbs, algorithm, der.bit_string(signature)))


def make_certification_request(
    key: PrivateKey,
    subject_der: bytes,
    *,
    challenge_password: str | bytes | None = None,
    challenge_tag: int | None = None,
    extensions: Sequence[bytes] = (),
    other_attributes: Sequence[tuple[str, bytes]] = (),
    digest: DigestAlgorithm = DigestAlgorithm.SHA_256,
    scheme: SignatureScheme | None = None,
) -> CertificationRequest:
    """Return a signed PKCS#10 (RFC 2986).

    ``challenge_password`` is written with ``challenge_tag``: as UTF-8, or as given when octets (a
    BMPString takes UTF-16). Without a tag it is a PrintableString where it can be one (RFC 2985 5.4.1
    wishes so, and NDES takes nothing else), otherwise a UTF8String. ``extensions`` are encoded Extension
    SEQUENCEs, ``other_attributes`` (OID, value) pairs.
    """
    found = [encode_attribute(oid, value) for oid, value in other_attributes]
    if challenge_password is not None:
        octets = challenge_password.encode() if isinstance(challenge_password, str) else challenge_password
        tag = _string_tag(octets) if challenge_tag is None else challenge_tag
        found.append(encode_attribute(oids.CHALLENGE_PASSWORD, der.tlv(tag, octets)))
    if extensions:
        found.append(encode_attribute(oids.EXTENSION_REQUEST, der.sequence(*extensions)))
    scheme, algorithm = _certificate_scheme(key, digest, scheme)
    attributes_der = der.retag(0xA0, der.set_of(found))
    info = der.sequence(der.integer(0), subject_der, public_key_der(key), attributes_der)
    signature = sign_with(key, info, digest, scheme)
    return CertificationRequest(csr=der.sequence(info, algorithm, der.bit_string(signature)))


def _string_tag(octets: bytes) -> int:
    return der.PRINTABLE_STRING if _PRINTABLE.issuperset(octets) else der.UTF8_STRING


def make_request_parts(
    message_type: MessageType,
    content: RequestContent,
    *,
    transaction_id: str,
    signer: MessageSigner,
    recipient: Recipient,
    form: RequestForm,
    random: bytes,
) -> SignedDataParts:
    """Return a request as parts to be signed (RFC 8894 3.2, 3.3).

    ``random`` are 112 fresh random octets, of which the first 16 become the senderNonce. A
    `PasswordRecipient` may stand for the CA's key when the signer's key cannot decrypt (3.1).

    Raises:
        ValueError: content of another kind than the message type carries, too few random octets,
            or an algorithm that is never emitted.
        BadAlgorithm: the recipient's key takes no envelope.

    """
    if type(content) is not _CONTENT_OF.get(message_type):
        raise ValueError(f"{message_type.rfc_name} does not carry a {type(content).__name__} (RFC 8894 3.3)")
    if len(random) != RANDOM_OCTETS:
        raise ValueError(f"{len(random)} random octets, expected {RANDOM_OCTETS}")
    nonce, cek, iv, seed = random[:16], random[16:48], random[48:64], random[64:]
    cipher = form.cipher
    envelope = seal(
        encode_content(content),
        recipient,
        cipher,
        cek=cek[: cipher.key_size],
        iv=iv[: cipher.block_size],
        password_seed=seed,
    )
    return make_parts(
        envelope,
        signer,
        digest=form.digest,
        attributes_of_message=[
            (attributes.MESSAGE_TYPE, der.printable_string(str(message_type.value))),
            (attributes.SENDER_NONCE, der.octet_string(nonce)),
            (attributes.TRANSACTION_ID, der.printable_string(transaction_id)),
        ],
        certificates=(signer.certificate.der, *form.certificates),
        signing_time=form.signing_time,
    )


def _certificate_scheme(
    key: PrivateKey, digest: DigestAlgorithm, scheme: SignatureScheme | None
) -> tuple[SignatureScheme, bytes]:
    """Return how certificates and PKCS#10 are signed: there an RSA signature names its digest."""
    if scheme is None:
        usual = usual_scheme(public_key_der(key))
        scheme = SignatureScheme.RSA_WITH_DIGEST if usual is SignatureScheme.RSA_ENCRYPTION else usual
    return scheme, scheme.identifier(digest)
