"""A program that serves with worker processes: its command line, its life, and what it says of itself.

A composition root: the environment is read here, the clock and the operating system's entropy are
chosen here.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import sys
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

import click
import structlog

from ca.clock import SystemClock
from ca.errors import CaError
from ca.folders import FolderError, PkiFolder
from ca.keys import UnusableKey
from ca.records import StoreUnavailable
from ca.templates import BadTemplate

from .counting import counting_folder
from .environment import misspelt_variables
from .logs import log_to
from .settings import DEFAULT_DATA_DIR, LoadedSettings, UnusableSettings, load_settings
from .status import StatusListener, StatusPages
from .workers import ServingProgramSettings, WorkerSettings, listening_socket, serve
from .wsgi_behind_rsgi import WsgiBehindRsgi

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence
    from wsgiref.types import WSGIApplication

    from prometheus_client.registry import Collector

    from ca.clock import Clock

_log = structlog.get_logger(__name__)
_CONFIG_VARIABLE: Final = "NDES_LAB_CONFIG"
_PROBE_SECONDS: Final = 3
_READ_ANEW: Final = ("data_dir", "log_level", "log_format")  # of a listener; all else is as it began
MISTAKES: Final[tuple[type[Exception], ...]] = (
    UnusableSettings,
    FolderError,
    UnusableKey,
    BadTemplate,
    CaError,
    StoreUnavailable,
    OSError,
)


class Standing(Protocol):
    """What the parent of the workers has of the PKI: it looks after it, and serves nobody."""

    def start(self) -> None:
        """Begin what one process does for all workers."""

    def stop(self) -> None:
        """End that, and close what is open."""

    @property
    def probe(self) -> str:
        """Path and query of a GET that a worker answers with 200 when it can serve."""

    def trouble(self) -> str | None:
        """Return why no request can be served now, whatever the workers do; None where they can."""

    def collectors(self) -> Sequence[Collector]:
        """Return what Prometheus is told besides what the workers count."""


_Settings = TypeVar("_Settings", bound=ServingProgramSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts(Generic[_Settings]):
    """What a program is made of in each of its processes."""

    folder: PkiFolder
    settings: _Settings
    clock: Clock
    entropy: Callable[[int], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What a worker serves, and the longest body that it takes."""

    application: WSGIApplication
    body_octets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Program(Generic[_Settings]):
    """One of the programs. It is handed to the workers, and so consists of what has a name in a module.

    Args:
        name: that of its package.
        settings: the model of its settings.
        application: makes what a worker serves; raises what `Standing` does, so that all is said in
            the parent.
        standing: opens what the parent has of the PKI, and raises where workers could not begin.
        mistakes: exceptions of its own that an administrator can put right.

    """

    name: str
    settings: type[_Settings]
    application: Callable[[Parts[_Settings]], Served]
    standing: Callable[[Parts[_Settings]], Standing]
    mistakes: tuple[type[Exception], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where settings come from, besides the environment."""

    flags: Mapping[str, object]
    config: Path | None

    def load(self, program: Program[_Settings]) -> LoadedSettings[_Settings]:
        """Return the settings as they are now, and log as they say; raises UnusableSettings."""
        loaded = load_settings(program.settings, self.flags, _environment(), self.config)
        server = loaded.settings.server
        log_to(sys.stderr, level=server.log_level, log_format=server.log_format)
        return loaded


def command(program: Program[_Settings]) -> click.Command:
    """Return the command line of a program."""

    @click.command(name=program.name, help=sys.modules[program.application.__module__].__doc__)
    @click.option("--config", type=click.Path(dir_okay=False, path_type=Path), envvar=_CONFIG_VARIABLE,
                  metavar="FILE", help="Settings in TOML.")  # fmt: skip
    @click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
                  help="Folder of the PKI.")  # fmt: skip
    @click.option("--host", metavar="HOST", help="Address to listen on.")
    @click.option("--port", type=int, metavar="PORT", help="Port; 0 is any free one.")
    @click.option("--status-host", metavar="HOST", help="Address of health and metrics.")
    @click.option("--status-port", type=int, metavar="PORT", help="Port of health and metrics.")
    @click.option("--workers", type=int, metavar="N", help="Processes that answer.")
    @click.option("--json", "as_json", is_flag=True, help="Say in JSON where it listens.")
    @click.version_option(metadata.version("ndes-lab"), prog_name=program.name)
    def run(config: Path | None, as_json: bool, **flags: object) -> None:
        sources = Sources(flags={f"server.{key}": value for key, value in flags.items()}, config=config)
        try:
            _run(program, sources, as_json)
        except (*MISTAKES, *program.mistakes) as error:
            click.echo(f"Error: {_sentence(error)}", err=True)
            sys.exit(2)

    return run


def _run(program: Program[_Settings], sources: Sources, as_json: bool) -> None:
    loaded = sources.load(program)
    settings = loaded.settings.server
    for name, meant in misspelt_variables(program.settings, _environment(), (_CONFIG_VARIABLE,)).items():
        _log.warning("variable is not read", found=name, expected=meant)
    if loaded.unread:
        _log.info("settings of other programs are left alone", sections=", ".join(loaded.unread))
    with contextlib.ExitStack() as undo:
        counts = undo.enter_context(counting_folder())
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(counts)  # noqa: TID251 - for the workers, before they begin
        listening = undo.enter_context(listening_socket(settings.host, settings.port))
        parent = _Parent(program, sources, loaded.settings, listening, counts)
        undo.callback(parent.stop)
        pages = StatusPages(parent, metadata.version("ndes-lab"))
        status = StatusListener(settings.status_host, settings.status_port, pages)
        undo.callback(status.stop)
        serve(
            partial(_load, program, sources),
            listening,
            settings,
            started=lambda: _say(listening, settings, status.port, as_json),
            may_reload=parent.reload,
            worker_ended=parent.forget_worker,
        )


def _say(listening: socket.socket, settings: WorkerSettings, status_port: int, as_json: bool) -> None:
    url = f"http://{_in_url(settings.host)}:{listening.getsockname()[1]}"
    status = f"http://{_in_url(settings.status_host)}:{status_port}"
    if as_json:
        facts = {"url": url, "status_url": status, "workers": settings.processes, "pid": os.getpid()}
        click.echo(json.dumps(facts))
    else:
        click.echo(f"{url}, {settings.processes} workers; health and metrics: {status}")
    sys.stdout.flush()


class _Parent:
    """The parent of the workers: what it has of the PKI now, opened anew when the workers are."""

    def __init__(
        self,
        program: Program[_Settings],
        sources: Sources,
        settings: _Settings,
        listening: socket.socket,
        counts: Path,
    ) -> None:
        self._program: Program[Any] = program
        self._sources = sources
        self._serving: WorkerSettings = settings.server
        self._listening = listening
        self._counts = counts
        self._standing = program.standing(_parts(settings))
        self._standing.start()

    def stop(self) -> None:
        self._standing.stop()

    def reload(self) -> bool:
        """Open settings and keys anew, and tell whether that went well; if not, all stays as it was."""
        try:
            settings = self._sources.load(self._program).settings
            standing = self._program.standing(_parts(settings))
        except (*MISTAKES, *self._program.mistakes) as error:
            _log.error("not reloaded: it goes on as it was", reason=_sentence(error))
            return False
        old, self._standing = self._standing, standing
        old.stop()
        standing.start()
        _log.info("reloading")
        changed = [f"server.{name}" for name, value in settings.server if self._is_fixed(name, value)]
        if changed:
            _log.warning("changed settings are for the next start", settings=", ".join(changed))
        return True

    def _is_fixed(self, name: str, value: object) -> bool:
        """Tell whether a setting was read at the start only, and would be another one now."""
        return name not in _READ_ANEW and value != getattr(self._serving, name)

    def trouble(self) -> str | None:
        return self._standing.trouble() or self._workers_trouble()

    def _workers_trouble(self) -> str | None:
        host, port = self._listening.getsockname()[:2]
        reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared
        connection = http.client.HTTPConnection(reached, port, timeout=_PROBE_SECONDS)
        try:
            connection.request("GET", self._standing.probe)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return f"no worker answers: {error or type(error).__name__}"
        finally:
            connection.close()
        return None if status == http.client.OK else f"a worker answers with HTTP {status}, expected 200"

    def forget_worker(self, pid: int) -> None:
        """Take note that a worker has ended: what it had in progress is over, what it counted stays."""
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(pid, str(self._counts))  # type: ignore[no-untyped-call]

    def metrics(self) -> bytes:
        # Here, because the library looks once at where the workers count.
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(self._counts))  # type: ignore[no-untyped-call]
        for collector in self._standing.collectors():
            registry.register(collector)
        return generate_latest(registry)


def _load(program: Program[_Settings], sources: Sources) -> WsgiBehindRsgi:
    """Return the application, in a worker."""
    try:
        settings = sources.load(program).settings
        served = program.application(_parts(settings))
        return WsgiBehindRsgi(
            served.application,
            threads=settings.server.threads,
            body_octets=served.body_octets,
            body_seconds=settings.server.request_seconds,
        )
    except (*MISTAKES, *program.mistakes) as error:
        _log.error("a worker cannot begin", reason=_sentence(error))
        sys.exit(1)


def _parts(settings: _Settings) -> Parts[_Settings]:
    return Parts(
        folder=PkiFolder(settings.server.data_dir or DEFAULT_DATA_DIR),
        settings=settings,
        clock=SystemClock(),
        entropy=os.urandom,
    )


def _environment() -> Mapping[str, str]:
    return os.environ  # noqa: TID251 - a composition root


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())
