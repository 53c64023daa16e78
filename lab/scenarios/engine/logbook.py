"""What the server logged since a moment: exchanges, NDES's events, IIS's log."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from scep_server.ndes.events import Level

from .seen import ServerLogged

if TYPE_CHECKING:
    from scep_server.exchange import Exchange
    from scep_server.ndes.events import Event
    from scep_server.ndes.logs import NdesLogs

_STATUS_FIELDS = slice(11, 14)  # sc-status, sc-substatus, sc-win32-status


class Witness:
    """Is told of every SCEP exchange of a lab, before its answer is sent; an `ExchangeObserver`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: list[Exchange] = []

    def observe(self, exchange: Exchange) -> None:
        """Remember an exchange."""
        with self._lock:
            self._seen.append(exchange)

    def exchanges(self) -> tuple[Exchange, ...]:
        """Return what was seen, oldest first."""
        with self._lock:
            return tuple(self._seen)


class Logbook:
    """The logs of a lab from the moment that this is made."""

    def __init__(self, witness: Witness, logs: NdesLogs) -> None:
        self._witness = witness
        self._logs = logs
        self._exchanges = len(witness.exchanges())
        events, lines = logs.events.events(), logs.iis.lines()
        self._event = events[-1].record_id if events else 0
        self._line = lines[-1].number if lines else 0

    def logged(self) -> ServerLogged:
        """Return what has come since."""
        exchanges = self._witness.exchanges()[self._exchanges :]
        events = self._logs.events.events(self._event)
        iis = [line.item for line in self._logs.iis.lines(self._line)]
        lines = [f"IIS log: {line}" for line in iis]
        lines += [
            f"journal: refused by {exchange.refused_by}: {exchange.detail}"
            for exchange in exchanges
            if exchange.refused_by is not None
        ]
        lines += [f"Application log: {_in_words(event)}" for event in events]
        return ServerLogged(
            refused_by=exchanges[-1].refused_by if exchanges else None,
            events=tuple(event.id for event in events if event.template.level is Level.ERROR),
            iis=" ".join(iis[-1].split(" ")[_STATUS_FIELDS]) if iis else None,
            lines=tuple(lines),
        )


def _in_words(event: Event) -> str:
    synthetic = ", text not Microsoft's" if event.template.synthetic else ""
    return f"event {event.id} ({event.template.level.text}{synthetic}): {event.text}"
