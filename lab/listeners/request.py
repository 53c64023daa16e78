"""Requests as they are read: in absolute form too, and none whose end a proxy could see elsewhere.

RFC 9112 3.2.2, 6.3 and 11.2: who stands in front of this server must read the same requests that it does.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from cheroot import server

if TYPE_CHECKING:
    from .connection import Connection
    from .server import Server

_ONCE = frozenset({b"host", b"content-length", b"transfer-encoding"})
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 5.6.2


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


class Request(server.HTTPRequest):
    """cheroot's request, refused where its end is not certain."""

    header_reader = _HeaderReader()

    def __init__(self, its_server: Server, connection: Connection) -> None:
        super().__init__(its_server, connection, proxy_mode=True)
        connection.request = self

    def read_request_line(self) -> bool:
        """Read the request line; a target of two slashes is a path, not an authority (RFC 9112 3.2.1)."""
        if not super().read_request_line():  # type: ignore[no-untyped-call]
            return False
        # How it came: an absolute form may say otherwise.
        self.scheme = b"http" if self.server.ssl_adapter is None else b"https"
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
