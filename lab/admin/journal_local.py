"""The journal's desk in this process: a running lab's, or what one has left in a folder."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from lab.journal import Journal, NoSuchEntry
from lab.journal.records import EntryRecord

from .desk import DeskRefused, DeskUnavailable, NotFound
from .journal import EntryPage, EntryRow, EntryView, NodeView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from lab.journal import JournalEntry

    from .journal import EntryListQuery, EntryQuery


class LocalJournalDesk:
    """Reads a journal that is being written; at most ``waiters`` wait for something new at once."""

    def __init__(
        self, journal: Journal, *, waiters: int, stopwatch: Callable[[], float] = time.monotonic
    ) -> None:
        self._journal = journal
        self._waiters = threading.Semaphore(waiters)
        self._stopwatch = stopwatch

    def entries(self, query: EntryListQuery) -> EntryPage:
        """Return entries, oldest first; with ``wait_seconds`` not before there is one, or time is up."""
        page = page_of(self._journal.entries(), query)
        if page.entries or query.wait_seconds == 0:
            return page
        with self._place_to_wait() as free:
            end = self._stopwatch() + (query.wait_seconds if free else 0)
            while not page.entries and (left := end - self._stopwatch()) > 0:
                new = self._journal.wait_for_new(page.last_seen, left)
                if not new:  # time is up, or the lab stops
                    break
                page = page_of(self._journal.entries(), query)
        return page

    def entry(self, number: int, query: EntryQuery) -> EntryView:
        """Return one entry whole."""
        try:
            found = self._journal.entry(number)
        except NoSuchEntry as error:
            raise NotFound(str(error)) from error
        return view_of(found if query.secrets else found.without_secrets(), trees=query.trees)

    def clear(self) -> None:
        """Forget all entries; numbers begin at 1 again."""
        self._journal.clear()

    @contextmanager
    def _place_to_wait(self) -> Iterator[bool]:
        """Take one of the places to wait in, if one is free: who waits keeps a thread of the listener."""
        free = self._waiters.acquire(blocking=False)
        try:
            yield free
        finally:
            if free:
                self._waiters.release()


class FolderJournalDesk:
    """Reads what labs have written to a folder; read when first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def _journal(self) -> Journal:
        try:
            return Journal.read(self._folder)
        except FileNotFoundError as error:
            raise NotFound(
                f"there is no journal in {self._folder}: a lab writes one where journal.files is true"
            ) from error
        except OSError as error:
            raise DeskUnavailable(f"{error.filename}: {error.strerror}") from error

    def entries(self, query: EntryListQuery) -> EntryPage:
        """Return entries, oldest first."""
        if query.wait_seconds:
            raise DeskRefused("only the journal of a running lab can be followed, not a folder")
        return page_of(self._journal.entries(), query)

    def entry(self, number: int, query: EntryQuery) -> EntryView:
        """Return one entry whole; in a folder challenge passwords are always blanked."""
        if query.secrets:
            raise DeskRefused("the journal in a folder holds no secrets; ask the running lab that saw them")
        try:
            return view_of(self._journal.entry(number), trees=query.trees)
        except NoSuchEntry as error:
            raise NotFound(str(error)) from error

    def clear(self) -> None:
        """Refuse: a running lab may be writing there."""
        raise DeskRefused(f"only a running lab's journal can be cleared; or delete {self._folder}")


def page_of(entries: Sequence[JournalEntry], query: EntryListQuery) -> EntryPage:
    """Return the page of ``entries`` that was asked for.

    Who asks for what came after more than there is has seen a journal that was cleared since: all matches.
    """
    last = entries[-1].number if entries else 0
    if query.after > last:
        query = query.model_copy(update={"after": 0})
    found = [entry for entry in entries if query.matches(entry)]
    shown = found[-query.limit :] if query.newest else found[: query.limit]
    more = len(found) > len(shown) and not query.newest
    return EntryPage(
        entries=tuple(EntryRow.of(entry) for entry in shown),
        last_seen=shown[-1].number if more else last,
        more=more,
    )


def view_of(entry: JournalEntry, *, trees: bool = True) -> EntryView:
    """Return an entry, with its octets explained where ``trees`` are wanted."""
    from lab.journal.trees import EntryTrees, entry_trees  # what explains is loaded when it is wanted

    explained = entry_trees(entry) if trees else EntryTrees(request=(), answer=())
    record = EntryRecord.of(entry)
    return EntryView(
        **{name: getattr(record, name) for name in EntryRecord.model_fields},
        request_tree=tuple(NodeView.of(node) for node in explained.request),
        answer_tree=tuple(NodeView.of(node) for node in explained.answer),
    )
