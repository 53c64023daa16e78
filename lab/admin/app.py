"""The management listener's web application. It is its own, never mounted on the product's.

Where a token is set every path wants it but the two health probes and the documentation, which a
browser asks for and which says nothing of this lab but its version. Where none is set the listener
is on loopback, and a request must name a loopback host, so that no web page can reach it by a name
that resolves to 127.0.0.1; and what a page of another origin sends is refused, with or without a body.
"""

from __future__ import annotations

import hmac
import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from .desk import DeskError
from .models import ErrorDetail, ErrorView
from .operation import AdminContext, AdminFacts
from .registry import all_operations
from .serving import add_operation, as_json

if TYPE_CHECKING:
    from werkzeug.datastructures import Headers

    from .desk import Desk

_log = structlog.get_logger(__name__)
_MAXIMUM_BODY = 1 << 20


def create_app(desk: Desk, facts: AdminFacts) -> Flask:
    """Return the application."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _MAXIMUM_BODY
    context = AdminContext(desk=desk, facts=facts)
    open_paths = {operation.path for operation in all_operations() if operation.open_to_all}

    @app.before_request
    def admit() -> Response | None:
        return _refusal(facts.token, open_paths)

    @app.after_request
    def guard(response: Response) -> Response:
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    @app.errorhandler(Exception)
    def failed(error: Exception) -> Response:
        return _failure(error)

    for operation in all_operations():
        add_operation(app, operation, context)
    return app


# -- who may ask -----------------------------------------------------------------------


def _refusal(token: str | None, open_paths: set[str]) -> Response | None:
    if token is None:
        host = request.environ.get("HTTP_HOST", "")
        return None if _names_loopback(host) and _is_of(host, request.headers) else _stranger()
    if request.path in open_paths:
        return None
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode()):
        return None
    response = _error(401, "Unauthorized", "a bearer token is needed (RFC 6750 2.1)")
    response.headers["WWW-Authenticate"] = 'Bearer realm="ndes-lab"'
    return response


def _names_loopback(host: str) -> bool:
    """Tell whether a Host header is absent (HTTP/1.0) or names this machine's loopback."""
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return name.lower() in ("", "localhost")


def _is_of(host: str, headers: Headers) -> bool:
    """Tell whether a request came from no web page, or from one of this very listener.

    Browsers name the page's origin with everything but a plain GET (RFC 6454 7.3), also where the body
    is empty and a form could have sent it.
    """
    origin = headers.get("Origin")
    return headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin") and (
        origin is None or urlsplit(origin).netloc == host
    )


def _stranger() -> Response:
    return _error(403, "Forbidden", "without a token only loopback names, and no other site's pages")


# -- errors ----------------------------------------------------------------------------


def _error(status: int, code: str, message: str) -> Response:
    view = ErrorView(error=ErrorDetail(code=code, message=message))
    return as_json(view.model_dump(mode="json"), status)


def _failure(error: Exception) -> Response:
    if isinstance(error, DeskError):
        return _error(error.status, error.code, str(error))
    if isinstance(error, HTTPException):
        response = _error(error.code or 500, error.name.replace(" ", ""), error.description or error.name)
        response.headers.extend((name, text) for name, text in error.get_headers() if name == "Allow")
        return response
    _log.error("request failed", method=request.method, path=request.path, exc_info=error)
    return _error(500, "InternalServerError", "the request failed; the log says why")
