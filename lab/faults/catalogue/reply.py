"""Faults of what a CertRep says of its request: status, failInfo, and whose reply it is."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ca import der
from lab.faults.forging import (
    add_attribute,
    drop_attributes,
    is_success,
    set_attribute,
    set_content,
    set_text,
)
from lab.faults.registry import ClientMust, Range, Seam, fault
from lab.faults.strangers import recipient_certificate
from lab.faults.values import OpenedRequest, ReplyDraft, SigningDraft
from scep_server.protocol import attributes, errors
from scep_server.protocol.messages import FailInfo, KeyTransportRecipient, PkiStatus

if TYPE_CHECKING:
    from lab.faults.tools import Tools

_NUMBERS: Final = Range(0, 999_999)
_BECAUSE: Final = "a fault has it refused"
_LONG: Final = "The request was denied. " * 200
_UTF_8: Final = "Anfrage abgelehnt: Prüfsumme falsch. 請求被拒絕 🔒 \u202egnol\u202c"


# -- failInfo ----------------------------------------------------------------------------


def _refused(request: OpenedRequest, error: errors.MessageError, text: str) -> OpenedRequest:
    """Return the request with a refusal; see `fail_info_bad_alg` for ``text``."""

    def finish(signing: SigningDraft) -> SigningDraft:
        signing = set_text(signing, attributes.FAIL_INFO, str(error.fail_info.value))
        return _with_text(signing, text)

    return replace(request, refusal=error, finish=finish)


def _with_text(signing: SigningDraft, text: str) -> SigningDraft:
    if not text:
        return signing
    if text == "none":
        return drop_attributes(signing, attributes.FAIL_INFO_TEXT)
    words = {"long": _LONG, "utf-8": _UTF_8}.get(text, text)
    octets = words.encode(errors="replace")
    return set_attribute(signing, attributes.FAIL_INFO_TEXT, der.tlv(der.UTF8_STRING, octets))


@fault(
    seam=Seam.REPLY,
    takes=OpenedRequest,
    clause="RFC 8894 3.2.1.4",
    client_must=ClientMust.REJECT,
)
def fail_info_bad_alg(request: OpenedRequest, tools: Tools, *, text: str = "") -> OpenedRequest:
    """The request is refused with failInfo badAlg (0).

    Nothing is issued and no challenge is spent. A client stops, and asks again with other algorithms or
    not at all. ``text`` is failInfoText: ``none`` leaves it out, ``long`` has 4,800 characters, ``utf-8``
    several scripts; anything else is sent as it is.
    """
    return _refused(request, errors.BadAlgorithm(_BECAUSE), text)


@fault(
    seam=Seam.REPLY,
    takes=OpenedRequest,
    clause="RFC 8894 3.2.1.4",
    client_must=ClientMust.REJECT,
)
def fail_info_bad_message_check(request: OpenedRequest, tools: Tools, *, text: str = "") -> OpenedRequest:
    """The request is refused with failInfo badMessageCheck (1).

    NDES says so of a challenge password that it does not know. Nothing is issued and no challenge is
    spent. ``text`` is failInfoText: ``none``, ``long``, ``utf-8``, or what is to be sent.
    """
    return _refused(request, errors.BadMessageCheck(_BECAUSE), text)


@fault(
    seam=Seam.REPLY,
    takes=OpenedRequest,
    clause="RFC 8894 3.2.1.4",
    client_must=ClientMust.REJECT,
    symptom="Event 87 of CertificateServicesClient-CertEnroll: PkiStatus(2): SCEPDispositionFailure, "
    "FailInfo(2): SCEPFailBadRequest, EnrollStatus(256): EnrollDenied (windows-client.md section 1.2)",
)
def fail_info_bad_request(request: OpenedRequest, tools: Tools, *, text: str = "") -> OpenedRequest:
    """The request is refused with failInfo badRequest (2).

    NDES says so of what the CA denies. Nothing is issued and no challenge is spent. ``text`` is
    failInfoText: ``none``, ``long``, ``utf-8``, or what is to be sent.
    """
    return _refused(request, errors.BadRequest(_BECAUSE), text)


@fault(
    seam=Seam.REPLY,
    takes=OpenedRequest,
    clause="RFC 8894 3.2.1.4",
    client_must=ClientMust.REJECT,
)
def fail_info_bad_time(request: OpenedRequest, tools: Tools, *, text: str = "") -> OpenedRequest:
    """The request is refused with failInfo badTime (3).

    Servers that compare signingTime with their clock say so to devices without one. Nothing is issued and
    no challenge is spent. ``text`` is failInfoText: ``none``, ``long``, ``utf-8``, or what is to be sent.
    """
    return _refused(request, errors.BadTime(_BECAUSE), text)


@fault(
    seam=Seam.REPLY,
    takes=OpenedRequest,
    clause="RFC 8894 3.2.1.4",
    client_must=ClientMust.REJECT,
)
def fail_info_bad_cert_id(request: OpenedRequest, tools: Tools, *, text: str = "") -> OpenedRequest:
    """The request is refused with failInfo badCertId (4).

    Means a certificate or transaction that the server does not know, so it is odd as an answer to an
    enrolment. Nothing is issued and no challenge is spent. ``text`` is failInfoText: ``none``, ``long``,
    ``utf-8``, or what is to be sent.
    """
    return _refused(request, errors.BadCertId(_BECAUSE), text)


@fault(
    seam=Seam.REPLY,
    takes=OpenedRequest,
    clause="RFC 8894 3.2.1.4",
    client_must=ClientMust.REJECT,
    limits={"value": _NUMBERS},
)
def fail_info_unknown(request: OpenedRequest, tools: Tools, *, value: int = 9) -> OpenedRequest:
    """The request is refused with a failInfo that does not exist.

    Dogtag has values above 4. It is a FAILURE all the same: a client stops, and does not fall over a number
    that is not in its table, as scepclient 2.1.0 does. Nothing is issued and no challenge is spent.
    """
    return replace(
        request,
        refusal=errors.BadRequest(_BECAUSE),
        finish=lambda signing: set_text(signing, attributes.FAIL_INFO, str(value)),
    )


@fault(
    seam=Seam.REPLY,
    takes=OpenedRequest,
    clause="RFC 8894 3.2.1.4",
    client_must=ClientMust.REJECT,
)
def fail_info_missing(request: OpenedRequest, tools: Tools) -> OpenedRequest:
    """The request is refused by a FAILURE without failInfo.

    Nothing is issued and no challenge is spent. A client that reads the attribute without looking falls over.
    """
    return replace(
        request,
        refusal=errors.BadRequest(_BECAUSE),
        finish=lambda signing: drop_attributes(signing, attributes.FAIL_INFO, attributes.FAIL_INFO_TEXT),
    )


# -- pkiStatus ---------------------------------------------------------------------------


@fault(
    seam=Seam.REPLY,
    takes=SigningDraft,
    clause="RFC 8894 3.2.1.3",
    client_must=ClientMust.REJECT,
    limits={"value": _NUMBERS},
)
def pki_status_unknown(signing: SigningDraft, tools: Tools, *, value: int = 7) -> SigningDraft:
    """The pkiStatus is a number that does not exist.

    There are 0 SUCCESS, 2 FAILURE and 3 PENDING. A client must not take what it does not know for success.
    """
    return set_text(signing, attributes.PKI_STATUS, str(value))


@fault(
    seam=Seam.REPLY,
    takes=SigningDraft,
    clause="RFC 8894 3.2.1.3",
    client_must=ClientMust.REJECT,
    symptom="CRYPT_E_AUTH_ATTR_MISSING 0x80091006; every HTTP status is 200, nothing is installed "
    "(windows-client.md section 1.3)",
)
def pki_status_missing(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The reply has no pkiStatus.

    Everything else is there, the envelope with the certificate too: a client that looks at the envelope
    alone takes it for a success.
    """
    return drop_attributes(signing, attributes.PKI_STATUS)


