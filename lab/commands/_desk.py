"""Finding the desk that a command works at: a running lab's, or that of a folder."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ._settings import config_option, data_dir_option, load

if TYPE_CHECKING:
    from collections.abc import Callable

    from ca.folders import PkiFolder
    from lab.admin import Desk
    from lab.admin.local import LocalDesk
    from lab.settings import LabSettings

_OPTIONS = (
    click.option(
        "--ready-file",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar="NDES_LAB_READY_FILE",
        metavar="FILE",
        help="Work at the running lab that wrote this file.",
    ),
    click.option(
        "--admin-url",
        envvar="NDES_LAB_ADMIN_URL",
        metavar="URL",
        help="Work at the running lab whose management listener this is.",
    ),
    data_dir_option,
    config_option,
)


def at_the_desk(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that name a desk, and the desk as its first argument."""

    @functools.wraps(function)
    def command(
        ready_file: Path | None,
        admin_url: str | None,
        data_dir: Path | None,
        config: Path | None,
        **others: Any,
    ) -> None:
        desk = find_desk(ready_file, admin_url, data_dir, config)
        try:
            function(desk, **others)
        finally:
            desk.close()

    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def find_desk(
    ready_file: Path | None, admin_url: str | None, data_dir: Path | None, config: Path | None
) -> Desk:
    """Return the desk that the options of the current command name."""
    given = [name for name in ("ready_file", "admin_url", "data_dir") if _given(name)]
    if len(given) > 1:
        options = " and ".join("--" + name.replace("_", "-") for name in given)
        raise click.UsageError(f"{options} name different desks; give one")
    settings = load(config, server__data_dir=data_dir).settings
    if data_dir is not None:
        return local_desk(settings, data_dir)
    from lab.admin.remote import RemoteDesk
    from lab.ready import read_ready_file

    if ready_file is not None and given != ["admin_url"]:
        facts = read_ready_file(ready_file)
        return RemoteDesk.at(facts.admin_url, facts.admin_token)
    token = settings.admin.token
    url = admin_url or f"http://127.0.0.1:{settings.admin.port}"
    return RemoteDesk.at(url, token.get_secret_value() if token else None)


def local_desk(settings: LabSettings, data_dir: Path) -> LocalDesk:
    """Return the desk of the PKI in a folder."""
    from ca.clock import SystemClock
    from ca.folders import PkiFolder
    from lab.admin.local import LocalDesk
    from lab.world import World

    folder = PkiFolder(data_dir)
    effective = settings_of(settings, folder)
    return LocalDesk(World(folder, effective, clock=SystemClock(), entropy=os.urandom))


def settings_of(settings: LabSettings, folder: PkiFolder) -> LabSettings:
    """Return the settings for work at a folder.

    What is issued names the address that the ceremony was told, unless the settings name another.
    """
    from ca.opening import open_public_url
    from lab.running import with_public_url
    from lab.settings import DEFAULT_PKI_PORT

    folder.require()
    told = settings.pki.model_fields_set | settings.server.model_fields_set
    if told & {"public_url", "host", "public_host", "pki_port"}:
        return with_public_url(settings, settings.server.pki_port or DEFAULT_PKI_PORT)
    pki = settings.pki.model_copy(update={"public_url": open_public_url(folder)})
    return settings.model_copy(update={"pki": pki})


def _given(parameter: str) -> bool:
    """Tell whether an option was given on the command line, and not by the environment."""
    source = click.get_current_context().get_parameter_source(parameter)
    return source is click.core.ParameterSource.COMMANDLINE
