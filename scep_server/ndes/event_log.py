"""NDES's part of the Windows Application log: which events are written, and when.

Fed from two sides: from finished exchanges, whose outcome names its event, and from the service's life
(start, stop, what keeps it from starting). There is no event for a certificate that was issued.
"""

from __future__ import annotations

import json
import threading
from datetime import datetime
from typing import TYPE_CHECKING, Final

from ca.errors import CaError, ServiceUnavailable
from scep_server.decisions import Refuse

from .events import EVENTS, Event
from .hresults import E_FAIL, as_hexadecimal, message_of
from .recent import LineFile, Recent

if TYPE_CHECKING:
    from pathlib import Path

    from ca.clock import Clock
    from scep_server.exchange import Exchange
    from scep_server.outcomes import Outcome

    from .profiles import BehaviourProfile

STARTED: Final = 1
CANNOT_START: Final = 2
STOPPED: Final = 3
NO_ENROLL_PERMISSION: Final = 6
NO_CA_CERTIFICATE: Final = 7
NO_RA_CERTIFICATE: Final = 10
CANNOT_SUBMIT: Final = 31


class EventLog:
    """The event log; an `ExchangeObserver`. Safe to use from several threads.

    Args:
        clock: when events are written.
        profile: whose number event 31 has for a denial.
        capacity: how many events are kept in memory.
        file: where each event is appended as one line of JSON; what it holds is read back, so that a
            log goes on where it ended.
        computer: the name in each event.

    """

    def __init__(
        self,
        clock: Clock,
        profile: BehaviourProfile,
        *,
        capacity: int = 1000,
        file: Path | None = None,
        computer: str = "NDES",
    ) -> None:
        earlier = read_event_file(file, capacity) if file is not None else ()
        self._clock = clock
        self._profile = profile
        self._computer = computer
        self._file = None if file is None else LineFile(file)
        self._writing = threading.Lock()
        self._recent: Recent[Event] = Recent(capacity, first=earlier[0].record_id if earlier else 1)
        for event in earlier:
            self._recent.add(event)
        self._last = earlier[-1].record_id if earlier else 0

    def write(
        self,
        event_id: int,
        error_code: str = "",
        error_message: str = "",
        transaction_id: str | None = None,
    ) -> Event:
        """Write an event; ``error_code`` and ``error_message`` fill its %1 and %2."""
        with self._writing:
            self._last += 1
            event = Event(
                record_id=self._last,
                id=event_id,
                at=self._clock.now(),
                error_code=error_code,
                error_message=error_message,
                computer=self._computer,
                transaction_id=transaction_id,
            )
            self._recent.add(event)
            if self._file is not None:
                self._file.append(json.dumps(event.as_json()))
        return event

    def write_error(self, event_id: int, hresult: int, *, transaction_id: str | None = None) -> Event:
        """Write an event that quotes an HRESULT and Windows's words for it."""
        return self.write(
            event_id,
            error_code=as_hexadecimal(hresult),
            error_message=message_of(hresult),
            transaction_id=transaction_id,
        )

    def events(self, after: int = 0, *, limit: int | None = None) -> tuple[Event, ...]:
        """Return the events that are remembered and came after record ``after``, oldest first."""
        found = [numbered.item for numbered in self._recent.after() if numbered.item.record_id > after]
        return tuple(found if limit is None else found[:limit])

    def observe(self, exchange: Exchange) -> None:
        """Write the event of a finished exchange, where its outcome has one."""
        outcome = exchange.outcome
        if outcome is None or outcome.event_id is None:
            return
        if not EVENTS[outcome.event_id].takes_error:
            self.write(outcome.event_id, transaction_id=exchange.transaction_id)
            return
        code, message = self._error_of(exchange, outcome)
        self.write(
            outcome.event_id, error_code=code, error_message=message, transaction_id=exchange.transaction_id
        )

    def _error_of(self, exchange: Exchange, outcome: Outcome) -> tuple[str, str]:
        """Return %1 and %2. A denial by the CA has the words where the number belongs (KB4488562)."""
        cause = exchange.answer.cause if isinstance(exchange.answer, Refuse) else None
        if isinstance(cause, CaError) and not isinstance(cause, ServiceUnavailable):
            number = E_FAIL if self._profile.denial_event_number == "e-fail" else cause.hresult
            return cause.message, as_hexadecimal(number)
        return as_hexadecimal(outcome.hresult), message_of(outcome.hresult)


def read_event_file(file: Path, last: int | None = None) -> tuple[Event, ...]:
    """Return the events in a file of JSON lines, the ``last`` of them; lines that are none are skipped.

    Raises:
        OSError: the file is there and cannot be read.

    """
    if not file.exists():
        return ()
    lines = file.read_text(encoding="utf-8").splitlines()
    found = [_read_event(line) for line in (lines if last is None else lines[-last:])]
    return tuple(event for event in found if event is not None)


def _read_event(line: str) -> Event | None:
    try:
        content = json.loads(line)
        event = Event(
            record_id=int(content["record_id"]),
            id=int(content["event_id"]),
            at=datetime.fromisoformat(content["time_created"]),
            error_code=str(content["error_code"]),
            error_message=str(content["error_message"]),
            computer=str(content["computer"]),
            transaction_id=content["transaction_id"],
        )
    except (ValueError, KeyError, TypeError):
        return None
    return event if event.id in EVENTS else None
