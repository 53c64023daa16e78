"""``ndes-lab cert``: certificates the CA has issued."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

import click

from ca.records import CertificateStatus, RevocationReason

from ._desk import at_the_desk, several_times_at_the_desk
from ._output import json_option, print_fields, print_json, print_rows, text

if TYPE_CHECKING:
    from datetime import datetime

    from lab.admin import Desk
    from lab.admin.models import CertificateView, RevocationOrder

_REASONS = tuple(reason.rfc_name for reason in RevocationReason)
_DATE = click.DateTime(["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"])


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


@cert.command("issue")
@click.argument("csr", type=click.File("r", encoding="utf-8", errors="replace"))
@click.option(
    "--template",
    metavar="NAME",
    default="SCEP-Client-Auth",
    show_default=True,
    help="Template to issue under.",
)
@click.option(
    "--requester",
    metavar="NAME",
    default="Authenticated Users",
    show_default=True,
    help="Principal whose Enroll permission counts.",
)
@json_option
@at_the_desk
def issue(desk: Desk, csr: TextIO, template: str, requester: str, as_json: bool) -> None:
    """Issue a certificate for a request (PKCS#10, PEM) without SCEP, and print it; - is standard input.

    Where the template wants a certificate manager's approval the request waits, and exit status is 1.
    """
    from lab.admin.models import CertificateOrder, CertificateView

    made = desk.issue_certificate(CertificateOrder(csr=csr.read(), template=template, requester=requester))
    if as_json:
        print_json(made.model_dump(mode="json"))
    elif isinstance(made, CertificateView):
        click.echo(made.pem, nl=False)
    if not isinstance(made, CertificateView):
        click.echo(f"Request {made.id} waits for approval: ndes-lab request approve {made.id}", err=True)
        click.get_current_context().exit(1)


@cert.command("revoke")
@click.argument("certificate", required=False)
@click.option("--subject", metavar="NAME", help="The certificate with exactly this subject (RFC 4514).")
@click.option("--all", "every", is_flag=True, help="With --subject: all of them, where there are several.")
@click.option(
    "--from-file",
    "source",
    type=click.File("r", encoding="utf-8"),
    metavar="FILE",
    help="All on a list, a line each: serial number or thumbprint[,reason[,date]]; - is standard input.",
)
@click.option(
    "--reason",
    type=click.Choice(_REASONS, case_sensitive=False),
    default="unspecified",
    show_default=True,
    help="CRLReason (RFC 5280 5.3.1); removeFromCRL takes a certificate off hold.",
)
@click.option("--date", "revoked_at", type=_DATE, help="Revocation date, in UTC, if not now.")
@click.option("--invalidity-date", type=_DATE, help="Since when it is not to be trusted, in UTC.")
@click.option(
    "--publish",
    type=click.Choice(["base", "delta", "none"]),
    default="base",
    show_default=True,
    help="CRL to publish at once; none: the next one that is due says so.",
)
@json_option
@several_times_at_the_desk
def revoke(
    desk: Desk,
    certificate: str | None,
    subject: str | None,
    every: bool,
    source: TextIO | None,
    reason: str,
    revoked_at: datetime | None,
    invalidity_date: datetime | None,
    publish: str,
    as_json: bool,
) -> None:
    """Revoke certificates: one by number, serial number or thumbprint, or by subject, or many from a list.

    A list is checked as a whole before anything is revoked. OCSP answers know at once; a CRL says so
    when it is published.
    """
    if sum(given is not None for given in (certificate, subject, source)) != 1:
        raise click.UsageError("name a certificate, or give --subject or --from-file, and only one of them")
    if source is not None:
        if revoked_at is not None or invalidity_date is not None:
            raise click.UsageError("--from-file has a date on each line; --invalidity-date goes with one")
        _revoke_listed(desk, source.read(), reason, publish, as_json=as_json)
        return
    chosen = [certificate] if certificate is not None else _of_subject(desk, subject or "", every=every)
    orders = ["none"] * (len(chosen) - 1) + [publish]
    done = [
        desk.revoke_certificate(one, _order(reason, revoked_at, invalidity_date, publish_then))
        for one, publish_then in zip(chosen, orders, strict=True)
    ]
    if as_json:
        found = [one.model_dump(mode="json") for one in done]
        print_json(found if subject is not None else found[0])
        return
    what = "is off hold" if reason == "removeFromCRL" else f"is revoked ({reason})"
    for each in done:
        click.echo(f"Certificate {each.certificate.id}, {text(each.certificate.subject)}, {what}.")
    crl = done[-1].crl
    click.echo("The next CRL says so." if crl is None else f"CRL {crl.number} says so: {crl.url}")


def _order(
    reason: str, revoked_at: datetime | None, invalidity_date: datetime | None, publish: str
) -> RevocationOrder:
    from datetime import UTC

    from lab.admin.models import RevocationOrder

    dates = {"revoked_at": revoked_at, "invalidity_date": invalidity_date}
    in_utc = {name: value and value.replace(tzinfo=UTC) for name, value in dates.items()}
    return RevocationOrder.model_validate({"reason": reason, "publish": publish, **in_utc})


def _of_subject(desk: Desk, subject: str, *, every: bool) -> list[str]:
    """Return the numbers of the certificates with this subject that are neither revoked for good nor over."""
    from ca import names
    from lab.admin.models import CertificateQuery

    try:
        wanted = names.build_name(subject)
    except ValueError as error:
        raise click.UsageError(f"--subject: {error}") from error
    found, after = [], 0
    text_in_store = names.name_text(wanted)
    while True:
        page = desk.certificates(CertificateQuery(subject=text_in_store, after_id=after, limit=1000))
        found += [
            one
            for one in page.certificates
            if one.subject.casefold() == text_in_store.casefold()
            and (one.status is CertificateStatus.VALID or one.revocation_reason == "certificateHold")
        ]
        if page.next_after_id is None:
            break
        after = page.next_after_id
    if not found:
        raise click.UsageError(f"no certificate in force has the subject {text_in_store}")
    if len(found) > 1 and not every:
        numbers = ", ".join(str(one.id) for one in found)
        raise click.UsageError(f"{len(found)} certificates have this subject ({numbers}); all: --all")
    return [str(one.id) for one in found]


def _revoke_listed(desk: Desk, content: str, reason: str, publish: str, *, as_json: bool) -> None:
    from lab.admin.models import CrlOrder
    from lab.revocation_list import read_revocation_list

    from ._bulk import revoke_listed

    listed = read_revocation_list(content, default_reason=_order(reason, None, None, "none").reason)
    revoke_listed(desk, listed)
    crls = [] if publish == "none" else desk.publish_crls(CrlOrder.model_validate({"kind": publish}))
    if as_json:
        print_json({"revoked": len(listed), "crls": [one.model_dump(mode="json") for one in crls]})
        return
    number = len(listed)
    click.echo("1 certificate is done." if number == 1 else f"All {number} certificates are done.")
    if publish == "none":
        click.echo("The next CRL says so.")


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
