"""Faults of the types that attributes are written in, and of their size and depth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ca import der
from lab.faults.forging import add_attribute, nested, set_attribute
from lab.faults.registry import ClientMust, Range, Seam, fault
from lab.faults.values import SigningDraft
from scep_server.protocol import attributes

if TYPE_CHECKING:
    from lab.faults.tools import Tools

_UNKNOWN: Final = "1.3.6.1.4.1.99999.8894.2"


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 8894 3.2.1.1", client_must=ClientMust.MAY)
def transaction_id_as_utf8_string(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The transactionID is a UTF8String, where SCEP has PrintableString.

    Apple's client and jscep insist on PrintableString.
    """
    return _retag(signing, attributes.TRANSACTION_ID, der.UTF8_STRING)


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 8894 3.2.1.1", client_must=ClientMust.MAY)
def transaction_id_as_ia5_string(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The transactionID is an IA5String, where SCEP has PrintableString."""
    return _retag(signing, attributes.TRANSACTION_ID, der.IA5_STRING)


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 8894 3.2.1.1", client_must=ClientMust.REJECT)
def transaction_id_as_octet_string(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The transactionID is an OCTET STRING: the right octets, and no text."""
    return _retag(signing, attributes.TRANSACTION_ID, der.OCTET_STRING)


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 8894 3.2.1.3", client_must=ClientMust.MAY)
def pki_status_as_utf8_string(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The pkiStatus is a UTF8String, where SCEP has PrintableString."""
    return _retag(signing, attributes.PKI_STATUS, der.UTF8_STRING)


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 8894 3.2.1.3", client_must=ClientMust.REJECT)
def pki_status_as_integer(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The pkiStatus is an INTEGER, where SCEP has a number written as PrintableString."""
    value = signing.draft.cert_rep.pki_status.value
    return set_attribute(signing, attributes.PKI_STATUS, der.integer(value))


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 8894 3.2.1.2", client_must=ClientMust.REJECT)
def message_type_as_integer(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The messageType is an INTEGER, where SCEP has a number written as PrintableString."""
    return set_attribute(signing, attributes.MESSAGE_TYPE, der.integer(3))


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 8894 3.2.1.2", client_must=ClientMust.REJECT)
def message_type_with_leading_zero(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The messageType is "03".

    It is compared as text; whoever makes a number of it takes it.
    """
    return set_attribute(signing, attributes.MESSAGE_TYPE, der.printable_string("03"))


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 8894 3.2.1.5", client_must=ClientMust.REJECT)
def recipient_nonce_as_utf8_string(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The recipientNonce is a UTF8String with the right octets, where SCEP has OCTET STRING."""
    return _retag(signing, attributes.RECIPIENT_NONCE, der.UTF8_STRING)


@fault(
    seam=Seam.ENCODING,
    takes=SigningDraft,
    clause="X.690 8.1",
    client_must=ClientMust.MAY,
    limits={"levels": Range(1, 2_000)},
)
def nested_too_deep(signing: SigningDraft, tools: Tools, *, levels: int = 60) -> SigningDraft:
    """The reply has an attribute nobody knows, with SEQUENCEs nested inside each other.

    Well formed and validly signed. A reader that recurses without a limit runs out of stack with enough of
    them (``levels``, at most 2,000); one with a limit refuses the reply.
    """
    return add_attribute(signing, _UNKNOWN, nested(levels))


@fault(
    seam=Seam.ENCODING,
    takes=SigningDraft,
    clause="RFC 8894 4.3",
    client_must=ClientMust.SUCCEED,
    limits={"octets": Range(1, 2_000_000)},
)
def larger_than_16_kib(signing: SigningDraft, tools: Tools, *, octets: int = 20_000) -> SigningDraft:
    """The reply is larger than 16 KiB, by an attribute nobody knows.

    Nothing limits a reply. sscep reads 16,384 octets and cuts off the rest.
    """
    return add_attribute(signing, _UNKNOWN, der.octet_string(bytes(octets)))


def _retag(signing: SigningDraft, oid: str, tag: int) -> SigningDraft:
    value = dict(signing.parts.signer.attributes).get(oid)
    return signing if value is None else set_attribute(signing, oid, der.retag(tag, value))
