"""SCEP over Flask: octets in, octets out, and the one place where anything unforeseen ends.

Werkzeug's own parsing of queries and forms is not used; see `scep_server.transport`.
"""

from __future__ import annotations

import itertools
import os
from http import HTTPStatus
from typing import TYPE_CHECKING, BinaryIO, Protocol

import structlog
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from .exchange import CONNECTION_KEY, HttpExchangeRequest, HttpReply
from .log_context import fit, one_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_log = structlog.get_logger(__name__)
_CHUNK = 1 << 16
_TAG_OCTETS = 4


class HttpService(Protocol):
    """What answers: `scep_server.operations.ScepService`, or whatever stands in front of it."""

    @property
    def maximum_body_octets(self) -> int:
        """The longest body that is read."""

    def handle(self, request: HttpExchangeRequest) -> HttpReply:
        """Answer one request; raises nothing a client can cause."""


def create_app(service: HttpService, *, entropy: Callable[[int], bytes] = os.urandom) -> Flask:
    """Return a WSGI application in which every path goes to ``service``, whatever the method.

    Only what is registered on the application besides (pages of their own) is routed by Flask, so
    that no redirect and no HTML of the framework ever meets a SCEP client. ``entropy`` makes the part of
    request ids in the log that tells one process from another.
    """
    app = Flask(__name__, static_folder=None)
    app.wsgi_app = _with_log_context(app.wsgi_app, entropy(_TAG_OCTETS).hex())  # type: ignore[assignment, method-assign]

    @app.before_request
    def answer() -> Response | None:
        if request.url_rule is not None:
            return None
        return _response(service.handle(read_request(request.environ, service.maximum_body_octets)))

    @app.errorhandler(Exception)
    def unforeseen(error: Exception) -> Response:
        if isinstance(error, HTTPException):
            return _plain(error.code or 500)
        _log.exception("request failed", method=fit(request.method), path=fit(request.path))
        return _plain(500)

    return app


def _with_log_context(application: WSGIApplication, tag: str) -> WSGIApplication:
    """Return ``application`` with log lines that tell which request they are about."""
    numbers = itertools.count(1)

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        client = str(environ.get("REMOTE_ADDR", ""))
        with one_request(request_id=f"{tag}-{next(numbers)}", client=client):
            return application(environ, start_response)

    return answer


def read_request(environ: Mapping[str, object], maximum_body_octets: int) -> HttpExchangeRequest:
    """Return the request of a WSGI environment, with at most one octet of body beyond the limit.

    A body that is declared longer than the limit is not read at all.
    """
    text = {key: value for key, value in environ.items() if isinstance(value, str)}
    fields = _field_lengths(text)
    declared = _declared_length(text.get("CONTENT_LENGTH", ""))
    terminated = bool(environ.get("wsgi.input_terminated"))
    wanted = maximum_body_octets + 1 if terminated and declared is None else max(declared or 0, 0)
    body: bytes | None = b""
    if 0 < wanted <= maximum_body_octets + 1:
        body = _read(environ["wsgi.input"], wanted)  # type: ignore[arg-type]
    read_short = declared is not None and 0 < declared <= maximum_body_octets and len(body or b"") < declared
    return HttpExchangeRequest(
        method=text.get("REQUEST_METHOD", ""),
        path=text.get("PATH_INFO", ""),
        query=text.get("QUERY_STRING", ""),
        content_type=text.get("CONTENT_TYPE", ""),
        content_encoding=text.get("HTTP_CONTENT_ENCODING", ""),
        declared_length=declared,
        body=body or b"",
        body_complete=body is not None and not read_short,
        remote_address=text.get("REMOTE_ADDR", ""),
        user_agent=text.get("HTTP_USER_AGENT", ""),
        referer=text.get("HTTP_REFERER", ""),
        host=text.get("HTTP_HOST", ""),
        protocol=text.get("SERVER_PROTOCOL", ""),
        remote_port=text.get("REMOTE_PORT", ""),
        connection=text.get(CONNECTION_KEY, ""),
        authorization=text.get("HTTP_AUTHORIZATION", ""),
        forwarded_for=text.get("HTTP_X_FORWARDED_FOR", ""),
        header_octets=sum(fields),
        longest_field_octets=max(fields, default=0),
    )


def _field_lengths(text: Mapping[str, str]) -> list[int]:
    """Return how many octets each header field takes, with its name, colon, space and line end."""
    fields = {key.removeprefix("HTTP_"): value for key, value in text.items() if key.startswith("HTTP_")}
    fields |= {key: text[key] for key in ("CONTENT_TYPE", "CONTENT_LENGTH") if key in text}
    return [len(name) + len(value) + 4 for name, value in fields.items()]


def _declared_length(value: str) -> int | None:
    """Return Content-Length (RFC 9110 8.6): None where absent, -1 where it is no number."""
    if not value:
        return None
    return int(value) if value.isascii() and value.isdigit() and len(value) < 19 else -1


def _read(stream: BinaryIO, wanted: int) -> bytes | None:
    """Return up to ``wanted`` octets, or None where the connection or its framing breaks."""
    parts: list[bytes] = []
    try:
        while wanted > 0 and (part := stream.read(min(wanted, _CHUNK))):
            parts.append(part)
            wanted -= len(part)
    except (OSError, ValueError):  # reset or timeout; chunk sizes that are none
        return None
    return b"".join(parts)


def _response(reply: HttpReply) -> Response:
    status = f"{reply.status} {HTTPStatus(reply.status).phrase}"
    response = Response(reply.body, status=status, content_type=reply.content_type)
    for name, value in reply.headers:
        response.headers.add(name, value)  # more than one WWW-Authenticate is possible
    return response


def _plain(status: int) -> Response:
    return Response(f"{status}\n", status=status, content_type="text/plain")
