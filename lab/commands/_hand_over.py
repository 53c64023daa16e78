"""``ndes-lab pki hand-over``: what those who serve may see, from the root's keeper's folder to theirs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ._output import json_option, print_json, print_rows
from ._settings import config_option, data_dir_option, database_url_option, load

if TYPE_CHECKING:
    from ca.folders import PkiFolder
    from lab.settings import LabSettings

_SERVER: Final = "server"
_ROLES: Final = ("scep", "publisher", "lab", _SERVER)


class Destination(click.ParamType[tuple[str, Path]]):
    """A folder, and whose it is: ``ROLE=DIR``."""

    name = "ROLE=DIR"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Path]:
        """Return role and folder."""
        role, _, folder = str(value).partition("=")
        if role not in _ROLES or not folder:
            self.fail(f"{value!r} is not ROLE=DIR with one of the roles {', '.join(_ROLES)}", param, ctx)
        return role, Path(folder)


@click.command("hand-over")
@click.argument("destinations", nargs=-1, required=True, type=Destination(), metavar="ROLE=DIR...")
@click.option("--init", "hold", is_flag=True, help="Hold the key ceremony first, if there is no PKI.")
@click.option("--sign-root", is_flag=True, help="Sign the root's next CRL first, if it is due.")
@click.option(
    "--server-name",
    "names",
    multiple=True,
    metavar="NAME",
    help="Name or address in the certificate of the role server. Repeatable; the first is the common name.",
)
@data_dir_option
@database_url_option
@config_option
@json_option
def hand_over(
    destinations: tuple[tuple[str, Path], ...],
    hold: bool,
    sign_root: bool,
    names: tuple[str, ...],
    data_dir: Path | None,
    database_url: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Copy to other folders exactly what a role may see; again: what is new.

    \b
    scep       issuing CA, the RA's keys, secrets, templates
    publisher  issuing CA and templates; neither the RA's keys nor what checks challenges
    lab        both, for ndes-lab up
    server     for a TLS server: key and certificate (server.pem), root.pem, and trusted.pem
               with the CAs by which it judges clients

    The root stays. The database must be named by the settings, so that all find it. What a program made in
    its own folder stays there, and so does an RA certificate that was renewed there.
    """  # noqa: D301 - click's mark for lines as they are
    if names and _SERVER not in dict(destinations):
        raise click.UsageError("--server-name goes with server=DIR")
    if _SERVER in dict(destinations) and not names:
        raise click.UsageError("server=DIR needs a --server-name, for the certificate")
    from ca.folders import PkiFolder
    from ca.process.settings import DEFAULT_DATA_DIR

    from ._desk import settings_of

    settings = load(config, server__data_dir=data_dir, pki__database_url=database_url).settings
    folder = PkiFolder(settings.server.data_dir or DEFAULT_DATA_DIR)
    if hold:
        _hold_ceremony(folder, settings)
    settings = settings_of(settings, folder)
    if sign_root:
        _sign_root_if_due(folder, settings)
    done = [(role, path, _hand_over(folder, settings, role, path, names)) for role, path in destinations]
    if as_json:
        print_json([{"role": role, "folder": str(path), "files": files} for role, path, files in done])
        return
    print_rows(
        ("ROLE", "FOLDER", "NEW FILES"), ((role, path, " ".join(files) or None) for role, path, files in done)
    )
    if any(files for _, _, files in done):
        click.echo("Who serves has to read what is new: start it again, or send it SIGHUP.", err=True)


def _hold_ceremony(folder: PkiFolder, settings: LabSettings) -> None:
    from ca.ceremony import ensure_pki
    from ca.clock import SystemClock
    from crl_publisher.program import DEFAULT_PORT as DEFAULT_PKI_PORT
    from lab.addresses import with_public_url

    effective = with_public_url(settings, settings.server.pki_port or DEFAULT_PKI_PORT)
    ensure_pki(folder, effective.pki, clock=SystemClock(), entropy=os.urandom)


def _sign_root_if_due(folder: PkiFolder, settings: LabSettings) -> None:
    from ca.clock import SystemClock
    from ca.root import OfflineRoot, root_crl_due

    clock = SystemClock()
    if root_crl_due(folder) <= clock.now():
        OfflineRoot.open(folder, settings.pki, clock=clock).sign_crl()


def _hand_over(
    folder: PkiFolder, settings: LabSettings, role: str, path: Path, names: tuple[str, ...]
) -> tuple[str, ...]:
    from ca.clock import SystemClock
    from ca.folders import PkiFolder
    from ca.handing_over import Role, hand_over

    if role != _SERVER:
        return hand_over(folder, settings.pki, Role(role), PkiFolder(path))
    from lab.server_files import keep_server_files
    from lab.world import World

    world = World(folder, settings, clock=SystemClock(), entropy=os.urandom)
    try:
        return keep_server_files(world, path, names)
    finally:
        world.close()
