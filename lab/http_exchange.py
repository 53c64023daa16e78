"""One HTTP exchange, bounded in time and size, with failures named as WinHTTP names them.

Lives here: sending one request and reading the whole answer. Redirects are not followed: whoever
calls decides what a 3xx means. Does not live here: SCEP, CRLs, retries.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from .hresults import hresult

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from _typeshed import WriteableBuffer

    from .hresults import HResult


class HttpFailure(Exception):
    """No HTTP answer came, or none that can be used; ``hresult`` is what WinHTTP would report."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.hresult: HResult = hresult(code)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpReply:
    """A whole HTTP answer. ``media_type`` is lower case, without parameters; empty when absent."""

    url: str
    status: int
    reason: str
    media_type: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    elapsed: timedelta

    def header(self, name: str) -> str | None:
        """Return the first header of that name, in any case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def ok(self) -> bool:
        """Whether the status is 200, the only success SCEP and CDP know."""
        return self.status == 200

    @property
    def hresult(self) -> HResult:
        """Return HTTP_E_STATUS_... of the status; success for 200."""
        return hresult(0 if self.ok else 0x80190000 | self.status)

    def describe(self) -> str:
        """Return status and media type in a line, with the redirect target if there is one."""
        text = f"HTTP {self.status} {self.reason}".rstrip()
        if self.media_type:
            text += f" ({self.media_type}, {len(self.body)} octets)"
        location = self.header("Location")
        return f"{text}, redirected to {location}, which is not followed" if location else text


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """How long a whole exchange may take, and how large an answer may be."""

    timeout: timedelta = timedelta(seconds=30)
    size: int = 16 * 1024 * 1024


DEFAULT_LIMITS: Final = HttpLimits()
_INVALID: Final = 0x80072F78
_SWITCHING: Final = http.client.SWITCHING_PROTOCOLS


class _DeadlineReader(io.RawIOBase):
    """A socket's octets until a deadline: a peer that drips one octet at a time does not move it."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, remaining: Callable[[], float]) -> None:
        self._raw = raw
        self._sock = sock
        self._remaining = remaining

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        self._sock.settimeout(self._remaining())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def http_exchange(
    method: str,
    url: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    limits: HttpLimits = DEFAULT_LIMITS,
    tls: ssl.SSLContext | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> HttpReply:
    """Send one request and return the answer, whatever its status.

    A body is sent with Content-Length, never chunked (HTTP.sys refuses chunked requests).

    Raises:
        HttpFailure: no connection, no HTTP, cut off, too slow, too large.

    """
    started = monotonic()
    end = started + limits.timeout.total_seconds()

    def remaining() -> float:
        left = end - monotonic()
        if left <= 0:
            raise TimeoutError("the exchange took too long")
        return left

    connection = _connection(url, remaining(), tls)
    try:
        return _exchange(connection, method, url, body, dict(headers or {}), limits, remaining, monotonic)
    except TimeoutError as error:
        seconds = limits.timeout.total_seconds()
        raise HttpFailure(f"{url} did not answer within {seconds:g} s", 0x80072EE2) from error
    except socket.gaierror as error:
        raise HttpFailure(f"the name in {url} cannot be resolved: {error.strerror}", 0x80072EE7) from error
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
        raise HttpFailure(f"{url} broke the connection off within TLS", 0x80072EFE) from error
    except ssl.SSLError as error:
        code = 0x80072F0C if "CERTIFICATE_REQUIRED" in (error.reason or "") else 0x80072F8F
        raise HttpFailure(f"TLS with {url} failed: {error}", code) from error
    except http.client.IncompleteRead as error:
        raise HttpFailure(f"{url} closed the connection within the answer: {error}", 0x80072EFE) from error
    except http.client.RemoteDisconnected as error:
        raise HttpFailure(f"{url} closed the connection without an answer", 0x80072EFE) from error
    except (http.client.HTTPException, ValueError) as error:
        what = _printable(str(error)) or type(error).__name__
        raise HttpFailure(f"{url} did not answer in HTTP: {what}", _INVALID) from error
    except (ConnectionResetError, BrokenPipeError, ConnectionAbortedError) as error:
        raise HttpFailure(f"{url} broke the connection: {error}", 0x80072EFE) from error
    except OSError as error:
        raise HttpFailure(f"{url} cannot be connected to: {error.strerror or error}", 0x80072EFD) from error
    finally:
        connection.close()


def _printable(text: str) -> str:
    """Return what a peer said, fit for a line of a log."""
    return "".join(char if char.isprintable() else " " for char in text[:200]).strip()


def _connection(url: str, timeout: float, tls: ssl.SSLContext | None) -> http.client.HTTPConnection:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise HttpFailure(f"{url!r} is no URL: {error}", 0x80072EE6) from error
    if parts.scheme not in {"http", "https"} or not host:
        raise HttpFailure(f"{url!r} is no http or https URL", 0x80072EE6)
    if parts.scheme == "https":
        context = tls or ssl.create_default_context()
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
    return http.client.HTTPConnection(host, port, timeout=timeout)


def _exchange(
    connection: http.client.HTTPConnection,
    method: str,
    url: str,
    body: bytes | None,
    headers: dict[str, str],
    limits: HttpLimits,
    remaining: Callable[[], float],
    monotonic: Callable[[], float],
) -> HttpReply:
    started = monotonic()
    connection.connect()
    sock = connection.sock
    with _DeadlineReader(sock.makefile("rb", buffering=0), sock, remaining) as reader:
        connection.response_class = _response_class(reader)
        connection.request(method, _target(url), body=body, headers={"Connection": "close", **headers})
        with connection.getresponse() as response:
            _check_form(response, url)
            content = _read_body(response, url, limits)
    return HttpReply(
        url=url,
        status=response.status,
        reason=response.reason,
        media_type=(response.getheader("Content-Type") or "").partition(";")[0].strip().lower(),
        headers=tuple(response.getheaders()),
        body=content,
        elapsed=timedelta(seconds=monotonic() - started),
    )


def _target(url: str) -> str:
    """Return path and query; what no request line may hold is escaped, as WinHTTP does (CDPs with spaces)."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return quote(target, safe="!#$%&'()*+,/:;=?@[]~")


def _response_class(reader: _DeadlineReader) -> type[http.client.HTTPResponse]:
    class Response(http.client.HTTPResponse):
        """A response that is read through the deadline."""

        def __init__(self, sock: socket.socket, *args: object, **kwargs: object) -> None:
            super().__init__(sock, *args, **kwargs)  # type: ignore[arg-type]
            self.fp.close()
            self.fp = io.BufferedReader(reader)

        def _read_status(self) -> tuple[str, int, str]:
            """Read a status line, skipping interim answers: the library knows 100 alone (RFC 9110 15.2)."""
            found: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]
            while http.client.CONTINUE < found[1] < http.client.OK and found[1] != _SWITCHING:
                http.client.parse_headers(self.fp)
                found = super()._read_status()  # type: ignore[misc]
            return found

    return Response


def _check_form(response: http.client.HTTPResponse, url: str) -> None:
    """Raise HttpFailure where the body's length or coding is not certain (RFC 9112 6.3, RFC 9110 8.4)."""
    lengths = {value.strip() for value in response.headers.get_all("Content-Length", [])}
    if len(lengths) > 1 or not all(value.isascii() and value.isdigit() for value in lengths):
        found = " and ".join(sorted(value[:40] for value in lengths))
        raise HttpFailure(f"{url} answered with Content-Length {found}, expected one number", _INVALID)
    coding = response.getheader("Content-Encoding", "identity").strip().lower()
    if coding not in {"", "identity"}:
        raise HttpFailure(f"{url} answered in the coding {coding[:40]!r}, which was not asked for", _INVALID)


def _read_body(response: http.client.HTTPResponse, url: str, limits: HttpLimits) -> bytes:
    content = bytearray()
    while chunk := response.read1(65536):
        content += chunk
        if len(content) > limits.size:
            raise HttpFailure(f"{url} answered with more than {limits.size} octets", _INVALID)
    if response.length:
        raise http.client.IncompleteRead(bytes(content), response.length)
    return bytes(content)
