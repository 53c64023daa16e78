"""Settings of a program: where they may come from, and which source won.

A flag outweighs the environment (``NDES_LAB_SECTION__KEY``), that the TOML file, that the default.
``NDES_LAB_SECTION__KEY_FILE`` names the file that holds a secret. Programs may share a file and an
environment: what takes only a part of the sections leaves the others alone, and can say which.
`ProgramSettings` itself reads nothing; `load_settings` is called by the composition roots only.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Literal, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ca.settings import PkiSettings

from .environment import (
    BadVariable,
    is_model,
    read_secret_files,
    read_variables,
    variable_of,
    without_other_sections,
)
from .wording import finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEFAULT_DATA_DIR = Path("lab-data")

Port = Annotated[int, Field(ge=0, le=65535)]
_Path = tuple[str, ...]
_VARIABLE, _SECRET_FILE = "variable", "secret file"  # sources besides flags and the TOML file


# Neither TOML nor the environment has a null; this word is one where a setting may be none.
NONE = "none"


class UnusableSettings(Exception):
    """The settings cannot be used; the text says which one, why, and where it came from."""


class Section(BaseModel):
    """Settings that belong together; frozen, and nothing unknown is accepted."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ServingSettings(Section):
    """What is common to all programs that serve."""

    host: str = Field(default="127.0.0.1", min_length=1, description="Address that all listeners open")
    data_dir: Path | None = Field(
        default=None, description="Folder of the PKI and its database; none: lab-data here"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least weight of what is logged"
    )
    log_format: Literal["auto", "human", "json"] = Field(
        default="auto", description="auto: human on a terminal, JSON lines otherwise"
    )


class ProgramSettings(Section):
    """Everything that a program over a PKI can be told."""

    knows_all_sections: ClassVar[bool] = False
    """Whether there is no section but the program's own, so that another one is a mistake."""

    pki: PkiSettings = PkiSettings()
    server: ServingSettings = ServingSettings()

    def completed(self) -> Self:
        """Return the settings with what they say is in files.

        Raises:
            UnusableSettings: a file cannot be read, or holds nothing of use.

        """
        file = self.pki.database_url_file
        if file is None:
            return self
        if self.pki.database_url is not None:
            raise UnusableSettings("pki.database_url and pki.database_url_file are both set; one is enough")
        try:
            url = PkiSettings.model_validate({"database_url": file.read_text().strip()}).database_url
        except (OSError, UnicodeDecodeError) as error:
            raise UnusableSettings(f"pki.database_url_file {file} cannot be read: {error}") from error
        except ValidationError as error:
            (said, *_) = error.errors(include_url=False, include_input=False)
            raise UnusableSettings(f"pki.database_url_file {file}: {said['msg']}") from error
        return self.model_copy(update={"pki": self.pki.model_copy(update={"database_url": url})})


_Settings = TypeVar("_Settings", bound=ProgramSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSettings(Generic[_Settings]):
    """Settings, and for each that is not a default, the source that won, by dotted name.

    ``unread`` are the sections in the sources that the program does not have.
    """

    settings: _Settings
    origins: Mapping[str, str]
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingRow:
    """One effective setting for people: secrets hidden, origin named."""

    name: str
    value: object
    origin: str = field(default="default")


def load_settings(
    model: type[_Settings], flags: Mapping[str, object], environment: Mapping[str, str], file: Path | None
) -> LoadedSettings[_Settings]:
    """Return a program's settings from flags, environment and file.

    Args:
        model: the program's.
        flags: dotted setting name to value; None is a flag that was not given.
        environment: variables, of which those that begin with ``NDES_LAB_`` and hold ``__`` count;
            those that end in ``_FILE`` name the file of a secret.
        file: TOML file, or None.

    Raises:
        UnusableSettings: a source cannot be read, or a setting is unknown or bad.

    """
    told = {} if file is None else _read_toml(file)
    unread: set[str] = set()
    if not model.knows_all_sections:
        environment, unread = without_other_sections(model, environment)
        unread |= told.keys() - model.model_fields
        told = {name: section for name, section in told.items() if name in model.model_fields}
    sources = [(told, str(file))]
    try:
        sources.append((read_variables(model, environment), _VARIABLE))
        sources.append((read_secret_files(model, environment), _SECRET_FILE))
    except BadVariable as error:
        raise UnusableSettings(str(error)) from error
    sources.append((_nested(flags), "flag"))
    _require_tables(model, told, str(file))
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for values, name in sources:
        _read_none(model, values)
        _merge(merged, values)
        origins |= {".".join(path): _origin(path, name) for path, _ in _leaves(values)}
    settings = read_settings(model, merged, origins)
    return LoadedSettings(settings=settings.completed(), origins=origins, unread=tuple(sorted(unread)))


def read_settings(
    model: type[_Settings], values: Mapping[str, Any], origins: Mapping[str, str] | None = None
) -> _Settings:
    """Return settings of their values by section; ``origins`` are where they came from, by dotted name.

    Raises:
        UnusableSettings: a setting is unknown or bad; the text names it, what was found and what is known.

    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        complaint = _complaint(error, model, origins or {})
    raise UnusableSettings(complaint)  # alone: pydantic's own account has the values, and links


def effective_rows(loaded: LoadedSettings[_Settings]) -> list[SettingRow]:
    """Return every effective setting, secrets hidden, with the source it came from.

    What no source names and is no default has been set or worked out by the program itself.
    """
    rows = []
    defaults = dict(_leaves(type(loaded.settings)().model_dump(mode="json")))
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


def _require_tables(model: type[BaseModel], told: Mapping[str, Any], file: str) -> None:
    """Refuse a section of the file that is no table: what another source says of it would hide that."""
    for name, value in told.items():
        if name in model.model_fields and not isinstance(value, dict):
            raise UnusableSettings(f"{name}: found {value!r}, expected a table such as [{name}] ({file})")


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


def _complaint(error: ValidationError, model: type[ProgramSettings], origins: Mapping[str, str]) -> str:
    lines = []
    for problem in error.errors(include_url=False):
        name = ".".join(str(part) for part in problem["loc"])
        said = finding(problem, model, "setting")
        where = next(
            (origin for key, origin in origins.items() if key.startswith(name) or name.startswith(key)), ""
        )
        lines.append(f"{name}: {said}" + (f" ({where})" if where else ""))
    return "; ".join(lines)
