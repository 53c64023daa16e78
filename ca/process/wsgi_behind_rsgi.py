"""A WSGI application behind RSGI, granian's own interface: bodies arrive before a thread is taken.

WSGI has an application read the body itself, and so whoever sends one slowly holds a thread for as long as
he likes; a handful of them would keep everybody else out. Here the event loop reads it, within a time.
"""

from __future__ import annotations

import asyncio
import io
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from granian._granian import RSGIHTTPProtocol as HTTPProtocol
    from granian.rsgi import Scope

_TEXT: Final = [("content-type", "text/plain; charset=utf-8"), ("connection", "close")]
_FIELDS: Final = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}  # without HTTP_
_VERSIONS: Final = {"1": "HTTP/1.0", "1.1": "HTTP/1.1"}


class WsgiBehindRsgi:
    """The RSGI application of one worker.

    Args:
        application: the WSGI application.
        threads: requests that it works on at once; further ones wait.
        body_octets: the longest body it takes. Of a longer one it gets one octet more; one that is
            declared longer is not read, which a WSGI application sees by its Content-Length.
        body_seconds: time within which a body must have arrived whole.

    """

    def __init__(
        self, application: WSGIApplication, *, threads: int, body_octets: int, body_seconds: float
    ) -> None:
        self._application = application
        self._body_octets = body_octets
        self._body_seconds = body_seconds
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="request")

    async def __rsgi__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """Answer one request."""
        environ = _environ(scope)
        try:
            async with asyncio.timeout(self._body_seconds):
                body = await self._body(environ, protocol)
        except TimeoutError:
            protocol.response_str(408, _TEXT, "the body did not arrive in time\n")
            return
        except (OSError, ValueError, RuntimeError):  # it broke off, or its chunks are none
            protocol.response_str(400, _TEXT, "the body did not arrive whole\n")
            return
        environ["wsgi.input"] = io.BytesIO(body)
        status, headers, content = await asyncio.get_running_loop().run_in_executor(
            self._threads, self._answer, environ
        )
        protocol.response_bytes(status, headers, content)

    async def _body(self, environ: WSGIEnvironment, protocol: HTTPProtocol) -> bytes:
        declared: str | None = environ.get("CONTENT_LENGTH")
        if declared is None and "HTTP_TRANSFER_ENCODING" not in environ:
            return b""
        if declared is not None and not (declared.isdecimal() and int(declared[:18]) <= self._body_octets):
            return b""
        parts: list[bytes] = []
        missing = self._body_octets + 1
        async for part in protocol:
            parts.append(part[:missing])
            missing -= len(parts[-1])
            if not missing:
                break
        return b"".join(parts)

    def _answer(self, environ: WSGIEnvironment) -> tuple[int, list[tuple[str, str]], bytes]:
        """Return status, header fields and content; for a thread of the pool."""
        began: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
            began.append((status, headers))

        parts = _whole(self._application, environ, start_response)
        status, headers = began[-1]
        return int(status[:3]), headers, parts


def _whole(application: WSGIApplication, environ: WSGIEnvironment, start_response: StartResponse) -> bytes:
    parts: Iterable[bytes] = application(environ, start_response)
    try:
        return b"".join(parts)
    finally:
        close = getattr(parts, "close", None)
        if close is not None:
            close()


def _environ(scope: Scope) -> WSGIEnvironment:
    """Return the environment of PEP 3333, but for the body."""
    address, _, port = scope.client.rpartition(":")
    server, _, server_port = scope.server.rpartition(":")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": server,
        "SERVER_PORT": server_port,
        "SERVER_PROTOCOL": _VERSIONS.get(scope.http_version, f"HTTP/{scope.http_version}"),
        "REMOTE_ADDR": address.strip("[]"),
        "REMOTE_PORT": port,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    for name, value in scope.headers.items():
        environ[_FIELDS.get(name) or f"HTTP_{name.upper().replace('-', '_')}"] = value
    return environ
