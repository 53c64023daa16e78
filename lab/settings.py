"""Every setting of a lab, where it may come from, and which source won.

A flag outweighs the environment (``NDES_LAB_SECTION__KEY``), that the TOML file, that the default.
``NDES_LAB_SECTION__KEY_FILE`` names the file that holds a secret.
`LabSettings` itself reads nothing; `load_settings` is called by the composition roots only.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from ca.settings import PkiSettings
from crl_publisher.settings import PublisherSettings
from scep_server.ndes.settings import NdesSettings
from scep_server.settings import ScepSettings
from scep_server.transport import DEFAULT_ENDPOINT

from .admin.wording import finding
from .faults.settings import FaultSettings
from .health.settings import AlertSettings
from .journal.settings import JournalSettings
from .listeners import ListenerLimits
from .settings_environment import BadVariable, is_model, read_secret_files, read_variables, variable_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEFAULT_DATA_DIR = Path("lab-data")
DEFAULT_PKI_PORT = 8081
DEFAULT_ADMIN_PORT = 8082

Port = Annotated[int, Field(ge=0, le=65535)]
_Path = tuple[str, ...]
_VARIABLE, _SECRET_FILE = "variable", "secret file"  # sources besides flags and the TOML file


# Neither TOML nor the environment has a null; this word is one where a setting may be none.
NONE = "none"


class UnusableSettings(Exception):
    """The settings cannot be used; the text says which one, why, and where it came from."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ServerSettings(_Section):
    """The listeners for SCEP and for CRLs, and what is common to all."""

    host: str = Field(default="127.0.0.1", min_length=1, description="Address that all listeners open")
    port: Port = Field(default=8080, description="Port of SCEP and NDES; 0 is any free one")
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
    data_dir: Path | None = Field(
        default=None, description="Folder of the PKI and its database; none: lab-data here"
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
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least weight of what is logged"
    )
    log_format: Literal["auto", "human", "json"] = Field(
        default="auto", description="auto: human on a terminal, JSON lines otherwise"
    )

    def limits(self, body_octets: int, *, threads: int = 256) -> ListenerLimits:
        """Return what one client of a listener may cost; ``threads`` is a ceiling."""
        return ListenerLimits(
            threads=min(self.threads, threads),
            body_octets=body_octets,
            request_seconds=self.request_seconds,
            idle_seconds=self.idle_seconds,
        )


class AdminSettings(_Section):
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


class ChallengeSettings(_Section):
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


class LogSettings(_Section):
    """What an administrator of NDES reads: event log, IIS's log, trace."""

    files: bool = Field(
        default=False,
        description="Also write them to files: logs/ in the data folder has events.jsonl, W3SVC1/u_ex*.log "
        "and NdesSvc.log",
    )
    keep: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=1000, description="How many events, log lines and traced requests are kept in memory"
    )


class LabSettings(_Section):
    """Everything a lab can be told."""

    pki: PkiSettings = PkiSettings()
    scep: ScepSettings = ScepSettings()
    publisher: PublisherSettings = PublisherSettings()
    server: ServerSettings = ServerSettings()
    admin: AdminSettings = AdminSettings()
    challenges: ChallengeSettings = ChallengeSettings()
    alerts: AlertSettings = AlertSettings()
    ndes: NdesSettings = NdesSettings()
    logs: LogSettings = LogSettings()
    faults: FaultSettings = FaultSettings()
    journal: JournalSettings = JournalSettings()

    @model_validator(mode="after")
    def _nothing_ephemeral_must_stay(self) -> Self:
        if self.server.ephemeral and (self.pki.database_url or self.pki.database_url_file):
            raise ValueError(
                "server.ephemeral keeps nothing, and pki.database_url names a database that stays"
            )
        return self

    @model_validator(mode="after")
    def _ndes_and_scep_must_agree(self) -> Self:
        self.ndes.endpoint(self.scep.endpoints[DEFAULT_ENDPOINT])
        return self

    def with_registry(self) -> LabSettings:
        """Return the settings with the endpoint at NDES's path as the registry values of ``ndes`` have it."""
        return self.model_copy(update={"scep": self.ndes.scep(self.scep, DEFAULT_ENDPOINT)})


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSettings:
    """Settings, and for each that is not a default, the source that won, by dotted name."""

    settings: LabSettings
    origins: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingRow:
    """One effective setting for people: secrets hidden, origin named."""

    name: str
    value: object
    origin: str = field(default="default")


