"""Looking out for what other processes at the same database do: sign a CRL early, or die while on duty.

A schedule knows when something is due. It does not know that an administrator has published after a
revocation, at another publisher, nor that nobody is left who would sign. So it is looked after both, often
and cheaply.
"""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from ca.records import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

_log = structlog.get_logger(__name__)
EVERY: Final = timedelta(seconds=5)


class Lookout:
    """Looks from a thread of its own.

    Args:
        take_up: takes the duty if nobody has it.
        news: returns what is signed now, to be compared with what was.
        tell: called when that has changed.
        every: how often.

    """

    def __init__(
        self,
        *,
        take_up: Callable[[], bool],
        news: Callable[[], Hashable],
        tell: Callable[[], None],
        every: timedelta = EVERY,
    ) -> None:
        self._take_up = take_up
        self._news = news
        self._tell = tell
        self._every = every
        self._known: Hashable = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lookout", daemon=True)

    def start(self) -> None:
        """Take what is signed now for known, and begin to look; raises StoreUnavailable."""
        self._known = self._news()
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def look(self) -> None:
        """Look once; raises StoreUnavailable."""
        self._take_up()
        found = self._news()
        if found != self._known:
            self._known = found
            self._tell()

    def _run(self) -> None:
        while not self._stopping.wait(self._every.total_seconds()):
            try:
                self.look()
            except StoreUnavailable as error:  # the schedule will say so as well, when it is due
                _log.warning("what others have signed cannot be seen", reason=str(error))
