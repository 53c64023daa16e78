"""When to publish again: at Next CRL Publish, and whenever somebody says that something changed."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from ca.errors import CaError
from ca.keys import UnusableKey
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


@dataclass(frozen=True, slots=True, kw_only=True)
class PublisherState:
    """How publication goes: what health and metrics say of it.

    ``last_error`` is empty while nothing is wrong; ``failing_since`` is when the first of the failures
    in a row happened. What was published last stays served meanwhile.
    """

    due: datetime | None = None
    last_success: datetime | None = None
    last_error: str = ""
    failing_since: datetime | None = None
    failures: int = 0  # in a row
    running: bool = False
    on_duty: bool = True  # whether CRLs are signed here, and not by another process

    @property
    def is_healthy(self) -> bool:
        """Whether the last attempt succeeded, or none was due yet."""
        return self.failing_since is None


class Republisher:
    """A thread that publishes whenever it is due.

    Args:
        publish: signs and publishes what is due and returns when it is due again. What it raises
            of `CaError`, `UnusableKey`, `StoreUnavailable`, `AlreadyExists`, `PublicationRefused` and
            `OSError` is logged and remembered in `state`, the published files stay, and it is called
            again after ``retry``.
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
        self._state = PublisherState()
        self._looked: datetime | None = None  # when it is due by a clock that was set since the last attempt
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        self._state = replace(self._state, due=self._first_due(), running=True)
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
        """Take note that somebody else has just published, and that it is due again at ``due``."""
        with self._changed:
            self._state = self._succeeded(due)
            self._changed.notify_all()

    def look(self, due: datetime | None = None) -> None:
        """Look at the clock now: it has been set, or publication became due.

        ``due`` is when it is due by that clock, if it may be sooner than was said before.
        """
        with self._changed:
            if due is not None and self._state.due is not None:
                self._looked = due  # also where a publication is under way, which began by another time
                self._state = replace(self._state, due=min(due, self._state.due))
            self._changed.notify_all()

    @property
    def due(self) -> datetime | None:
        """When publication is due next; None before the start."""
        return self.state.due

    @property
    def state(self) -> PublisherState:
        """How publication goes."""
        with self._changed:
            return self._state

    def _run(self) -> None:
        try:
            while self._wait_until_due():
                self._publish_once()
        finally:
            with self._changed:
                self._state = replace(self._state, running=False)

    def _wait_until_due(self) -> bool:
        """Return True when it is time, False when the thread is to end."""
        with self._changed:
            while not self._stopping:
                now = self._clock.now()
                left = (self._state.due or now) - now
                if left <= timedelta(0):
                    return True
                self._changed.wait(min(left, _LONGEST_WAIT).total_seconds())
            return False

    def _publish_once(self) -> None:
        with self._changed:
            self._looked = None
        try:
            due = self._publish()
        except (
            CaError,
            UnusableKey,
            StoreUnavailable,
            AlreadyExists,
            PublicationRefused,
            OSError,
        ) as error:
            self._failed(error)
            return
        with self._changed:
            self._state = self._succeeded(due)

    def _succeeded(self, due: datetime) -> PublisherState:
        due = due if self._looked is None else min(due, self._looked)
        return PublisherState(due=due, last_success=self._clock.now(), running=self._state.running)

    def _failed(self, error: Exception) -> None:
        now = self._clock.now()
        due, reason = now + self._retry, " ".join(str(error).split()) or type(error).__name__
        with self._changed:
            before = self._state
            self._state = replace(
                before,
                due=due,
                last_error=reason,
                failing_since=before.failing_since or now,
                failures=before.failures + 1,
            )
        _log.error(
            "publication failed, the last good files stay", reason=reason, next_attempt=due.isoformat()
        )