def load_settings(
    flags: Mapping[str, object], environment: Mapping[str, str], file: Path | None
) -> LoadedSettings:
    """Return the settings from flags, environment and file.

    Args:
        flags: dotted setting name to value; None is a flag that was not given.
        environment: variables, of which those that begin with ``NDES_LAB_`` and hold ``__`` count;
            those that end in ``_FILE`` name the file of a secret.
        file: TOML file, or None.

    Raises:
        UnusableSettings: a source cannot be read, or a setting is unknown or bad.

    """
    sources: list[tuple[dict[str, Any], str]] = []
    if file is not None:
        sources.append((_read_toml(file), str(file)))
    try:
        sources.append((read_variables(LabSettings, environment), _VARIABLE))
        sources.append((read_secret_files(LabSettings, environment), _SECRET_FILE))
    except BadVariable as error:
        raise UnusableSettings(str(error)) from error
    sources.append((_nested(flags), "flag"))
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for values, name in sources:
        _read_none(LabSettings, values)
        _merge(merged, values)
        origins |= {".".join(path): _origin(path, name) for path, _ in _leaves(values)}
    settings = read_settings(merged, origins)
    return LoadedSettings(settings=_with_database_url(_with_token(settings)), origins=origins)


def read_settings(values: Mapping[str, Any], origins: Mapping[str, str] | None = None) -> LabSettings:
    """Return settings of their values by section; ``origins`` are where they came from, by dotted name.

    Raises:
        UnusableSettings: a setting is unknown or bad; the text names it, what was found and what is known.

    """
    try:
        return LabSettings.model_validate(values)
    except ValidationError as error:
        complaint = _complaint(error, origins or {})
    raise UnusableSettings(complaint)  # alone: pydantic's own account has the values, and links


def effective_rows(loaded: LoadedSettings) -> list[SettingRow]:
    """Return every effective setting, secrets hidden, with the source it came from.

    What no source names and is no default has been set or worked out by the lab itself.
    """
    rows = []
    defaults = dict(_leaves(LabSettings().model_dump(mode="json")))
    for path, value in _leaves(loaded.settings.model_dump(mode="json")):
        name = ".".join(path)
        came_from = (origin for key, origin in loaded.origins.items() if f"{name}.".startswith(f"{key}."))
        unnamed = "default" if defaults.get(path) == value else "lab"
        rows.append(SettingRow(name=name, value=value, origin=next(came_from, unnamed)))
    return rows


# -- sources ---------------------------------------------------------------------------


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            return tomllib.load(stream)
    except OSError as error:
        raise UnusableSettings(f"{file} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UnusableSettings(f"{file} is not TOML: {error}") from error


def _with_token(settings: LabSettings) -> LabSettings:
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
        raise UnusableSettings(f"admin.token_file {file}: the token is shorter than 16 characters") from error
    return settings.model_copy(update={"admin": admin})


def _with_database_url(settings: LabSettings) -> LabSettings:
    file = settings.pki.database_url_file
    if file is None:
        return settings
    if settings.pki.database_url is not None:
        raise UnusableSettings("pki.database_url and pki.database_url_file are both set; one is enough")
    try:
        url = PkiSettings.model_validate({"database_url": file.read_text().strip()}).database_url
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableSettings(f"pki.database_url_file {file} cannot be read: {error}") from error
    except ValidationError as error:
        (said, *_) = error.errors(include_url=False, include_input=False)
        raise UnusableSettings(f"pki.database_url_file {file}: {said['msg']}") from error
    return settings.model_copy(update={"pki": settings.pki.model_copy(update={"database_url": url})})


# -- nested dictionaries ---------------------------------------------------------------


def _nested(flags: Mapping[str, object]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in flags.items():
        if value is None:
            continue
        section, _, key = name.partition(".")
        values.setdefault(section, {})[key] = value
    return values


def _read_none(model: type[BaseModel], values: dict[str, Any]) -> None:
    """Turn the word for none into None wherever ``model`` takes None."""
    for key, value in values.items():
        found = model.model_fields.get(key)
        if found is None:
            continue
        if isinstance(value, str) and value.lower() == NONE and type(None) in get_args(found.annotation):
            values[key] = None
        elif isinstance(value, dict):
            nested = [part for part in (found.annotation, *get_args(found.annotation)) if is_model(part)]
            tables = list(value.values()) if nested and nested[0] is not found.annotation else [value]
            for table in tables:
                if nested and isinstance(table, dict):
                    _read_none(nested[0], table)


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = {} if isinstance(value, dict) else value
            if isinstance(value, dict):
                _merge(into[key], value)


def _leaves(values: Mapping[str, Any], path: _Path = ()) -> Iterator[tuple[_Path, Any]]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _origin(path: _Path, source: str) -> str:
    if source in (_VARIABLE, _SECRET_FILE):
        return variable_of(path, file=source == _SECRET_FILE)
    return source


def _complaint(error: ValidationError, origins: Mapping[str, str]) -> str:
    lines = []
    for problem in error.errors(include_url=False):
        name = ".".join(str(part) for part in problem["loc"])
        said = finding(problem, LabSettings, "setting")
        where = next(
            (origin for key, origin in origins.items() if key.startswith(name) or name.startswith(key)), ""
        )
        lines.append(f"{name}: {said}" + (f" ({where})" if where else ""))
    return "; ".join(lines)
