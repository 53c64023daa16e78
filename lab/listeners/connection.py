"""One connection: a deadline for each request, and an end that lets the client read its answer."""

from __future__ import annotations

import contextlib
import itertools
import socket
import time
from typing import TYPE_CHECKING

from cheroot import server

from lab.tls import say_goodbye

from .request import Request
from .streams import Reader, Writer

if TYPE_CHECKING:
    from .server import Server

_LINGER_SECONDS = 2.0
_LINGER_OCTETS = 16 * 1024 * 1024


class Connection(server.HTTPConnection):
    """cheroot's connection, numbered, with a deadline for each request and an end in order."""

    RequestHandlerClass = Request
    numbers = itertools.count(1)

    def __init__(self, its_server: Server, sock: socket.socket, _makefile: object) -> None:
        self.number = next(self.numbers)
        self.request: Request | None = None
        self.deadline = 0.0
        self.is_torn_down = False
        super().__init__(its_server, sock, self._file)

    def _file(self, sock: socket.socket, mode: str, bufsize: int) -> object:
        if "w" in mode:
            return Writer(sock, mode, bufsize)
        return Reader(sock, bufsize, self)

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
