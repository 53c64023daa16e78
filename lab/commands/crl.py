"""``ndes-lab crl``: certificate revocation lists."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from ._desk import at_the_desk
from ._output import json_option, print_models, print_rows
from ._settings import config_option, data_dir_option, load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.admin import Desk
    from lab.admin.models import CrlView


@click.group()
def crl() -> None:
    """Publish or show CRLs, or sign the offline root's."""


@crl.command("publish")
@click.option("--delta", is_flag=True, help="Only a delta CRL, to the base that is published.")
@json_option
@at_the_desk
def publish(desk: Desk, delta: bool, as_json: bool) -> None:
    """Sign new CRLs of the issuing CA and publish them: a base and its delta CRL, or a delta alone."""
    from lab.admin.models import CrlOrder

    _print(desk.publish_crls(CrlOrder(kind="delta" if delta else "base")), as_json)


@crl.command("show")
@click.option("--pem", is_flag=True, help="Print the CRLs themselves, in PEM.")
@json_option
@at_the_desk
def show(desk: Desk, pem: bool, as_json: bool) -> None:
    """Show what is published."""
    found = desk.crls(pem=pem)
    if pem and not as_json:
        for one in found:
            click.echo(one.pem or "", nl=False)
        return
    _print(found, as_json)


@crl.command("sign-root")
@data_dir_option
@click.option(
    "--passphrase-file",
    type=click.File("rb"),
    metavar="FILE",
    help="Passphrase of the root's key; - is standard input (default: from settings, or the root's folder).",
)
@config_option
@json_option
def sign_root(
    data_dir: Path | None, passphrase_file: BinaryIO | None, config: Path | None, as_json: bool
) -> None:
    """Take the offline root out, sign its next CRL with it, and publish that."""
    from ca.clock import SystemClock
    from ca.folders import PkiFolder
    from ca.process.settings import DEFAULT_DATA_DIR
    from ca.root import OfflineRoot

    from ._desk import local_desk, settings_of

    settings = load(config, server__data_dir=data_dir).settings
    folder = PkiFolder(settings.server.data_dir or DEFAULT_DATA_DIR)
    passphrase = None if passphrase_file is None else passphrase_file.read().strip()
    pki = settings_of(settings, folder).pki
    OfflineRoot.open(folder, pki, clock=SystemClock(), passphrase=passphrase).sign_crl()
    desk = local_desk(settings, folder.path)
    try:
        desk.publish_handed_over()
        _print(desk.crls(), as_json)
    finally:
        desk.close()


def _print(found: Sequence[CrlView], as_json: bool) -> None:
    if as_json:
        print_models(found)
        return
    print_rows(
        ("ISSUER", "KIND", "NUMBER", "ENTRIES", "THIS UPDATE", "NEXT UPDATE", "URL"),
        (
            (one.issuer, one.kind, one.number, one.entries, one.this_update, one.next_update, one.url)
            for one in found
        ),
    )
