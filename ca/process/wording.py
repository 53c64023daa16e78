"""What pydantic found wrong, on one line for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_CHOICES = ("literal_error", "enum")
_LONGEST = 40


def described(error: ValidationError, whole: str, model: type[BaseModel] | None = None) -> str:
    """Return the findings; ``whole`` names what has no part to name, ``model`` is what was to be read.

    Nothing that was given is repeated, but for a word where one of few is expected.
    """
    said = (
        f"{'.'.join(map(str, one['loc'])) or whole}: {finding(one, model)}"
        for one in error.errors(include_url=False)
    )
    return "; ".join(said)


def finding(problem: ErrorDetails, model: type[BaseModel] | None, thing: str = "name") -> str:
    """Return what is wrong with one part of ``model``; what it does not know is no such ``thing``."""
    if problem["type"] == "extra_forbidden":
        known = [] if model is None else names_at(model, problem["loc"][:-1])
        return f"no such {thing}" + (f"; known: {', '.join(known)}" if known else "")
    if problem["type"] in _CHOICES:
        return f"found {_short(problem['input'])}, expected {problem['ctx']['expected']}"
    return problem["msg"].removeprefix("Value error, ")


def names_at(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """Return the names that are known at a place within a model."""
    place: Any = model
    for part in location:
        fields = [one.model_fields[part] for one in _models(place) if part in one.model_fields]
        if fields:  # or else it is an index, or a name that the user has chosen
            place = fields[0].annotation
    return list(dict.fromkeys(name for one in _models(place) for name in one.model_fields))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that a type consists of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    for part in get_args(annotation):
        yield from _models(part)


def _short(given: object) -> str:
    """Return a word that was given, but no long text: that is none which was misspelt."""
    if isinstance(given, str):
        return repr(given) if len(given) <= _LONGEST else f"a text of {len(given)} characters"
    return "null" if given is None else f"a value of type {type(given).__name__}"
