"""What is kept of one HTTP exchange at a lab's SCEP or PKI listener: as it came, as it went, and why.

The one value that journal, management API and assertions are fed from. Lives here: the value. Does not
live here: keeping it (`lab.journal`), or anything that decides.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from scep_server.exchange import Exchange

ListenerName = Literal["scep", "pki"]
Scheme = Literal["http", "https"]
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRequest:
    """A request as it came.

    ``target`` is path and query as sent, a leading ``/fault/<id>`` included. ``scheme`` is how it came,
    whatever an absolute target says. ``body`` is as much of it as was read. Header names are as WSGI has
    them, in their usual spelling.
    """

    method: str
    target: str
    protocol: str
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)
    client_address: str
    client_port: str = ""
    scheme: Scheme = "http"

    def header(self, name: str) -> str | None:
        """Return the first header of that name, in any case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedAnswer:
    """An answer as it went.

    Where the connection was broken on purpose, ``headers`` and ``body`` are what had been made ready, and
    ``delivery`` says in plain words what was sent of it; it is empty where all was sent as usual.
    """

    status: int
    reason: str
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)
    delivery: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedFault:
    """A fault that changed an exchange. ``rule_id`` is None where the URL asked for it."""

    fault_id: str
    rule_id: int | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedExchange:
    """One exchange whole.

    ``received_at`` is by the lab's clock, which was ``clock_offset`` away from the machine's. ``exchange`` is
    what the SCEP service knew of it; None at the PKI listener and where no service was reached. ``refusal``
    is why the lab itself refused it, an id and a text: ``fault-unknown``, ``fault-parameter``,
    ``fault-unavailable`` or ``time-unreadable``.
    ``seconds`` is how long the answer took to make.
    """

    received_at: datetime
    listener: ListenerName
    request: RecordedRequest
    answer: RecordedAnswer
    exchange: Exchange | None = None
    refusal: tuple[str, str] | None = None
    faults: tuple[AppliedFault, ...] = ()
    clock_offset: timedelta = timedelta(0)
    seconds: float = 0.0
