"""Requests that wait for a certificate manager."""

from __future__ import annotations

from lab.admin.desk import DeskRefused, NotFound
from lab.admin.models import CertificateView, DenialOrder, Id, RequestList, RequestQuery, RequestView
from lab.admin.operation import AdminContext, Resource

resource = Resource("requests", "Requests that wait for the approval of a certificate manager.")


@resource.get("/api/v1/requests")
def list_requests(context: AdminContext, query: RequestQuery) -> RequestList:
    """List requests, oldest first."""
    return RequestList(requests=tuple(context.desk.requests(query.status)))


@resource.post("/api/v1/requests/{request_id}/approve", errors=(NotFound, DeskRefused))
def approve_request(context: AdminContext, request_id: Id) -> CertificateView:
    """Approve a pending request: its certificate is issued, and its client gets it by polling."""
    return context.desk.approve(request_id)


@resource.post(
    "/api/v1/requests/{request_id}/deny",
    errors=(NotFound, DeskRefused),
    example={"message": "not one of ours"},
)
def deny_request(context: AdminContext, request_id: Id, body: DenialOrder) -> RequestView:
    """Deny a pending request."""
    return context.desk.deny(request_id, body)
