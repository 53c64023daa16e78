"""A gate before web applications: shut, nobody is inside, and who comes waits outside."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


class StillAnswering(RuntimeError):
    """Requests are still being answered after all the patience there was."""


class Gate:
    """Counts the requests that are being answered, each until its last octet has been sent.

    ``patience`` is how many seconds shutting waits for those inside.
    """

    def __init__(self, patience: float = 10.0) -> None:
        self._patience = patience
        self._changed = threading.Condition()
        self._inside = 0
        self._is_shut = False

    def before(self, application: WSGIApplication) -> WSGIApplication:
        """Return the application with this gate before it."""

        def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            self._enter()
            try:
                return _Answer(application(environ, start_response), self._leave)
            except BaseException:
                self._leave()
                raise

        return guarded

    @contextmanager
    def shut(self, then: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Let nobody in, do ``then``, and wait until nobody is inside.

        Raises:
            StillAnswering: somebody is, and stays there.

        """
        try:
            with self._changed:
                self._is_shut = True
            then()
            self._wait_until_empty()
            yield
        finally:
            with self._changed:
                self._is_shut = False
                self._changed.notify_all()

    def _wait_until_empty(self) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: not self._inside, self._patience):
                raise StillAnswering(
                    f"{self._inside} requests are still being answered after {self._patience:g} s"
                )

    def _enter(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._is_shut)
            self._inside += 1

    def _leave(self) -> None:
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()


class _Answer:
    """An answer on its way; leaves the gate when the web server closes it (PEP 3333)."""

    def __init__(self, parts: Iterable[bytes], leave: Callable[[], None]) -> None:
        self._parts = parts
        self._leave = leave

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._parts)

    def close(self) -> None:
        """Close what is inside, and leave."""
        try:
            close = getattr(self._parts, "close", None)
            if close is not None:
                close()
        finally:
            self._leave()
