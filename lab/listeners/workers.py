"""The threads of a server, and more of them while answers take their time on purpose."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from cheroot.workers.threadpool import ThreadPool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .server import Server

_MORE_WORKERS = 256  # beside those of the limits, for answers that take their time on purpose


class WorkerPool(ThreadPool):
    """cheroot's threads: as many as there are to be at once, and as many more as are away."""

    def __init__(self, its_server: Server, *, workers: int) -> None:
        super().__init__(its_server, min=workers)
        self._changing = threading.Lock()
        self._has_stopped = False
        self._away = 0  # workers that are with one answer for long

    @contextlib.contextmanager
    def another_worker(self) -> Iterator[None]:
        """Have a worker more for a while, up to a limit."""
        self._adapt(1)
        try:
            yield
        finally:
            self._adapt(-1)

    def _adapt(self, change: int) -> None:
        """Have as many workers as there are to be, beside those that are away."""
        with self._changing:
            self._away += change
            if self._has_stopped:
                return
            self._clear_dead_threads()  # type: ignore[attr-defined]
            wanted = self.min + min(self._away, _MORE_WORKERS)
            there = len(self._threads)  # type: ignore[attr-defined]
            if there > wanted:
                self.shrink(there - wanted)
            else:
                self.grow(wanted - there + len(self._pending_shutdowns))  # type: ignore[attr-defined]

    def stop(self, timeout: float | None = 5) -> None:
        """Stop all workers; none is added from now on."""
        with self._changing:
            self._has_stopped = True
        super().stop(timeout)  # type: ignore[arg-type]

    def grow(self, amount: int) -> None:
        """Start workers without waiting a tenth of a second for each to say so."""
        workers = [self._spawn_worker() for _ in range(amount)]  # type: ignore[attr-defined]
        self._threads.extend(workers)  # type: ignore[attr-defined]
