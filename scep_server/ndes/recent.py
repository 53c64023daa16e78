"""What was written lately: bounded in memory, numbered, and kept in a file where one is wanted.

A reader remembers the last number it saw and asks for what came after, which is all that following a
log takes.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Generic, TypeVar

import structlog

if TYPE_CHECKING:
    from pathlib import Path

_log = structlog.get_logger(__name__)
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbered(Generic[_Item]):
    """An item with its number; numbers begin at 1 and never repeat."""

    number: int
    item: _Item


class Recent(Generic[_Item]):
    """The newest items; the oldest go when there are more than ``capacity``. Safe for threads."""

    def __init__(self, capacity: int, *, first: int = 1) -> None:
        self._items: deque[_Item] = deque(maxlen=capacity)
        self._next = first
        self._lock = threading.Lock()

    def add(self, *items: _Item) -> None:
        """Remember items, in this order; one after the other has the next number."""
        with self._lock:
            self._items.extend(items)
            self._next += len(items)

    def after(self, number: int = 0, *, limit: int | None = None) -> tuple[Numbered[_Item], ...]:
        """Return what is remembered and came after ``number``, oldest first, at most ``limit``."""
        with self._lock:
            oldest = self._next - len(self._items)
            found = islice(self._items, max(0, number + 1 - oldest), None)
            numbered = enumerate(islice(found, limit), start=max(oldest, number + 1))
            return tuple(Numbered(number=at, item=item) for at, item in numbered)

    def clear(self) -> None:
        """Forget everything; numbers go on."""
        with self._lock:
            self._items.clear()


class LineFile:
    """A text file that lines are appended to. A line that cannot be written is lost, and that is logged.

    ``heading`` begins a new file.
    """

    def __init__(self, path: Path, heading: str = "") -> None:
        self._path = path
        self._heading = heading
        self._lock = threading.Lock()

    def append(self, line: str) -> None:
        """Write a line, given without its end."""
        try:
            with self._lock:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with self._path.open("a", encoding="utf-8", newline="\n") as file:
                    if self._heading and file.tell() == 0:
                        file.write(self._heading)
                    file.write(f"{line}\n")
        except OSError as error:
            _log.warning("a log line is lost", file=str(self._path), reason=error.strerror)
