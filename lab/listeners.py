"""The embedded web server: bind first, know the address, serve later, stop without a trace.

Sockets are bound before anything else happens, because their addresses go into certificates. One
listener is one cheroot server with its own threads. What cheroot leaves open is settled here:

* a connection occupies a thread only once its first octets have arrived, and a request must have
  arrived whole within a deadline, however slowly its octets drip;
* requests whose framing a proxy could read in another way are refused (RFC 9112 6.3, 11.2);
* absolute-form request targets are served (RFC 9112 3.2.2: a server MUST accept them);
* a refused request is answered so that a client still sending can read the answer (RFC 9112 9.6);
* the Server header names no version.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import re
import selectors
import socket
import ssl
import struct
import threading
import time
import uuid
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from cheroot import makefile, server, wsgi
from cheroot.workers.threadpool import ThreadPool

from scep_server.exchange import CONNECTION_KEY

from .tls import TlsAdapter, broken_off, say_goodbye

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

SERVER_NAME = "ndes-lab"
RAW_CONNECTION_KEY = "lab.listeners.raw_connection"
"""Where the WSGI environment holds the `RawConnection` of a request."""
_LINGER_SECONDS = 2.0
_WAKE_SECONDS = 0.2
_MORE_WORKERS = 256  # beside those of the limits, for answers that take their time on purpose
_LINGER_OCTETS = 16 * 1024 * 1024
_ONCE = frozenset({b"host", b"content-length", b"transfer-encoding"})
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 5.6.2
_logger = logging.getLogger(__name__)


class ListenerError(Exception):
    """A listener cannot be opened; the text says which, where and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerLimits:
    """What one client may cost: sizes in octets, times in seconds."""

    threads: int = 16
    header_octets: int = 128 * 1024  # a GET PKIOperation carries the whole message in its target
    body_octets: int = 4 * 1024 * 1024
    request_seconds: float = 30.0
    idle_seconds: float = 10.0


