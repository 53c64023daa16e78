"""Keeping entries: the newest of them, in memory and where wanted in files; safe for threads."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, overload

from .entry import JournalEntry, entry_of
from .folder import JournalFolder
from .query import JournalQuery

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.recorded import RecordedExchange

DEFAULT_LIMIT: Final = 1000
DEFAULT_OCTETS: Final = 64 << 20
DEFAULT_BODY_OCTETS: Final = 1 << 20
_LONG_SECONDS: Final = 3600.0


class NoSuchEntry(Exception):
    """The journal has no entry of that number, or no longer; the text says which it has."""


class Journal(Sequence[JournalEntry]):
    """The newest exchanges, oldest first: ``journal[-1]`` is the last one.

    Indices are positions, as in a list; `entry` finds by number. The oldest go when there are more than
    ``limit`` or when all together take more than ``octets``; the newest always stays.

    Args:
        limit: how many entries are kept.
        folder: where they are also written to, secrets blanked, and read from now; None: nowhere. The
            same bounds hold there.
        octets: how much memory they may take, roughly.
        body_octets: how much of a body is kept.

    Raises:
        OSError: ``folder`` cannot be made or read.

    """

    def __init__(
        self,
        limit: int = DEFAULT_LIMIT,
        folder: Path | None = None,
        *,
        octets: int = DEFAULT_OCTETS,
        body_octets: int = DEFAULT_BODY_OCTETS,
    ) -> None:
        self._limit, self._octets, self._body_octets = limit, octets, body_octets
        self._changed = threading.Condition()
        self._entries: deque[JournalEntry] = deque()
        self._size = 0
        self._next = 1
        self._closed = False
        self._folder = None if folder is None else JournalFolder(folder, keep=limit, keep_octets=octets)
        if self._folder is not None:
            for entry in self._folder.read():
                self._keep(entry)
            self._next = max(self._next, self._folder.last_begun + 1)

    @classmethod
    def read(cls, folder: Path) -> Journal:
        """Return what is in a folder; whatever is added later is not written there.

        Raises:
            OSError: there is no such folder, or it cannot be read.

        """
        journal = cls(limit=1 << 62, octets=1 << 62)
        for entry in JournalFolder.read_only(folder):
            journal._keep(entry)
        return journal

    # -- writing -----------------------------------------------------------------------

    def add(self, recorded: RecordedExchange) -> JournalEntry:
        """Keep an exchange; a file that cannot be written is logged, not raised."""
        with self._changed:
            entry = entry_of(self._next, recorded, body_octets=self._body_octets)
            self._keep(entry)
            if self._folder is not None:
                self._folder.append(entry)
            self._changed.notify_all()
        return entry

    def clear(self) -> None:
        """Forget everything, in files too; numbers begin at 1 again."""
        with self._changed:
            self._entries.clear()
            self._size, self._next = 0, 1
            if self._folder is not None:
                self._folder.clear()
            self._changed.notify_all()

    def close(self) -> None:
        """Let everybody go who waits for something new; what is kept can still be read."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _keep(self, entry: JournalEntry) -> None:
        self._entries.append(entry)
        self._size += entry.octets
        self._next = entry.number + 1
        while len(self._entries) > 1 and (len(self._entries) > self._limit or self._size > self._octets):
            self._size -= self._entries.popleft().octets

    # -- reading -----------------------------------------------------------------------

    def __len__(self) -> int:
        with self._changed:
            return len(self._entries)

    @overload
    def __getitem__(self, index: int) -> JournalEntry: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[JournalEntry, ...]: ...
    def __getitem__(self, index: int | slice) -> JournalEntry | tuple[JournalEntry, ...]:
        entries = self.entries()
        try:
            return entries[index]
        except IndexError as error:
            raise IndexError(f"the journal has {len(entries)} entries, none at {index}") from error

    def __iter__(self) -> Iterator[JournalEntry]:
        return iter(self.entries())

    def entries(self) -> tuple[JournalEntry, ...]:
        """Return all that is kept, oldest first, as of now."""
        with self._changed:
            return tuple(self._entries)

    @property
    def last_number(self) -> int:
        """The number of the newest entry; 0 while there is none."""
        with self._changed:
            return self._next - 1

    def entry(self, number: int) -> JournalEntry:
        """Return the entry of that number.

        Raises:
            NoSuchEntry: there is none.

        """
        entries = self.entries()
        for entry in reversed(entries):
            if entry.number == number:
                return entry
        kept = f"kept are {entries[0].number} to {entries[-1].number}" if entries else "it is empty"
        raise NoSuchEntry(f"the journal has no entry {number}; {kept}")

    def find(self, query: JournalQuery | None = None, **wanted: object) -> tuple[JournalEntry, ...]:
        """Return the entries that match, oldest first; ``wanted`` are fields of `JournalQuery`.

        Raises:
            pydantic.ValidationError: there is no such field, or its value makes no sense.

        """
        asked = JournalQuery.model_validate(wanted) if query is None else query
        return tuple(entry for entry in self.entries() if asked.matches(entry))

    def wait_for_new(self, after: int, seconds: float) -> tuple[JournalEntry, ...]:
        """Return the entries numbered above ``after``; where there is none wait up to ``seconds`` for one.

        Whoever has seen more than there is saw a journal that has been cleared since, and gets all of it.
        Returns at once, and perhaps nothing, once the journal is closed.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or self._next - 1 > self._seen(after), timeout=seconds
            )
            seen = self._seen(after)
            return tuple(entry for entry in self._entries if entry.number > seen)

    def _seen(self, after: int) -> int:
        return after if after < self._next else 0

    def follow(self, after: int = 0) -> Iterator[JournalEntry]:
        """Yield the entries after that number and then each new one as it comes, until `close`."""
        while True:
            new = self.wait_for_new(after, _LONG_SECONDS)
            if not new and self._closed:
                return
            for entry in new:
                yield entry
                after = entry.number
