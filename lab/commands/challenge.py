"""``ndes-lab challenge``: challenge passwords."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

import click

from ._desk import at_the_desk, shows_as
from ._output import json_option, print_json, print_models, print_rows

if TYPE_CHECKING:
    from lab.admin import Desk


@click.group()
def challenge() -> None:
    """Make, list or revoke challenge passwords."""


@challenge.command("new")
@click.option(
    "--subject",
    metavar="DN",
    help="Good for this subject only (RFC 4514), and for alternative names that repeat it.",
)
@click.option("--template", metavar="NAME", help="Issue under this template.")
@click.option("--endpoint", metavar="NAME", help="Good at this endpoint only.")
@click.option("--label", default="", help="A word for people.")
@click.option("--static", is_flag=True, help="Good any number of times.")
@click.option(
    "--minutes", type=click.IntRange(min=1), help="Good for so long (default: as the settings say)."
)
@click.option("--no-expiry", is_flag=True, help="Good for ever.")
@click.option(
    "--password-file",
    type=click.File("r"),
    metavar="FILE",
    help="Take the password from the first line of FILE; - is standard input.",
)
@json_option
@at_the_desk
def new(
    desk: Desk,
    subject: str | None,
    template: str | None,
    endpoint: str | None,
    label: str,
    static: bool,
    minutes: int | None,
    no_expiry: bool,
    password_file: TextIO | None,
    as_json: bool,
) -> None:
    """Make a challenge and print it, and nothing else, on standard output."""
    from pydantic import ValidationError

    from lab.admin.curl import first_line_of
    from lab.admin.models import ChallengeOrder

    if no_expiry and minutes is not None:
        raise click.UsageError("--minutes and --no-expiry exclude each other")
    password = password_file.readline().rstrip("\r\n") if password_file else None
    if password_file is not None and password and password_file.name != "<stdin>":
        shows_as(password, first_line_of(password_file.name))
    wanted: dict[str, object] = {
        "kind": "static" if static else "one-time",
        "subject": subject,
        "template": template,
        "endpoint": endpoint,
        "label": label,
        "password": password,
    }
    if no_expiry or minutes is not None:
        wanted["validity_minutes"] = minutes
    try:
        order = ChallengeOrder.model_validate(wanted)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        raise click.UsageError(f"{problem['loc'][0]}: {problem['msg']}") from error
    made = desk.new_challenge(order)
    if as_json:
        print_json(made.model_dump(mode="json"))
    else:
        click.echo(made.password)


@challenge.command("list")
@click.option("--usable", is_flag=True, help="Only those that are still good for something.")
@json_option
@at_the_desk
def list_(desk: Desk, usable: bool, as_json: bool) -> None:
    """List challenges; passwords are not kept and not shown."""
    found = desk.challenges(usable_only=usable)
    if as_json:
        print_models(found)
        return
    columns = (
        "ID",
        "STATUS",
        "KIND",
        "CREATED",
        "EXPIRES",
        "USES",
        "SUBJECT",
        "TEMPLATE",
        "ENDPOINT",
        "LABEL",
    )
    print_rows(
        columns,
        (
            (
                one.id,
                one.status,
                one.kind,
                one.created_at,
                one.expires_at,
                one.uses,
                one.subject,
                one.template,
                one.endpoint,
                one.label or None,
            )
            for one in found
        ),
    )


@challenge.command("revoke")
@click.argument("challenge_id", metavar="ID", type=click.IntRange(min=1))
@json_option
@at_the_desk
def revoke(desk: Desk, challenge_id: int, as_json: bool) -> None:
    """Revoke the challenge with this number, as `challenge list` shows it."""
    revoked = desk.revoke_challenge(challenge_id)
    if as_json:
        print_json(revoked.model_dump(mode="json"))
    else:
        click.echo(f"Challenge {revoked.id} is revoked.")
