"""A trace of each request from HTTP to the CA and back, in the format that CMTrace reads.

Microsoft's connector and policy module write ``NdesSvc.log`` and ``NDESPlugin.log`` so. The sentences
about VerifyRequest are theirs; every other sentence is ours, and its line says ``context="synthetic"``,
so that nobody looks for it in a log of Windows. Nothing secret is in a trace: of challenges only the
verdict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from scep_server.checks import Verdict
from scep_server.decisions import DeliverCrl, Grant, Pend, Refuse
from scep_server.outcomes import Refusal

from .hresults import as_hexadecimal, as_signed
from .recent import LineFile, Numbered, Recent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from scep_server.exchange import Exchange

FILE_NAME: Final = "NdesSvc.log"
_INFORMATION, _WARNING, _ERROR = 1, 2, 3
_KNOWN: Final = frozenset(
    {
        "Calling VerifyRequest ...",
        "Verify challenge returns true",
        "Verify challenge returns false",
    }
)
_EXITING: Final = "Exiting VerifyRequest with 0x"
_CHALLENGE: Final = "challenge"


class TraceLine(NamedTuple):
    """One line. ``synthetic`` means that its sentence is not Microsoft's. ``exchange`` numbers requests.

    A tuple, because twenty of them are made for each request: a frozen dataclass costs four times that.
    """

    exchange: int
    at: datetime
    text: str
    severity: int = _INFORMATION

    @property
    def synthetic(self) -> bool:
        """Whether the sentence is ours."""
        return self.text not in _KNOWN and not self.text.startswith(_EXITING)

    def as_text(self) -> str:
        """Return the line as CMTrace reads it."""
        return (
            f"<![LOG[{_printable(self.text)}]LOG]!>"
            f'<time="{self.at:%H:%M:%S}.{self.at.microsecond // 1000:03d}+0" date="{self.at:%m-%d-%Y}" '
            f'component="NDES" context="{"synthetic" if self.synthetic else ""}" type="{self.severity}" '
            f'thread="{self.exchange}" file="">'
        )

    def as_json(self) -> dict[str, object]:
        """Return the line as JSON-ready values."""
        return {
            "exchange": self.exchange,
            "time": self.at.isoformat(),
            "severity": {_INFORMATION: "information", _WARNING: "warning"}.get(self.severity, "error"),
            "message": self.text,
            "synthetic": self.synthetic,
        }


class TraceLog:
    """The traces of the latest requests; an `ExchangeObserver`. Safe to use from several threads.

    ``capacity`` counts lines; ``file`` is appended to where one is given.
    """

    def __init__(self, *, file: Path | None = None, capacity: int = 5000) -> None:
        self._recent: Recent[TraceLine] = Recent(capacity)
        self._file = None if file is None else LineFile(file)

    def observe(self, exchange: Exchange) -> None:
        """Write the trace of an exchange."""
        lines = trace(exchange)
        self._recent.add(*lines)
        if self._file is not None:
            for line in lines:
                self._file.append(line.as_text())

    def lines(self, after: int = 0, *, limit: int | None = None) -> tuple[Numbered[TraceLine], ...]:
        """Return the lines that are remembered and came after number ``after``."""
        return self._recent.after(after, limit=limit)


def trace(exchange: Exchange) -> tuple[TraceLine, ...]:
    """Return the lines of one exchange, in the order in which things happened."""
    return tuple(
        TraceLine(exchange.number, exchange.received_at, text, severity) for text, severity in _tell(exchange)
    )


def _tell(exchange: Exchange) -> Iterator[tuple[str, int]]:
    request = exchange.request
    operation = exchange.operation.value if exchange.operation else "no operation"
    yield (
        f"HTTP request {request.method} {request.path} ({operation}) from {request.remote_address or '-'}, "
        f"{len(request.body)} octets of body, User-Agent {request.user_agent or '-'}",
        _INFORMATION,
    )
    yield from _tell_message(exchange)
    yield from _tell_checks(exchange)
    yield from _tell_ca(exchange)
    yield from _tell_reply(exchange)


def _tell_message(exchange: Exchange) -> Iterator[tuple[str, int]]:
    if exchange.unverified is not None:
        yield (
            f"PKCS7 message of {len(exchange.octets or b'')} octets, transactionID "
            f"{exchange.unverified.transaction_id}",
            _INFORMATION,
        )
    if exchange.message is not None:
        message = exchange.message
        yield (
            f"messageType {message.message_type.value} ({message.message_type.rfc_name}), digest "
            f"{message.digest.hash_name}, signature verifies",
            _INFORMATION,
        )
    if exchange.opened is not None:
        yield f"envelope decrypted, cipher {exchange.opened.cipher.name}", _INFORMATION
    if exchange.csr is not None:
        yield f"PKCS10 request for subject {exchange.csr.subject or '(empty)'}", _INFORMATION


def _tell_checks(exchange: Exchange) -> Iterator[tuple[str, int]]:
    for check in exchange.checks:
        if check.name == _CHALLENGE and check.verdict in (Verdict.PASSED, Verdict.FAILED):
            good = check.verdict is Verdict.PASSED
            hresult = 0 if good or exchange.outcome is None else exchange.outcome.hresult
            yield "Calling VerifyRequest ...", _INFORMATION
            yield f"Verify challenge returns {str(good).lower()}", _INFORMATION if good else _ERROR
            yield f"{_EXITING}{hresult:x}", _INFORMATION if good else _ERROR
            continue
        expected = f", expected {check.expected}" if check.expected else ""
        severity = {Verdict.FAILED: _ERROR, Verdict.WARNED: _WARNING}.get(check.verdict, _INFORMATION)
        yield f"check {check.name} {check.verdict.value}: {check.found}{expected} ({check.clause})", severity


def _tell_ca(exchange: Exchange) -> Iterator[tuple[str, int]]:
    answer = exchange.answer
    if isinstance(answer, Refuse):
        if not isinstance(answer.cause, Refusal) and answer.template and exchange.outcome is not None:
            yield f"request submitted to the CA under template {answer.template}", _INFORMATION
            code = as_hexadecimal(exchange.outcome.hresult)
            yield f"the CA denied it: {code} {exchange.outcome.text}", _ERROR
        return
    if isinstance(answer, DeliverCrl):
        yield f"the CA's CRL number {answer.crl.number} is delivered", _INFORMATION
    elif isinstance(answer, (Grant, Pend)) and answer.plan is not None:
        template = answer.plan.prepared.template
        yield f"request submitted to the CA under template {template}", _INFORMATION
    if isinstance(answer, Grant) and answer.certificate is not None:
        record = answer.certificate
        yield f"the CA issued certificate {record.id}, serial number {record.serial_number:x}", _INFORMATION
    elif isinstance(answer, Pend):
        yield f"the CA took the request under submission, request id {answer.request_id}", _INFORMATION


def _tell_reply(exchange: Exchange) -> Iterator[tuple[str, int]]:
    outcome, reply = exchange.outcome, exchange.reply
    failed = exchange.refused_by is not None
    if failed and exchange.detail:
        yield f"refused ({exchange.refused_by}): {exchange.detail}", _ERROR
    if outcome is not None and outcome.event_id is not None:
        yield f"event {outcome.event_id} written to the Application log", _ERROR
    if exchange.cert_rep is not None:
        fail_info = exchange.cert_rep.fail_info
        more = ""
        if fail_info is not None and outcome is not None:
            more = (
                f", failInfo {fail_info.value} ({fail_info.rfc_name}), HRESULT {as_signed(outcome.hresult)}"
            )
        status = exchange.cert_rep.pki_status
        yield (
            f"CertRep pkiStatus {status.value} ({status.rfc_name}){more}",
            _ERROR if failed else _INFORMATION,
        )
    yield (
        f"HTTP {reply.status}, {reply.content_type}, {len(reply.body)} octets, "
        f"{1000 * exchange.duration:.1f} ms",
        _ERROR if reply.status >= 400 else _INFORMATION,
    )


def _printable(text: str) -> str:
    """Return a text so that it cannot pass for more than one line, nor end the entry it stands in."""
    shown = text if text.isprintable() else ascii(text)[1:-1]
    return shown.replace("]LOG]!>", "]LOG]!")
