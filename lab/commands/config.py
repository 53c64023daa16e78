"""``ndes-lab config``: what the settings come to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ._desk import DeskOptions, curl_option, print_curl, running_desk, with_lab_options
from ._output import json_option, print_json, print_rows
from ._settings import config_option, load

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ca.process.settings import SettingRow
    from lab.admin.whole import SettingView


@click.group()
def config() -> None:
    """Show the settings."""


@config.command("show")
@config_option
@click.option("--section", metavar="NAME", help="Only this section.")
@click.option("--running", is_flag=True, help="Of the running lab, instead of what they come to here.")
@with_lab_options
@json_option
@curl_option
def show(
    config: Path | None,
    section: str | None,
    running: bool,
    ready_file: Path | None,
    admin_url: str | None,
    as_json: bool,
    curl: bool,
) -> None:
    """Show the effective settings and where each came from; secrets are hidden."""
    from ca.process.settings import effective_rows
    from lab.settings import LabSettings

    if section is not None and section not in LabSettings.model_fields:
        raise click.UsageError(f"no section {section!r}; known: {', '.join(LabSettings.model_fields)}")
    options = DeskOptions(ready_file=ready_file, admin_url=admin_url, data_dir=None, config=config)
    if curl:
        print_curl(options, lambda desk: desk.lab.settings())
        return
    found: Sequence[SettingView | SettingRow] = (
        running_desk(options).lab.settings().settings if running else effective_rows(load(config))
    )
    rows = [row for row in found if section is None or row.name.startswith(f"{section}.")]
    if as_json:
        print_json([{"name": row.name, "value": row.value, "origin": row.origin} for row in rows])
        return
    print_rows(("SETTING", "VALUE", "FROM"), ((row.name, row.value, row.origin) for row in rows))
