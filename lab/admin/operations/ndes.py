"""NDES: its logs, its RA certificates, its restart."""

from __future__ import annotations

from lab.admin.desk import DeskRefused
from lab.admin.ndes import (
    EventList,
    IssuedRaView,
    LinesQuery,
    LogLineList,
    RaCertificateList,
    RaCertificateView,
    RaOrder,
    RaReplacement,
    RoleName,
    TraceLineList,
)
from lab.admin.operation import AdminContext, Resource

resource = Resource("ndes", "What an administrator of NDES reads and renews.", title="NDES")


@resource.get("/api/v1/ndes/events")
def list_events(context: AdminContext, query: LinesQuery) -> EventList:
    """Show events of NDES's part of the Application log, oldest first."""
    return EventList(events=tuple(context.desk.ndes.events(query.after)))


@resource.get("/api/v1/ndes/log")
def list_log_lines(context: AdminContext, query: LinesQuery) -> LogLineList:
    """Show lines of IIS's log, oldest first."""
    return LogLineList(lines=tuple(context.desk.ndes.log(query.after)))


@resource.get("/api/v1/ndes/trace")
def list_trace_lines(context: AdminContext, query: LinesQuery) -> TraceLineList:
    """Show lines of the trace of each request, oldest first."""
    return TraceLineList(lines=tuple(context.desk.ndes.trace(query.after)))


@resource.get("/api/v1/ndes/ra")
def list_ra_certificates(context: AdminContext) -> RaCertificateList:
    """Show the RA's certificates, those in use first, then the retired ones."""
    return RaCertificateList(certificates=tuple(context.desk.ndes.ra_certificates()))


@resource.post("/api/v1/ndes/ra/{role}/issue", status=201, errors=(DeskRefused,))
def issue_ra_certificate(context: AdminContext, role: RoleName, body: RaOrder) -> IssuedRaView:
    """Issue an RA certificate for a new key, and put nothing in place.

    The only time its key is seen; the lab does not keep it.
    """
    return context.desk.ndes.issue_ra(role, body)


@resource.post("/api/v1/ndes/ra/{role}/renew", status=201, errors=(DeskRefused,))
def renew_ra_certificate(context: AdminContext, role: RoleName, body: RaOrder) -> RaCertificateView:
    """Issue an RA certificate and put it in place; the service uses it once it is restarted."""
    return context.desk.ndes.renew_ra(role, body)


@resource.post(
    "/api/v1/ndes/ra/{role}/replace",
    status=201,
    errors=(DeskRefused,),
    example={"certificate": "-----BEGIN CERTIFICATE-----...", "key": "-----BEGIN PRIVATE KEY-----..."},
)
def replace_ra_certificate(context: AdminContext, role: RoleName, body: RaReplacement) -> RaCertificateView:
    """Put a certificate from elsewhere in place, whatever it is."""
    return context.desk.ndes.replace_ra(role, body)


@resource.post("/api/v1/ndes/recycle", errors=(DeskRefused,))
def recycle(context: AdminContext) -> EventList:
    """Restart the service, as iisreset does; the answer has the newest event."""
    context.desk.ndes.recycle()
    return EventList(events=tuple(context.desk.ndes.events()[-1:]))
