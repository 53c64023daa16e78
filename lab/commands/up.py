"""``ndes-lab up``: the whole lab in one process."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._output import json_option
from ._settings import config_option, data_dir_option, database_url_option, load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ca.process.settings import LoadedSettings
    from lab.ready import ReadyFacts
    from lab.settings import LabSettings

_PORT = click.IntRange(0, 65535)


@click.command()
@data_dir_option
@database_url_option
@click.option("--ephemeral", is_flag=True, default=None, help="Keep nothing: a temporary folder.")
@click.option("--host", metavar="ADDRESS", help="Address to listen on (default 127.0.0.1).")
@click.option("--port", type=_PORT, help="Port of SCEP (default 8080; 0 = any free one).")
@click.option("--tls-port", type=_PORT, help="Serve SCEP over TLS as well, at this port (0 = any free one).")
@click.option("--pki-port", type=_PORT, help="Port of CRL and AIA (default 8081; 0 = any free one).")
@click.option("--admin-port", type=_PORT, help="Port of management (default 8082; 0 = any free one).")
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="NDES_LAB_UP_READY_FILE",
    metavar="FILE",
    help="Write URLs, thumbprints and a challenge to FILE once everything answers.",
)
@click.option(
    "--profile",
    type=click.Choice(["modern", "ndes-2012r2", "ndes-2019"]),
    help="Behave as RFC 8894 has it (modern, the default) or as Microsoft's server does.",
)
@click.option(
    "--single-password",
    metavar="TEXT",
    help="NDES: one challenge password for everybody, for ever (UseSinglePassword); - makes one.",
)
@click.option(
    "--log-files",
    is_flag=True,
    default=None,
    help="Also write NDES's event log, IIS's log and a trace to logs/ in the data folder.",
)
@config_option
@json_option
def up(
    data_dir: Path | None,
    database_url: str | None,
    ephemeral: bool | None,
    host: str | None,
    port: int | None,
    tls_port: int | None,
    pki_port: int | None,
    admin_port: int | None,
    ready_file: Path | None,
    profile: str | None,
    single_password: str | None,
    log_files: bool | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Make the PKI if there is none, and serve everything until SIGINT or SIGTERM.

    Prints the URLs, the root's thumbprints, one fresh challenge, and a line to enrol with.
    """
    loaded = load(
        config,
        server__data_dir=data_dir,
        pki__database_url=database_url,
        server__ephemeral=ephemeral,
        server__ready_file=ready_file,
        server__host=host,
        server__port=port,
        server__tls_port=tls_port,
        server__pki_port=pki_port,
        admin__port=admin_port,
        ndes__UseSinglePassword=None if single_password is None else 1,
        ndes__single_password=None if single_password == "-" else single_password,
        scep__profile=profile,
        logs__files=log_files,
    )
    if data_dir is not None and ephemeral:
        raise click.UsageError("--data-dir and --ephemeral exclude each other")
    with _interrupted() as ended, _folder(loaded.settings, data_dir) as folder:
        _serve(loaded, folder, as_json, ended)


def _serve(loaded: LoadedSettings[LabSettings], folder: Path, as_json: bool, ended: threading.Event) -> None:
    from ca.clock import SystemClock
    from lab.ready import write_ready_file
    from lab.running import RunningLab
    from scep_server.exchange_log import ExchangeLog

    ready_file = loaded.settings.server.ready_file
    if ready_file is not None:
        ready_file.unlink(missing_ok=True)  # of a lab that was killed: whoever waits must not see it
    durable = not _is_ephemeral(loaded.settings, folder)
    running = RunningLab(
        loaded.settings,
        folder,
        clock=SystemClock(),
        entropy=os.urandom,
        observers=(ExchangeLog(),),
        durable=durable,
        origins=loaded.origins,
    )
    with contextlib.ExitStack() as undo:
        undo.callback(running.stop)
        running.check_answers()
        facts = running.ready_facts()
        if not durable:
            running.remember()
        for sentence in running.world.misdirections():
            click.echo(f"Warning: {sentence}", err=True)
        if ready_file is not None:
            write_ready_file(ready_file, facts)
            undo.callback(ready_file.unlink, missing_ok=True)
        click.echo(
            facts.model_dump_json() if as_json else _banner(facts, folder, durable, running.made_token_file)
        )
        sys.stdout.flush()
        # Not for ever: a signal that comes just before the lock is taken wakes nobody who waits for it.
        while not ended.wait(timeout=0.5):
            pass
        click.echo("Stopping.", err=True)


@contextlib.contextmanager
def _interrupted() -> Iterator[threading.Event]:
    """Yield an event that SIGINT and SIGTERM set."""
    ended = threading.Event()
    old = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in old:
        signal.signal(number, lambda *_: ended.set())
    try:
        yield ended
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _folder(settings: LabSettings, data_dir: Path | None) -> Iterator[Path]:
    from ca.process.settings import DEFAULT_DATA_DIR

    if settings.server.ephemeral and data_dir is None:
        with tempfile.TemporaryDirectory(prefix="ndes-lab-", ignore_cleanup_errors=True) as temporary:
            yield Path(temporary) / "pki"
    else:
        yield settings.server.data_dir or DEFAULT_DATA_DIR


def _is_ephemeral(settings: LabSettings, folder: Path) -> bool:
    return settings.server.ephemeral and folder != settings.server.data_dir


def _banner(facts: ReadyFacts, folder: Path, durable: bool, token_file: Path | None) -> str:
    tls = f"SCEP, TLS   {facts.scep_tls_url}\n" if facts.scep_tls_url else ""
    token = f"   (bearer token: {token_file})" if token_file else ""
    kept = f"{folder}" if durable else f"{folder} (removed at the end)"
    return f"""\
ndes-lab: a test PKI, not for production

SCEP        {facts.scep_url}
{tls}NDES path   {facts.mscep_url}
NDES admin  {facts.mscep_admin_url}   (NTLM: {facts.ndes_user} {facts.ndes_password})
CRL, AIA    {facts.pki_url}/CertEnroll/
OCSP        {facts.ocsp_url or "off"}
Management  {facts.admin_url}{token}
Data        {kept}

Root certificate ({facts.admin_url}/roots/0)
  SHA-256   {facts.root_sha256}
  SHA-1     {facts.root_sha1}
  MD5       {facts.root_md5}

Challenge   {facts.challenge}   (once; another one: ndes-lab challenge new)

Enrol with Debian's scepclient:
  scepclient -server-url {facts.scep_url} -challenge {facts.challenge} \\
    -cn client.example -private-key client.key -certificate client.crt
"""
