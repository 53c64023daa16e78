"""Periods as AD CS writes them: a number and a word, ``2 Years``, ``6 Weeks``.

Years and months are the calendar's, the smaller units are exact.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

from pydantic import BeforeValidator, PlainSerializer

if TYPE_CHECKING:
    from collections.abc import Iterable


class PeriodUnit(Enum):
    """The words of ValidityPeriod and CRLPeriod."""

    SECONDS = "Seconds"
    MINUTES = "Minutes"
    HOURS = "Hours"
    DAYS = "Days"
    WEEKS = "Weeks"
    MONTHS = "Months"
    YEARS = "Years"


_EXACT: Final = {
    PeriodUnit.SECONDS: timedelta(seconds=1),
    PeriodUnit.MINUTES: timedelta(minutes=1),
    PeriodUnit.HOURS: timedelta(hours=1),
    PeriodUnit.DAYS: timedelta(days=1),
    PeriodUnit.WEEKS: timedelta(weeks=1),
}
_APPROXIMATE: Final = _EXACT | {
    PeriodUnit.MONTHS: timedelta(days=30),
    PeriodUnit.YEARS: timedelta(days=365),
}
_TEXT: Final = re.compile(r"\s*(\d{1,9})\s*([A-Za-z]+)\s*")
_WORDS: Final = {unit.value.lower(): unit for unit in PeriodUnit} | {
    unit.value.lower().removesuffix("s"): unit for unit in PeriodUnit
}


@dataclass(frozen=True, slots=True)
class Period:
    """A length of time; its text is what `parse` reads."""

    units: int
    unit: PeriodUnit

    def __str__(self) -> str:
        return f"{self.units} {self.unit.value}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``2 Years``, ``1 week``, in any case.

        Raises:
            ValueError: not a number from 0 to 999999999 and one of the words.

        """
        match = _TEXT.fullmatch(text)
        unit = _WORDS.get(match[2].lower()) if match else None
        if match is None or unit is None:
            words = ", ".join(unit.value for unit in PeriodUnit)
            raise ValueError(f"{text!r} is not a period, expected a number and one of {words}")
        return cls(int(match[1]), unit)

    def after(self, instant: datetime) -> datetime:
        """Return the instant this period after ``instant``; the end of time if that is beyond it."""
        try:
            exact = _EXACT.get(self.unit)
            if exact is not None:
                return instant + self.units * exact
            months = instant.month - 1 + self.units * (12 if self.unit is PeriodUnit.YEARS else 1)
            year, month = instant.year + months // 12, months % 12 + 1
            day = min(instant.day, calendar.monthrange(year, month)[1])
            return instant.replace(year=year, month=month, day=day)
        except (OverflowError, ValueError, calendar.IllegalMonthError):
            return datetime.max.replace(tzinfo=instant.tzinfo, microsecond=0)

    def about(self) -> timedelta:
        """Return its length with years of 365 and months of 30 days, as pKIExpirationPeriod counts."""
        try:
            return self.units * _APPROXIMATE[self.unit]
        except OverflowError:
            return timedelta.max


def _period(value: Any) -> Period:
    if isinstance(value, Period):
        return value
    if isinstance(value, str):
        return Period.parse(value)
    raise ValueError(f"{value!r} is not a period, expected text like '2 Years'")


PeriodSetting = Annotated[Period, BeforeValidator(_period), PlainSerializer(str, return_type=str)]


def validity_wish(pairs: Iterable[tuple[str, str]]) -> Period | None:
    """Return the period that ValidityPeriod and ValidityPeriodUnits ask for, if they do.

    Android's Intune client swaps the two values; either order is read. A wish that is no period,
    or none at all, is no wish.
    """
    named = {name.lower(): value for name, value in pairs}
    words = named.get("validityperiod"), named.get("validityperiodunits")
    if words[0] is None or words[1] is None:
        return None
    number, word = (words[0], words[1]) if words[0].strip().isdecimal() else (words[1], words[0])
    try:
        wish = Period.parse(f"{number} {word}")
    except ValueError:
        return None
    return wish if wish.units > 0 else None
