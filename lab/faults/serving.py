"""In front of a listener's application: who is asking, which faults they meet, and what is recorded.

The outermost layer of a lab's SCEP and PKI listeners. Takes ``/fault/<id>`` off the path, lets faults at
the arriving request and at the answer, delivers the answer, and hands the whole exchange to whoever
keeps it.
"""

from __future__ import annotations

import io
import re
import time
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

from werkzeug.http import http_date, parse_date

from lab.lab_clock import BadTime, read_offset
from lab.listeners import RAW_CONNECTION_KEY
from lab.recorded import AppliedFault, RecordedAnswer, RecordedExchange, RecordedRequest

from .circumstances import Circumstances, answering
from .delivery import deliver
from .engine import BadParameter, UnknownFault
from .values import Arrival, HttpAnswer
from .vocabulary import SCEP_OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import InputStream, StartResponse, WSGIApplication, WSGIEnvironment

    from lab.lab_clock import LabClock
    from lab.listeners import RawConnection
    from lab.recorded import ListenerName

    from .circumstances import Pinned
    from .engine import FaultEngine
    from .settings import FaultSettings

FAULT_HEADER = "X-Ndes-Lab-Fault"
TIME_HEADER = "X-Ndes-Lab-Time"
_OPERATION = re.compile(r"(?:^|&)operation=([^&]*)")
_OPERATIONS = {each.lower(): each for each in SCEP_OPERATIONS}
_KEPT_OCTETS = 4 * 1024 * 1024


class Served:
    """A WSGI application with faults and a record in front of ``application``.

    ``endpoint_of`` says which SCEP endpoint a path means, if any. ``record`` is told of every exchange.
    ``time_header`` says whether a request may choose the time it is answered at. ``pinned`` is the fault
    whose doorway this stands behind; ``address_of`` returns the URL of a path behind a fault's own doorway,
    where it has one. ``own_name`` is the User-Agent by which the lab looks at its own health: that is not
    recorded, and no rule counts it.
    """

    def __init__(
        self,
        application: WSGIApplication,
        *,
        listener: ListenerName,
        engine: FaultEngine,
        clock: LabClock,
        settings: FaultSettings,
        record: Callable[[RecordedExchange], object],
        endpoint_of: Callable[[str], str | None] = lambda _: None,
        time_header: bool = False,
        pinned: Pinned | None = None,
        address_of: Callable[[str, str], str | None] = lambda _, __: None,
        own_name: str | None = None,
    ) -> None:
        self._application = application
        self._listener = listener
        self._engine = engine
        self._clock = clock
        self._settings = settings
        self._record = record
        self._endpoint_of = endpoint_of
        self._time_header = time_header
        self._pinned = pinned
        self._address_of = address_of
        self._own_name = own_name

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        begin, ending = time.perf_counter(), self._engine.interruption()
        asked = dict(environ)
        body = asked["wsgi.input"] = _Kept(environ["wsgi.input"])
        circumstances, answer = self._circumstances(asked)
        circumstances.ending = ending
        with answering(circumstances):
            answer = self._engine.bend(answer or self._ask(asked, circumstances))
            if circumstances.unavailable is not None:
                answer = _plain(*circumstances.unavailable)
            if circumstances.applied and self._settings.header:
                answer = _named(answer, circumstances)
            answer = self._dated(answer, circumstances)
            if not circumstances.is_own:
                self._keep(asked, body, circumstances, answer, time.perf_counter() - begin)
            if answer.delivery is not None:
                connection = cast("RawConnection", environ[RAW_CONNECTION_KEY])
                deliver(answer, connection, ending.is_set)
                return []  # the server has nothing left to send
        start_response(f"{answer.status} {answer.phrase}", list(answer.headers))
        return [answer.body]

    # -- who is asking -----------------------------------------------------------------

    def _circumstances(self, environ: dict[str, Any]) -> tuple[Circumstances, HttpAnswer | None]:
        """Return what is known of a request; its answer where it cannot be understood."""
        circumstances = Circumstances(
            listener=self._listener,
            path=environ["PATH_INFO"],
            client_address=environ.get("REMOTE_ADDR", ""),
            user_agent=environ.get("HTTP_USER_AGENT", ""),
            is_own=self._own_name is not None and environ.get("HTTP_USER_AGENT") == self._own_name,
            pinned=self._pinned,
        )
        if self._pinned is not None:
            applied = AppliedFault(fault_id=self._pinned.fault.id, parameters=self._pinned.parameters)
            circumstances.applied.append(applied)
        try:
            self._look_at_path(circumstances)
            self._look_at_time(circumstances, environ)
        except (UnknownFault, BadParameter) as error:
            reason = "fault-unknown" if isinstance(error, UnknownFault) else "fault-parameter"
            circumstances.refusal = reason, str(error)
            return circumstances, _plain(404, str(error))
        except BadTime as error:
            circumstances.refusal = "time-unreadable", f"{TIME_HEADER}: {error}"
            return circumstances, _plain(400, circumstances.refusal[1])
        environ["PATH_INFO"] = circumstances.path
        circumstances.endpoint = self._endpoint_of(circumstances.path)
        circumstances.operation = (
            _operation(environ.get("QUERY_STRING", ""))
            if self._listener == "scep"
            else _resource(circumstances.path)
        )
        return circumstances, None

    def _look_at_path(self, circumstances: Circumstances) -> None:
        if self._settings.urls and self._pinned is None:
            pinned, path = self._engine.pinned(circumstances.path)
            elsewhere = None if pinned is None else self._address_of(pinned.fault.id, path)
            if pinned is not None and elsewhere is not None:
                raise UnknownFault(
                    f"{pinned.fault.id} comes before HTTP and has an address of its own: {elsewhere}"
                )
            circumstances.pinned, circumstances.path = pinned, path

    def _look_at_time(self, circumstances: Circumstances, environ: dict[str, Any]) -> None:
        wanted = environ.get("HTTP_" + TIME_HEADER.upper().replace("-", "_"))
        if wanted is not None and self._time_header:
            circumstances.time_shift = read_offset(wanted, self._clock.now())

    # -- the answer --------------------------------------------------------------------

    def _ask(self, environ: dict[str, Any], circumstances: Circumstances) -> HttpAnswer:
        """Return what a fault answers at once, or else the application."""
        arrival = self._engine.bend(
            Arrival(
                method=environ["REQUEST_METHOD"],
                path=circumstances.path,
                query=environ.get("QUERY_STRING", ""),
            )
        )
        if arrival.answer is not None:
            return arrival.answer
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Any:
            del exc_info
            started[:] = [(status, headers)]
            return io.BytesIO().write

        parts = self._application(environ, cast("StartResponse", start_response))
        try:
            body = b"".join(parts)
        finally:
            if (close := getattr(parts, "close", None)) is not None:
                close()
        status, _, reason = started[0][0].partition(" ")
        return HttpAnswer(status=int(status), reason=reason, headers=tuple(started[0][1]), body=body)

    def _dated(self, answer: HttpAnswer, circumstances: Circumstances) -> HttpAnswer:
        """Return the answer with a Date by the lab's clock where that is not the machine's (RFC 9110 6.6.1).

        Expires and thisUpdate go by it as well; a cache would reckon with two clocks otherwise.
        """
        moved = self._clock.offset or circumstances.time_shift
        if not moved or answer.header("Date") is not None:
            return answer
        now = self._clock.now() + circumstances.time_shift
        modified = parse_date(answer.header("Last-Modified"))
        if modified is not None and modified > now:  # files are of the machine's time (RFC 9110 8.8.2.1)
            answer = answer.with_header("Last-Modified", http_date(now))
        return answer.with_header("Date", http_date(now))

    # -- the record --------------------------------------------------------------------

    def _keep(
        self,
        environ: dict[str, Any],
        body: _Kept,
        circumstances: Circumstances,
        answer: HttpAnswer,
        seconds: float,
    ) -> None:
        exchange = circumstances.exchange
        at = self._clock.now() + circumstances.time_shift if exchange is None else exchange.received_at
        self._record(
            RecordedExchange(
                received_at=at,
                listener=self._listener,
                request=RecordedRequest(
                    method=environ["REQUEST_METHOD"],
                    target=_target(environ),
                    protocol=environ.get("SERVER_PROTOCOL", ""),
                    headers=_headers(environ),
                    body=body.kept,
                    client_address=circumstances.client_address,
                    client_port=environ.get("REMOTE_PORT", ""),
                    scheme=environ["wsgi.url_scheme"],
                ),
                answer=RecordedAnswer(
                    status=answer.status,
                    reason=answer.phrase,
                    headers=answer.headers,
                    body=answer.body,
                    delivery=answer.manner,
                ),
                exchange=exchange,
                refusal=circumstances.refusal,
                faults=tuple(circumstances.applied),
                clock_offset=self._clock.offset + circumstances.time_shift,
                seconds=seconds,
            )
        )


