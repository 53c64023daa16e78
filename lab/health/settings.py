"""Settings of the alerts: when somebody is told, and how."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class MailSettings(_Section):
    """Alerts by e-mail: sent when there is a host and somebody to send to."""

    host: str | None = Field(default=None, description="SMTP server; none: no mail is sent")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(default=25, description="Its port")
    security: Literal["none", "starttls", "tls"] = Field(
        default="starttls", description="starttls: required, never skipped; tls: from the first octet"
    )
    ca_file: Path | None = Field(
        default=None, description="Certificates (PEM) its TLS is verified with; none: this machine's"
    )
    username: str | None = Field(default=None, description="Account to log in with; none: no login")
    password: SecretStr | None = Field(default=None, description="Password of that account")
    sender: str = Field(default="ndes-lab@localhost", min_length=3, description="From address")
    recipients: tuple[str, ...] = Field(default=(), description="To addresses")
    timeout_seconds: Annotated[float, Field(gt=0, le=300)] = Field(
        default=15.0, description="Longest wait for any answer of the server"
    )

    @field_validator("sender", "recipients")
    @classmethod
    def _one_line(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for address in (value,) if isinstance(value, str) else value:
            if not address.isprintable() or "@" not in address:
                raise ValueError("an address is one line and holds an @")
        return value

    @model_validator(mode="after")
    def _must_be_usable(self) -> Self:
        if self.host is not None and not self.recipients:
            raise ValueError("mail.host is set, but mail.recipients is empty")
        if (self.username is None) != (self.password is None):
            raise ValueError("mail.username and mail.password belong together")
        if self.password is not None and self.security == "none":
            raise ValueError("a password is not sent without TLS: set mail.security to starttls or tls")
        return self


class AlertSettings(_Section):
    """When somebody is told about what is about to expire or went wrong, and how."""

    enabled: bool = Field(default=True, description="Look at the PKI regularly, and alert")
    check_seconds: Annotated[float, Field(ge=1, le=86400)] = Field(
        default=300.0, description="How often to look"
    )
    issued_days: Annotated[int, Field(ge=0, le=3650)] = Field(
        default=14,
        description="Alert when an issued certificate expires within so many days and more than 80 % of "
        "its lifetime is over; 0: never",
    )
    webhook_url: SecretStr | None = Field(
        default=None, description="POST alerts here, as Prometheus' Alertmanager does; none: nowhere"
    )
    webhook_seconds: Annotated[float, Field(gt=0, le=300)] = Field(
        default=10.0, description="Longest time a POST may take"
    )
    attempts: Annotated[int, Field(ge=1, le=20)] = Field(
        default=5, description="How often a notification is tried before it is given up"
    )
    retry_seconds: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=10.0, description="Pause before the second attempt; doubled before each further one"
    )
    mail: MailSettings = MailSettings()

    @field_validator("webhook_url")
    @classmethod
    def _http(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("it is no http or https URL")
        return value

    @property
    def check_every(self) -> timedelta:
        """How often to look."""
        return timedelta(seconds=self.check_seconds)
