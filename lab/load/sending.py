"""Sending prepared requests: many connections in one thread, so that the sender costs little.

Without a rate each connection sends its next request when the last is answered. With a rate requests
fall due at equal distances whatever the server does, and a latency counts from when its request was due:
a server that stalls is not spared the requests it kept waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from scep_server.protocol.messages import FailInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .messages import Kind, Prepared

# Attribute (RFC 5652 5.3) of pkiStatus and failInfo up to the digit (RFC 8894 3.2.1.3, 3.2.1.4)
_PKI_STATUS = bytes.fromhex("060a6086480186f84501090331031301")
_FAIL_INFO = bytes.fromhex("060a6086480186f84501090431031301")
_FAILURES = {str(each.value): each.rfc_name for each in FailInfo}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One request: what it was, seconds from its beginning until answered, and why it failed, if it did."""

    kind: Kind
    at: float  # seconds since the load began, when it was answered
    seconds: float
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How requests are sent: ``rate`` is per second, None as fast as answers come; times in seconds."""

    concurrency: int = 8
    rate: float | None = None
    timeout: float = 30.0


@dataclass(slots=True)
class _State:
    """What the connections of one load share."""

    waiting: deque[tuple[int, Prepared]]
    begin: float = 0.0
    samples: list[Sample] = field(default_factory=list)


def send_all(
    url: str, requests: Sequence[Prepared], load: Load, progress: Callable[[int], None] = lambda _: None
) -> list[Sample]:
    """Send every request once; return what came of each, in the order in which they ended."""
    return asyncio.run(_send_all(url, requests, load, progress))


async def _send_all(
    url: str, requests: Sequence[Prepared], load: Load, progress: Callable[[int], None]
) -> list[Sample]:
    state = _State(deque(enumerate(requests)))
    state.begin = time.perf_counter()
    clients = [
        asyncio.create_task(_client(url, state, load)) for _ in range(min(load.concurrency, len(requests)))
    ]
    watching = asyncio.create_task(_watch(state, progress))
    try:
        await asyncio.gather(*clients)
    finally:
        watching.cancel()
        for client in clients:
            client.cancel()
    progress(len(state.samples))
    return state.samples


async def _watch(state: _State, progress: Callable[[int], None]) -> None:
    while True:
        progress(len(state.samples))
        await asyncio.sleep(0.2)


async def _client(url: str, state: _State, load: Load) -> None:
    """Send one request after the other over one connection, opened anew where the server closes it."""
    parts = urlsplit(url)
    connection = _Connection(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
    connection.tls = parts.scheme == "https"
    try:
        while state.waiting:
            number, request = state.waiting.popleft()
            started = time.perf_counter()
            if load.rate is not None:
                due = state.begin + number / load.rate
                await asyncio.sleep(max(0.0, due - started))
                started = due
            problem = await _exchange(connection, request, load.timeout)
            now = time.perf_counter()
            state.samples.append(
                Sample(kind=request.kind, at=now - state.begin, seconds=now - started, problem=problem)
            )
    finally:
        connection.close()


async def _exchange(connection: _Connection, request: Prepared, timeout: float) -> str:
    """Send a request; return what is wrong with the answer, or an empty text."""
    try:
        async with asyncio.timeout(timeout):
            status, body = await connection.ask(request.octets)
    except TimeoutError:
        connection.close()
        return "no answer in time"
    except (OSError, EOFError) as error:
        connection.close()
        return f"connection: {error.strerror or error}" if isinstance(error, OSError) else "closed unanswered"
    except ValueError:
        connection.close()
        return "no HTTP"
    if status != 200:
        return f"HTTP {status}"
    return _problem_of(body) if request.kind.is_message else ""


def _problem_of(body: bytes) -> str:
    place = body.find(_PKI_STATUS)
    if place < 0:
        return "no CertRep"
    status = body[place + len(_PKI_STATUS) :][:1]
    if status == b"0":
        return ""
    if status == b"3":
        return "PENDING"
    place = body.find(_FAIL_INFO)
    digit = body[place + len(_FAIL_INFO) :][:1].decode("latin-1") if place >= 0 else "none"
    return f"FAILURE {_FAILURES.get(digit, digit)}"


class _Connection(asyncio.Protocol):
    """One HTTP/1.1 connection, kept open between requests; TLS servers are not authenticated."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self.tls = False
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    async def ask(self, octets: bytes) -> tuple[int, bytes]:
        """Send a request; return status and body. Raises OSError, EOFError, ValueError."""
        loop = asyncio.get_running_loop()
        if self._transport is None or self._transport.is_closing():
            context = _unauthenticated() if self.tls else None
            self._transport, _ = await loop.create_connection(
                lambda: self, self._host, self._port, ssl=context
            )
        self._buffer = b""
        self._answer = loop.create_future()
        self._transport.write(octets)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        """Take octets; settle the question once the answer is whole."""
        self._buffer += data
        if self._answer is None or self._answer.done():
            return
        try:
            whole = _whole(self._buffer)
        except ValueError as error:
            self._answer.set_exception(error)
            return
        if whole is not None:
            status, body, keep = whole
            if not keep:
                self.close()
            self._answer.set_result((status, body))

    def connection_lost(self, exc: Exception | None) -> None:
        """Settle the question where the connection ends."""
        self._transport = None
        answer = self._answer
        if answer is None or answer.done():
            return
        with contextlib.suppress(ValueError):
            ended = _whole(self._buffer, ended=True)
            if ended is not None:
                answer.set_result(ended[:2])
                return
        answer.set_exception(exc or EOFError())

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None


def _unauthenticated() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _whole(octets: bytes, *, ended: bool = False) -> tuple[int, bytes, bool] | None:
    """Return status, body and whether the connection stays, once the answer is whole.

    Raises:
        ValueError: it is no HTTP/1 answer.

    """
    head, found, body = octets.partition(b"\r\n\r\n")
    if not found:
        if len(octets) > 65536:
            raise ValueError("no end of headers")
        return None
    first, *lines = head.split(b"\r\n")
    version, status = first.split(b" ")[:2]
    fields = {
        name.strip().lower(): value.strip().lower() for name, _, value in (f.partition(b":") for f in lines)
    }
    keep = version == b"HTTP/1.1" and fields.get(b"connection") != b"close"
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        unpacked = _unchunked(body)
        return None if unpacked is None else (int(status), unpacked, keep)
    if b"content-length" in fields:
        size = int(fields[b"content-length"])
        return (int(status), body[:size], keep) if len(body) >= size else None
    return (int(status), body, False) if ended else None


def _unchunked(octets: bytes) -> bytes | None:
    parts: list[bytes] = []
    while True:
        line, found, rest = octets.partition(b"\r\n")
        if not found:
            return None
        size = int(line.partition(b";")[0], 16)
        if len(rest) < size + 2:
            return None
        if not size:
            return b"".join(parts)
        parts.append(rest[:size])
        octets = rest[size + 2 :]
