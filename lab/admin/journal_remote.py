"""The journal's desk of a running lab, over its management listener."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .operations import journal

if TYPE_CHECKING:
    from .asking import Ask
    from .journal import EntryListQuery, EntryPage, EntryQuery, EntryView


class RemoteJournalDesk:
    """Has ``ask`` perform the operations."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def entries(self, query: EntryListQuery) -> EntryPage:
        """Return entries, oldest first; with ``wait_seconds`` not before there is one, or time is up."""
        return self._ask(journal.list_entries, query=query)

    def entry(self, number: int, query: EntryQuery) -> EntryView:
        """Return one entry whole."""
        return self._ask(journal.show_entry, query=query, number=number)

    def clear(self) -> None:
        """Forget all entries; numbers begin at 1 again."""
        self._ask(journal.clear_journal)
