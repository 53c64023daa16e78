"""``ndes-lab ra``: the two certificates that NDES itself works with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._desk import at_the_desk, several_times_at_the_desk, shows_as
from ._output import json_option, print_json, print_models, print_rows, text

if TYPE_CHECKING:
    from lab.admin import Desk
    from lab.admin.ndes import RaCertificateView, RoleName

_ROLES = ("signing", "encryption")
_role_argument = click.argument("role", metavar="signing|encryption", type=click.Choice(_ROLES))
_template_option = click.option(
    "--template", metavar="NAME", help="Template to issue under (default: NDES's own for the role)."
)
_RESTART = "The running service goes on with what it has loaded: ndes-lab ndes recycle (or SIGHUP)"


@click.group()
def ra() -> None:
    """Show, issue, renew or replace the RA's signing and encryption certificates.

    They live two years and nothing renews them. A service that runs does not look at them again; one
    that starts with an unusable one does not come up.
    """


@ra.command("list")
@json_option
@at_the_desk
def list_(desk: Desk, as_json: bool) -> None:
    """List the RA's certificates and how each would fare at the next start; exit 1 if one would fail."""
    found = desk.ndes.ra_certificates()
    if as_json:
        print_models(found, leave_out=frozenset({"pem"}))
    else:
        print_rows(
            ("ROLE", "IN USE", "STATUS", "NOT AFTER", "TEMPLATE", "SERIAL NUMBER", "SUBJECT", "REASON"),
            (
                (
                    one.role,
                    "yes" if one.in_use else "retired",
                    one.status,
                    one.not_after,
                    one.template,
                    one.serial_number,
                    one.subject,
                    one.reason or None,
                )
                for one in found
            ),
        )
    if any(one.in_use and one.status != "usable" for one in found):
        click.get_current_context().exit(1)


@ra.command()
@_role_argument
@_template_option
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="DIR",
    help="Folder for ROLE.crt and ROLE.key (not encrypted).",
)
@json_option
@at_the_desk
def issue(desk: Desk, role: RoleName, template: str | None, out: Path, as_json: bool) -> None:
    """Issue an RA certificate for a new key, and leave the present one in place."""
    from ca.folders import PRIVATE, PUBLIC, replace_file
    from lab.admin.ndes import RaOrder

    issued = desk.ndes.issue_ra(role, RaOrder(template=template))
    certificate, key = out / f"{role}.crt", out / f"{role}.key"
    replace_file(key, issued.key.encode(), mode=PRIVATE)
    replace_file(certificate, (issued.certificate.pem or "").encode(), mode=PUBLIC)
    if as_json:
        print_json({**issued.certificate.model_dump(mode="json", exclude={"pem"}), "file": str(certificate)})
        return
    click.echo(f"{certificate} and {key}; put them in place with: ndes-lab ra replace {role}")


@ra.command()
@click.argument("role", metavar="signing|encryption|all", type=click.Choice((*_ROLES, "all")))
@_template_option
@click.option("--same-key", is_flag=True, help="Keep the key (default: a new one).")
@json_option
@several_times_at_the_desk
def renew(desk: Desk, role: str, template: str | None, same_key: bool, as_json: bool) -> None:
    """Issue an RA certificate and put it in place; the old one goes among the retired."""
    from lab.admin.ndes import ROLES, RaOrder

    order = RaOrder(template=template, same_key=same_key)
    done = [desk.ndes.renew_ra(each, order) for each in ROLES if role in (each, "all")]
    _tell(done, as_json)


@ra.command()
@_role_argument
@click.option(
    "--certificate",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="The certificate, PEM.",
)
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="Its private key, PEM, not encrypted.",
)
@json_option
@at_the_desk
def replace(desk: Desk, role: RoleName, certificate: Path, key: Path, as_json: bool) -> None:
    """Put a certificate from elsewhere in place, whatever it is: expired, of another CA, ...

    That is how a broken NDES is made: the next start fails as Microsoft's does.
    """
    from pydantic import SecretStr

    from lab.admin.curl import whole_text_of
    from lab.admin.ndes import RaReplacement

    secret = key.read_text(errors="replace")
    shows_as(secret, whole_text_of(str(key)))
    replacement = RaReplacement(certificate=certificate.read_text(errors="replace"), key=SecretStr(secret))
    _tell([desk.ndes.replace_ra(role, replacement)], as_json)


def _tell(done: list[RaCertificateView], as_json: bool) -> None:
    if as_json:
        print_models(done, leave_out=frozenset({"pem"}))
        return
    for one in done:
        note = "" if one.status == "usable" else f"; it is not usable: {one.reason}"
        click.echo(
            f"The RA's {one.role} certificate has serial number {one.serial_number}, good until "
            f"{text(one.not_after)}{note}."
        )
    click.echo(_RESTART, err=True)
