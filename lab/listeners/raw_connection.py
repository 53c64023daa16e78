"""The connection below HTTP, for answers that a web server would not give."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .connection import Connection
    from .request import Request

RAW_CONNECTION_KEY = "lab.listeners.raw_connection"
"""Where the WSGI environment holds the `RawConnection` of a request."""
_WAKE_SECONDS = 0.2


class RawConnection:
    """The connection of a request, for those who answer below HTTP; it ends with that answer."""

    def __init__(self, request: Request, connection: Connection) -> None:
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
