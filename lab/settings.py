"""Every setting of a lab.

Where they may come from and which source wins is `ca.process.settings`'s.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import Field, SecretStr, ValidationError, model_validator

from ca.process import settings as sources
from ca.process.settings import LoadedSettings, Port, Section, ServingSettings, UnusableSettings
from crl_publisher.program import DEFAULT_PORT as DEFAULT_PKI_PORT
from crl_publisher.program import PublisherSections
from scep_server.program import DEFAULT_PORT, ScepSections

from .faults.settings import FaultSettings
from .health.settings import AlertSettings
from .journal.settings import JournalSettings
from .listeners import ListenerLimits

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_ADMIN_PORT = 8082


class ServerSettings(ServingSettings):
    """The listeners for SCEP and for CRLs, and what is common to all."""

    port: Port = Field(default=DEFAULT_PORT, description="Port of SCEP and NDES; 0 is any free one")
    pki_port: Port = Field(
        default=DEFAULT_PKI_PORT, description="Port of CRLs and CA certificates; 0 is any free one"
    )
    tls_port: Port | None = Field(
        default=None,
        description="Port of SCEP and NDES over TLS as well, with a certificate from the issuing CA; 0 is "
        "any free one; none: no TLS",
    )
    public_host: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9._:-]+$",
        description="Name or address by which clients reach the lab, for URLs; none: host, or the "
        "machine's name where host is every address",
    )
    ephemeral: bool = Field(default=False, description="Use a temporary folder and remove it at the end")
    ready_file: Path | None = Field(
        default=None, description="Where `up` writes URLs, thumbprints and a challenge once all answers"
    )
    threads: Annotated[int, Field(ge=1, le=256)] = Field(
        default=16, description="Requests that each listener works on at once"
    )
    request_seconds: Annotated[float, Field(gt=0, le=300)] = Field(
        default=30.0, description="Time within which a request must have arrived whole"
    )
    idle_seconds: Annotated[float, Field(gt=0, le=300)] = Field(
        default=10.0, description="Time after which a silent connection is closed"
    )

    def limits(self, body_octets: int, *, threads: int = 256) -> ListenerLimits:
        """Return what one client of a listener may cost; ``threads`` is a ceiling."""
        return ListenerLimits(
            threads=min(self.threads, threads),
            body_octets=body_octets,
            request_seconds=self.request_seconds,
            idle_seconds=self.idle_seconds,
        )


class AdminSettings(Section):
    """The management listener."""

    host: str | None = Field(default=None, description="Address it opens; none: that of server.host")
    port: Port = Field(default=DEFAULT_ADMIN_PORT, description="Its port; 0 is any free one")
    token: Annotated[SecretStr, Field(min_length=16)] | None = Field(
        default=None, description="Bearer token, at least 16 characters; needed unless on loopback"
    )
    token_file: Path | None = Field(default=None, description="File that holds the token instead")
    make_token: bool = Field(
        default=False,
        description="Where a token is needed and none is set: make one, kept in secrets/ and told in the "
        "ready file",
    )


class ChallengeSettings(Section):
    """What a challenge is like when nobody says otherwise."""

    validity_minutes: Annotated[int, Field(ge=1, le=100 * 366 * 24 * 60)] | None = Field(
        default=60, description="How long a new challenge is good; none: for ever"
    )
    length_octets: Annotated[int, Field(ge=8, le=64)] = Field(
        default=16, description="Random octets in a new challenge; it has two characters for each"
    )

    @property
    def validity(self) -> timedelta | None:
        """How long a new challenge is good; None: for ever."""
        return None if self.validity_minutes is None else timedelta(minutes=self.validity_minutes)


class LabSettings(ScepSections, PublisherSections):
    """Everything a lab can be told."""

    knows_all_sections: ClassVar[bool] = True

    server: ServerSettings = ServerSettings()
    admin: AdminSettings = AdminSettings()
    challenges: ChallengeSettings = ChallengeSettings()
    alerts: AlertSettings = AlertSettings()
    faults: FaultSettings = FaultSettings()
    journal: JournalSettings = JournalSettings()

    @model_validator(mode="after")
    def _nothing_ephemeral_must_stay(self) -> Self:
        if self.server.ephemeral and (self.pki.database_url or self.pki.database_url_file):
            raise ValueError(
                "server.ephemeral keeps nothing, and pki.database_url names a database that stays"
            )
        return self

    def completed(self) -> Self:
        """Return the settings with what they say is in files; raises UnusableSettings."""
        settings = super().completed()
        file = settings.admin.token_file
        if file is None:
            return settings
        if settings.admin.token is not None:
            raise UnusableSettings("admin.token and admin.token_file are both set; one is enough")
        try:
            token = file.read_text().strip()
            admin = AdminSettings.model_validate(settings.admin.model_dump() | {"token": token})
        except (OSError, UnicodeDecodeError) as error:
            raise UnusableSettings(f"admin.token_file {file} cannot be read: {error}") from error
        except ValidationError as error:
            raise UnusableSettings(
                f"admin.token_file {file}: the token is shorter than 16 characters"
            ) from error
        return settings.model_copy(update={"admin": admin})


def load_settings(
    flags: Mapping[str, object], environment: Mapping[str, str], file: Path | None
) -> LoadedSettings[LabSettings]:
    """Return a lab's settings; arguments and errors are those of `ca.process.settings.load_settings`."""
    return sources.load_settings(LabSettings, flags, environment, file)


def read_settings(values: Mapping[str, Any], origins: Mapping[str, str] | None = None) -> LabSettings:
    """Return a lab's settings of their values by section; raises UnusableSettings."""
    return sources.read_settings(LabSettings, values, origins)
