"""The listener that says how a program is: /health/live, /health/ready, /metrics, /version.

It is in the parent of the workers, so that it answers when they cannot. Nothing secret is told.
"""

from __future__ import annotations

import socket
import threading
from http import HTTPStatus
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Protocol
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import structlog

from .settings import UnusableSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from wsgiref.types import StartResponse, WSGIEnvironment

_log = structlog.get_logger(__name__)
_TEXT = "text/plain; charset=utf-8"
_METRICS = "text/plain; version=0.0.4; charset=utf-8"
_Answer = tuple[HTTPStatus, str, str | bytes]


class Telling(Protocol):
    """What a program says of itself."""

    def trouble(self) -> str | None:
        """Return why no request can be served now; None where they can."""

    def metrics(self) -> bytes:
        """Return Prometheus' text."""


class StatusPages:
    """The WSGI application."""

    def __init__(self, telling: Telling, version: str) -> None:
        self._telling = telling
        self._version = version
        self._pages: Mapping[str, Callable[[], _Answer]] = {
            "/health/live": lambda: (HTTPStatus.OK, _TEXT, "live\n"),
            "/health/ready": self._ready,
            "/metrics": lambda: (HTTPStatus.OK, _METRICS, self._telling.metrics()),
            "/version": lambda: (HTTPStatus.OK, _TEXT, f"{self._version}\n"),
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        status, media_type, text = self._answer(environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""))
        body = text.encode() if isinstance(text, str) else text
        headers = [("Content-Type", media_type), ("Content-Length", str(len(body)))]
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append(("Allow", "GET, HEAD"))
        start_response(f"{status.value} {status.phrase}", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _answer(self, method: str, path: str) -> _Answer:
        page = self._pages.get(path)
        if page is None:
            return HTTPStatus.NOT_FOUND, _TEXT, f"nothing is here; known: {', '.join(self._pages)}\n"
        if method not in ("GET", "HEAD"):
            return HTTPStatus.METHOD_NOT_ALLOWED, _TEXT, "GET or HEAD\n"
        try:
            return page()
        except Exception:
            _log.exception("status cannot be told", path=path)
            return HTTPStatus.INTERNAL_SERVER_ERROR, _TEXT, "see the log\n"

    def _ready(self) -> _Answer:
        trouble = self._telling.trouble()
        if trouble is None:
            return HTTPStatus.OK, _TEXT, "ready\n"
        return HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, f"{trouble}\n"


class _Handler(WSGIRequestHandler):
    timeout = 5  # seconds, of silence

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name
        """Say nothing of each scrape."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Bind, without asking the DNS for a name as the base class does."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()


class _Server6(_Server):
    address_family = socket.AF_INET6


class StatusListener:
    """Serves the pages from a thread of its own.

    Raises:
        UnusableSettings: the address cannot be opened.

    """

    def __init__(self, host: str, port: int, pages: StatusPages) -> None:
        kind = _Server6 if ":" in host else _Server
        try:
            self._server = kind((host, port), _Handler)
        except OSError as error:
            raise UnusableSettings(f"{host} port {port} cannot be opened: {error.strerror}") from error
        self._server.set_app(pages)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="status", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
