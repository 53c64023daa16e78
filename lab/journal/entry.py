"""What is kept of one exchange: values only, nothing of the objects it was made with.

An entry read back from a file is equal to the one that was written but for `opened`, whose secrets are
blanked, and whatever else `lab.journal.secrets` blanks.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from lab.recorded import AppliedFault
from scep_server.checks import Check, Verdict
from scep_server.decisions import Grant
from scep_server.protocol.messages import IssuerAndSubject
from scep_server.transport import BadQuery, decode_base64, decode_message, read_query

from .secrets import blanked_answer, blanked_octets, blanked_request, without_credentials

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from lab.recorded import (
        Headers,
        ListenerName,
        RecordedAnswer,
        RecordedExchange,
        RecordedRequest,
    )
    from scep_server.exchange import Exchange

_OVERHEAD: Final = 3000  # octets that an entry costs besides what it holds, roughly
_LONG_PATH: Final = 80
_PEM_LINE: Final = b"-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryVerdict:
    """How an exchange ended.

    ``accepted``: it was not refused; that includes PENDING. ``refused_by`` is the stable id of the check or
    error that refused it. ``status`` is HTTP's as sent; ``pki_status`` and ``fail_info`` are the CertRep's,
    in the RFC's words; ``detail`` says why, for people.
    """

    accepted: bool
    status: int
    refused_by: str | None = None
    detail: str = ""
    pki_status: str | None = None
    fail_info: str | None = None

    @property
    def word(self) -> str:
        """Return it in a word or two: ``SUCCESS``, ``FAILURE badRequest``, ``HTTP 404``."""
        if self.pki_status is None:
            return f"HTTP {self.status}"
        return f"{self.pki_status} {self.fail_info}" if self.fail_info else self.pki_status


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCertificate:
    """The certificate that came of it; ``serial_number`` in lower-case hex."""

    id: int
    subject: str
    serial_number: str
    der: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One exchange; ``number`` counts from 1.

    ``request`` and ``answer`` are as in `RecordedExchange`, without credentials; where a body was longer
    than the journal keeps, ``request_octets`` and ``answer_octets`` say how long it was. ``opened`` is the
    content of the request's envelope as the server saw it, ``subject`` the one asked for. ``blanked``: the
    secrets in it have been overwritten. ``timings`` are (stage, seconds), ``seconds`` is all of it.
    """

    number: int
    received_at: datetime
    listener: ListenerName
    request: RecordedRequest
    answer: RecordedAnswer
    request_octets: int
    answer_octets: int
    verdict: EntryVerdict
    clock_offset: timedelta = timedelta(0)
    endpoint: str | None = None
    operation: str | None = None
    message_type: str | None = None
    transaction_id: str | None = None
    subject: str | None = None
    checks: tuple[Check, ...] = ()
    faults: tuple[AppliedFault, ...] = ()
    certificate: IssuedCertificate | None = None
    timings: tuple[tuple[str, float], ...] = ()
    seconds: float = 0.0
    opened: bytes | None = field(default=None, repr=False)
    blanked: bool = False

    @property
    def what(self) -> str:
        """Return what was asked: the SCEP operation and message, or method and path."""
        if self.operation is None:
            path = self.request.target.partition("?")[0]
            return f"{self.request.method} {path if len(path) <= _LONG_PATH else path[:_LONG_PATH] + '...'}"
        return f"{self.operation} {self.message_type}" if self.message_type else self.operation

    @property
    def octets(self) -> int:
        """Return roughly how much memory this takes."""
        octets = (self.request.body, self.answer.body, self.opened or b"", self.request.target)
        certificate = len(self.certificate.der) if self.certificate else 0
        headers = sum(len(n) + len(v) for n, v in (*self.request.headers, *self.answer.headers))
        words = sum(len(c.found) + len(c.expected) + 100 for c in self.checks) + len(self.verdict.detail)
        return _OVERHEAD + sum(map(len, octets)) + certificate + headers + words

    @property
    def message(self) -> bytes | None:
        """Return the pkiMessage of the request as octets, whatever it was wrapped in; None: there is none."""
        return request_message(self.request)

    def failed(self, name: str) -> Check | None:
        """Return the check of that name if it failed."""
        return next((c for c in self.checks if c.name == name and c.verdict is Verdict.FAILED), None)

    def without_secrets(self) -> JournalEntry:
        """Return the same entry, secrets blanked."""
        if self.blanked:
            return self
        return replace(
            self,
            request=blanked_request(self.request),
            answer=blanked_answer(self.request, self.answer),
            opened=None if self.opened is None else blanked_octets(self.opened),
            blanked=True,
        )


