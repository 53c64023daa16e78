"""What an administrator may choose about NDES's own face: section ``[ndes]``.

The values that Windows keeps in the registry have their names there; `NdesRegistry` holds them. They
speak of the endpoint at NDES's own path, ``default``: a value that is not given is whatever that
endpoint's settings come to, so that nothing has to be said twice.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    model_validator,
)

from .registry import NdesRegistry

if TYPE_CHECKING:
    from scep_server.settings import EndpointSettings, ScepSettings

    from .profiles import BehaviourProfile

DEFAULT_USER = "ndes-admin"


def _printable(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text or not text.isascii() or not text.isprintable():
        raise ValueError("must be printable ASCII, as clients put it into a certificate request")
    return value


UserName = Annotated[str, StringConstraints(pattern=r"^[^\\/@:\"\[\]|<>+=;,?*\s]{1,104}$")]
Octets = Annotated[int, Field(ge=0, le=1 << 32)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class NdesUser(_Settings):
    """Someone who may log on at mscep_admin."""

    name: UserName = Field(
        description="Account name; clients may put any domain before it or any realm behind it."
    )
    password: Annotated[SecretStr, Field(min_length=1)]
    groups: tuple[str, ...] = Field(
        default=(), description="Groups, for the Enroll permission of certificate templates."
    )
    enroll: bool = Field(
        default=True,
        description="false: no Enroll permission, whatever the templates say; the page then says "
        "'You do not have sufficient permission'.",
    )


class IisSettings(_Settings):
    """Limits of IIS and HTTP.sys in octets, under their own names; none: as the behaviour profile has it.

    0 switches a limit off.
    """

    maxUrl: Octets | None = Field(  # noqa: N815 - IIS's name
        default=None, description="Longest URL path (404.14)."
    )
    maxQueryString: Octets | None = Field(  # noqa: N815 - IIS's name
        default=None, description="Longest query string (404.15)."
    )
    maxAllowedContentLength: Octets | None = Field(  # noqa: N815 - IIS's name
        default=None, description="Longest body (413.1)."
    )
    MaxFieldLength: Octets | None = Field(
        default=None, description="HTTP.sys: longest header field (400) and URL (414)."
    )
    MaxRequestBytes: Octets | None = Field(
        default=None, description="HTTP.sys: request line and all header fields together (400)."
    )


class NdesSettings(NdesRegistry):
    """Everything about NDES's web side. Names are compared without case, as the registry does."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    password_cache: Literal["memory", "store"] = Field(
        default="memory",
        description="memory: passwords made by mscep_admin are forgotten when the service starts, as on "
        "Windows. store: they outlive a restart.",
    )
    single_password: Annotated[SecretStr, AfterValidator(_printable)] | None = Field(
        default=None,
        description="The password of UseSinglePassword; none: the one in the data folder, which is made "
        "when first needed.",
    )
    user: UserName = Field(default=DEFAULT_USER, description="Who may log on at mscep_admin.")
    password: Annotated[SecretStr, Field(min_length=1)] | None = Field(
        default=None, description="That user's password; none: a new one at each start."
    )
    users: tuple[NdesUser, ...] = Field(default=(), description="Others who may log on.")
    windows_authentication: bool = Field(
        default=True, description="Offer Negotiate and NTLM at mscep_admin, as NDES does."
    )
    basic_authentication: bool = Field(
        default=False, description="Offer Basic at mscep_admin; NDES does not until it is switched on."
    )
    allowed_addresses: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(),
        description="Networks that may use both URLs; others get 403.6. Empty: everybody.",
    )
    byte_order_mark: bool = Field(
        default=False, description="Begin pages with a byte order mark (sources differ on whether NDES does)."
    )
    computer_name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:\[\]-]{1,255}$")] | None = Field(
        default=None,
        description="Host in the admin URL that mscep.dll's page names; none: the one the browser asked.",
    )
    policy_module: str | None = Field(
        default=None,
        description="Policy module in place of the password cache: the name of an entry point of group "
        "ndes_lab.policy_modules (built in: password-cache, subject-bound), or module:attribute.",
    )
    policy_options: dict[str, Any] = Field(
        default_factory=dict, description="Handed to the policy module when it is initialized."
    )
    application_pool: Literal["started", "stopped"] = Field(
        default="started", description="stopped: everything below /certsrv gets 503 from HTTP.sys."
    )
    impersonation_right: bool = Field(
        default=True,
        description="false: IIS_IUSRS lacks 'Impersonate a client after authentication' (500, win32 1346).",
    )
    iis: IisSettings = IisSettings()

    @model_validator(mode="before")
    @classmethod
    def _names_without_case(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        known = {name.lower(): name for name in cls.model_fields}
        return {known.get(str(name).lower(), name): value for name, value in values.items()}

    @model_validator(mode="after")
    def _must_agree(self) -> Self:
        names = [self.user.lower(), *(user.name.lower() for user in self.users)]
        if len(set(names)) != len(names):
            raise ValueError("two users have the same name; names are compared without case")
        if not (self.windows_authentication or self.basic_authentication):
            raise ValueError(
                "windows_authentication and basic_authentication are both off: nobody could log on"
            )
        return self

    def limits(self, profile: BehaviourProfile) -> IisLimits:
        """Return the limits in force: those given here, else the profile's."""
        own = self.iis
        return IisLimits(
            max_url=_first(own.maxUrl, profile.iis_max_url),
            max_query_string=_first(own.maxQueryString, profile.iis_max_query_string),
            max_allowed_content_length=_first(
                own.maxAllowedContentLength, profile.iis_max_allowed_content_length
            ),
            max_field_length=_first(own.MaxFieldLength, profile.http_sys_max_field_length),
            max_request_bytes=_first(own.MaxRequestBytes, profile.http_sys_max_request_bytes),
        )

    def registry(self, endpoint: EndpointSettings) -> NdesRegistry:
        """Return the registry values in force at ``endpoint``: those given here, else the endpoint's."""
        return NdesRegistry.model_validate(
            {
                "SignatureTemplate": endpoint.templates.signature,
                "EncryptionTemplate": endpoint.templates.encryption,
                "GeneralPurposeTemplate": endpoint.templates.general_purpose,
                "EnforcePassword": int(endpoint.challenge != "none"),
                "DisableRenewalSubjectNameMatch": int(not endpoint.renewal.subject_must_match),
                **self._given(),
            }
        )

    def endpoint(self, endpoint: EndpointSettings) -> EndpointSettings:
        """Return an endpoint's settings with what is given here in their place.

        Raises:
            ValueError: both say something, and not the same.

        """
        given = self._given()
        templates = {
            field: given[name] for name, field in _TEMPLATES.items() if name in given
        }  # in TemplateChoice's words
        changes: dict[str, Any] = {}
        if templates:
            _agree("templates", endpoint.templates, templates)
            changes["templates"] = endpoint.templates.model_copy(update=templates)
        if "EnforcePassword" in given:
            challenge = "required" if given["EnforcePassword"] else "none"
            _agree("", endpoint, {"challenge": challenge})
            changes["challenge"] = challenge
        if "DisableRenewalSubjectNameMatch" in given:
            must_match = not given["DisableRenewalSubjectNameMatch"]
            _agree("renewal", endpoint.renewal, {"subject_must_match": must_match})
            changes["renewal"] = endpoint.renewal.model_copy(update={"subject_must_match": must_match})
        return endpoint.model_copy(update=changes)

    def scep(self, scep: ScepSettings, endpoint_name: str) -> ScepSettings:
        """Return SCEP's settings with those of one endpoint replaced by `endpoint`."""
        changed = self.endpoint(scep.endpoints[endpoint_name])
        return scep.model_copy(update={"endpoints": {**scep.endpoints, endpoint_name: changed}})

    def _given(self) -> dict[str, Any]:
        named = NdesRegistry.model_fields.keys() & self.model_fields_set
        return {name: getattr(self, name) for name in named}


class LogSettings(_Settings):
    """What an administrator of NDES reads: event log, IIS's log, trace."""

    files: bool = Field(
        default=False,
        description="Also write them to files: logs/ in the data folder has events.jsonl, W3SVC1/u_ex*.log "
        "and NdesSvc.log",
    )
    keep: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=1000, description="How many events, log lines and traced requests are kept in memory"
    )


class IisLimits(_Settings):
    """Limits in octets; 0 is none."""

    max_url: int = 0
    max_query_string: int = 0
    max_allowed_content_length: int = 0
    max_field_length: int = 0
    max_request_bytes: int = 0


_TEMPLATES = {
    "SignatureTemplate": "signature",
    "EncryptionTemplate": "encryption",
    "GeneralPurposeTemplate": "general_purpose",
}


def _first(chosen: int | None, otherwise: int) -> int:
    return otherwise if chosen is None else chosen


def _agree(section: str, settings: BaseModel, wanted: dict[str, Any]) -> None:
    for name, value in wanted.items():
        said = getattr(settings, name)
        if name in settings.model_fields_set and said != value:
            place = f"{section}.{name}" if section else name
            raise ValueError(
                f"{place} is {said!r} and the registry value says {value!r}; leave one of them out"
            )
