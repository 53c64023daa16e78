"""The signed attributes of a pkiMessage: their identifiers, and how they are read.

RFC 8894 3.2.1 defines SCEP's, RFC 5652 11 those of CMS. SCEP says PrintableString; clients write
UTF8String and IA5String as well, which are read alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from ca import der

from .errors import BadMessageCheck, BadRequest, MessageError, Unanswerable

if TYPE_CHECKING:
    from datetime import datetime

MESSAGE_TYPE: Final = "2.16.840.1.113733.1.9.2"
PKI_STATUS: Final = "2.16.840.1.113733.1.9.3"
FAIL_INFO: Final = "2.16.840.1.113733.1.9.4"
SENDER_NONCE: Final = "2.16.840.1.113733.1.9.5"
RECIPIENT_NONCE: Final = "2.16.840.1.113733.1.9.6"
TRANSACTION_ID: Final = "2.16.840.1.113733.1.9.7"
FAIL_INFO_TEXT: Final = "1.3.6.1.5.5.7.24.1"
CONTENT_TYPE: Final = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST: Final = "1.2.840.113549.1.9.4"
SIGNING_TIME: Final = "1.2.840.113549.1.9.5"

MAX_TRANSACTION_ID_OCTETS: Final = 255
MAX_NONCE_OCTETS: Final = 64

_TEXT_CODECS = {
    der.PRINTABLE_STRING: "utf-8",
    der.UTF8_STRING: "utf-8",
    der.IA5_STRING: "utf-8",
    der.VISIBLE_STRING: "utf-8",
    der.BMP_STRING: "utf-16-be",
}
# PrintableString (X.680 41.4), and four characters that encoders put there all the same.
_TRANSACTION_ID_CHARACTERS = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?" + "_@*&"
)
# Exactly one value, exactly once (RFC 5652 5.3, 11).
_SINGLE = {
    MESSAGE_TYPE: "messageType",
    SENDER_NONCE: "senderNonce",
    CONTENT_TYPE: "contentType",
    MESSAGE_DIGEST: "messageDigest",
    SIGNING_TIME: "signingTime",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedAttributes:
    """The attributes as found; ``defects`` in the order in which they are to be raised."""

    transaction_id: str
    message_type: str | None
    sender_nonce: bytes | None
    recipient_nonce: bytes | None
    pki_status: str | None
    fail_info: str | None
    fail_info_text: str | None
    signing_time: datetime | None
    values: tuple[tuple[str, bytes], ...]
    defects: tuple[MessageError, ...]


def read_signed_attributes(content: bytes) -> SignedAttributes:
    """Return the attributes of a SignerInfo from the content octets of their SET.

    Raises:
        ca.der.DerError: not a SET OF Attribute.
        Unanswerable: no transactionID that could be sent back.

    """
    values, unclear = read_attributes(content)
    defects: list[MessageError] = [
        BadRequest(f"{name} is there twice, or has not one value (RFC 5652 11)")
        for oid, name in _SINGLE.items()
        if oid in unclear
    ]
    nonce = _read_nonce(values.get(SENDER_NONCE), defects)
    message_type = _read_message_type(values.get(MESSAGE_TYPE), defects)
    for oid in (MESSAGE_DIGEST, CONTENT_TYPE):
        if oid not in values:
            defects.append(BadMessageCheck(f"{_SINGLE[oid]} is missing (RFC 5652 5.3)"))
    signing_time = _read_signing_time(values.get(SIGNING_TIME), defects)
    return SignedAttributes(
        transaction_id=_read_transaction_id(values.get(TRANSACTION_ID), TRANSACTION_ID in unclear),
        message_type=message_type,
        sender_nonce=nonce,
        recipient_nonce=_octets(values.get(RECIPIENT_NONCE)),
        pki_status=_text(values.get(PKI_STATUS)),
        fail_info=_text(values.get(FAIL_INFO)),
        fail_info_text=_text(values.get(FAIL_INFO_TEXT)),
        signing_time=signing_time,
        values=tuple((oid, value.raw) for oid, value in values.items() if oid not in unclear),
        defects=tuple(defects),
    )


class Attributes(NamedTuple):
    """Attributes by OID, the first value of each; ``unclear`` are those that have not exactly one."""

    values: dict[str, der.Element]
    unclear: set[str]


def read_attributes(content: bytes) -> Attributes:
    """Return the attributes in the content octets of a SET OF Attribute (RFC 5652 5.3).

    Raises:
        ca.der.DerError: not of that shape.

    """
    values: dict[str, der.Element] = {}
    unclear: set[str] = set()
    for attribute in der.Reader(content).elements():
        fields = attribute.reader()
        oid = fields.oid("attribute type")
        members = fields.enter(der.SET, "attribute values")
        fields.finish("Attribute")
        value = None if members.done else members.element(what="attribute value")
        if value is None or not members.done or oid in values:
            unclear.add(oid)
        if value is not None:
            values.setdefault(oid, value)
    return Attributes(values, unclear)


def _read_transaction_id(value: der.Element | None, unclear: bool) -> str:
    """Return the transactionID if it can be sent back, octet for octet, as PrintableString."""
    if value is None or unclear:
        raise Unanswerable("transactionID is missing, or is there more than once (RFC 8894 3.2.1.1)")
    text = _text(value)
    if text is None or not 0 < len(text) <= MAX_TRANSACTION_ID_OCTETS:
        raise Unanswerable(
            f"transactionID has tag 0x{value.tag:02X} and {len(value.content)} octets, expected "
            f"a PrintableString of 1 to {MAX_TRANSACTION_ID_OCTETS} (RFC 8894 3.2.1.1)"
        )
    if not _TRANSACTION_ID_CHARACTERS.issuperset(text):
        raise Unanswerable("transactionID has characters that no PrintableString has (RFC 8894 3.2.1.1)")
    return text


def _read_nonce(value: der.Element | None, defects: list[MessageError]) -> bytes | None:
    """Return the senderNonce of 1 to 64 octets: Apple sends 8, RFC 8894 3.2.1.5 says 16."""
    if value is None:
        defects.append(BadRequest("senderNonce is missing (RFC 8894 3.2.1.5)"))
        return None
    if value.tag != der.OCTET_STRING or not 0 < len(value.content) <= MAX_NONCE_OCTETS:
        defects.append(
            BadRequest(
                f"senderNonce has tag 0x{value.tag:02X} and {len(value.content)} octets, expected "
                "an OCTET STRING of 16 (RFC 8894 3.2.1.5)"
            )
        )
        return None
    return value.content


def _read_message_type(value: der.Element | None, defects: list[MessageError]) -> str | None:
    text = _text(value)
    if value is None:
        defects.append(BadRequest("messageType is missing (RFC 8894 3.2.1.2)"))
    elif text is None:
        defects.append(
            BadRequest(f"messageType has tag 0x{value.tag:02X}, expected PrintableString (RFC 8894 3.2.1.2)")
        )
    return text


def _octets(value: der.Element | None) -> bytes | None:
    return value.content if value is not None and value.tag == der.OCTET_STRING else None


def _text(value: der.Element | None) -> str | None:
    codec = _TEXT_CODECS.get(value.tag) if value is not None else None
    return value.content.decode(codec, errors="replace") if value is not None and codec else None


def _read_signing_time(value: der.Element | None, defects: list[MessageError]) -> datetime | None:
    """Return signingTime (RFC 5652 11.3), None when it is absent."""
    if value is None:
        return None
    try:
        return der.read_time(value, "signingTime")
    except der.DerError:
        defects.append(BadRequest("signingTime is neither UTCTime nor GeneralizedTime (RFC 5652 11.3)"))
        return None