class _Kept:
    """A request's body on its way to the application, kept as far as it is read."""

    def __init__(self, stream: InputStream) -> None:
        self._stream = stream
        self._parts: list[bytes] = []
        self._left = _KEPT_OCTETS

    @property
    def kept(self) -> bytes:
        """What has been read, up to 4 MiB."""
        return b"".join(self._parts)

    def read(self, size: int = -1) -> bytes:
        """Read as the stream does."""
        octets = self._stream.read(size)
        self._parts.append(octets[: self._left])
        self._left -= len(self._parts[-1])
        return octets


def _named(answer: HttpAnswer, circumstances: Circumstances) -> HttpAnswer:
    names = dict.fromkeys(applied.fault_id for applied in circumstances.applied)
    return answer.with_header(FAULT_HEADER, ", ".join(names))


def _plain(status: int, text: str) -> HttpAnswer:
    body = f"{text}\n".encode()
    headers = (("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))))
    return HttpAnswer(status=status, headers=headers, body=body)


def _operation(query: str) -> str | None:
    found = _OPERATION.search(query)
    return None if found is None else _OPERATIONS.get(unquote(found[1]).lower())


def _resource(path: str) -> str | None:
    """Return what of a PKI is at a path of the PKI listener."""
    lowered = path.lower()
    if lowered.lstrip("/").split("/")[0] == "ocsp":
        return "OCSP"
    if lowered.endswith(".crl"):
        return "DeltaCRL" if lowered.endswith("+.crl") else "CRL"
    return "AIA" if lowered.endswith((".crt", ".cer", ".p7c")) else None


def _target(environ: dict[str, Any]) -> str:
    """Return path and query as they were sent."""
    raw: str = environ.get("REQUEST_URI") or ""
    if not raw.startswith("/"):  # the absolute form of RFC 9112 3.2.2, or a server that does not tell
        parts = urlsplit(raw)
        raw = (parts.path or environ["PATH_INFO"]) + (f"?{parts.query}" if parts.query else "")
    return raw


def _headers(environ: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    found = [
        (key.removeprefix("HTTP_").replace("_", "-").title(), value)
        for key, value in environ.items()
        if key.startswith("HTTP_") and isinstance(value, str)
    ]
    for key, name in (("CONTENT_TYPE", "Content-Type"), ("CONTENT_LENGTH", "Content-Length")):
        if environ.get(key):
            found.append((name, environ[key]))
    return tuple(found)
