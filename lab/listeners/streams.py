"""Reading and writing on a connection, within its deadline, plain or over TLS."""

from __future__ import annotations

import errno
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any

from cheroot import makefile

from lab.tls import broken_off

if TYPE_CHECKING:
    from .connection import Connection


class TimedSocket(socket.SocketIO):
    """A socket to read from that keeps its connection's deadline."""

    def __init__(self, sock: socket.socket, connection: Connection) -> None:
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


class Reader(makefile.StreamReader):
    """cheroot's reader over such a socket."""

    def __init__(self, sock: socket.socket, bufsize: int, connection: Connection) -> None:
        super(makefile.StreamReader, self).__init__(TimedSocket(sock, connection), bufsize)
        self.bytes_read = 0
        self._timed = sock

    def has_data(self) -> bool:
        """Tell whether octets are there that no event will announce: read ahead, or decrypted already."""
        decrypted = self._timed.pending() if isinstance(self._timed, ssl.SSLSocket) else 0
        return bool(decrypted or super().has_data())  # type: ignore[no-untyped-call]


class Writer(makefile.StreamWriter):
    """cheroot's writer; TLS that broke is a connection that is gone."""

    def _flush_unlocked(self) -> None:
        try:
            super()._flush_unlocked()  # type: ignore[misc]
        except ssl.SSLError as error:
            raise ConnectionResetError(errno.ECONNRESET, f"TLS failed: {error.reason or error}") from error
