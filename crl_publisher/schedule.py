"""When to publish again: at Next CRL Publish, and whenever somebody says that something changed."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from ca.errors import CaError
from ca.records import AlreadyExists, StoreUnavailable

from .errors import PublicationRefused

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ca.clock import Clock

_log = structlog.get_logger(__name__)

# A thread's timer stands still while the machine sleeps, and knows nothing of a clock that is set:
# look at the clock at least this often.
_LONGEST_WAIT = timedelta(minutes=1)


class Republisher:
    """A thread that publishes whenever it is due.

    Args:
        publish: signs and publishes what is due and returns when it is due again. What it raises
            of `CaError`, `StoreUnavailable`, `AlreadyExists`, `PublicationRefused` and `OSError` is
            logged, the published files stay, and it is called again after ``retry``.
        due: when publication is due for the first time, read at start.
        clock: the time that ``due`` is compared with.
        retry: pause after a failure.

    """

    def __init__(
        self,
        *,
        publish: Callable[[], datetime],
        due: Callable[[], datetime],
        clock: Clock,
        retry: timedelta = timedelta(minutes=1),
    ) -> None:
        self._publish = publish
        self._first_due = due
        self._clock = clock
        self._retry = retry
        self._changed = threading.Condition()
        self._stopping = False
        self._due: datetime | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        self._due = self._first_due()
        self._thread = threading.Thread(target=self._run, name="republisher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and wait for it; a publication under way is finished first."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def reschedule(self, due: datetime) -> None:
        """Take note that publication is due at ``due``: somebody else has just published."""
        with self._changed:
            self._due = due
            self._changed.notify_all()

    def look(self) -> None:
        """Look at the clock now: it has been set, or publication became due."""
        with self._changed:
            self._changed.notify_all()

    @property
    def due(self) -> datetime | None:
        """When publication is due next; None before the start."""
        with self._changed:
            return self._due

    def _run(self) -> None:
        while self._wait_until_due():
            due = self._publish_once()
            with self._changed:
                self._due = due

    def _wait_until_due(self) -> bool:
        """Return True when it is time, False when the thread is to end."""
        with self._changed:
            while not self._stopping:
                left = (self._due or self._clock.now()) - self._clock.now()
                if left <= timedelta(0):
                    return True
                self._changed.wait(min(left, _LONGEST_WAIT).total_seconds())
            return False

    def _publish_once(self) -> datetime:
        try:
            due = self._publish()
        except (CaError, StoreUnavailable, AlreadyExists, PublicationRefused, OSError) as error:
            due = self._clock.now() + self._retry
            _log.error(
                "publication failed, the last good files stay",
                reason=str(error),
                next_attempt=due.isoformat(),
            )
        return due
