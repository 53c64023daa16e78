"""Certificates, and their revocation."""

from __future__ import annotations

from lab.admin.desk import DeskRefused, NotFound
from lab.admin.models import (
    BulkOrder,
    BulkView,
    CertificateOrder,
    CertificatePage,
    CertificateQuery,
    CertificateView,
    RequestView,
    RevocationOrder,
    RevokedView,
    Selector,
)
from lab.admin.operation import AdminContext, Otherwise, Resource

resource = Resource("certificates", "Certificates that the issuing CA has issued, and their revocation.")


@resource.get("/api/v1/certificates")
def list_certificates(context: AdminContext, query: CertificateQuery) -> CertificatePage:
    """List certificates, oldest first, a page at a time."""
    return context.desk.certificates(query)


@resource.post(
    "/api/v1/certificates",
    status=201,
    otherwise=202,
    errors=(DeskRefused,),
    example={"csr": "-----BEGIN CERTIFICATE REQUEST-----...", "template": "WebServer"},
)
def issue_certificate(
    context: AdminContext, body: CertificateOrder
) -> CertificateView | Otherwise[RequestView]:
    """Issue a certificate without SCEP; 202 where the template wants a certificate manager's approval."""
    made = context.desk.issue_certificate(body)
    return Otherwise(202, made) if isinstance(made, RequestView) else made


@resource.get("/api/v1/certificates/{selector}", errors=(NotFound,))
def show_certificate(context: AdminContext, selector: Selector) -> CertificateView:
    """Show one certificate."""
    return context.desk.certificate(selector)


@resource.post(
    "/api/v1/certificates/{selector}/revoke",
    errors=(NotFound, DeskRefused),
    example={"reason": "keyCompromise", "publish": "delta"},
)
def revoke_certificate(context: AdminContext, selector: Selector, body: RevocationOrder) -> RevokedView:
    """Revoke a certificate, or take it off hold, and publish the CRL that was asked for."""
    return context.desk.revoke_certificate(selector, body)


@resource.post(
    "/api/v1/revocations",
    errors=(DeskRefused,),
    example={"entries": [{"selector": "5c000003", "reason": "superseded"}], "dry_run": True},
)
def revoke_many(context: AdminContext, body: BulkOrder) -> BulkView:
    """Revoke many certificates, all or none; nothing is published."""
    return context.desk.revoke_many(body)
