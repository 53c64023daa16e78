"""cheroot's server with the connections, requests and workers of this package."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from cheroot import wsgi

from scep_server.exchange import CONNECTION_KEY

from .connection import Connection
from .raw_connection import RAW_CONNECTION_KEY, RawConnection
from .workers import WorkerPool

if TYPE_CHECKING:
    import socket
    from wsgiref.types import StartResponse, WSGIEnvironment

    from .limits import ListenerLimits

SERVER_NAME = "ndes-lab"
_logger = logging.getLogger(__name__)


class Server(wsgi.Server):
    """cheroot's server: it knows why it cannot be bound, and its workers never wait for a first octet."""

    ConnectionClass = Connection
    keep_alive_conn_limit = 200
    software = SERVER_NAME

    def __init__(self, address: tuple[str, int], limits: ListenerLimits) -> None:
        self.limits = limits
        self.bind_error: OSError | None = None
        self._turning_away: threading.Thread | None = None
        super().__init__(
            address,
            _not_ready,
            server_name=SERVER_NAME,
            request_queue_size=512,
            timeout=limits.idle_seconds,  # type: ignore[arg-type] # a socket takes a float
            shutdown_timeout=5,
        )
        self.gateway = _Gateway
        self.requests = WorkerPool(self, workers=limits.threads)
        self.max_request_header_size = limits.header_octets
        self.max_request_body_size = limits.body_octets

    def bind(self, family: int, kind: int, proto: int = 0) -> socket.socket:
        """Bind, remembering why not."""
        try:
            bound: socket.socket = super().bind(family, kind, proto)
        except OSError as error:
            self.bind_error = error
            raise
        return bound

    @staticmethod
    def bind_socket(socket_: socket.socket, bind_addr: tuple[str, int]) -> socket.socket:
        """Bind, closing a socket that cannot be bound."""
        try:
            socket_.bind(bind_addr)
        except OSError:
            socket_.close()
            raise
        return socket_

    def _serve_unservicable(self) -> None:
        self._turning_away = threading.current_thread()
        super()._serve_unservicable()  # type: ignore[misc]

    def stop(self) -> None:
        """Stop, join every thread, and leave nothing in the process-wide statistics."""
        super().stop()
        if self._turning_away is not None:
            self._turning_away.join()
        self.forget()

    def forget(self) -> None:
        """Leave the process-wide table of servers that cheroot keeps."""
        statistics: dict[str, object] = getattr(logging, "statistics", {})
        statistics.pop(f"Cheroot HTTPServer {id(self)}", None)

    def process_conn(self, conn: Connection) -> None:
        """Hand a connection to a worker; a new one only once it has sent something."""
        if conn.last_used is None:
            self._connections.put(conn)  # type: ignore[attr-defined]
        else:
            super().process_conn(conn)

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        """Log what cheroot has to say."""
        _logger.log(level, "%s", msg, exc_info=traceback)


class _Gateway(wsgi.Gateway_10):
    """cheroot's way to WSGI, which also tells requests of one connection from those of another."""

    def get_environ(self) -> dict[str, Any]:  # type: ignore[override] # the stub knows only the abstract one
        """Return the environment with a name of the connection that no other ever has."""
        environ: dict[str, Any] = super().get_environ()  # type: ignore[no-untyped-call]
        return environ | {
            CONNECTION_KEY: str(self.req.conn.number),
            RAW_CONNECTION_KEY: RawConnection(self.req, self.req.conn),
        }


def _not_ready(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    start_response("503 Service Unavailable", [("Content-Type", "text/plain"), ("Content-Length", "0")])
    return []
