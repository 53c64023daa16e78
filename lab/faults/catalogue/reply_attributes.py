"""Faults of the attributes that tie a CertRep to its request: nonces, transactionID, messageType."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ca import der
from lab.faults.forging import drop_attributes, set_attribute, set_text
from lab.faults.registry import ClientMust, Range, Seam, Step, fault
from lab.faults.values import SigningDraft
from scep_server.protocol import attributes
from scep_server.protocol.messages import CertRep, MessageType

from .reply_polling import as_pending

if TYPE_CHECKING:
    from lab.faults.tools import Tools

_MISSING: Final = (
    "CRYPT_E_AUTH_ATTR_MISSING 0x80091006; every HTTP status is 200, nothing is installed "
    "(windows-client.md section 1.3)"
)
_MESSAGE_TYPES: Final = {each.rfc_name: each.value for each in MessageType}
_NEVER_NEW: Final = bytes(range(0xA0, 0xB0))
_LONGEST: Final = 10_000


# -- recipientNonce ----------------------------------------------------------------------


@fault(seam=Seam.REPLY, takes=CertRep, clause="RFC 8894 3.2.1.5", client_must=ClientMust.REJECT)
def wrong_recipient_nonce(cert_rep: CertRep, tools: Tools) -> CertRep:
    """The recipientNonce is not the senderNonce of the request.

    It is what keeps a reply from being replayed. strongSwan 5.9.8, sscep 0.10.0 and scepclient 2.1.0 do not
    look at it.
    """
    nonce = cert_rep.recipient_nonce or bytes(16)
    return replace(cert_rep, recipient_nonce=bytes(octet ^ 0xFF for octet in nonce))


@fault(
    seam=Seam.REPLY,
    takes=SigningDraft,
    clause="RFC 8894 3.2.1.5",
    client_must=ClientMust.REJECT,
    symptom=_MISSING,
)
def recipient_nonce_missing(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The reply has no recipientNonce.

    certmonger, scepclient, sscep and jscep refuse it; strongSwan 5.9.8 goes on.
    """
    return drop_attributes(signing, attributes.RECIPIENT_NONCE)


