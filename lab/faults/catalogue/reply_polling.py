"""Faults of waiting: PENDING, and what comes after it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from lab.faults.forging import drop_attributes, is_success, set_text
from lab.faults.registry import ClientMust, Range, Seam, Step, fault
from lab.faults.values import OpenedRequest, SigningDraft
from scep_server.protocol import attributes, errors
from scep_server.protocol.messages import CertRep, MessageType, PkiStatus

if TYPE_CHECKING:
    from lab.faults.tools import Tools

# RFC 8894 4.5, 4.6: GetCert and GetCRL are never answered PENDING.
_ENROLLING: Final = frozenset({MessageType.PKCS_REQ, MessageType.RENEWAL_REQ, MessageType.CERT_POLL})
_OF_MICROSOFT: Final = ("1.3.6.1.4.1.311.21.33", "1.3.6.1.4.1.311.21.38")


def as_pending(cert_rep: CertRep) -> CertRep:
    """Return a SUCCESS as PENDING; anything else as it is."""
    if cert_rep.pki_status is not PkiStatus.SUCCESS:
        return cert_rep
    return replace(
        cert_rep,
        pki_status=PkiStatus.PENDING,
        certificates=(),
        crls=(),
        recipient=None,
        cipher=None,
        extra_attributes=(),
    )


def _enrols(request: OpenedRequest) -> bool:
    return request.message.message.message_type in _ENROLLING


def _held(request: OpenedRequest) -> OpenedRequest:
    """Return the request, to be answered PENDING with nothing done."""

    def finish(signing: SigningDraft) -> SigningDraft:
        bare = drop_attributes(signing, attributes.FAIL_INFO, attributes.FAIL_INFO_TEXT, *_OF_MICROSOFT)
        return set_text(bare, attributes.PKI_STATUS, str(PkiStatus.PENDING.value))

    return replace(request, refusal=errors.BadRequest("a fault holds it back"), finish=finish)


@fault(
    seam=Seam.REPLY,
    takes=CertRep,
    clause="RFC 8894 3.3.2.3, 4.4",
    client_must=ClientMust.SUCCEED,
    step=Step.POLL,
    limits={"polls": Range(1, 10_000)},
)
def pending_then_success(cert_rep: CertRep, tools: Tools, *, polls: int = 2) -> CertRep:
    """The request is PENDING until the client has polled ``polls`` times, and then granted.

    An approval that takes a while. The certificate has been issued with the first request and is held back.
    A client polls with the same transactionID, or sends the request again.
    """
    return as_pending(cert_rep) if tools.nth < polls else cert_rep


@fault(
    seam=Seam.REPLY,
    takes=OpenedRequest,
    clause="RFC 8894 3.3.2.2, 4.4",
    client_must=ClientMust.REJECT,
    step=Step.POLL,
    limits={"polls": Range(1, 10_000)},
)
def pending_then_failure(request: OpenedRequest, tools: Tools, *, polls: int = 2) -> OpenedRequest:
    """The request is PENDING until the client has polled ``polls`` times, and then refused: badRequest.

    An administrator who denies it. Nothing is issued and no challenge is spent.
    """
    if not _enrols(request):
        return request
    if tools.nth < polls:
        return _held(request)
    return replace(request, refusal=errors.BadRequest("a fault has it refused"))


@fault(
    seam=Seam.REPLY,
    takes=OpenedRequest,
    clause="RFC 8894 4.4",
    client_must=ClientMust.REJECT,
    step=Step.POLL,
    limits={"polls": Range(1, 10_000)},
)
def pending_then_unknown(request: OpenedRequest, tools: Tools, *, polls: int = 1) -> OpenedRequest:
    """The request is PENDING, and after ``polls`` polls the server knows nothing of it: badCertId.

    A server that has lost its database, or another behind the same balancer. A client begins anew, with
    a new transaction. Nothing is issued; whoever sends the request itself again is served.
    """
    return _held(request) if _enrols(request) and tools.nth < polls else request


@fault(
    seam=Seam.REPLY,
    takes=OpenedRequest,
    clause="RFC 8894 3.3.2.3, 4.4",
    client_must=ClientMust.MAY,
    step=Step.POLL,
)
def pending_for_ever(request: OpenedRequest, tools: Tools) -> OpenedRequest:
    """The request is PENDING, however often the client polls.

    Nobody approves it, and nothing is issued. How long a client waits is its own affair: it should give up
    some time, and not poll without a pause.
    """
    return _held(request) if _enrols(request) else request


@fault(
    seam=Seam.REPLY,
    takes=SigningDraft,
    clause="RFC 8894 3.3.2.3",
    client_must=ClientMust.MAY,
    limits={"polls": Range(1, 10_000)},
)
def pending_with_envelope(signing: SigningDraft, tools: Tools, *, polls: int = 1) -> SigningDraft:
    """A PENDING has a pkcsPKIEnvelope with the certificate in it, until the client has polled.

    pkiStatus decides: a client polls, or refuses the reply; it must not install the certificate. After
    ``polls`` polls comes the SUCCESS.
    """
    if not is_success(signing) or tools.nth >= polls:
        return signing
    return set_text(signing, attributes.PKI_STATUS, str(PkiStatus.PENDING.value))
