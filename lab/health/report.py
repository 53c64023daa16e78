"""What was found, as values: one row per certificate and location, and the roll-up.

The words are those of PKIView (Enterprise PKI); ``states`` are the more precise ones of PSPKI's
Get-EnterprisePKIHealthStatus, with a few of our own where it has none.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, computed_field

EXPIRING_AFTER: Final = 0.8  # of the lifetime (PSPKI)


class HealthWord(Enum):
    """PKIView's words, from good to bad."""

    OK = "OK"
    EXPIRING = "Expiring"
    EXPIRED = "Expired"
    UNABLE_TO_DOWNLOAD = "Unable To Download"
    ERROR = "Error"


class State(Enum):
    """What exactly is wrong; ``is_warning`` tells what still works."""

    EXPIRING = "Expiring"  # more than 80 % of the lifetime is over
    SCHEDULE_EXPIRED = "ScheduleExpired"  # Next CRL Publish has passed
    EXPIRED = "Expired"
    FAILED_TO_DOWNLOAD = "FailedToDownload"
    UNREADABLE = "Unreadable"
    NOT_YET_VALID = "NotYetValid"
    INVALID_SIGNATURE = "InvalidSignature"
    INVALID_ISSUER = "InvalidIssuer"
    INVALID_CERTIFICATE = "InvalidCertificate"  # another certificate than that of the CA
    INVALID_BASE = "InvalidBase"  # the delta CRL does not complete the published base CRL
    INVALID_CRL_TYPE = "InvalidCrlType"
    NON_CRITICAL_DELTA_INDICATOR = "NonCriticalDeltaIndicator"
    STALE_DELTA = "StaleDelta"  # the delta CRL is older than its base
    INVALID_RESPONSE = "InvalidResponse"  # of an OCSP responder
    UNKNOWN_CERTIFICATE = "UnknownCertificate"  # to an OCSP responder
    REVOKED = "Revoked"
    MISSING = "Missing"
    PUBLICATION_FAILED = "PublicationFailed"
    DATABASE_UNAVAILABLE = "DatabaseUnavailable"

    @property
    def is_warning(self) -> bool:
        """Whether clients notice nothing yet."""
        return self in {State.EXPIRING, State.SCHEDULE_EXPIRED}


RowKind = Literal["ca", "aia", "cdp", "delta", "ocsp", "ocsp-responder", "ra", "publication", "database"]


class HealthRow(BaseModel):
    """One certificate or location. ``begins`` and ``ends`` bound its validity."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    authority: str
    name: str
    kind: RowKind
    status: HealthWord
    states: tuple[State, ...] = ()
    detail: str = ""
    url: str | None = None
    seconds: float | None = None  # the download took
    subject: str | None = None
    issuer: str | None = None
    serial_number: str | None = None  # of a certificate, hex
    number: int | None = None  # of a CRL
    begins: datetime | None = None
    ends: datetime | None = None
    next_publish: datetime | None = None

    @property
    def source(self) -> str:
        """Return the row's name, unique within a report."""
        return f"{self.authority}: {self.name}"

    @property
    def is_error(self) -> bool:
        """Whether clients are, or may be, affected."""
        return self.status not in {HealthWord.OK, HealthWord.EXPIRING}

    @property
    def is_crl(self) -> bool:
        """Whether the row is about a CRL."""
        return self.kind in {"cdp", "delta"}


class HealthReport(BaseModel):
    """Everything that was looked at, at one instant."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    checked_at: datetime
    rows: tuple[HealthRow, ...]

    @computed_field  # type: ignore[prop-decorator] # pydantic's documented form
    @property
    def status(self) -> Literal["OK", "Warning", "Error"]:
        """The roll-up: the worst of all rows."""
        if any(row.is_error for row in self.rows):
            return "Error"
        return "OK" if all(row.status is HealthWord.OK for row in self.rows) else "Warning"


def word_of(states: tuple[State, ...]) -> HealthWord:
    """Return PKIView's word for what was found."""
    if not states:
        return HealthWord.OK
    if State.FAILED_TO_DOWNLOAD in states:
        return HealthWord.UNABLE_TO_DOWNLOAD
    grave = [state for state in states if not state.is_warning]
    if not grave:
        return HealthWord.EXPIRING
    return HealthWord.EXPIRED if set(grave) == {State.EXPIRED} else HealthWord.ERROR


def time_states(begins: datetime, ends: datetime | None, at: datetime) -> tuple[State, ...]:
    """Return how ``at`` lies to a validity; one without an end never ends."""
    if at < begins:
        return (State.NOT_YET_VALID,)
    if ends is None:
        return ()
    if at >= ends:
        return (State.EXPIRED,)
    lifetime: timedelta = ends - begins
    return (State.EXPIRING,) if at - begins > EXPIRING_AFTER * lifetime else ()
