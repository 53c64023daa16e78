"""NDES's desk of a running lab, over its management listener."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .answers import read_model, read_models
from .ndes import EventView, IssuedRaView, LogLineView, RaCertificateView, TraceLineView

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .ndes import RaOrder, RaReplacement, RoleName

_BASE = "/api/v1/ndes"


class RemoteNdesDesk:
    """Asks through ``call``, which takes method, path and body, and returns the answer's JSON."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def events(self, after: int = 0) -> Sequence[EventView]:
        """Return events, oldest first."""
        return read_models(EventView, self._call("GET", f"{_BASE}/events?after={after}"), "events")

    def log(self, after: int = 0) -> Sequence[LogLineView]:
        """Return lines of IIS's log, oldest first."""
        return read_models(LogLineView, self._call("GET", f"{_BASE}/log?after={after}"), "lines")

    def trace(self, after: int = 0) -> Sequence[TraceLineView]:
        """Return lines of the trace, oldest first."""
        return read_models(TraceLineView, self._call("GET", f"{_BASE}/trace?after={after}"), "lines")

    def ra_certificates(self) -> Sequence[RaCertificateView]:
        """Return the RA's certificates, those in use first, then the retired ones."""
        return read_models(RaCertificateView, self._call("GET", f"{_BASE}/ra"), "certificates")

    def issue_ra(self, role: RoleName, order: RaOrder) -> IssuedRaView:
        """Issue an RA certificate for a new key, and put nothing in place."""
        answer = self._call("POST", f"{_BASE}/ra/{role}/issue", order.model_dump(mode="json"))
        return read_model(IssuedRaView, answer)

    def renew_ra(self, role: RoleName, order: RaOrder) -> RaCertificateView:
        """Issue an RA certificate and put it in place; the service uses it once it is restarted."""
        answer = self._call("POST", f"{_BASE}/ra/{role}/renew", order.model_dump(mode="json"))
        return read_model(RaCertificateView, answer)

    def replace_ra(self, role: RoleName, replacement: RaReplacement) -> RaCertificateView:
        """Put a certificate from elsewhere in place, whatever it is."""
        sent = {"certificate": replacement.certificate, "key": replacement.key.get_secret_value()}
        return read_model(RaCertificateView, self._call("POST", f"{_BASE}/ra/{role}/replace", sent))

    def recycle(self) -> None:
        """Restart the service, as `iisreset` does."""
        self._call("POST", f"{_BASE}/recycle")