@fault(seam=Seam.REPLY, takes=SigningDraft, clause="RFC 8894 3.2.1.5", client_must=ClientMust.REJECT)
def recipient_nonce_empty(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The recipientNonce has no octets."""
    return _set_nonce(signing, attributes.RECIPIENT_NONCE, b"")


@fault(
    seam=Seam.REPLY,
    takes=SigningDraft,
    clause="RFC 8894 3.2.1.5",
    client_must=ClientMust.REJECT,
    limits={"octets": Range(0, 15)},
)
def recipient_nonce_short(signing: SigningDraft, tools: Tools, *, octets: int = 8) -> SigningDraft:
    """The recipientNonce is the beginning of the request's senderNonce.

    A server that keeps nonces in a field too small for them. Whoever compares as many octets as there are
    takes it.
    """
    nonce = signing.draft.cert_rep.recipient_nonce or b""
    return _set_nonce(signing, attributes.RECIPIENT_NONCE, nonce[:octets])


@fault(
    seam=Seam.REPLY,
    takes=SigningDraft,
    clause="RFC 8894 3.2.1.5",
    client_must=ClientMust.REJECT,
    limits={"octets": Range(17, _LONGEST)},
)
def recipient_nonce_long(signing: SigningDraft, tools: Tools, *, octets: int = 32) -> SigningDraft:
    """The recipientNonce is the request's senderNonce with zero octets behind it.

    Whoever compares sixteen octets and no more takes it.
    """
    nonce = signing.draft.cert_rep.recipient_nonce or b""
    return _set_nonce(signing, attributes.RECIPIENT_NONCE, nonce.ljust(octets, b"\x00"))


@fault(
    seam=Seam.REPLY,
    takes=CertRep,
    clause="RFC 8894 3.2.1.5",
    client_must=ClientMust.REJECT,
    step=Step.POLL,
)
def recipient_nonce_of_the_first_request(cert_rep: CertRep, tools: Tools) -> CertRep:
    """The answer to a poll has the nonce of the first request of the transaction, not of the poll.

    A server that keeps the nonce with the transaction. The first answer is PENDING and correct; the
    certificate has been issued by then.
    """
    if tools.nth == 0:
        tools.memory["nonce"] = cert_rep.recipient_nonce or b""
        return as_pending(cert_rep)
    first = tools.memory["nonce"]
    return cert_rep if cert_rep.recipient_nonce == first else replace(cert_rep, recipient_nonce=first)


# -- senderNonce -------------------------------------------------------------------------


@fault(
    seam=Seam.REPLY,
    takes=SigningDraft,
    clause="RFC 8894 3.2.1",
    client_must=ClientMust.REJECT,
    symptom=_MISSING,
)
def sender_nonce_missing(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The reply has no senderNonce.

    All messages have to have one. certmonger and MikroTik refuse it, strongSwan, scepclient, sscep and jscep
    go on.
    """
    return drop_attributes(signing, attributes.SENDER_NONCE)


@fault(seam=Seam.REPLY, takes=SigningDraft, clause="RFC 8894 3.2.1.5", client_must=ClientMust.MAY)
def sender_nonce_empty(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The senderNonce of the reply has no octets."""
    return _set_nonce(signing, attributes.SENDER_NONCE, b"")


@fault(
    seam=Seam.REPLY,
    takes=SigningDraft,
    clause="RFC 8894 3.2.1.5",
    client_must=ClientMust.MAY,
    limits={"octets": Range(0, 15)},
)
def sender_nonce_short(signing: SigningDraft, tools: Tools, *, octets: int = 8) -> SigningDraft:
    """The senderNonce of the reply has fewer than sixteen octets.

    Every client that was measured takes eight.
    """
    return _set_nonce(signing, attributes.SENDER_NONCE, signing.draft.cert_rep.sender_nonce[:octets])


@fault(
    seam=Seam.REPLY,
    takes=SigningDraft,
    clause="RFC 8894 3.2.1.5",
    client_must=ClientMust.MAY,
    limits={"octets": Range(17, _LONGEST)},
)
def sender_nonce_long(signing: SigningDraft, tools: Tools, *, octets: int = 256) -> SigningDraft:
    """The senderNonce of the reply has far more than sixteen octets.

    A client with a field of sixteen octets for it must not write beyond.
    """
    nonce = signing.draft.cert_rep.sender_nonce
    return _set_nonce(signing, attributes.SENDER_NONCE, (nonce * (_LONGEST // 16))[:octets])


@fault(seam=Seam.REPLY, takes=CertRep, clause="RFC 8894 3.2.1.5", client_must=ClientMust.MAY)
def sender_nonce_never_new(cert_rep: CertRep, tools: Tools) -> CertRep:
    """The senderNonce is the same in every reply.

    It has to be fresh. jscep remembers the nonces that it has seen and refuses the second reply; most do not.
    """
    return replace(cert_rep, sender_nonce=_NEVER_NEW)


@fault(seam=Seam.REPLY, takes=CertRep, clause="RFC 8894 3.2.1.5", client_must=ClientMust.MAY)
def sender_nonce_of_the_client(cert_rep: CertRep, tools: Tools) -> CertRep:
    """The senderNonce of the reply is the client's own, copied like recipientNonce.

    micromdm's server does that in a FAILURE.
    """
    if not cert_rep.recipient_nonce:
        return cert_rep
    return replace(cert_rep, sender_nonce=cert_rep.recipient_nonce)


# -- transactionID -----------------------------------------------------------------------


@fault(seam=Seam.REPLY, takes=CertRep, clause="RFC 8894 3.2.1.1", client_must=ClientMust.REJECT)
def transaction_id_wrong(cert_rep: CertRep, tools: Tools) -> CertRep:
    """The transactionID is not that of the request.

    scepclient 2.1.0 does not look at it.
    """
    other = hashlib.sha256(cert_rep.transaction_id.encode()).hexdigest()[:40].upper()
    return replace(cert_rep, transaction_id=other)


@fault(
    seam=Seam.REPLY,
    takes=SigningDraft,
    clause="RFC 8894 3.2.1.1",
    client_must=ClientMust.REJECT,
    symptom=_MISSING,
)
def transaction_id_missing(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The reply has no transactionID."""
    return drop_attributes(signing, attributes.TRANSACTION_ID)


@fault(seam=Seam.REPLY, takes=SigningDraft, clause="RFC 8894 3.2.1.1", client_must=ClientMust.REJECT)
def transaction_id_empty(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The transactionID is a string without characters."""
    return set_text(signing, attributes.TRANSACTION_ID, "")


@fault(seam=Seam.REPLY, takes=CertRep, clause="RFC 8894 3.2.1.1", client_must=ClientMust.REJECT)
def transaction_id_in_other_case(cert_rep: CertRep, tools: Tools) -> CertRep:
    """The letters of the transactionID have changed case.

    A server that takes it for a hexadecimal number and writes it in its own way. It is a string, to be
    copied octet for octet. One without letters stays as it is.
    """
    changed = cert_rep.transaction_id.swapcase()
    return cert_rep if changed == cert_rep.transaction_id else replace(cert_rep, transaction_id=changed)


@fault(seam=Seam.REPLY, takes=SigningDraft, clause="RFC 8894 3.2.1.1", client_must=ClientMust.REJECT)
def transaction_id_with_space(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The transactionID has a space behind it.

    A server that keeps it in a column of fixed width.
    """
    return set_text(signing, attributes.TRANSACTION_ID, signing.draft.cert_rep.transaction_id + " ")


@fault(
    seam=Seam.REPLY,
    takes=SigningDraft,
    clause="RFC 8894 3.2.1.1",
    client_must=ClientMust.REJECT,
    limits={"characters": Range(1, _LONGEST)},
)
def transaction_id_cut_off(signing: SigningDraft, tools: Tools, *, characters: int = 16) -> SigningDraft:
    """The transactionID is only the beginning of the request's.

    A server whose field for it is too small. One that is short enough stays as it is.
    """
    whole = signing.draft.cert_rep.transaction_id
    kept = whole[:characters]
    return signing if kept == whole else set_text(signing, attributes.TRANSACTION_ID, kept)


# -- messageType -------------------------------------------------------------------------


@fault(seam=Seam.REPLY, takes=SigningDraft, clause="RFC 8894 3.2.1.2", client_must=ClientMust.REJECT)
def message_type_of_the_request(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The messageType of the reply is that of the request, not CertRep.

    scepclient 2.1.0 falls over it; strongSwan 5.9.8 never looks at messageType.
    """
    asked = _MESSAGE_TYPES.get(tools.circumstances.message_type or "", MessageType.PKCS_REQ.value)
    return set_text(signing, attributes.MESSAGE_TYPE, str(asked))


@fault(
    seam=Seam.REPLY,
    takes=SigningDraft,
    clause="RFC 8894 3.2.1.2",
    client_must=ClientMust.REJECT,
    limits={"value": Range(0, 999_999)},
)
def message_type_unknown(signing: SigningDraft, tools: Tools, *, value: int = 99) -> SigningDraft:
    """The messageType of the reply is a number that does not exist."""
    return set_text(signing, attributes.MESSAGE_TYPE, str(value))


@fault(
    seam=Seam.REPLY,
    takes=SigningDraft,
    clause="RFC 8894 3.2.1.2",
    client_must=ClientMust.REJECT,
    symptom=_MISSING,
)
def message_type_missing(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The reply has no messageType."""
    return drop_attributes(signing, attributes.MESSAGE_TYPE)


def _set_nonce(signing: SigningDraft, oid: str, nonce: bytes) -> SigningDraft:
    changed = set_attribute(signing, oid, der.octet_string(nonce))
    return signing if changed.parts == signing.parts else changed
