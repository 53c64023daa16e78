"""``ndes-lab config``: what the settings come to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ._output import json_option, print_json, print_rows
from ._settings import config_option, load

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def config() -> None:
    """Show the settings."""


@config.command("show")
@config_option
@click.option("--section", metavar="NAME", help="Only this section.")
@json_option
def show(config: Path | None, section: str | None, as_json: bool) -> None:
    """Show the effective settings and where each came from; secrets are hidden."""
    from lab.settings import LabSettings, effective_rows

    if section is not None and section not in LabSettings.model_fields:
        raise click.UsageError(f"no section {section!r}; known: {', '.join(LabSettings.model_fields)}")
    rows = [
        row for row in effective_rows(load(config)) if section is None or row.name.startswith(f"{section}.")
    ]
    if as_json:
        print_json([{"name": row.name, "value": row.value, "origin": row.origin} for row in rows])
        return
    print_rows(("SETTING", "VALUE", "FROM"), ((row.name, row.value, row.origin) for row in rows))
