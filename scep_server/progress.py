"""What is known of an exchange while it is being answered; becomes an `Exchange` at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .checks import CheckList
from .decisions import Grant, Refuse
from .exchange import Exchange
from .outcomes import SUCCESS

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ca.pkcs10 import CertificateRequest

    from .decisions import Answer
    from .exchange import HttpExchangeRequest, HttpReply, Operation
    from .outcomes import Outcome
    from .protocol.messages import CertRep, OpenedMessage, PkiMessage, RequestContent, UnverifiedMessage


@dataclass(slots=True, kw_only=True)
class Progress:
    """Filled in stage by stage, in one thread; thrown away after `finish`."""

    number: int
    received_at: datetime
    request: HttpExchangeRequest
    stopwatch: Callable[[], float]
    client_address: str = ""
    endpoint: str | None = None
    operation: Operation | None = None
    octets: bytes | None = None
    unverified: UnverifiedMessage | None = None
    message: PkiMessage | None = None
    opened: OpenedMessage | None = None
    content: RequestContent | None = None
    csr: CertificateRequest | None = None
    answer: Answer | None = None
    cert_rep: CertRep | None = None
    outcome: Outcome = SUCCESS
    detail: str = ""
    checks: CheckList = field(default_factory=CheckList)
    timings: list[tuple[str, float]] = field(default_factory=list)
    _begin: float = 0.0
    _lap: float = 0.0

    def __post_init__(self) -> None:
        self._begin = self._lap = self.stopwatch()

    def lap(self, stage: str) -> None:
        """Note how long the stage that ends now took."""
        now = self.stopwatch()
        self.timings.append((stage, now - self._lap))
        self._lap = now

    def finish(self, reply: HttpReply) -> Exchange:
        """Return all of it as one value."""
        answer = self.answer
        refused = isinstance(answer, Refuse) or self.outcome.status != SUCCESS.status
        checks = self.checks.made()
        return Exchange(
            number=self.number,
            received_at=self.received_at,
            request=self.request,
            reply=reply,
            endpoint=self.endpoint,
            operation=self.operation,
            octets=self.octets,
            unverified=self.unverified,
            message=self.message,
            opened=self.opened,
            content=self.content,
            csr=self.csr,
            answer=answer,
            cert_rep=self.cert_rep,
            outcome=self.outcome,
            refused_by=self.outcome.name if refused else None,
            detail=self.detail,
            checks=checks if answer is None else (*checks, *answer.checks),
            certificate_id=answer.certificate.id
            if isinstance(answer, Grant) and answer.certificate
            else None,
            timings=tuple(self.timings),
            duration=self.stopwatch() - self._begin,
        )