class Listener:
    """One web server on one address.

    Args:
        name: what it is for, in messages.
        host: address or name to bind.
        port: 0 chooses a free one; read ``port`` for the real one.
        limits: what one client may cost.
        tls: returns the context of a connection that has just come; None serves plain HTTP.

    Raises:
        ListenerError: the address cannot be bound.

    """

    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        limits: ListenerLimits | None = None,
        *,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self.name = name
        self.host = host
        self._server = _Server((host, port), limits or ListenerLimits())
        self._server.ssl_adapter = None if tls is None else TlsAdapter(tls)
        self._thread: threading.Thread | None = None
        self._question = f"/{uuid.uuid4()}"  # of `answers`; nobody else knows it
        try:
            self._server.prepare()
        except OSError as error:
            self._server.forget()
            raise ListenerError(_why_not(name, host, port, self._server.bind_error or error)) from error
        self.port: int = self._server.bind_addr[1]

    def serve(self, application: WSGIApplication) -> None:
        """Serve ``application`` in the background from now on."""

        def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            if environ["PATH_INFO"] != self._question:
                return application(environ, start_response)
            start_response("200 OK", [("Content-Length", "0")])
            return []

        self._server.wsgi_app = answer
        self._thread = threading.Thread(target=self._server.serve, name=f"{self.name} listener", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop serving, finish what is under way, and join every thread; harmless when repeated."""
        if self._thread is None:
            self._server.stop()
            return
        stopping = threading.Thread(target=self._server.stop, name=f"{self.name} stopping")
        stopping.start()
        # The accepting thread notices the end at its next event: a connection is one.
        while self._thread.is_alive():
            with contextlib.suppress(OSError), socket.create_connection(self._reachable(), timeout=0.2):
                pass
            self._thread.join(0.02)
        stopping.join()
        self._thread = None

    def answers(self) -> bool:
        """Return whether requests get through to a worker; the application hears nothing of the question."""
        client = self._client()
        try:
            client.request("GET", self._question)
            return client.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            client.close()

    def _client(self) -> HTTPConnection:
        if self._server.ssl_adapter is None:
            return HTTPConnection(*self._reachable(), timeout=10)
        anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
        return HTTPSConnection(*self._reachable(), timeout=10, context=anybody)

    def _reachable(self) -> tuple[str, int]:
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host), self.port  # noqa: S104


def _why_not(name: str, host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use; choose another for the {name} listener (0 = any free port)"
    if error.errno == errno.EACCES:
        return f"no permission to open port {port} on {host} for the {name} listener"
    reason = error.strerror or str(error)
    return f"the {name} listener cannot be opened on {host}, port {port}: {reason}"


def _not_ready(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    start_response("503 Service Unavailable", [("Content-Type", "text/plain"), ("Content-Length", "0")])
    return []


class RawConnection:
    """The connection of a request, for those who answer below HTTP; it ends with that answer."""

    def __init__(self, request: _Request, connection: _Connection) -> None:
        self._request = request
        self._connection = connection
        self._socket: socket.socket = connection.socket

    @contextlib.contextmanager
    def taken_over(self) -> Iterator[None]:
        """Have the server send nothing more, and close the connection after this request.

        However long that takes: meanwhile another worker is there for everybody else.
        """
        self._request.sent_headers = True
        self._request.close_connection = True
        self._socket.settimeout(self._connection.server.timeout)
        with self._connection.server.requests.another_worker():
            yield

    def send(self, octets: bytes) -> bool:
        """Send octets as they are; tell whether the client still takes them."""
        try:
            self._socket.sendall(octets)
        except OSError:
            return False
        return True

    def wait(self, seconds: float, interrupted: Callable[[], bool] = lambda: False) -> bool:
        """Wait that long unless interrupted; tell whether client and server are still there."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if interrupted() or not self._connection.server.ready:
                return False
            if self._has_something(min(left, _WAKE_SECONDS)) and not self._is_there():
                return False
        return True

    def reset(self) -> None:
        """Tear the connection down: the client gets an RST."""
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.is_torn_down = True

    def _has_something(self, seconds: float) -> bool:
        """Wait for something to read, also the end."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            return bool(selector.select(seconds))

    def _is_there(self) -> bool:
        """Tell whether what can be read is not the end; what was sent besides is left for nobody."""
        try:
            return bool(self._socket.recv(65536))
        except OSError:
            return False


class _TimedSocket(socket.SocketIO):
    """A socket to read from that keeps its connection's deadline."""

    def __init__(self, sock: socket.socket, connection: _Connection) -> None:
        super().__init__(sock, "r")
        self._timed = sock
        self._connection = connection

    def readinto(self, buffer: Any) -> int | None:
        """Read what is there, waiting no longer than idle time and deadline allow."""
        usual: float = self._connection.server.timeout
        left = self._connection.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")  # the words by which cheroot knows it
        if left >= usual:
            return self._read(buffer)
        self._timed.settimeout(left)
        try:
            return self._read(buffer)
        finally:
            self._timed.settimeout(usual)

    def _read(self, buffer: Any) -> int | None:
        try:
            return super().readinto(buffer)
        except ssl.SSLError as error:
            raise broken_off(self._timed, error) from error


class _Reader(makefile.StreamReader):
    """cheroot's reader over such a socket."""

    def __init__(self, sock: socket.socket, bufsize: int, connection: _Connection) -> None:
        super(makefile.StreamReader, self).__init__(_TimedSocket(sock, connection), bufsize)
        self.bytes_read = 0
        self._timed = sock

    def has_data(self) -> bool:
        """Tell whether octets are there that no event will announce: read ahead, or decrypted already."""
        decrypted = self._timed.pending() if isinstance(self._timed, ssl.SSLSocket) else 0
        return bool(decrypted or super().has_data())  # type: ignore[no-untyped-call]


class _Writer(makefile.StreamWriter):
    """cheroot's writer; TLS that broke is a connection that is gone."""

    def _flush_unlocked(self) -> None:
        try:
            super()._flush_unlocked()  # type: ignore[misc]
        except ssl.SSLError as error:
            raise ConnectionResetError(errno.ECONNRESET, f"TLS failed: {error.reason or error}") from error


class _HeaderLines:
    """Header lines on their way to cheroot, which would keep the last of two that contradict each other.

    Whoever stands in front of this server may keep the first, and so see another request than it does.
    """

    def __init__(self, source: Any) -> None:
        self._source = source
        self._names: set[bytes] = set()

    def readline(self) -> bytes:
        """Return the next line; raises ValueError for one that a proxy could read in another way."""
        line: bytes = self._source.readline()
        name, colon, _ = line.partition(b":")
        if line[:1] in (b" ", b"\t"):
            raise ValueError("A header line is folded (RFC 9112 5.2)")
        if colon and not _TOKEN.fullmatch(name):
            raise ValueError("A header name is no token (RFC 9112 5.1)")
        if name.lower() in _ONCE & self._names:
            raise ValueError("Host, Content-Length or Transfer-Encoding is there twice (RFC 9112 3.2, 6.3)")
        self._names.add(name.lower())
        return line


class _HeaderReader(server.HeaderReader):
    def __call__(self, rfile: object, hdict: dict[bytes, bytes] | None = None) -> dict[bytes, bytes]:
        headers: dict[bytes, bytes] = super().__call__(_HeaderLines(rfile), hdict)
        return headers


class _Request(server.HTTPRequest):
    header_reader = _HeaderReader()

    def __init__(self, its_server: _Server, connection: _Connection) -> None:
        super().__init__(its_server, connection, proxy_mode=True)
        connection.request = self

    def read_request_line(self) -> bool:
        """Read the request line; a target of two slashes is a path, not an authority (RFC 9112 3.2.1)."""
        if not super().read_request_line():  # type: ignore[no-untyped-call]
            return False
        if self.uri.startswith(b"//"):
            self.path = unquote_to_bytes(self.uri.partition(b"?")[0])
        return True

    def read_request_headers(self) -> bool:
        """Read the headers, and refuse a body whose end is not certain (RFC 9112 6.1, 6.3).

        A connection that carried a chunked body is closed: cheroot reads neither trailers nor the
        rest of broken chunks, which would pass for the next request.
        """
        if not super().read_request_headers():  # type: ignore[no-untyped-call]
            return False
        length = self.inheaders.get(b"Content-Length", b"0").strip()
        wrong = "" if length.isdigit() else "Content-Length is not a number"
        if b"Transfer-Encoding" in self.inheaders:
            self.close_connection = True
            if not self.chunked_read or b"Content-Length" in self.inheaders:
                wrong = "Transfer-Encoding together with Content-Length, or in HTTP/1.0"
        if wrong:
            self.simple_response("400 Bad Request", wrong)
        return not wrong

    def all_read(self) -> bool:
        """Return whether the body was read to its end."""
        return bool(self.ready) and not self.chunked_read and getattr(self.rfile, "remaining", 0) == 0


class _Gateway(wsgi.Gateway_10):
    """cheroot's way to WSGI, which also tells requests of one connection from those of another."""

    def get_environ(self) -> dict[str, Any]:  # type: ignore[override] # the stub knows only the abstract one
        """Return the environment with a name of the connection that no other ever has."""
        environ: dict[str, Any] = super().get_environ()  # type: ignore[no-untyped-call]
        return environ | {
            CONNECTION_KEY: str(self.req.conn.number),
            RAW_CONNECTION_KEY: RawConnection(self.req, self.req.conn),
        }


class _Connection(server.HTTPConnection):
    RequestHandlerClass = _Request
    numbers = itertools.count(1)

    def __init__(self, its_server: _Server, sock: socket.socket, _makefile: object) -> None:
        self.number = next(self.numbers)
        self.request: _Request | None = None
        self.deadline = 0.0
        self.is_torn_down = False
        super().__init__(its_server, sock, self._file)

    def _file(self, sock: socket.socket, mode: str, bufsize: int) -> object:
        if "w" in mode:
            return _Writer(sock, mode, bufsize)
        return _Reader(sock, bufsize, self)

    def communicate(self) -> bool:
        """Read one request, within its deadline, and answer it."""
        self.deadline = time.monotonic() + self.server.limits.request_seconds
        return bool(super().communicate())  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Close, letting a client that is still sending read the answer first (RFC 9112 9.6)."""
        unread = self.request is not None and not self.request.all_read()
        if not self.is_torn_down:
            say_goodbye(self.socket)
        if unread and self.server.ready and not self.is_torn_down:
            self._linger()
        super().close()
        self.request = None
        with contextlib.suppress(OSError):
            self.wfile.close()  # else the descriptor stays open until a garbage collection

    def _close_kernel_socket(self) -> None:
        if not self.is_torn_down:  # a FIN before the RST would pass for an orderly end
            super()._close_kernel_socket()  # type: ignore[misc]

    def _linger(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
            end = time.monotonic() + _LINGER_SECONDS
            octets = 0
            while octets < _LINGER_OCTETS and (left := end - time.monotonic()) > 0:
                self.socket.settimeout(left)
                read = len(self.socket.recv(65536))
                if not read:
                    return
                octets += read


class _Pool(ThreadPool):
    def __init__(self, its_server: _Server, *, workers: int) -> None:
        super().__init__(its_server, min=workers)
        self._changing = threading.Lock()
        self._has_stopped = False
        self._away = 0  # workers that are with one answer for long

    @contextlib.contextmanager
    def another_worker(self) -> Iterator[None]:
        """Have a worker more for a while, up to a limit."""
        self._adapt(1)
        try:
            yield
        finally:
            self._adapt(-1)

    def _adapt(self, change: int) -> None:
        """Have as many workers as there are to be, beside those that are away."""
        with self._changing:
            self._away += change
            if self._has_stopped:
                return
            self._clear_dead_threads()  # type: ignore[attr-defined]
            wanted = self.min + min(self._away, _MORE_WORKERS)
            there = len(self._threads)  # type: ignore[attr-defined]
            if there > wanted:
                self.shrink(there - wanted)
            else:
                self.grow(wanted - there + len(self._pending_shutdowns))  # type: ignore[attr-defined]

    def stop(self, timeout: float | None = 5) -> None:
        """Stop all workers; none is added from now on."""
        with self._changing:
            self._has_stopped = True
        super().stop(timeout)  # type: ignore[arg-type]

    def grow(self, amount: int) -> None:
        """Start workers without waiting a tenth of a second for each to say so."""
        workers = [self._spawn_worker() for _ in range(amount)]  # type: ignore[attr-defined]
        self._threads.extend(workers)  # type: ignore[attr-defined]


class _Server(wsgi.Server):
    ConnectionClass = _Connection
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
        self.requests = _Pool(self, workers=limits.threads)
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

    def process_conn(self, conn: _Connection) -> None:
        """Hand a connection to a worker; a new one only once it has sent something."""
        if conn.last_used is None:
            self._connections.put(conn)  # type: ignore[attr-defined]
        else:
            super().process_conn(conn)

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        """Log what cheroot has to say."""
        _logger.log(level, "%s", msg, exc_info=traceback)