@fault(
    seam=Seam.REPLY,
    takes=SigningDraft,
    clause="RFC 5652 5.3",
    client_must=ClientMust.REJECT,
)
def pki_status_twice(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The pkiStatus is there twice, as SUCCESS and as PENDING.

    Which of two attributes counts is the reader's choice; strongSwan and scepclient take the first.
    """
    other = "3" if is_success(signing) else "0"
    return add_attribute(signing, attributes.PKI_STATUS, der.printable_string(other))


@fault(
    seam=Seam.REPLY,
    takes=SigningDraft,
    clause="RFC 5652 5.3",
    client_must=ClientMust.REJECT,
)
def pki_status_with_two_values(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The pkiStatus attribute has two values, SUCCESS and PENDING.

    The values of an attribute are a SET; SCEP's attributes have one each.
    """
    return set_attribute(signing, attributes.PKI_STATUS, der.printable_string("0"), der.printable_string("3"))


@fault(
    seam=Seam.REPLY,
    takes=SigningDraft,
    clause="RFC 5652 5.3",
    client_must=ClientMust.REJECT,
)
def pki_status_without_value(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The pkiStatus attribute is there, and its set of values is empty.

    A client that takes the first value without looking whether there is one falls over.
    """
    return set_attribute(signing, attributes.PKI_STATUS)


@fault(
    seam=Seam.REPLY,
    takes=SigningDraft,
    clause="RFC 8894 3.2.1.4",
    client_must=ClientMust.MAY,
    limits={"value": _NUMBERS},
)
def success_with_fail_info(signing: SigningDraft, tools: Tools, *, value: int = 2) -> SigningDraft:
    """A SUCCESS has a failInfo as well.

    failInfo belongs to FAILURE alone. A client that looks there before pkiStatus takes it for a refusal.
    """
    if not is_success(signing):
        return signing
    return set_text(signing, attributes.FAIL_INFO, str(value))


@fault(
    seam=Seam.REPLY,
    takes=SigningDraft,
    clause="RFC 8894 3.3.2.1",
    client_must=ClientMust.REJECT,
)
def success_without_envelope(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """A SUCCESS has no pkcsPKIEnvelope.

    The content is empty, as in a FAILURE; there is no certificate to be had.
    """
    return set_content(signing, b"") if is_success(signing) else signing


@fault(
    seam=Seam.REPLY,
    takes=SigningDraft,
    clause="RFC 8894 3.3.2.2",
    client_must=ClientMust.REJECT,
)
def failure_with_envelope(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """A FAILURE has the pkcsPKIEnvelope with the certificate in it.

    pkiStatus decides. The certificate has been issued and is thrown away.
    """
    if not is_success(signing):
        return signing
    failed = set_text(signing, attributes.PKI_STATUS, str(PkiStatus.FAILURE.value))
    return set_text(failed, attributes.FAIL_INFO, str(FailInfo.BAD_REQUEST.value))


# -- another's reply ---------------------------------------------------------------------


@fault(
    seam=Seam.REPLY,
    takes=ReplyDraft,
    clause="RFC 8894 3.2.1.1, 3.2.1.5",
    client_must=ClientMust.REJECT,
)
def stale_reply(
    draft: ReplyDraft, tools: Tools, *, minutes: int = 10, same_client: bool = False
) -> ReplyDraft:
    """The reply is an older one, to the request of another transaction.

    What a cache between client and server, or a server that mixes up its threads, delivers: validly signed,
    with transactionID, nonces and signingTime of the other, enveloped to the other's key; with
    ``same_client`` to the client's own, as of an earlier enrolment of its own.
    """
    was = draft.cert_rep
    recipient = was.recipient
    if isinstance(recipient, KeyTransportRecipient) and not same_client:
        recipient = replace(recipient, certificate=recipient_certificate())
    digest = hashlib.sha256(was.transaction_id.encode())
    return replace(
        draft,
        cert_rep=replace(
            was,
            transaction_id=digest.hexdigest()[:40].upper(),
            recipient_nonce=digest.digest()[:16],
            recipient=recipient,
            signing_time=was.signing_time and was.signing_time - timedelta(minutes=minutes),
        ),
    )


@fault(
    seam=Seam.REPLY,
    takes=SigningDraft,
    clause="RFC 5652 11.3",
    client_must=ClientMust.SUCCEED,
)
def signing_time_missing(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The reply has no signingTime.

    The attribute is optional, and NDES never sends it. A client goes on.
    """
    return drop_attributes(signing, attributes.SIGNING_TIME)


@fault(
    seam=Seam.REPLY,
    takes=SigningDraft,
    clause="RFC 5652 11.3",
    client_must=ClientMust.MAY,
    limits={"days": Range(-20_000, 20_000)},
)
def signing_time_off(signing: SigningDraft, tools: Tools, *, days: int = 400) -> SigningDraft:
    """The signingTime of the reply is far from now.

    A server whose clock is wrong, or a reply that was kept back. ``days`` may be negative. Nothing
    says that a client must look at it; jscep checks the validity of the signer's certificate by it.
    """
    moment = tools.lab.clock.now() + timedelta(days=days)
    return set_attribute(signing, attributes.SIGNING_TIME, der.time(moment))


@fault(
    seam=Seam.REPLY,
    takes=SigningDraft,
    clause="RFC 5652 5.3",
    client_must=ClientMust.SUCCEED,
)
def unknown_attribute(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The reply has a signed attribute that nobody knows.

    NDES adds attributes of Microsoft's own, others add theirs: a client passes over what it does not know.
    """
    value = der.utf8_string("nobody knows this attribute")
    return add_attribute(signing, "1.3.6.1.4.1.99999.8894.1", value)
