"""What the parameters of faults take: numbers from here to there, one of some values, texts.

Everything else is refused, never made to fit: a lab that quietly does something else than it was told
is of no use to a test.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

ParameterValue = str | int | float | bool
_SHOWN: Final = 60  # characters of a value in an error
_LONGEST_NUMBER: Final = 40  # characters


class BadParameter(ValueError):
    """A fault has no such parameter, or it takes no such value."""


class Limit(Protocol):
    """What a parameter takes; as a text it says so."""

    def holds(self, value: ParameterValue) -> bool:
        """Tell whether a value of the parameter's type is among what is taken."""


@dataclass(frozen=True, slots=True)
class Range:
    """A number, ``least`` and ``most`` included."""

    least: float
    most: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.least) and math.isfinite(self.most) and self.least < self.most):
            raise ValueError(f"{self.least} to {self.most} is no range")

    def holds(self, value: ParameterValue) -> bool:
        """Tell whether a number is within the range; NaN is in none."""
        return not isinstance(value, str) and self.least <= value <= self.most

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.least} to {self.most}"


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of these values."""

    values: tuple[ParameterValue, ...]

    def holds(self, value: ParameterValue) -> bool:
        """Tell whether it is one of them."""
        return value in self.values

    def __str__(self) -> str:
        """Return it in words."""
        return "one of " + ", ".join(
            str(one).lower() if isinstance(one, bool) else str(one) for one in self.values
        )


@dataclass(frozen=True, slots=True)
class Text:
    """Printable ASCII: no line ends, with which a header could be made of a value, and no NUL."""

    shortest: int = 0
    longest: int = 200

    def holds(self, value: ParameterValue) -> bool:
        """Tell whether a text is short and plain enough."""
        text = str(value)
        return self.shortest <= len(text) <= self.longest and text.isascii() and text.isprintable()

    def __str__(self) -> str:
        """Return it in words."""
        return f"printable ASCII, {self.shortest} to {self.longest} characters"


USUAL: Final[Mapping[str, Range]] = {
    "seconds": Range(0, 3600),
    "minutes": Range(0, 10 * 365 * 24 * 60),
    "hours": Range(0, 36_525 * 24),
    "days": Range(1, 10_000),
}
"""What parameters that are named after a unit of time take, unless their fault says otherwise."""
_BOOLEANS: Final = OneOf((True, False))
_TYPES: Final = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def limit_of(name: str, default: ParameterValue, declared: Limit | None) -> Limit:
    """Return what a parameter takes; raises TypeError where nothing is said of a number."""
    if declared is None and isinstance(default, bool):
        declared = _BOOLEANS
    if declared is None and isinstance(default, str):
        declared = Text()
    limit = USUAL.get(name) if declared is None else declared
    if limit is None or not limit.holds(default):
        raise TypeError(f"parameter {name} has no limits, or its default {default!r} is beyond them")
    return limit


def read_value(name: str, value: object, kind: type[ParameterValue], limit: Limit) -> ParameterValue:
    """Return a value, given as a text or as what it is, of the parameter's type.

    Raises:
        BadParameter: it is of another type, or not among what the parameter takes.

    """
    try:
        found = _converted(kind, value)
    except (ValueError, OverflowError) as error:
        wanted = _TYPES[kind] + ("" if kind is bool else f", {limit}")
        raise BadParameter(f"{name} is {_shown(value)}, expected {wanted}") from error
    if not limit.holds(found):
        raise BadParameter(f"{name} is {_shown(found)}, expected {limit}")
    return found


def _converted(kind: type[ParameterValue], value: object) -> ParameterValue:
    text = str(value)
    if kind is str:
        return text
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError("neither true nor false")
        return text.lower() == "true"
    if len(text) > _LONGEST_NUMBER:
        raise ValueError("too long")
    number = int(text) if kind is int else float(text)
    if not math.isfinite(number):
        raise ValueError("not finite")
    return number


def _shown(value: object) -> str:
    try:
        return ascii(value)[:_SHOWN]
    except ValueError:  # a number of more digits than Python writes
        return "a very long number"