def entry_of(number: int, recorded: RecordedExchange, *, body_octets: int) -> JournalEntry:
    """Return what is kept of an exchange; bodies are cut at ``body_octets``."""
    exchange, request, answer = recorded.exchange, recorded.request, recorded.answer
    entry = JournalEntry(
        number=number,
        received_at=recorded.received_at,
        listener=recorded.listener,
        request=replace(
            request,
            method=printable(request.method),
            target=printable(request.target),
            protocol=printable(request.protocol),
            headers=_headers(request.headers),
            body=request.body[:body_octets],
            client_address=printable(request.client_address),
            client_port=printable(request.client_port),
        ),
        answer=replace(
            answer,
            reason=printable(answer.reason),
            headers=_headers(answer.headers),
            body=answer.body[:body_octets],
            delivery=printable(answer.delivery),
        ),
        request_octets=len(request.body),
        answer_octets=len(answer.body),
        verdict=_verdict(recorded),
        clock_offset=recorded.clock_offset,
        faults=tuple(
            replace(fault, fault_id=printable(fault.fault_id), parameters=_plain(fault.parameters))
            for fault in recorded.faults
        ),
        seconds=recorded.seconds,
    )
    if exchange is not None:
        return _with_scep(entry, exchange)
    return (
        replace(entry, operation=_operation(entry.request.target)) if recorded.listener == "scep" else entry
    )


def _verdict(recorded: RecordedExchange) -> EntryVerdict:
    exchange, status = recorded.exchange, recorded.answer.status
    if recorded.refusal is not None:
        refused_by, detail = recorded.refusal
        return EntryVerdict(accepted=False, status=status, refused_by=refused_by, detail=printable(detail))
    if exchange is None:
        return EntryVerdict(accepted=status < 400, status=status)
    cert_rep = exchange.cert_rep
    return EntryVerdict(
        accepted=exchange.refused_by is None and status < 400,
        status=status,
        refused_by=exchange.refused_by,
        detail=printable(exchange.detail),
        pki_status=None if cert_rep is None else cert_rep.pki_status.rfc_name,
        fail_info=None if cert_rep is None or cert_rep.fail_info is None else cert_rep.fail_info.rfc_name,
    )


def _operation(target: str) -> str | None:
    """Return what was asked of a SCEP server that was not reached."""
    try:
        return read_query(target.partition("?")[2]).operation.value
    except BadQuery:
        return None


def _with_scep(entry: JournalEntry, exchange: Exchange) -> JournalEntry:
    """Return the entry with what only a SCEP service knows."""
    message = exchange.message
    unread = exchange.unverified.message_type if exchange.unverified else None
    message_type = unread if message is None else message.message_type.rfc_name
    return replace(
        entry,
        endpoint=exchange.endpoint,
        operation=exchange.operation.value if exchange.operation else None,
        message_type=None if message_type is None else printable(message_type),
        transaction_id=None if exchange.transaction_id is None else printable(exchange.transaction_id),
        subject=_subject(exchange),
        checks=tuple(
            replace(check, found=printable(check.found), expected=printable(check.expected))
            for check in exchange.checks
        ),
        certificate=_certificate(exchange),
        timings=exchange.timings,
        opened=exchange.opened.content if exchange.opened else None,
    )


def _subject(exchange: Exchange) -> str | None:
    if exchange.csr is not None:
        return printable(exchange.csr.subject)
    if isinstance(exchange.content, IssuerAndSubject):
        return _name(exchange.content.subject_der)
    return None


def _name(der: bytes) -> str | None:
    from asn1crypto import x509

    from lab.trust.certificates import name_text

    try:
        return printable(name_text(x509.Name.load(der)))
    except (ValueError, TypeError, KeyError):
        return None


def _certificate(exchange: Exchange) -> IssuedCertificate | None:
    answer = exchange.answer
    if not isinstance(answer, Grant) or answer.certificate is None:
        return None
    record = answer.certificate
    return IssuedCertificate(
        id=record.id,
        subject=printable(record.subject),
        serial_number=f"{record.serial_number:x}",
        der=record.der,
    )


def _headers(headers: Headers) -> Headers:
    return without_credentials(tuple((printable(name), printable(value)) for name, value in headers))


def _plain(parameters: Mapping[str, object]) -> dict[str, object]:
    """Return a fault's parameters as values that JSON has."""
    return {
        printable(name): value if value is None or isinstance(value, bool | int) else printable(str(value))
        for name, value in parameters.items()
    }


def printable(text: str) -> str:
    """Return text that UTF-8 can hold: half characters are escaped."""
    return text.encode("utf-8", "backslashreplace").decode() if not text.isascii() else text


# -- messages --------------------------------------------------------------------------


def request_message(request: RecordedRequest) -> bytes | None:
    """Return the octets of the SCEP message in a request; None where it has none that can be read."""
    query = request.target.partition("?")[2]
    if request.method == "POST" and request.body:
        if request.body[:1] == b"\x30" or "operation=" not in query:
            return request.body
        try:
            lines = [line for line in request.body.splitlines() if not line.startswith(_PEM_LINE)]
            return decode_base64(b"".join(lines))
        except BadQuery:
            return request.body
    try:
        return decode_message(read_query(query).message)
    except BadQuery:
        return None
