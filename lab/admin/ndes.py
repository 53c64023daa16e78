"""What can be done about NDES at the desk: its logs, its RA certificates, its restart.

The models that server, client and ``--json`` share, and the desk as a protocol. Does not live here:
how it is done (`ndes_local`), or asked for over HTTP (`ndes_remote`).
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from pydantic import Field

from scep_server.ndes.events import Event

from .models import ApiModel, Secret

if TYPE_CHECKING:
    from collections.abc import Sequence

RoleName = Literal["signing", "encryption"]
Standing = Literal["usable", "expired", "not-yet-valid", "foreign", "wrong-usage", "revoked", "unreadable"]
ROLES: tuple[RoleName, ...] = ("signing", "encryption")
LINES_AT_ONCE = 1000


class EventView(ApiModel):
    """An event of the Application log; ``synthetic``: its text is not Microsoft's."""

    record_id: int
    event_id: int
    level: str
    time_created: datetime
    provider: str
    channel: str
    computer: str
    message: str
    error_code: str
    error_message: str
    transaction_id: str | None
    synthetic: bool

    @classmethod
    def of(cls, event: Event) -> EventView:
        """Return the view of an event."""
        return cls.model_validate(event.as_json())

    def event(self) -> Event:
        """Return the event itself, for its other renderings."""
        return Event(
            record_id=self.record_id,
            id=self.event_id,
            at=self.time_created,
            error_code=self.error_code,
            error_message=self.error_message,
            computer=self.computer,
            transaction_id=self.transaction_id,
        )


class LogLineView(ApiModel):
    """A line of IIS's log."""

    number: int
    line: str


class TraceLineView(ApiModel):
    """A line of the trace, as CMTrace reads it and in words; ``synthetic``: the words are not Microsoft's."""

    number: int
    line: str
    message: str
    synthetic: bool


class RaCertificateView(ApiModel):
    """One of the RA's certificates. ``status`` says how it would fare at the next start."""

    role: RoleName
    status: Standing
    in_use: bool
    reason: str
    subject: str | None = None
    issuer: str | None = None
    serial_number: str | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    template: str | None = None
    sha1: str | None = None
    pem: str | None = Field(default=None, repr=False)


class LinesQuery(ApiModel):
    """Which lines to show."""

    after: Annotated[int, Field(ge=0, lt=1 << 63)] = Field(
        default=0, description="The last number that was seen; at most a thousand after it are shown"
    )


class EventList(ApiModel):
    """Events, oldest first."""

    events: tuple[EventView, ...]


class LogLineList(ApiModel):
    """Lines of IIS's log, oldest first."""

    lines: tuple[LogLineView, ...]


class TraceLineList(ApiModel):
    """Lines of the trace, oldest first."""

    lines: tuple[TraceLineView, ...]


class RaCertificateList(ApiModel):
    """The RA's certificates, those in use first, then the retired ones."""

    certificates: tuple[RaCertificateView, ...]


class RaOrder(ApiModel):
    """An RA certificate to be issued; ``same_key`` only where it replaces one."""

    same_key: bool = False
    template: Annotated[str, Field(min_length=1, max_length=64)] | None = None


class RaReplacement(ApiModel):
    """An RA certificate and key from elsewhere, in PEM; the key is not encrypted."""

    certificate: Annotated[str, Field(max_length=100_000)]
    key: Annotated[Secret, Field(max_length=100_000)]


class IssuedRaView(ApiModel):
    """An RA certificate that was issued and not put in place: the only time its key is seen."""

    certificate: RaCertificateView
    key: str = Field(repr=False)


class NdesDesk(Protocol):
    """The desk; every method raises leaves of `DeskError`. ``after`` is the last number one has seen."""

    def events(self, after: int = 0) -> Sequence[EventView]:
        """Return events, oldest first."""

    def log(self, after: int = 0) -> Sequence[LogLineView]:
        """Return lines of IIS's log, oldest first."""

    def trace(self, after: int = 0) -> Sequence[TraceLineView]:
        """Return lines of the trace, oldest first."""

    def ra_certificates(self) -> Sequence[RaCertificateView]:
        """Return the RA's certificates, those in use first, then the retired ones."""

    def issue_ra(self, role: RoleName, order: RaOrder) -> IssuedRaView:
        """Issue an RA certificate for a new key, and put nothing in place."""

    def renew_ra(self, role: RoleName, order: RaOrder) -> RaCertificateView:
        """Issue an RA certificate and put it in place; the service uses it once it is restarted."""

    def replace_ra(self, role: RoleName, replacement: RaReplacement) -> RaCertificateView:
        """Put a certificate from elsewhere in place, whatever it is."""

    def recycle(self) -> None:
        """Restart the service, as `iisreset` does."""
