"""Where NDES's events are written to, as whoever writes them sees it."""

from __future__ import annotations

from typing import Protocol


class EventSink(Protocol):
    """Takes events by the ids of `scep_server.ndes.events`."""

    def write(
        self,
        event_id: int,
        *,
        error_code: str = "",
        error_message: str = "",
        transaction_id: str | None = None,
    ) -> object:
        """Write one event; must not raise."""


class NoEvents:
    """An event log that nobody reads."""

    def write(
        self,
        event_id: int,
        *,
        error_code: str = "",
        error_message: str = "",
        transaction_id: str | None = None,
    ) -> None:
        """Drop it."""
