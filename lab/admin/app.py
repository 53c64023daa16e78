"""The management listener's web application. It is its own, never mounted on the product's.

Where a token is set every path but the two health probes wants it. Where none is set the listener
is on loopback, and a request must name a loopback host, so that no web page can reach it by a name
that resolves to 127.0.0.1; and what a page of another origin sends is refused, with or without a body.
"""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from ca.records import RequestStatus

from .answering import as_json, body_of, many, model_of, one
from .desk import DeskError, Invalid
from .health import add_health
from .models import (
    BulkOrder,
    CertificateQuery,
    ChallengeOrder,
    CrlOrder,
    DenialOrder,
    RevocationOrder,
)
from .ndes_routes import add_ndes

if TYPE_CHECKING:
    from collections.abc import Callable

    from werkzeug.datastructures import Headers

    from lab.health import HealthReport

    from .desk import Desk

_log = structlog.get_logger(__name__)
_PROBES = ("/health/live", "/health/ready")
_MAXIMUM_BODY = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminFacts:
    """What the listener says about the lab besides its desk.

    ``ready`` returns why the lab is not ready, or an empty text. ``health`` looks at everything and
    returns what was found, ``metrics`` returns Prometheus' text; without them there are no such pages.
    """

    version: str
    root_pem: str
    issuing_pem: str
    ready: Callable[[], str]
    token: str | None = field(default=None, repr=False)
    health: Callable[[], HealthReport] | None = None
    metrics: Callable[[], bytes] | None = None


def create_app(desk: Desk, facts: AdminFacts) -> Flask:
    """Return the application."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _MAXIMUM_BODY
    app.json.sort_keys = False  # type: ignore[attr-defined] # the default provider has it

    @app.before_request
    def admit() -> Response | None:
        return _refusal(facts.token)

    @app.errorhandler(Exception)
    def failed(error: Exception) -> Response:
        return _failure(error)

    _add_facts(app, facts)
    add_health(app, health=facts.health, metrics=facts.metrics)
    _add_challenges(app, desk)
    _add_certificates(app, desk)
    _add_requests(app, desk)
    add_ndes(app, desk)
    return app


# -- routes ----------------------------------------------------------------------------


def _add_facts(app: Flask, facts: AdminFacts) -> None:
    @app.get("/health/live")
    def live() -> Response:
        return as_json({"status": "ok"})

    @app.get("/health/ready")
    def ready() -> Response:
        reason = facts.ready()
        return as_json({"status": reason or "ok"}, 503 if reason else 200)

    @app.get("/version")
    def version() -> Response:
        return as_json({"name": "ndes-lab", "version": facts.version})

    @app.get("/roots/0")
    def root() -> Response:
        return Response(facts.root_pem, mimetype="application/x-pem-file")

    @app.get("/intermediates/0")
    def issuing() -> Response:
        return Response(facts.issuing_pem, mimetype="application/x-pem-file")


def _add_challenges(app: Flask, desk: Desk) -> None:
    @app.post("/api/v1/challenges")
    def new_challenge() -> Response:
        return one(desk.new_challenge(body_of(ChallengeOrder)), 201)

    @app.get("/api/v1/challenges")
    def challenges() -> Response:
        usable = {"true": True, "false": False}.get(request.args.get("usable", "false"))
        if usable is None:
            raise Invalid("usable is neither true nor false")
        return many("challenges", desk.challenges(usable_only=usable))

    @app.delete("/api/v1/challenges/<int:challenge_id>")
    def revoke_challenge(challenge_id: int) -> Response:
        return one(desk.revoke_challenge(challenge_id))


def _add_certificates(app: Flask, desk: Desk) -> None:
    @app.get("/api/v1/certificates")
    def certificates() -> Response:
        return one(desk.certificates(model_of(CertificateQuery, request.args.to_dict())))

    @app.get("/api/v1/certificates/<selector>")
    def certificate(selector: str) -> Response:
        return one(desk.certificate(selector))

    @app.post("/api/v1/certificates/<selector>/revoke")
    def revoke(selector: str) -> Response:
        return one(desk.revoke_certificate(selector, body_of(RevocationOrder)))

    @app.post("/api/v1/revocations")
    def revoke_many() -> Response:
        return one(desk.revoke_many(body_of(BulkOrder)))

    @app.get("/api/v1/crls")
    def crls() -> Response:
        return many("crls", desk.crls(pem=request.args.get("pem") == "true"))

    @app.post("/api/v1/crls")
    def publish() -> Response:
        return many("crls", desk.publish_crls(body_of(CrlOrder)), 201)


def _add_requests(app: Flask, desk: Desk) -> None:
    @app.get("/api/v1/requests")
    def requests() -> Response:
        status = request.args.get("status")
        known = {each.value: each for each in RequestStatus}
        if status is not None and status not in known:
            raise Invalid(f"status is {status!r}, expected one of {', '.join(known)}")
        return many("requests", desk.requests(known[status] if status else None))

    @app.post("/api/v1/requests/<int:request_id>/approve")
    def approve(request_id: int) -> Response:
        return one(desk.approve(request_id))

    @app.post("/api/v1/requests/<int:request_id>/deny")
    def deny(request_id: int) -> Response:
        return one(desk.deny(request_id, body_of(DenialOrder)))


# -- requests --------------------------------------------------------------------------


def _refusal(token: str | None) -> Response | None:
    if token is None:
        host = request.environ.get("HTTP_HOST", "")
        return None if _names_loopback(host) and _is_of(host, request.headers) else _stranger()
    if request.path in _PROBES:
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


# -- replies ---------------------------------------------------------------------------


def _error(status: int, code: str, message: str) -> Response:
    return as_json({"error": {"code": code, "message": message}}, status)


def _failure(error: Exception) -> Response:
    if isinstance(error, DeskError):
        return _error(error.status, error.code, str(error))
    if isinstance(error, HTTPException):
        response = _error(error.code or 500, error.name.replace(" ", ""), error.description or error.name)
        response.headers.extend((name, text) for name, text in error.get_headers() if name == "Allow")
        return response
    _log.error("request failed", method=request.method, path=request.path, exc_info=error)
    return _error(500, "InternalServerError", "the request failed; the log says why")
