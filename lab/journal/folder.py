"""The journal's files: JSON lines in segments that are deleted, oldest first, as new ones come.

A segment is named after the number of its first entry and only ever appended to. A process that was
killed in the middle of a line leaves a line that cannot be read: it is passed over, and the next process
begins a segment of its own. What is written here has its secrets blanked, and nobody but the owner may
read it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import structlog

from .records import EntryRecord

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .entry import JournalEntry

_log = structlog.get_logger(__name__)
_SEGMENTS: Final = 8  # of which the oldest goes at a time


class JournalFolder:
    """Appends entries to files in ``folder`` and deletes the oldest file that is not needed any more.

    The files never hold more than ``keep_octets`` (but for one entry that is larger), nor many more than
    ``keep`` entries; what goes goes by segments, which are an eighth of either.

    Raises:
        OSError: the folder cannot be made.

    """

    def __init__(self, folder: Path, *, keep: int, keep_octets: int) -> None:
        self._path = folder
        self._keep, self._keep_octets = keep, keep_octets
        self._current: Path | None = None
        self._sizes: dict[Path, tuple[int, int]] = {}  # segment: entries, octets; oldest first
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @staticmethod
    def read_only(folder: Path) -> Iterator[JournalEntry]:
        """Yield what is in a folder that somebody else may be writing to.

        Raises:
            OSError: there is no such folder, or a file cannot be read.

        """
        folder.stat()
        for segment in _segments(folder):
            yield from _entries(segment)

    def read(self) -> Iterator[JournalEntry]:
        """Yield what is in the folder, oldest first; to be called before anything is appended.

        Raises:
            OSError: a file cannot be read.

        """
        for segment in _segments(self._path):
            count = 0
            for entry in _entries(segment):
                count += 1
                yield entry
            self._sizes[segment] = (count, segment.stat().st_size)

    @property
    def last_begun(self) -> int:
        """The number that the newest segment begins with; 0 where there is none."""
        return max((int(segment.stem) for segment in _segments(self._path)), default=0)

    def append(self, entry: JournalEntry) -> None:
        """Write an entry; one that cannot be written is lost here, and that is logged."""
        line = EntryRecord.of(entry.without_secrets()).as_line().encode() + b"\n"
        segment = self._segment(entry.number, len(line))
        try:
            with os.fdopen(os.open(segment, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
                file.write(line)
        except OSError as error:
            self._current = None  # what was written of the line would spoil the next
            _log.warning("a journal entry is not on disk", number=entry.number, reason=error.strerror)

    def clear(self) -> None:
        """Delete every file of the journal."""
        self._current = None
        self._sizes.clear()
        for segment in _segments(self._path):
            _remove(segment)

    def _segment(self, number: int, octets: int) -> Path:
        """Return the file for an entry of that many octets, a new one where the last is full."""
        count, size = self._sizes.get(self._current, (0, 0)) if self._current else (0, 0)
        if (
            self._current is None
            or count >= self._keep / _SEGMENTS
            or size + octets > self._keep_octets / _SEGMENTS
        ):
            self._current = self._path / f"{number:012}.jsonl"
            count, size = 0, 0
        self._sizes[self._current] = (count + 1, size + octets)
        self._delete_old()
        return self._current

    def _delete_old(self) -> None:
        """Delete the oldest segments as long as the others hold enough, or all hold too much."""
        while len(self._sizes) > 1:
            oldest, (count, _) = next(iter(self._sizes.items()))
            entries = sum(each for each, _ in self._sizes.values())
            octets = sum(each for _, each in self._sizes.values())
            if entries - count < self._keep and octets <= self._keep_octets:
                return
            _remove(oldest)
            del self._sizes[oldest]


def _segments(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.jsonl") if path.stem.isdigit())


def _entries(segment: Path) -> Iterator[JournalEntry]:
    """Yield the entries of a segment; lines that cannot be read are passed over, and that is logged."""
    try:
        file = segment.open("rb")
    except FileNotFoundError:  # deleted meanwhile by who writes here
        return
    with file:
        for count, line in enumerate(file, 1):
            try:
                yield EntryRecord.of_line(line).entry()
            except ValueError:
                _log.warning("a journal entry cannot be read", file=str(segment), line=count)


def _remove(segment: Path) -> None:
    try:
        segment.unlink(missing_ok=True)
    except OSError as error:
        _log.warning("an old journal file stays", file=str(segment), reason=error.strerror)
