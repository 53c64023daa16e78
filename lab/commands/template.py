"""``ndes-lab template``: certificate templates of a running lab."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

import click

from ._desk import at_the_desk
from ._output import json_option, print_fields, print_json, print_models, print_rows

if TYPE_CHECKING:
    from lab.admin import Desk
    from lab.admin.templates import TemplateView


@click.group()
def template() -> None:
    """List, show or change certificate templates.

    A change holds for the next request, until the lab is reset or ends; what is to last is written into
    the folder templates/ of the data folder before the lab starts.
    """


@template.command("list")
@json_option
@at_the_desk
def list_(desk: Desk, as_json: bool) -> None:
    """List the templates that the CA knows."""
    found = desk.templates.list()
    if as_json:
        print_models(found)
        return
    print_rows(
        ("NAME", "PUBLISHED", "CHANGED", "VALIDITY", "APPROVAL", "ENROLL"),
        (
            (
                one.name,
                _yes(one.published),
                _yes(one.changed),
                one.validity_period,
                "manager" if one.manager_approval else "none",
                ", ".join(one.enroll) or None,
            )
            for one in found
        ),
    )


@template.command("show")
@click.argument("name")
@json_option
@at_the_desk
def show(desk: Desk, name: str, as_json: bool) -> None:
    """Show one template."""
    _print(desk.templates.show(name), as_json)


@template.command("publish")
@click.argument("name")
@json_option
@at_the_desk
def publish(desk: Desk, name: str, as_json: bool) -> None:
    """Have the CA issue certificates of a template."""
    from lab.admin.templates import TemplateChange

    _print(desk.templates.change(name, TemplateChange(published=True)), as_json)


@template.command("unpublish")
@click.argument("name")
@json_option
@at_the_desk
def unpublish(desk: Desk, name: str, as_json: bool) -> None:
    """Have the CA issue no more certificates of a template."""
    from lab.admin.templates import TemplateChange

    _print(desk.templates.change(name, TemplateChange(published=False)), as_json)


@template.command("change")
@click.argument("name")
@click.option("--enroll", multiple=True, metavar="PRINCIPAL", help="Who may enrol; repeat it for several.")
@click.option("--nobody-enrolls", is_flag=True, help="Nobody may enrol.")
@click.option(
    "--approval/--no-approval", default=None, help="Whether requests wait for a certificate manager."
)
@click.option(
    "--minimal-key-size", type=click.IntRange(512, 8192), metavar="BITS", help="Least bits of an RSA key."
)
@click.option("--validity-period", metavar="PERIOD", help="Such as '2 Years' or '30 Minutes'.")
@click.option("--renewal-period", metavar="PERIOD", help="Such as '6 Weeks'; shorter than the validity.")
@json_option
@at_the_desk
def change(
    desk: Desk,
    name: str,
    enroll: tuple[str, ...],
    nobody_enrolls: bool,
    approval: bool | None,
    minimal_key_size: int | None,
    validity_period: str | None,
    renewal_period: str | None,
    as_json: bool,
) -> None:
    """Change permissions, approval, key size or periods of a template."""
    from pydantic import ValidationError

    from ca.process.wording import described
    from lab.admin.templates import TemplateChange

    if enroll and nobody_enrolls:
        raise click.UsageError("--enroll and --nobody-enrolls exclude each other")
    wanted = {
        "enroll": () if nobody_enrolls else enroll or None,
        "manager_approval": approval,
        "minimal_key_size": minimal_key_size,
        "validity_period": validity_period,
        "renewal_period": renewal_period,
    }
    if all(value is None for value in wanted.values()):
        raise click.UsageError("nothing is to be changed; give an option that says what")
    try:
        order = TemplateChange.model_validate(wanted)
    except ValidationError as error:
        raise click.UsageError(described(error, "the change")) from error
    _print(desk.templates.change(name, order), as_json)


@template.command("put")
@click.argument("name")
@click.argument("file", type=click.File("r", encoding="utf-8", errors="replace"))
@json_option
@at_the_desk
def put(desk: Desk, name: str, file: TextIO, as_json: bool) -> None:
    """Add a template, or replace the one of its name, by a template file (TOML); - is standard input."""
    from lab.admin.templates import TemplateText

    _print(desk.templates.put(name, TemplateText(toml=file.read())), as_json)


def _print(found: TemplateView, as_json: bool) -> None:
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    print_fields(
        [
            ("Name", found.name),
            ("Display name", found.display_name),
            ("OID", found.oid),
            ("Version", f"{found.schema_version}, revision {found.revision}.{found.minor_revision}"),
            ("Subject type", found.subject_type),
            ("Published", _yes(found.published)),
            ("Changed here", _yes(found.changed)),
            ("Validity period", found.validity_period),
            ("Renewal period", found.renewal_period),
            ("Minimal key size", found.minimal_key_size),
            ("Key algorithms", ", ".join(one.value for one in found.key_algorithms)),
            ("Supply in request", _yes(found.enrollee_supplies_subject)),
            ("Manager approval", _yes(found.manager_approval)),
            ("Key usage", ", ".join(found.key_usage)),
            ("Application policies", ", ".join(found.application_policies)),
            ("Enroll", ", ".join(found.enroll) or None),
        ]
    )


def _yes(value: bool) -> str:
    return "yes" if value else "no"
