"""The one clock of a lab: the machine's, moved by whoever wants another time."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ca.clock import Clock

_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
    "y": timedelta(days=365),
}
_EARLIEST = datetime(1971, 1, 1, tzinfo=UTC)  # what is signed just before must not lie before 1970
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)


class BadTime(ValueError):
    """A text names no instant or shift, or one outside the years 1971 to 8999."""


class LabClock:
    """A clock that runs with ``base``, ``offset`` away from it. Safe to use from several threads."""

    def __init__(self, base: Clock) -> None:
        self._base = base
        self._setting = threading.Lock()
        self._offset = timedelta(0)
        self._told: list[Callable[[], None]] = []
        self._supposing = threading.local()

    def on_move(self, tell: Callable[[], None]) -> None:
        """Have ``tell`` called whenever the clock has been moved."""
        self._told.append(tell)

    @property
    def offset(self) -> timedelta:
        """How far the clock is from its base."""
        return self._offset

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        supposed: timedelta = getattr(self._supposing, "by", timedelta(0))
        return self._base.now() + self._offset + supposed

    @contextmanager
    def supposing(self, by: timedelta) -> Iterator[None]:
        """Tell this thread alone, within the block, the time that a shift would lead to.

        Raises:
            BadTime: the clock would leave the years 1971 to 8999.

        """
        within_years(self._base.now(), self._offset + by)
        self._supposing.by = by
        try:
            yield
        finally:
            del self._supposing.by

    def shift(self, by: timedelta | str) -> datetime:
        """Move the clock by a duration, or by a text such as ``+400d``; return the new time.

        Raises:
            BadTime: the text is no shift, or the clock would leave the years 1971 to 8999.

        """
        wanted = read_shift(by) if isinstance(by, str) else by
        with self._setting:
            self._offset = within_years(self._base.now(), self._offset + wanted)
        return self._moved()

    def set(self, instant: datetime | str) -> datetime:
        """Set the clock to an aware instant, from where it runs on; return the new time.

        Raises:
            BadTime: it is no aware instant, or outside the years 1971 to 8999.

        """
        wanted = read_instant(instant) if isinstance(instant, str) else instant
        if wanted.tzinfo is None:
            raise BadTime(f"{wanted.isoformat()} has no time zone, expected one such as Z")
        now = self._base.now()
        with self._setting:
            self._offset = within_years(now, wanted - now)
        return self._moved()

    def reset(self) -> None:
        """Let the clock tell its base's time again."""
        self._offset = timedelta(0)
        self._moved()

    def _moved(self) -> datetime:
        for tell in self._told:
            tell()
        return self.now()


def read_shift(text: str) -> timedelta:
    """Return the duration of a text such as ``+400d``, ``-90m`` or ``+1d12h``; raises BadTime.

    Units are s, m, h, d, w and y (365 days).
    """
    sign, total, rest = text[:1], timedelta(0), text[1:]
    parts = re.findall(r"(\d{1,7})(s|m|h|d|w|y)", rest)
    if sign not in ("+", "-") or not parts or "".join(number + unit for number, unit in parts) != rest:
        raise BadTime(f"{text!r} is no shift, expected such as +400d, -2h or +1d12h (s, m, h, d, w, y)")
    try:
        for number, unit in parts:
            total += int(number) * _UNITS[unit]
    except OverflowError as error:
        raise BadTime(f"{text[:40]!r} is further than any clock goes") from error
    return total if sign == "+" else -total


def read_instant(text: str) -> datetime:
    """Return the instant of an ISO 8601 text; without a time zone it is UTC; raises BadTime."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadTime(f"{text!r} is no instant, expected such as 2027-01-31T12:00:00Z") from error
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def read_offset(text: str, now: datetime) -> timedelta:
    """Return how far away from ``now`` a text is, be it a shift or an instant; raises BadTime."""
    wanted = read_shift(text) if text[:1] in ("+", "-") else read_instant(text) - now
    return within_years(now, wanted)


def within_years(now: datetime, offset: timedelta) -> timedelta:
    """Return ``offset``; raises BadTime where it leads from ``now`` to where no certificate can be made."""
    try:
        there = now + offset
    except OverflowError as error:
        raise BadTime("the clock cannot be moved that far, expected the years 1971 to 8999") from error
    if not _EARLIEST <= there < _LATEST:
        raise BadTime(f"the clock would show {there:%Y-%m-%d}, expected the years 1971 to 8999")
    return offset
