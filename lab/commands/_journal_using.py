"""``ndes-lab journal export``, ``diff`` and ``replay``: what one does with entries elsewhere."""

from __future__ import annotations

import os
from base64 import b64encode
from datetime import timedelta
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._desk import several_times_at_the_desk
from ._journal_output import print_answer, print_differences
from ._journal_sides import entry_named, side_named, trees_of
from ._keys import with_keys
from ._mistakes import CannotRun
from ._output import json_option, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lab.admin import Desk
    from lab.decoding import EnvelopeKeys, Node
    from lab.journal import JournalEntry
    from lab.journal.difference import Difference
    from lab.journal.replay import Replayed

_all_option = click.option(
    "--all", "everything", is_flag=True, help="Also show what differs in any two: nonces, keys, times..."
)


@click.command()
@click.argument("entries", nargs=-1, metavar="[ID]...")
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "raw", "har"]),
    default="json",
    show_default=True,
    help="json: fixtures, whole entries; raw: files with what was sent; har: HTTP archive for browsers.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="File to write, for raw a folder; standard output otherwise.",
)
@click.option("--with-secrets", is_flag=True, help="Also challenge passwords, where the lab has seen them.")
@several_times_at_the_desk
def export(desk: Desk, entries: tuple[str, ...], form: str, output: Path | None, with_secrets: bool) -> None:
    """Write entries, all of them or those named, with their octets."""
    from lab.journal.export import as_files, as_har, as_json

    if form == "raw" and output is None:
        raise click.UsageError("--format raw writes files: give a folder with --output")
    if output is not None:
        _not_with_curl("writing files is no call of it")
    found = list(_entries(desk, entries, secrets=with_secrets))
    if form == "raw" and output is not None:
        output.mkdir(parents=True, exist_ok=True)
        for name, content in as_files(found):
            _write(output / name, content)
        return
    version = metadata.version("ndes-lab")
    document = as_har(found, version=version) if form == "har" else as_json(found)
    if output is None:
        click.echo(document)
    else:
        _write(output, document.encode() + b"\n")


def _entries(desk: Desk, words: Sequence[str], *, secrets: bool) -> Iterator[JournalEntry]:
    """Yield the entries named, or all that there are."""
    from lab.admin.journal import EntryListQuery

    if words:
        for word in words:
            yield entry_named(desk, word, secrets=secrets)
        return
    seen, more = 0, True
    while more:
        page = desk.journal.entries(EntryListQuery(after=seen))
        for row in page.entries:
            yield entry_named(desk, str(row.number), secrets=secrets)
        seen, more = page.last_seen, page.more


def _write(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read: it may hold challenge passwords."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)


# -- comparing -------------------------------------------------------------------------


@click.command()
@click.argument("left", metavar="A")
@click.argument("right", metavar="B")
@click.option("--answer", is_flag=True, help="Compare the answers of entries, not their requests.")
@_all_option
@with_keys
@json_option
@several_times_at_the_desk
def diff(
    desk: Desk, left: str, right: str, answer: bool, everything: bool, keys: EnvelopeKeys, as_json: bool
) -> None:
    """Show how message B differs from A, attribute by attribute: a known good client's and yours.

    A and B are numbers of entries, "last", or files: messages in any form that decode reads, or exported
    entries. Two entries are compared with the HTTP around their messages. Of what differs in any two
    messages, such as nonces, only the shape is compared. Exit status: 0 no difference, 1 some, 2 could
    not run.
    """
    from lab.journal.difference import compare

    one, other = side_named(desk, left), side_named(desk, right)
    http = one.entry is not None and other.entry is not None
    ours, theirs = (trees_of(side, keys, answer=answer, http=http) for side in (one, other))
    found = compare(ours, theirs, everything=everything)
    if as_json:
        print_json({"left": one.label, "right": other.label, "differences": _as_json(found)})
    else:
        print_differences(one.label, other.label, found)
    click.get_current_context().exit(1 if found else 0)


def _as_json(found: Sequence[Difference]) -> list[dict[str, object]]:
    return [
        {"path": list(each.path), "kind": each.kind, "left": each.left, "right": each.right} for each in found
    ]


# -- sending again ---------------------------------------------------------------------


@click.command()
@click.argument("entry", metavar="ID")
@click.argument("url")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1, max=3600),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long the whole exchange may take.",
)
@click.option(
    "--cacert",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Trust the CA certificates in this file for https.",
)
@click.option("--whole", is_flag=True, help="Show long values whole.")
@_all_option
@with_keys
@json_option
@several_times_at_the_desk
def replay(
    desk: Desk,
    entry: str,
    url: str,
    timeout: float,
    cacert: Path | None,
    whole: bool,
    everything: bool,
    keys: EnvelopeKeys,
    as_json: bool,
) -> None:
    """Send the request of an entry again, to any http or https URL, and compare the answers.

    ID is a number, "last", or a file that export wrote. The same octets are sent with the same method,
    query and headers, but for credentials. A URL without a path gets the recorded one. Exit status: 0
    answered as recorded, 1 otherwise, 2 could not run.
    """
    from lab.journal.replay import differences
    from lab.journal.trees import answer_trees

    _not_with_curl("sending the request again is no call of it; `journal export` makes a fixture of it")
    recorded = entry_named(desk, entry)
    done = _send(recorded, url, timeout, cacert)
    trees = answer_trees(done.answer.body, keys)
    found = differences(recorded, done, keys, everything=everything)
    if as_json:
        print_json(_replayed(done, trees, found))
    else:
        click.echo(f"{recorded.request.method} {done.url.partition('?')[0]}  {done.seconds * 1000:.1f} ms")
        print_answer(done.answer, trees, whole=whole)
        click.echo("")
        print_differences(f"entry {recorded.number}", "now", found)
    click.get_current_context().exit(1 if found else 0)


def _not_with_curl(why: str) -> None:
    if click.get_current_context().params.get("curl"):
        raise click.UsageError(f"--curl shows calls of the management listener, and {why}")


def _send(entry: JournalEntry, url: str, timeout: float, cacert: Path | None) -> Replayed:
    import ssl

    from lab.http_exchange import HttpLimits
    from lab.journal.replay import CannotReplay, replay

    try:
        tls = None if cacert is None else ssl.create_default_context(cafile=cacert)
        return replay(entry, url, limits=HttpLimits(timeout=timedelta(seconds=timeout)), tls=tls)
    except ssl.SSLError as error:
        raise click.UsageError(f"{cacert} holds no certificates that can be read: {error}") from error
    except CannotReplay as error:
        raise CannotRun(error) from error


def _replayed(done: Replayed, trees: Sequence[Node], found: Sequence[Difference]) -> dict[str, object]:
    answer = done.answer
    return {
        "url": done.url,
        "seconds": done.seconds,
        "status": answer.status,
        "reason": answer.reason,
        "headers": [{"name": name, "value": value} for name, value in answer.headers],
        "body": b64encode(answer.body).decode(),
        "answer_tree": [tree.as_json() for tree in trees],
        "differences": _as_json(found),
    }
