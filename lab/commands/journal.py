"""``ndes-lab journal``: what came in, what went out, and why."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any

import click

from ._desk import at_the_desk, several_times_at_the_desk
from ._journal_output import COLUMNS, cells, line, print_entry
from ._journal_sides import LAST, view_named
from ._journal_using import diff, export, replay
from ._keys import with_keys
from ._output import json_option, print_json, print_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.admin import Desk
    from lab.admin.journal import EntryPage
    from lab.decoding import EnvelopeKeys

_WAIT_SECONDS = 25.0
_PAUSE_SECONDS = 0.5
_FILTERS = {
    "listener": click.option("--listener", type=click.Choice(["scep", "pki"]), help="Only of this listener."),
    "operation": click.option("--operation", metavar="NAME", help="Only this operation, as PKIOperation."),
    "message_type": click.option("--message-type", metavar="NAME", help="Only this messageType, as PKCSReq."),
    "transaction_id": click.option("--transaction-id", metavar="ID", help="Only this transactionID."),
    "subject": click.option("--subject", metavar="TEXT", help="Only with this text in the subject."),
    "client_address": click.option(
        "--client", "client_address", metavar="ADDRESS", help="Only from this address."
    ),
    "path": click.option("--path", metavar="TEXT", help="Only with this text in path or query."),
    "refused_by": click.option("--refused-by", metavar="CHECK", help="Only what this check refused."),
    "fault": click.option("--fault", metavar="TEXT", help="Only with a fault that has this text in its id."),
    "accepted": click.option("--accepted/--refused", default=None, help="Only what was accepted, or not."),
    "status": click.option("--status", type=click.IntRange(100, 999), help="Only with this HTTP status."),
}


def _with_filters(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options by which entries are chosen, as the argument ``wanted``."""

    @functools.wraps(function)
    def command(*words: Any, **options: Any) -> None:
        wanted = {name: options.pop(name) for name in _FILTERS}
        function(*words, wanted={key: value for key, value in wanted.items() if value is not None}, **options)

    for option in reversed(_FILTERS.values()):
        command = option(command)
    return command


@click.group()
def journal() -> None:
    """Read what came in at the SCEP and PKI listeners, what went out, and why.

    An entry is named by its number, or "last". A lab that runs keeps the newest; the journal that it
    wrote to its folder (journal.files = true) is read with --data-dir. Challenge passwords are blanked
    unless --with-secrets is given, HTTP credentials always.
    """


journal.add_command(export)
journal.add_command(diff)
journal.add_command(replay)


@journal.command("list")
@click.option(
    "--last",
    type=click.IntRange(1, 1000),
    default=50,
    show_default=True,
    metavar="N",
    help="Only the newest N that match.",
)
@_with_filters
@json_option
@at_the_desk
def list_(desk: Desk, last: int, wanted: dict[str, Any], as_json: bool) -> None:
    """List entries, oldest first: what was asked, how it ended, what refused it, which faults were met."""
    page = _page(desk, newest=True, limit=last, **wanted)
    if as_json:
        print_json([row.model_dump(mode="json") for row in page.entries])
    else:
        print_rows(COLUMNS, (cells(row) for row in page.entries))


@journal.command()
@click.argument("entry", metavar="[ID]", default=LAST)
@click.option("--brief", is_flag=True, help="Leave the decoded messages out.")
@click.option("--whole", is_flag=True, help="Show long values whole.")
@click.option("--with-secrets", is_flag=True, help="Show challenge passwords, where the lab has seen them.")
@with_keys
@json_option
@several_times_at_the_desk
def show(
    desk: Desk,
    entry: str,
    brief: bool,
    whole: bool,
    with_secrets: bool,
    keys: EnvelopeKeys,
    as_json: bool,
) -> None:
    """Show an entry whole: every check with its verdict, the decoded messages, the certificate, the faults.

    ID is a number, "last", or a file that export wrote. The request's envelope is shown open, as the server
    saw it; the answer's opens with the client's --key.
    """
    from lab.admin.journal import EntryQuery, NodeView
    from lab.journal.trees import entry_trees

    query = EntryQuery(secrets=with_secrets, trees=not (brief or keys))
    view = view_named(desk, entry, query)
    trees = entry_trees(view.entry(), keys) if keys and not brief else view.trees()
    if as_json:
        shown = {
            "request_tree": tuple(NodeView.of(node) for node in trees.request),
            "answer_tree": tuple(NodeView.of(node) for node in trees.answer),
        }
        print_json(view.model_copy(update=shown).model_dump(mode="json"))
        return
    print_entry(view, trees=(("Request", trees.request), ("Answer", trees.answer)), whole=whole)


@journal.command()
@click.option("--after", type=click.IntRange(min=0), metavar="ID", help="Begin after this entry; else now.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N entries.")
@_with_filters
@json_option
@at_the_desk
def follow(desk: Desk, after: int | None, count: int | None, wanted: dict[str, Any], as_json: bool) -> None:
    """Print each new entry in a line as it comes, until interrupted."""
    try:
        seen = _page(desk, newest=True, limit=1).last_seen if after is None else after
        left = count
        while left is None or left > 0:
            begin = time.monotonic()
            page = _page(desk, after=seen, wait_seconds=_WAIT_SECONDS, limit=left or 1000, **wanted)
            for row in page.entries:
                click.echo(row.model_dump_json() if as_json else line(row))
            seen = page.last_seen
            left = None if left is None else left - len(page.entries)
            if not page.entries and time.monotonic() - begin < _PAUSE_SECONDS:
                time.sleep(_PAUSE_SECONDS)  # too many wait for the lab to let us wait there
    except KeyboardInterrupt:
        return


@journal.command()
@at_the_desk
def clear(desk: Desk) -> None:
    """Forget all entries; numbers begin at 1 again."""
    desk.journal.clear()


def _page(desk: Desk, **wanted: Any) -> EntryPage:
    from pydantic import ValidationError

    from lab.admin.desk import Invalid
    from lab.admin.journal import EntryListQuery

    try:
        return desk.journal.entries(EntryListQuery(**wanted))
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        raise Invalid(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}") from error
