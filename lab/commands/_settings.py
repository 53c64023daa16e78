"""The options that settings come from: one of the composition roots, where the environment is read."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ca.process.settings import LoadedSettings
    from lab.settings import LabSettings

COMMAND_VARIABLES = (
    "NDES_LAB_CONFIG",
    "NDES_LAB_READY_FILE",
    "NDES_LAB_ADMIN_URL",
    "NDES_LAB_UP_READY_FILE",
)  # which stand for options

config_option = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="NDES_LAB_CONFIG",
    metavar="FILE",
    help="Settings in TOML.",
)
data_dir_option = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder of the PKI and its database.",
)
database_url_option = click.option(
    "--database-url",
    metavar="URL",
    help="Database: postgresql://user@host/name (default: SQLite in the data folder). A password is better "
    "put into NDES_LAB_PKI__DATABASE_URL, or a file that pki.database_url_file names.",
)


def environment() -> Mapping[str, str]:
    """Return the process's environment."""
    return os.environ  # noqa: TID251 - a composition root


def load(config: Path | None, **flags: object) -> LoadedSettings[LabSettings]:
    """Return the settings from flags, environment and file, and log as they say.

    A flag is named ``section__key``; None is a flag that was not given.
    """
    from ca.process.environment import misspelt_variables
    from ca.process.logs import log_to
    from lab.settings import LabSettings, load_settings

    for name, meant in misspelt_variables(LabSettings, environment(), COMMAND_VARIABLES).items():
        click.echo(f"Warning: {name} is not read; {meant} is", err=True)
    named = {name.replace("__", ".", 1): value for name, value in flags.items()}
    loaded = load_settings(named, environment(), config)
    server = loaded.settings.server
    log_to(sys.stderr, level=server.log_level, log_format=server.log_format)
    return loaded
