"""The values that SCEP messages are made of, in RFC 8894's words.

Frozen dataclasses, validated where they are made. Bytes and values only: no I/O, no clock,
no randomness.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from datetime import datetime

    from .algorithms import ContentCipher, DigestAlgorithm, KeyTransport


class _WireEnum(Enum):
    """An enumeration whose members hold the wire value and the RFC's spelling."""

    rfc_name: str

    def __new__(cls, value: int, rfc_name: str) -> Self:
        member = object.__new__(cls)
        member._value_ = value
        member.rfc_name = rfc_name
        return member


class MessageType(_WireEnum):
    """messageType (RFC 8894 3.2.1.2). 18 (UpdateReq of old drafts) and 0 are no message types."""

    CERT_REP = 3, "CertRep"
    RENEWAL_REQ = 17, "RenewalReq"
    PKCS_REQ = 19, "PKCSReq"
    CERT_POLL = 20, "CertPoll"
    GET_CERT = 21, "GetCert"
    GET_CRL = 22, "GetCRL"


class PkiStatus(_WireEnum):
    """pkiStatus (RFC 8894 3.2.1.3)."""

    SUCCESS = 0, "SUCCESS"
    FAILURE = 2, "FAILURE"
    PENDING = 3, "PENDING"


class FailInfo(_WireEnum):
    """failInfo (RFC 8894 3.2.1.4)."""

    BAD_ALG = 0, "badAlg"
    BAD_MESSAGE_CHECK = 1, "badMessageCheck"
    BAD_REQUEST = 2, "badRequest"
    BAD_TIME = 3, "badTime"
    BAD_CERT_ID = 4, "badCertId"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerAndSerial:
    """A certificate named by issuer and serial (RFC 5652 10.2.4); the issuer as raw DER Name."""

    issuer_der: bytes
    serial_number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerCertificate:
    """What we read of the certificate that signs a message.

    A self-signed signer is used for its key alone, so only these fields are read and nothing is
    validated: deployed clients send serials of 33 octets, critical AKIs and version 1.
    """

    der: bytes
    issuer_der: bytes
    serial_number: int
    serial_der: bytes  # the INTEGER as sent, to be copied into recipientInfos
    subject_der: bytes
    public_key_der: bytes  # SubjectPublicKeyInfo

    @property
    def self_issued(self) -> bool:
        """Whether subject and issuer are the same octets."""
        return self.subject_der == self.issuer_der


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedMessage:
    """A pkiMessage as read from the wire: addressable, nothing of it verified yet.

    ``transaction_id`` is always there (else the message is unanswerable); everything else is as
    found, None where it is absent or unreadable. ``defects`` are the MessageErrors that verifying
    will raise, first one first, found while reading.
    """

    raw: bytes
    der: bytes  # after the BER layer; equals raw when raw was DER
    transaction_id: str
    message_type: str | None
    sender_nonce: bytes | None
    recipient_nonce: bytes | None
    pki_status: str | None
    fail_info: str | None
    fail_info_text: str | None
    signing_time: datetime | None
    digest_oid: str
    signature_oid: str
    signature_parameters_der: bytes | None
    signed_attributes_der: bytes  # content octets of the SET as received, without tag and length
    attribute_values: tuple[tuple[str, bytes], ...]  # (attribute OID, DER of its single value)
    signature: bytes
    content_type_oid: str
    content: bytes | None  # eContent octets; None when absent
    signer_id: IssuerAndSerial | bytes | None  # issuerAndSerial, or the octets of a SKI
    certificates: tuple[bytes, ...]
    defects: tuple[Exception, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PkiMessage:
    """A pkiMessage whose signature verifies under ``signer`` and whose attributes are complete."""

    unverified: UnverifiedMessage
    message_type: MessageType
    transaction_id: str
    sender_nonce: bytes
    signer: SignerCertificate
    digest: DigestAlgorithm
    envelope: bytes | None  # pkcsPKIEnvelope as ContentInfo DER; None only in FAILURE and PENDING
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTransportRecipient:
    """Encrypt to this certificate's RSA key."""

    certificate: SignerCertificate
    key_transport: KeyTransport


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordRecipient:
    """Encrypt under this password, for keys that cannot decrypt (RFC 8894 3.1)."""

    password: bytes = field(repr=False)


Recipient = KeyTransportRecipient | PasswordRecipient


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedMessage:
    """A verified message and the plaintext of its envelope."""

    message: PkiMessage
    content: bytes = field(repr=False)
    cipher: ContentCipher
    recipient: Recipient  # whom a reply is enveloped for, and how (K23: mirror the request)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificationRequest:
    """Content of PKCSReq and RenewalReq: a PKCS#10 in DER, unread here."""

    csr: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerAndSubject:
    """Content of CertPoll (RFC 8894 3.3.3): two raw DER Names."""

    issuer_der: bytes
    subject_der: bytes


RequestContent = CertificationRequest | IssuerAndSubject | IssuerAndSerial


@dataclass(frozen=True, slots=True, kw_only=True)
class CertRep:
    """A reply before it is encoded (RFC 8894 3.3.2).

    ``certificates`` and ``crls`` are DER, in the order they are to be sent; they are the content of
    a SUCCESS. ``extra_attributes`` are further signed attributes as (OID, DER value).
    """

    transaction_id: str
    pki_status: PkiStatus
    sender_nonce: bytes
    recipient_nonce: bytes | None
    fail_info: FailInfo | None = None
    fail_info_text: str | None = None
    certificates: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()
    recipient: Recipient | None = None
    cipher: ContentCipher | None = None
    digest: DigestAlgorithm
    signing_time: datetime | None = None
    extra_attributes: tuple[tuple[str, bytes], ...] = ()

    def __post_init__(self) -> None:
        if (self.pki_status is PkiStatus.FAILURE) != (self.fail_info is not None):
            raise ValueError("failInfo is there if and only if pkiStatus is FAILURE (RFC 8894 3.2.1.4)")
        if self.pki_status is PkiStatus.SUCCESS and (self.recipient is None or self.cipher is None):
            raise ValueError("a SUCCESS needs a recipient and a cipher for its envelope (RFC 8894 3.3.2.1)")
