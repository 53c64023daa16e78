"""``ndes-lab populate``: a whole set of things at once."""

from __future__ import annotations

import json
import shlex
import tomllib
from typing import TYPE_CHECKING

import click

from ._desk import at_the_desk, sends
from ._output import json_option, print_json, print_rows

if TYPE_CHECKING:
    from lab.admin import Desk
    from lab.admin.whole import PopulateOrder

_TO_JSON = "import json, sys, tomllib; json.dump(tomllib.load(sys.stdin.buffer), sys.stdout)"


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@json_option
@at_the_desk
def populate(desk: Desk, file: str, as_json: bool) -> None:
    """Make challenges, templates, certificates, revocations, fault rules and the time be as FILE says.

    FILE is TOML, or JSON as the management API takes it; - is standard input. All is made, or nothing;
    what is there already stays, so that the same file may be given again.
    """
    order = _read(file)
    done = desk.lab.populate(order)
    if as_json:
        print_json(done.model_dump(mode="json"))
    else:
        print_rows(
            ("OUTCOME", "KIND", "ID", "NAME"),
            ((one.outcome, one.kind, one.id, one.name or None) for one in done.items),
        )
    if done.problem:
        click.echo(f"The CRL was not published: {done.problem}", err=True)
        click.get_current_context().exit(1)


def _read(file: str) -> PopulateOrder:
    from pydantic import ValidationError

    from ca.process.wording import described
    from lab.admin.curl import ShellBody
    from lab.admin.whole import PopulateOrder

    with click.open_file(file, "rb") as stream:
        data = stream.read()
    is_json = data.lstrip()[:1] == b"{"
    if is_json:
        sends(ShellBody(source="@" + shlex.quote(file)))
    else:
        shown = "" if file == "-" else f" < {shlex.quote(file)}"
        sends(ShellBody(source="@-", before=f"python3 -c {shlex.quote(_TO_JSON)}{shown} | "))
    try:
        text = data if is_json else json.dumps(tomllib.loads(data.decode())).encode()
        return PopulateOrder.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise click.UsageError(f"{file}: {described(error, 'the file', PopulateOrder)}") from error
    except (ValueError, TypeError) as error:
        raise click.UsageError(f"{file} is neither TOML nor JSON: {error}") from error
