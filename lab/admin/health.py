"""Health and metrics on the management listener: a page for people, JSON and text for machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from flask import Flask, Response, request

from ca.folders import FolderError

from .desk import DeskUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.health import HealthReport

_Found = TypeVar("_Found")


def add_health(
    app: Flask, *, health: Callable[[], HealthReport] | None, metrics: Callable[[], bytes] | None
) -> None:
    """Add the pages that there is something for."""
    if health is not None:
        _add_report(app, health)
    if metrics is not None:
        _add_metrics(app, metrics)


def _add_report(app: Flask, health: Callable[[], HealthReport]) -> None:
    from lab.health.page import CONTENT_SECURITY_POLICY, render_page

    @app.get("/health")
    def page() -> Response:
        found = _look(health)
        if request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json":
            return _json(found)
        response = Response(render_page(found), mimetype="text/html")
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        response.headers["Cache-Control"] = "no-store"
        return response

    @app.get("/api/v1/health")
    def report() -> Response:
        return _json(_look(health))


def _add_metrics(app: Flask, metrics: Callable[[], bytes]) -> None:
    from lab.health.metrics import CONTENT_TYPE

    @app.get("/metrics")
    def text() -> Response:
        return Response(_look(metrics), content_type=CONTENT_TYPE)


def _json(report: HealthReport) -> Response:
    response = Response(report.model_dump_json(indent=2) + "\n", mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


def _look(look: Callable[[], _Found]) -> _Found:
    from lab.trust import UnreadableCertificate

    try:
        return look()
    except (FolderError, UnreadableCertificate) as error:
        raise DeskUnavailable(f"the PKI cannot be looked at: {error}") from error
