"""Worker processes that serve one application: begun, replaced without losing a request, and ended.

All accept from one listening socket, which the parent keeps: while workers are replaced, whoever connects
waits in its queue. Each is a new interpreter that reads settings and keys itself.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field

from .settings import Port, ProgramSettings, ServingSettings, UnusableSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from .wsgi_behind_rsgi import WsgiBehindRsgi

BACKLOG: Final = 1024
_OVERLAP_SECONDS: Final = 2.0  # a new worker loads while the old one still answers
_LOGGING: Final[dict[str, Any]] = {  # granian's lines go where ours go
    "formatters": {},
    "handlers": {},
    "loggers": {"_granian": {"propagate": True}},
}


class WorkerSettings(ServingSettings):
    """How a program of several processes serves."""

    port: Port = Field(default=0, description="Port; 0 is any free one")
    status_host: str = Field(
        default="127.0.0.1", min_length=1, description="Address of the listener for health and metrics"
    )
    status_port: Port = Field(default=0, description="Its port; 0 is any free one")
    workers: Annotated[int, Field(ge=1, le=256)] | None = Field(
        default=None, description="Processes that answer; none: one for each processor"
    )
    threads: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1,
        description="Requests that each process works on at once; more than one where they wait for others, "
        "such as a policy module that asks over the network",
    )
    request_seconds: Annotated[int, Field(ge=1, le=300)] = Field(
        default=30,
        description="Time within which a request's head must have arrived, and then its body",
    )
    drain_seconds: Annotated[int, Field(ge=1, le=300)] = Field(
        default=8, description="Time that requests under way are given when a process is to end"
    )

    @property
    def processes(self) -> int:
        """How many processes answer."""
        return self.workers or os.cpu_count() or 1


class ServingProgramSettings(ProgramSettings):
    """Everything that a program with workers can be told."""

    server: WorkerSettings = WorkerSettings()


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens; raises UnusableSettings where the address cannot be opened."""
    try:
        (family, *_, address), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        # Not `reuse_port`: a second program at the same port is a mistake.
        found = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        raise UnusableSettings(f"{host} port {port} cannot be opened: {error.strerror or error}") from error
    found.setblocking(False)
    return found


def serve(
    load: Callable[[], WsgiBehindRsgi],
    listening: socket.socket,
    settings: WorkerSettings,
    *,
    started: Callable[[], None],
    may_reload: Callable[[], bool],
    worker_ended: Callable[[int], None],
) -> None:
    """Serve until SIGTERM or SIGINT; on SIGHUP replace all workers, if they may be.

    Args:
        load: makes the application in a worker, and is pickled to get there.
        listening: where all of them accept.
        settings: how many, and how long they are waited for.
        started: called once signals are heeded, before the first worker begins.
        may_reload: asked on SIGHUP: no, where new workers could not be begun.
        worker_ended: told the process ids of workers that were replaced.

    Raises:
        UnusableSettings: granian is not installed.
        SystemExit: with 1, when workers die again and again.

    """
    try:
        from .granian_server import SharedSocketServer
    except ImportError as error:
        raise UnusableSettings(
            f"serving with worker processes needs granian ({error}); install ndes-lab[scale]"
        ) from error
    multiprocessing.set_start_method("spawn", force=True)  # forking a process with threads is asking for it
    server = SharedSocketServer(
        listening,
        may_reload=may_reload,
        worker_ended=worker_ended,
        workers=settings.processes,
        backlog=BACKLOG,
        request_seconds=settings.request_seconds,
        respawn_interval=_OVERLAP_SECONDS,
        workers_kill_timeout=settings.drain_seconds,
        log_dictconfig=_LOGGING,
    )
    server.on_startup(started)
    server.serve_with(load)
