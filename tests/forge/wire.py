"""HTTP by socket: what a well-behaved library would never send.

`exchange` sends octets as they are and reads one answer. `post` and `get` write the plain requests
that deployed SCEP clients write.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer; status 0 means that the server closed without one."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    version: str = "HTTP/1.1"

    def header(self, name: str) -> str | None:
        """Return the value of a header that must not occur twice."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        if len(values) > 1:
            raise AssertionError(f"header {name} occurs {len(values)} times")
        return values[0] if values else None


def address(url: str) -> tuple[str, int]:
    """Return host and port of a URL."""
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 80


def connect(url: str) -> socket.socket:
    """Open a connection to the server of a URL."""
    return socket.create_connection(address(url), timeout=PATIENCE)


class Answers:
    """Reads answers from a connection, one after the other."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""

    def _more(self) -> bool:
        with contextlib.suppress(ConnectionError):
            chunk = self._connection.recv(65536)
            self._buffer += chunk
            return bool(chunk)
        return False

    def next(self, *, head: bool = False) -> Response:
        """Read one answer, skipping 100 Continue; status 0 when the connection ends before it."""
        while b"\r\n\r\n" not in self._buffer:
            if not self._more():
                return Response(0, (), self._buffer)
        top, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        line, *fields = top.decode("latin-1").split("\r\n")
        version, code, *_ = line.split(" ", 2)
        headers = tuple(
            (key.strip(), value.strip()) for key, _, value in (one.partition(":") for one in fields)
        )
        if int(code) == 100:
            return self.next(head=head)
        names = {key.lower(): value for key, value in headers}
        if head or int(code) in (204, 304):
            return Response(int(code), headers, b"", version)
        return Response(int(code), headers, self._body(names), version)

    def _body(self, names: dict[str, str]) -> bytes:
        if names.get("transfer-encoding", "").lower() == "chunked":
            return self._chunks()
        if "content-length" in names:
            size = int(names["content-length"])
            while len(self._buffer) < size and self._more():
                pass
            body, self._buffer = self._buffer[:size], self._buffer[size:]
            return body
        while self._more():
            pass
        body, self._buffer = self._buffer, b""
        return body

    def _chunks(self) -> bytes:
        body = b""
        while True:
            while b"\r\n" not in self._buffer:
                if not self._more():
                    return body
            line, self._buffer = self._buffer.split(b"\r\n", 1)
            size = int(line, 16)
            while len(self._buffer) < size + 2 and self._more():
                pass
            body, self._buffer = body + self._buffer[:size], self._buffer[size + 2 :]
            if not size:
                return body


def exchange(url: str, octets: bytes | Iterable[bytes], *, head: bool = False, end: bool = False) -> Response:
    """Send octets to the server of ``url`` and read one answer.

    ``end`` closes our sending side afterwards. A server that answers and closes before everything is
    sent is within its rights.
    """
    with connect(url) as connection:
        pieces = [octets] if isinstance(octets, bytes) else octets
        try:
            for piece in pieces:
                connection.sendall(piece)
            if end:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return Answers(connection).next(head=head)


def request_line(url: str, method: str, query: str = "", version: str = "HTTP/1.1") -> bytes:
    """Return a request line and Host header for a URL, the query as it is."""
    parts = urlsplit(url)
    target = parts.path + (f"?{query}" if query else "")
    host = f"Host: {parts.netloc}\r\n" if version == "HTTP/1.1" else ""
    return f"{method} {target} {version}\r\n{host}".encode("latin-1")


def headers(fields: dict[str, str]) -> bytes:
    """Return header lines and the empty line after them."""
    return b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in fields.items()) + b"\r\n"


def get(url: str, query: str = "", *, method: str = "GET", fields: dict[str, str] | None = None) -> Response:
    """Send a request without body."""
    top = request_line(url, method, query) + headers({"Connection": "close", **(fields or {})})
    return exchange(url, top, head=method == "HEAD")


def post(
    url: str, body: bytes, query: str = "operation=PKIOperation", fields: dict[str, str] | None = None
) -> Response:
    """Send a request with a body, without a Content-Type unless told (as strongSwan and sscep do)."""
    top = request_line(url, "POST", query) + headers(
        {"Connection": "close", "Content-Length": str(len(body)), **(fields or {})}
    )
    return exchange(url, top + body)
