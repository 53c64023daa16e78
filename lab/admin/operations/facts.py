"""What the lab is and how it is: version, CA certificates, health, metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ca.folders import FolderError
from lab.admin.desk import DeskUnavailable
from lab.admin.models import StatusView, VersionView
from lab.admin.operation import JSON, AdminContext, Otherwise, Resource
from lab.health import HealthReport
from lab.health.page import CONTENT_SECURITY_POLICY, render_page
from lab.trust import UnreadableCertificate

resource = Resource("lab", "What this lab is, and how it is.", title="The lab itself")
_PEM = "application/x-pem-file"
_HTML = "text/html"
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"  # the text exposition format
_Found = TypeVar("_Found")


@resource.get("/health/live", open_to_all=True)
def live(context: AdminContext) -> StatusView:  # noqa: ARG001 - all operations take it
    """Tell that the listener answers."""
    return StatusView(status="ok")


@resource.get("/health/ready", otherwise=503, open_to_all=True)
def ready(context: AdminContext) -> StatusView | Otherwise[StatusView]:
    """Tell whether the lab can work, and if not, why."""
    reason = context.facts.ready()
    return Otherwise(503, StatusView(status=reason)) if reason else StatusView(status="ok")


@resource.get(
    "/health", media_types=(_HTML, JSON), headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY}
)
def health_page(context: AdminContext, media_type: str) -> HealthReport | str:
    """Look at every CA certificate, AIA, CDP, OCSP location and RA certificate: a page, or JSON."""
    found = _look(context.facts.health)
    return found if media_type == JSON else render_page(found)


@resource.get("/api/v1/health")
def health(context: AdminContext) -> HealthReport:
    """Look at every CA certificate, AIA, CDP, OCSP location and RA certificate."""
    return _look(context.facts.health)


@resource.get("/metrics", media_types=(_PROMETHEUS,))
def metrics(context: AdminContext) -> bytes:
    """Count and measure, for Prometheus."""
    return _look(context.facts.metrics)


@resource.get("/version")
def version(context: AdminContext) -> VersionView:
    """Tell which program answers."""
    return VersionView(name="ndes-lab", version=context.facts.version)


@resource.get("/roots/0", media_types=(_PEM,))
def root_certificate(context: AdminContext) -> str:
    """Give the root CA's certificate."""
    return context.facts.root_pem


@resource.get("/intermediates/0", media_types=(_PEM,))
def issuing_certificate(context: AdminContext) -> str:
    """Give the issuing CA's certificate."""
    return context.facts.issuing_pem


def _look(look: Callable[[], _Found]) -> _Found:
    try:
        return look()
    except (FolderError, UnreadableCertificate) as error:
        raise DeskUnavailable(f"the PKI cannot be looked at: {error}") from error
