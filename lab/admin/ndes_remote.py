"""NDES's desk of a running lab, over its management listener."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .ndes import LinesQuery
from .operations import ndes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .asking import Ask
    from .ndes import (
        EventView,
        IssuedRaView,
        LogLineView,
        RaCertificateView,
        RaOrder,
        RaReplacement,
        RoleName,
        TraceLineView,
    )


class RemoteNdesDesk:
    """Has ``ask`` perform the operations."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def events(self, after: int = 0) -> Sequence[EventView]:
        """Return events, oldest first."""
        return self._ask(ndes.list_events, query=LinesQuery(after=after)).events

    def log(self, after: int = 0) -> Sequence[LogLineView]:
        """Return lines of IIS's log, oldest first."""
        return self._ask(ndes.list_log_lines, query=LinesQuery(after=after)).lines

    def trace(self, after: int = 0) -> Sequence[TraceLineView]:
        """Return lines of the trace, oldest first."""
        return self._ask(ndes.list_trace_lines, query=LinesQuery(after=after)).lines

    def ra_certificates(self) -> Sequence[RaCertificateView]:
        """Return the RA's certificates, those in use first, then the retired ones."""
        return self._ask(ndes.list_ra_certificates).certificates

    def issue_ra(self, role: RoleName, order: RaOrder) -> IssuedRaView:
        """Issue an RA certificate for a new key, and put nothing in place."""
        return self._ask(ndes.issue_ra_certificate, body=order, role=role)

    def renew_ra(self, role: RoleName, order: RaOrder) -> RaCertificateView:
        """Issue an RA certificate and put it in place; the service uses it once it is restarted."""
        return self._ask(ndes.renew_ra_certificate, body=order, role=role)

    def replace_ra(self, role: RoleName, replacement: RaReplacement) -> RaCertificateView:
        """Put a certificate from elsewhere in place, whatever it is."""
        return self._ask(ndes.replace_ra_certificate, body=replacement, role=role)

    def recycle(self) -> None:
        """Restart the service, as `iisreset` does."""
        self._ask(ndes.recycle)
