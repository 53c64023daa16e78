"""``ndes-lab ndes reg``: NDES's settings from and to the registry of Windows."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._settings import config_option, load

if TYPE_CHECKING:
    from scep_server.ndes.registry import RegistryImport

_FILE = click.Path(dir_okay=False, path_type=Path, allow_dash=True)


@click.group()
def reg() -> None:
    """Carry NDES's settings from a real server here, and back."""


@reg.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--into",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="TOML",
    help="Append the section to this settings file instead of printing it; it is made if there is none.",
)
def import_(file: Path, into: Path | None) -> None:
    r"""Turn a .reg export of the MSCEP key into the section [ndes] of a settings file.

    Export it on the server with: reg export HKLM\SOFTWARE\Microsoft\Cryptography\MSCEP mscep.reg
    """
    from scep_server.ndes.regfile import RegFileError, parse_reg
    from scep_server.ndes.registry import import_registry

    try:
        found = import_registry(parse_reg(file.read_bytes()))
    except RegFileError as error:
        raise click.UsageError(f"{file}: {error}") from error
    for note in found.notes:
        click.echo(f"Note: {note}", err=True)
    section = _toml(found)
    if into is None:
        click.echo(section, nl=False)
        return
    before = into.read_text(encoding="utf-8") if into.exists() else ""
    _check_room(into, before)
    into.write_text(before + ("\n" if before else "") + section, encoding="utf-8")
    click.echo(f"{len(found.taken)} values are in {into} now.", err=True)


@reg.command("export")
@click.argument("file", type=_FILE)
@config_option
def export(file: Path, config: Path | None) -> None:
    """Write the settings in force as a .reg file for a real server; - is standard output."""
    from scep_server.ndes.regfile import write_reg
    from scep_server.ndes.registry import export_registry
    from scep_server.transport import DEFAULT_ENDPOINT

    settings = load(config).settings.with_registry()
    registry = settings.ndes.registry(settings.scep.endpoints[DEFAULT_ENDPOINT])
    octets = write_reg(export_registry(registry))
    if str(file) == "-":
        click.echo(octets, nl=False)
    else:
        file.write_bytes(octets)


def _toml(found: RegistryImport) -> str:
    """Return the values that the export had; TOML writes strings and numbers as JSON does."""
    values = found.registry.model_dump()
    lines = (f"{name} = {json.dumps(values[name], ensure_ascii=False)}" for name in found.taken)
    return "\n".join(["[ndes]", *lines, ""])


def _check_room(into: Path, text: str) -> None:
    try:
        there = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise click.UsageError(f"{into} is not TOML: {error}") from error
    if "ndes" in there:
        raise click.UsageError(
            f"{into} has a section [ndes] already; import without --into and merge by hand"
        )
