"""``ndes-lab cert``: certificates the CA has issued."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ca.records import CertificateStatus

from ._desk import at_the_desk
from ._output import json_option, print_fields, print_json, print_rows, text

if TYPE_CHECKING:
    from datetime import datetime

    from lab.admin import Desk
    from lab.admin.models import CertificateView

_REASONS = (
    "unspecified",
    "keyCompromise",
    "cACompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
    "certificateHold",
    "removeFromCRL",
    "privilegeWithdrawn",
    "aACompromise",
)


@click.group()
def cert() -> None:
    """List, show or revoke certificates."""


@cert.command("list")
@click.option(
    "--status", type=click.Choice([status.value for status in CertificateStatus]), help="Only these."
)
@click.option("--template", metavar="NAME", help="Only of this template.")
@click.option("--subject", metavar="TEXT", help="Only with this text in the subject, in any case.")
@click.option(
    "--expiring-within", type=click.IntRange(0, 36_500), metavar="DAYS", help="Only that end within DAYS."
)
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="Size of a page.")
@click.option(
    "--after", type=click.IntRange(min=0), default=0, metavar="ID", help="The page after this number."
)
@json_option
@at_the_desk
def list_(
    desk: Desk,
    status: str | None,
    template: str | None,
    subject: str | None,
    expiring_within: int | None,
    limit: int,
    after: int,
    as_json: bool,
) -> None:
    """List certificates, oldest first, a page at a time."""
    from lab.admin.models import CertificateQuery

    page = desk.certificates(
        CertificateQuery(
            status=CertificateStatus(status) if status else None,
            template=template,
            subject=subject,
            expiring_within_days=expiring_within,
            after_id=after,
            limit=limit,
        )
    )
    if as_json:
        print_json(page.model_dump(mode="json"))
        return
    print_rows(
        ("ID", "STATUS", "SUBJECT", "TEMPLATE", "NOT AFTER", "SERIAL NUMBER"),
        (
            (one.id, one.status, one.subject, one.template, one.not_after, one.serial_number)
            for one in page.certificates
        ),
    )
    if page.next_after_id is not None:
        click.echo(
            f"{len(page.certificates)} of {page.total}; the next page: --after {page.next_after_id}", err=True
        )


@cert.command("show")
@click.argument("certificate")
@click.option("--pem", is_flag=True, help="Print the certificate itself, in PEM.")
@json_option
@at_the_desk
def show(desk: Desk, certificate: str, pem: bool, as_json: bool) -> None:
    """Show one certificate, named by number, serial number, or SHA-1 or SHA-256 thumbprint."""
    found = desk.certificate(certificate)
    if as_json:
        print_json(found.model_dump(mode="json"))
    elif pem:
        click.echo(found.pem, nl=False)
    else:
        _print(found)


@cert.command("revoke")
@click.argument("certificate")
@click.option(
    "--reason",
    type=click.Choice(_REASONS, case_sensitive=False),
    default="unspecified",
    show_default=True,
    help="CRLReason (RFC 5280 5.3.1); removeFromCRL takes a certificate off hold.",
)
@click.option(
    "--invalidity-date",
    type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"]),
    help="Since when it is not to be trusted, in UTC.",
)
@json_option
@at_the_desk
def revoke(
    desk: Desk, certificate: str, reason: str, invalidity_date: datetime | None, as_json: bool
) -> None:
    """Revoke a certificate and publish a CRL that says so."""
    from datetime import UTC

    from lab.admin.models import RevocationOrder

    since = None if invalidity_date is None else invalidity_date.replace(tzinfo=UTC)
    order = RevocationOrder.model_validate({"reason": reason, "invalidity_date": since})
    done = desk.revoke_certificate(certificate, order)
    if as_json:
        print_json(done.model_dump(mode="json"))
        return
    one = done.certificate
    what = "is off hold" if order.reason == "removeFromCRL" else f"is revoked ({order.reason})"
    click.echo(f"Certificate {one.id}, {text(one.subject)}, {what}.")
    click.echo(f"CRL {done.crl.number} says so: {done.crl.url}")


def _print(found: CertificateView) -> None:
    fields: list[tuple[str, object]] = [
        ("Number", found.id),
        ("Subject", found.subject),
        ("Status", found.status),
        ("Template", found.template),
        ("Requester", found.requester),
        ("Serial number", found.serial_number),
        ("Not before", found.not_before),
        ("Not after", found.not_after),
        ("Issued", found.issued_at),
        ("SHA-1", found.sha1),
    ]
    if found.revoked_at is not None:
        fields += [("Revoked", found.revoked_at), ("Reason", found.revocation_reason)]
    print_fields(fields)
