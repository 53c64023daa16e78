"""A web server on one address: bound first, serving later, gone without a trace."""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
import threading
import uuid
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING

from lab.tls import TlsAdapter

from .limits import ListenerLimits
from .server import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


class ListenerError(Exception):
    """A listener cannot be opened; the text says which, where and why."""


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
        self._server = Server((host, port), limits or ListenerLimits())
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
