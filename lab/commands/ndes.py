"""``ndes-lab ndes``: what an administrator of NDES reads, and the restart that cures so much."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, TypeVar

import click

from ._desk import at_the_desk, several_times_at_the_desk
from ._ndes_reg import reg
from ._output import json_option, print_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from lab.admin import Desk
    from lab.admin.ndes import EventView

_View = TypeVar("_View")
_POLL_SECONDS = 0.5
_follow_option = click.option(
    "--follow", "-f", is_flag=True, help="Go on with what comes, until interrupted."
)
_last_option = click.option(
    "--last", type=click.IntRange(min=1), metavar="N", help="Only the last N of those that are there."
)


@click.group()
def ndes() -> None:
    """Read NDES's event log, IIS's log and the trace of each request; restart the service."""


ndes.add_command(reg)


@ndes.command()
@click.option("--xml", "as_xml", is_flag=True, help="Print XML as Windows exports it.")
@json_option
@_follow_option
@_last_option
@several_times_at_the_desk
def events(desk: Desk, as_xml: bool, as_json: bool, follow: bool, last: int | None) -> None:
    """Print the events of NDES's part of the Application log, oldest first.

    Events whose text no source gives say that theirs is synthetic.
    """
    if as_xml and as_json:
        raise click.UsageError("--xml and --json exclude each other")
    read = _reader(desk.ndes.events, lambda view: view.record_id, follow=follow, last=last)
    if follow:
        for event in read:
            click.echo(_event_text(event, as_xml=as_xml, as_json=as_json))
        return
    found = list(read)
    if as_json:
        print_json([event.model_dump(mode="json") for event in found])
    elif as_xml:
        click.echo("<Events>" + "".join(event.event().as_xml() for event in found) + "</Events>")
    else:
        for event in found:
            click.echo(event.event().as_text())


@ndes.command()
@json_option
@_follow_option
@_last_option
@several_times_at_the_desk
def log(desk: Desk, as_json: bool, follow: bool, last: int | None) -> None:
    """Print IIS's log in W3C's extended format, oldest first."""
    from scep_server.ndes.w3c import FIELDS

    read = _reader(desk.ndes.log, lambda view: view.number, follow=follow, last=last)
    if not as_json:
        click.echo(f"#Fields: {' '.join(FIELDS)}")
        for line in read:
            click.echo(line.line)
        return
    rows = (dict(zip(FIELDS, line.line.split(" "), strict=True)) for line in read)
    _print_all(rows, follow=follow)


@ndes.command()
@json_option
@_follow_option
@_last_option
@several_times_at_the_desk
def trace(desk: Desk, as_json: bool, follow: bool, last: int | None) -> None:
    """Print the trace of each request, from HTTP to the CA and back, as CMTrace reads it."""
    read = _reader(desk.ndes.trace, lambda view: view.number, follow=follow, last=last)
    if as_json:
        _print_all((line.model_dump(mode="json") for line in read), follow=follow)
        return
    for line in read:
        click.echo(line.line)


@ndes.command()
@at_the_desk
def recycle(desk: Desk) -> None:
    """Restart the service, as iisreset does: RA certificates and settings are read anew."""
    desk.ndes.recycle()
    click.echo("The service is stopped; the next request starts it.", err=True)


def _event_text(event: EventView, *, as_xml: bool, as_json: bool) -> str:
    if as_json:
        return event.model_dump_json()
    return event.event().as_xml() if as_xml else event.event().as_text()


def _print_all(rows: Iterable[Mapping[str, object]], *, follow: bool) -> None:
    if not follow:
        print_json(list(rows))
        return
    for row in rows:
        click.echo(json.dumps(row))


def _reader(
    ask: Callable[[int], Sequence[_View]],
    number_of: Callable[[_View], int],
    *,
    follow: bool,
    last: int | None,
) -> Iterator[_View]:
    """Yield what there is, page by page, and then, if wanted, what comes."""
    from lab.admin.ndes import LINES_AT_ONCE

    there: list[_View] = []
    seen = 0
    while page := ask(seen):
        there += page
        seen = number_of(page[-1])
        if len(page) < LINES_AT_ONCE:
            break
    yield from there if last is None else there[-last:]
    try:
        while follow:
            page = ask(seen)
            yield from page
            seen = number_of(page[-1]) if page else seen
            if not page:
                time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        return
