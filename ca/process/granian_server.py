"""granian over a socket that is open already.

By itself granian opens one socket for each worker at the same port, and what has queued at one is lost
when its worker ends. This is the one place that knows granian's insides; pyproject.toml says which
versions have them.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from .workers import BACKLOG

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from .wsgi_behind_rsgi import WsgiBehindRsgi


class SharedSocketServer(MPServer):
    """Workers that all accept from ``listening``; ``may_reload`` can refuse to replace them.

    ``worker_ended`` is told the process ids of those that were replaced.
    """

    def __init__(
        self,
        listening: socket.socket,
        *,
        may_reload: Callable[[], bool],
        worker_ended: Callable[[int], None],
        request_seconds: int,
        **options: Any,
    ) -> None:
        address = listening.getsockname()
        super().__init__(
            "",
            address=address[0],
            port=address[1],
            interface=Interfaces.RSGI,
            http=HTTPModes.http1,  # where HTTP/2 is looked for, who says nothing is waited for without end
            websockets=False,
            respawn_failed_workers=True,
            log_level=LogLevels.warning,
            # One request a connection, which goes to whichever worker is free to accept it: connections that
            # stay are often all with one worker, while the others have nothing to do.
            http1_settings=HTTP1Settings(header_read_timeout=request_seconds * 1000, keep_alive=False),
            **options,
        )
        self._listening = listening
        self._may_reload = may_reload
        self._worker_ended = worker_ended

    def serve_with(self, load: Callable[[], WsgiBehindRsgi]) -> None:
        """Serve what ``load`` makes in each worker until a signal ends it."""
        work = partial(_work, self.workers_kill_timeout or 0)
        self.serve(spawn_target=work, target_loader=load, wrap_loader=False)  # type: ignore[arg-type]

    def _init_shared_socket(self) -> None:
        self._ssp = self._shd = None
        self._sso = self._listening

    def _respawn_workers(self, workers: Any, *rest: Any, **options: Any) -> None:
        for index in workers:
            if self.interrupt_signal:  # else as many seconds as there are workers would pass until it ends
                return
            ended = self.wrks[index].inner.pid
            super()._respawn_workers([index], *rest, **options)
            self._worker_ended(ended)

    def _reload(self, spawn_target: Any, target_loader: Any) -> None:
        if self._may_reload():
            super()._reload(spawn_target, target_loader)  # type: ignore[no-untyped-call]
        else:
            self.reload_signal = False
            self.main_loop_interrupt.clear()


def _work(
    drain_seconds: float, worker_id: int, name: str | None, load: Any, sockets: Any, *rest: Any
) -> None:
    """Be a worker; the socket has been handed over by `multiprocessing`."""
    threading.Thread(target=_end_with_parent, args=(drain_seconds,), name="parent", daemon=True).start()
    _, listening = sockets
    holder = SocketHolder(listening.fileno(), False, BACKLOG)  # type: ignore[call-arg] # its stub is old
    MPServer._spawn_rsgi_worker(worker_id, name, load, ((None, holder), listening), *rest)


def _end_with_parent(drain_seconds: float) -> None:
    """End as if told so, once the parent is gone: killed, it tells nobody, and the port would stay taken."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(drain_seconds)
        os._exit(1)
