"""``ndes-lab request``: requests that wait for a certificate manager."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ca.records import RequestStatus

from ._desk import at_the_desk
from ._output import json_option, print_json, print_models, print_rows, text

if TYPE_CHECKING:
    from lab.admin import Desk


@click.group()
def request() -> None:
    """List, approve or deny requests that wait for approval."""


@request.command("list")
@click.option("--status", type=click.Choice([status.value for status in RequestStatus]), help="Only these.")
@json_option
@at_the_desk
def list_(desk: Desk, status: str | None, as_json: bool) -> None:
    """List requests, oldest first."""
    found = desk.requests(RequestStatus(status) if status else None)
    if as_json:
        print_models(found)
        return
    print_rows(
        ("ID", "STATUS", "SUBJECT", "TEMPLATE", "SUBMITTED", "CERTIFICATE", "MESSAGE"),
        (
            (
                one.id,
                one.status,
                one.subject,
                one.template,
                one.submitted_at,
                one.certificate_id,
                one.disposition_message or None,
            )
            for one in found
        ),
    )


@request.command("approve")
@click.argument("request_id", metavar="ID", type=click.IntRange(min=1))
@json_option
@at_the_desk
def approve(desk: Desk, request_id: int, as_json: bool) -> None:
    """Approve a pending request: its certificate is issued, and its client gets it by polling."""
    issued = desk.approve(request_id)
    if as_json:
        print_json(issued.model_dump(mode="json"))
    else:
        click.echo(f"Request {request_id} is issued as certificate {issued.id}, {text(issued.subject)}.")


@request.command("deny")
@click.argument("request_id", metavar="ID", type=click.IntRange(min=1))
@click.option("--message", default="Denied by administrator", show_default=True, help="Why, for the record.")
@json_option
@at_the_desk
def deny(desk: Desk, request_id: int, message: str, as_json: bool) -> None:
    """Deny a pending request."""
    from lab.admin.models import DenialOrder

    if not 1 <= len(message) <= 200:
        raise click.UsageError("--message has 1 to 200 characters")
    denied = desk.deny(request_id, DenialOrder(message=message))
    if as_json:
        print_json(denied.model_dump(mode="json"))
    else:
        click.echo(f"Request {denied.id}, {text(denied.subject)}, is denied.")
