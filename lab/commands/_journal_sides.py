"""What a word on the command line names: an entry of the journal, or a file with a message or an entry."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._mistakes import CannotRun

if TYPE_CHECKING:
    from lab.admin import Desk
    from lab.admin.journal import EntryQuery, EntryView
    from lab.decoding import EnvelopeKeys, Node
    from lab.journal import JournalEntry

LAST = "last"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side of a comparison; ``entry`` is None where it is a bare message."""

    label: str
    entry: JournalEntry | None = None
    message: bytes = b""


def number_of(desk: Desk, word: str) -> int:
    """Return the number of the entry that a word names: a number, or `LAST`."""
    if word == LAST:
        return last_number(desk)
    if not (word.isascii() and word.isdigit() and 0 < int(word) < 1 << 63):
        raise click.UsageError(f"{word!r} is no entry: give its number, or {LAST}")
    return int(word)


def last_number(desk: Desk) -> int:
    """Return the number of the newest entry."""
    from lab.admin.journal import EntryListQuery

    newest = desk.journal.entries(EntryListQuery(newest=True, limit=1)).entries
    if not newest:
        raise CannotRun(ValueError("the journal is empty"))
    return newest[0].number


def view_named(desk: Desk, word: str, query: EntryQuery) -> EntryView:
    """Return the entry that a word names: a number, `LAST`, or a file that `journal export` wrote."""
    if word.isdigit() or word == LAST or not Path(word).is_file():
        return desk.journal.entry(number_of(desk, word), query)
    from lab.admin.journal_local import view_of

    entry = _of_file(word).entry
    if entry is None:
        raise click.UsageError(f"{word} is no exported entry; `ndes-lab journal export ID` makes one")
    return view_of(entry, trees=query.trees)


def entry_named(desk: Desk, word: str, *, secrets: bool = False) -> JournalEntry:
    """Return the same without its trees."""
    from lab.admin.journal import EntryQuery

    return view_named(desk, word, EntryQuery(secrets=secrets, trees=False)).entry()


def side_named(desk: Desk, word: str) -> Side:
    """Return what a word names: an entry, or a file with a message in any form that `decode` reads."""
    if word.isdigit() or word == LAST:
        entry = entry_named(desk, word)
        return Side(label=f"entry {entry.number}", entry=entry)
    return _of_file(word)


def _of_file(word: str) -> Side:
    from lab.journal.export import NotExported, from_json, is_exported

    octets = sys.stdin.buffer.read() if word == "-" else Path(word).read_bytes()
    label = "standard input" if word == "-" else word
    if not is_exported(octets):
        return Side(label=label, message=octets)
    try:
        entries = from_json(octets)
    except NotExported as error:
        raise click.UsageError(f"{label}: {error}") from error
    if len(entries) != 1:
        raise click.UsageError(f"{label} holds {len(entries)} entries, expected 1")
    return Side(label=label, entry=entries[0])


def trees_of(side: Side, keys: EnvelopeKeys, *, answer: bool, http: bool) -> list[Node]:
    """Return what a side says: its message alone, or with the HTTP around it.

    Raises:
        click.UsageError: the file holds no message.

    """
    from lab.decoding import NotUnderstood, explain
    from lab.journal.trees import entry_trees, http_answer_node, http_request_node

    if side.entry is None:
        try:
            return explain(side.message, keys)
        except NotUnderstood as error:
            raise click.UsageError(f"{side.label}: {error}") from error
    trees = entry_trees(side.entry.without_secrets(), keys)
    if answer:
        return [*((http_answer_node(side.entry.answer),) if http else ()), *trees.answer]
    return [*((http_request_node(side.entry),) if http else ()), *trees.request]
