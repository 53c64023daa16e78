"""Finding the desk that a command works at: a running lab's, or that of a folder."""

from __future__ import annotations

import contextlib
import functools
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ._settings import config_option, data_dir_option, load

if TYPE_CHECKING:
    from collections.abc import Callable

    from ca.folders import PkiFolder
    from lab.admin import Desk
    from lab.admin.curl import CurlAsk, CurlNotes, ShellBody
    from lab.admin.local import LocalDesk
    from lab.admin.remote import RemoteDesk
    from lab.settings import LabSettings

_LAB_OPTIONS = (
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
)
curl_option = click.option(
    "--curl", is_flag=True, help="Do nothing; print the curl commands that do the same at the running lab."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskOptions:
    """What names a desk on the command line."""

    ready_file: Path | None
    admin_url: str | None
    data_dir: Path | None
    config: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _RunningLab:
    """Where a running lab is; ``token_in_shell`` is what a shell expands to its token."""

    url: str
    token: str | None
    token_in_shell: str | None


def at_the_desk(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that name a desk, and the desk as its first argument."""
    return _with_desk(function, several=False)


def several_times_at_the_desk(function: Callable[..., None]) -> Callable[..., None]:
    """Do the same for a command that makes several calls.

    With ``--curl`` what only reads is asked for, because later calls may depend on it, and a change is
    answered by an example: such a command may only print what it gets.
    """
    return _with_desk(function, several=True)


def _with_desk(function: Callable[..., None], *, several: bool) -> Callable[..., None]:
    @functools.wraps(function)
    def command(
        ready_file: Path | None,
        admin_url: str | None,
        data_dir: Path | None,
        config: Path | None,
        curl: bool,
        **others: Any,
    ) -> None:
        options = DeskOptions(ready_file=ready_file, admin_url=admin_url, data_dir=data_dir, config=config)
        if curl:
            print_curl(options, lambda desk: function(desk, **others), several=several)
            return
        desk = find_desk(options)
        try:
            function(desk, **others)
        finally:
            desk.close()

    return with_lab_options(data_dir_option(config_option(curl_option(command))))


def with_lab_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that name a running lab."""
    for option in reversed(_LAB_OPTIONS):
        function = option(function)
    return function


def running_desk(options: DeskOptions) -> RemoteDesk:
    """Return the desk of the running lab that the options of the current command name."""
    from lab.admin.remote import RemoteDesk

    running = _running_lab(_settings(options), options)
    return RemoteDesk.at(running.url, running.token)


def find_desk(options: DeskOptions) -> Desk:
    """Return the desk that the options of the current command name.

    A folder that only the settings name is worked at where no lab runs.
    """
    settings = _settings(options)
    if options.data_dir is not None:
        return local_desk(settings, options.data_dir)
    from lab.admin.asking import HttpAsk
    from lab.admin.remote import RemoteDesk

    running = _running_lab(settings, options)
    ask = HttpAsk(running.url, running.token)
    named = options.ready_file is not None or options.admin_url is not None
    if not named and settings.server.data_dir is not None and not ask.is_anybody_there():
        return local_desk(settings, settings.server.data_dir)
    return RemoteDesk(ask)


def _settings(options: DeskOptions) -> LabSettings:
    given = [name for name in ("ready_file", "admin_url", "data_dir") if _given(name)]
    if len(given) > 1:
        words = " and ".join("--" + name.replace("_", "-") for name in given)
        raise click.UsageError(f"{words} name different desks; give one")
    return load(options.config, server__data_dir=options.data_dir).settings


def _running_lab(settings: LabSettings, options: DeskOptions) -> _RunningLab:
    from lab.admin.curl import TOKEN_VARIABLE, token_in
    from lab.ready import read_ready_file

    if options.ready_file is not None and not _given("admin_url"):
        facts = read_ready_file(options.ready_file)
        shown = None if facts.admin_token is None else token_in(options.ready_file)
        return _RunningLab(url=facts.admin_url, token=facts.admin_token, token_in_shell=shown)
    token = settings.admin.token
    return _RunningLab(
        url=options.admin_url or f"http://127.0.0.1:{settings.admin.port}",
        token=None if token is None else token.get_secret_value(),
        token_in_shell=None if token is None else f"${TOKEN_VARIABLE}",
    )


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
    from crl_publisher.program import DEFAULT_PORT as DEFAULT_PKI_PORT
    from lab.addresses import with_public_url

    folder.require()
    told = settings.pki.model_fields_set | settings.server.model_fields_set
    if told & {"public_url", "host", "public_host", "pki_port"}:
        return with_public_url(settings, settings.server.pki_port or DEFAULT_PKI_PORT)
    pki = settings.pki.model_copy(update={"public_url": open_public_url(folder)})
    return settings.model_copy(update={"pki": pki})


# -- the same with curl ----------------------------------------------------------------


def print_curl(options: DeskOptions, work: Callable[[RemoteDesk], object], *, several: bool = False) -> None:
    """Print the ``curl`` lines that do what ``work`` does at a desk; nothing is changed."""
    from lab.admin.asking import HttpAsk
    from lab.admin.curl import CurlAsk, Shown
    from lab.admin.desk import DeskError
    from lab.admin.remote import RemoteDesk

    if options.data_dir is not None:
        raise click.UsageError("--curl shows calls of a running lab; --data-dir names a folder")
    if click.get_current_context().params.get("follow"):
        raise click.UsageError("--curl shows calls that come to an end; --follow goes on for ever")
    running = _running_lab(_settings(options), options)
    ask = CurlAsk(
        url=running.url,
        token=running.token_in_shell,
        ask=HttpAsk(running.url, running.token) if several else None,
        notes=_notes(),
    )
    stopped = ""
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            work(RemoteDesk(ask))
        except (Shown, click.exceptions.Exit):
            pass
        except DeskError as error:
            if not ask.lines:
                raise
            stopped = str(error)
    for line in ask.lines:
        click.echo(line)
    _explain(ask, stopped)


def _explain(ask: CurlAsk, stopped: str) -> None:
    from lab.admin.curl import SECRET_VARIABLE

    if any(f'"${SECRET_VARIABLE}"' in line for line in ask.lines):
        click.echo(f"Set {SECRET_VARIABLE} to what is not shown, as JSON writes it.", err=True)
    if stopped:
        click.echo(f"Further calls depend on an answer, and there is none: {stopped}", err=True)


def shows_as(secret: str, expansion: str) -> None:
    """Have ``--curl`` print, in place of a secret of the current command, what the shell expands to it."""
    _notes().expansions[secret] = expansion


def sends(body: ShellBody) -> None:
    """Have ``--curl`` print, in place of the current command's body, what the shell makes it from."""
    _notes().shell_body = body


def _notes() -> CurlNotes:
    """Return what the current command has said of its calls."""
    from lab.admin.curl import CurlNotes

    notes: CurlNotes = click.get_current_context().meta.setdefault(f"{__name__}.notes", CurlNotes())
    return notes


def _given(parameter: str) -> bool:
    """Tell whether an option was given on the command line, and not by the environment."""
    source = click.get_current_context().get_parameter_source(parameter)
    return source is click.core.ParameterSource.COMMANDLINE
