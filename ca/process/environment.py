"""Settings from the variables of the environment: ``NDES_LAB_SECTION__KEY``, and ``..._FILE`` for secrets.

Any setting that is a secret may be told by the file that holds it, such as what an orchestrator mounts
under /run/secrets. Nothing here reads the environment itself.
"""

from __future__ import annotations

import json
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard, get_args

from pydantic import BaseModel, SecretStr

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ENVIRONMENT_PREFIX = "NDES_LAB_"
_FILE = "_file"
_NEAR = 0.93  # one or two wrong letters, the prefix counted


class BadVariable(Exception):
    """A variable cannot be used; the text says which and why, and holds no secret."""


def read_variables(model: type[BaseModel], environment: Mapping[str, str]) -> dict[str, Any]:
    """Return what the variables say, as nested values; lists and tables are written in JSON.

    Raises:
        BadVariable: there is no such section, a value is no JSON, or two variables set the same thing.

    """
    values: dict[str, Any] = {}
    for name, path in _of_settings(environment):
        if _secret_named_by_file(model, path) is not None:
            continue
        section = path[0] if len(path) > 1 else ""
        if section not in model.model_fields:
            raise BadVariable(f"{name}: no section {section!r}; known: {', '.join(model.model_fields)}")
        text = environment[name]
        try:
            value = json.loads(text) if text.lstrip()[:1] in ("[", "{") else text
        except ValueError as error:
            raise BadVariable(f"{name} begins like JSON and is none: {error}") from error
        _put(values, _spelled(model, path), value, name)
    return values


def without_other_sections(
    model: type[BaseModel], environment: Mapping[str, str]
) -> tuple[dict[str, str], set[str]]:
    """Return the variables without those of sections that ``model`` does not have, and these sections."""
    others = {name: path[0] for name, path in _of_settings(environment) if path[0] not in model.model_fields}
    own = {name: value for name, value in environment.items() if name not in others}
    return own, set(others.values())


def read_secret_files(model: type[BaseModel], environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the secrets in the files that variables name, as nested values.

    The end of the line is not part of a secret.

    Raises:
        BadVariable: a file cannot be read, or is empty, or two variables set the same thing.

    """
    values: dict[str, Any] = {}
    plain = {tuple(_spelled(model, path)): name for name, path in _of_settings(environment)}
    for name, path in _of_settings(environment):
        secret = _secret_named_by_file(model, path)
        if secret is None:
            continue
        if secret in plain:
            raise BadVariable(f"{name} and {plain[secret]} are both set; one is enough")
        _put(values, secret, _only_line(name, Path(environment[name])), name)
    return values


def misspelt_variables(
    model: type[BaseModel], environment: Mapping[str, str], others: Sequence[str]
) -> dict[str, str]:
    """Return the variables that nothing reads and that look like one that is read, each with that one.

    A setting with one underscore where two belong is one, such as ``NDES_LAB_ADMIN_TOKEN``. ``others`` are
    the variables that are read besides the settings.
    """
    known = {name.replace("_", ""): name for name in (*_all_variables(model), *others)}
    found = {}
    for name in environment:
        told = name.upper()
        if not told.startswith(ENVIRONMENT_PREFIX) or "__" in told or name in others:
            continue
        near = get_close_matches(told.replace("_", ""), known, n=1, cutoff=_NEAR)
        if near:
            found[name] = known[near[0]]
    return found


def _all_variables(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[str]:
    for name, field in model.model_fields.items():
        here = (*path, name)
        if is_model(field.annotation):
            yield from _all_variables(field.annotation, here)
        elif path:
            yield variable_of(here)
            if _is_secret(field.annotation):
                yield variable_of(here, file=True)


def variable_of(path: Sequence[str], *, file: bool = False) -> str:
    """Return the variable that sets a setting, or names the file it is in."""
    return ENVIRONMENT_PREFIX + "__".join(path).upper() + (_FILE.upper() if file else "")


def is_model(annotation: object) -> TypeGuard[type[BaseModel]]:
    """Tell whether settings of this type are a table of further settings."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


# -- names -----------------------------------------------------------------------------


def _of_settings(environment: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the variables that are settings, each with its path in lower case."""
    for name in environment:
        if name.upper().startswith(ENVIRONMENT_PREFIX) and "__" in name:
            yield name, name[len(ENVIRONMENT_PREFIX) :].lower().split("__")


def _spelled(model: type[BaseModel], path: Sequence[str]) -> list[str]:
    """Return the path of a setting as its model spells it: variables have no case, NDES's names do."""
    place: object = model
    found: list[str] = []
    for key in path:
        fields = place.model_fields if is_model(place) else {}
        name = next((name for name in fields if name.lower() == key), key)
        place = fields[name].annotation if name in fields else None
        found.append(name)
    return found


def _secret_named_by_file(model: type[BaseModel], path: Sequence[str]) -> tuple[str, ...] | None:
    """Return the path of the secret whose file a variable names.

    None where there is no such secret, and where the name is a setting itself, as ``admin.token_file`` is.
    """
    *parents, last = path
    if not last.endswith(_FILE) or _annotation(model, _spelled(model, path)) is not None:
        return None
    found = _spelled(model, [*parents, last.removesuffix(_FILE)])
    return tuple(found) if _is_secret(_annotation(model, found)) else None


def _annotation(model: type[BaseModel], path: Sequence[str]) -> object:
    """Return the type of the setting at a path; None where there is none."""
    place: object = model
    for key in path:
        field = place.model_fields.get(key) if is_model(place) else None
        place = None if field is None else field.annotation
    return place


def _is_secret(annotation: object) -> bool:
    return annotation is SecretStr or any(_is_secret(part) for part in get_args(annotation))


# -- values ----------------------------------------------------------------------------


def _put(values: dict[str, Any], path: Sequence[str], value: object, name: str) -> None:
    *parents, last = path
    place: Any = values
    for key in parents:
        place = place.setdefault(key, {}) if isinstance(place, dict) else None
    if not isinstance(place, dict) or isinstance(place.get(last), dict):
        raise BadVariable(f"{name} and another variable set the same thing")
    place[last] = value


def _only_line(name: str, file: Path) -> str:
    try:
        text = file.read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise BadVariable(f"{name}: {file} cannot be read: {said}") from error
    if not text:
        raise BadVariable(f"{name}: {file} is empty, expected a secret on its only line")
    return text
