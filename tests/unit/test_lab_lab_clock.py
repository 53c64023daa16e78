"""The lab's one clock: moved by shifts and instants, within what certificates can say."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest

from lab.lab_clock import BadTime, LabClock, read_instant, read_offset, read_shift

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class Base:
    """A clock that goes only when told to."""

    def __init__(self) -> None:
        self.instant = START

    def now(self) -> datetime:
        return self.instant


@pytest.fixture
def base() -> Base:
    return Base()


@pytest.fixture
def clock(base: Base) -> LabClock:
    return LabClock(base)


def test_tells_its_base_until_it_is_moved(clock: LabClock, base: Base) -> None:
    assert clock.now() == START
    assert clock.offset == timedelta(0)
    base.instant += timedelta(hours=1)
    assert clock.now() == START + timedelta(hours=1)


def test_runs_on_after_a_shift(clock: LabClock, base: Base) -> None:
    assert clock.shift("+400d") == START + timedelta(days=400)
    base.instant += timedelta(seconds=5)
    assert clock.now() == START + timedelta(days=400, seconds=5)


def test_shifts_add_up_and_reset_takes_them_back(clock: LabClock) -> None:
    clock.shift("+2d")
    clock.shift(timedelta(hours=-1))
    assert clock.offset == timedelta(days=2, hours=-1)
    clock.reset()
    assert clock.now() == START


def test_runs_on_from_the_instant_it_is_set_to(clock: LabClock, base: Base) -> None:
    assert clock.set("2030-01-01T00:00:00Z") == datetime(2030, 1, 1, tzinfo=UTC)
    base.instant += timedelta(minutes=1)
    assert clock.now() == datetime(2030, 1, 1, 0, 1, tzinfo=UTC)


def test_takes_an_instant_of_any_zone(clock: LabClock) -> None:
    tokyo = timezone(timedelta(hours=9))
    assert clock.set(datetime(2027, 1, 1, 9, 0, tzinfo=tokyo)) == datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "shift"),
    [
        ("+400d", timedelta(days=400)),
        ("-90m", timedelta(minutes=-90)),
        ("+1d12h", timedelta(days=1, hours=12)),
        ("+2w", timedelta(days=14)),
        ("+1y", timedelta(days=365)),
        ("-30s", timedelta(seconds=-30)),
        ("+0s", timedelta(0)),
    ],
)
def test_reads_shifts(text: str, shift: timedelta) -> None:
    assert read_shift(text) == shift


@pytest.mark.parametrize(
    "text",
    ["", "400d", "+", "+d", "+4", "+4x", "+4d ", "+1.5d", "+-4d", "+99999999d", "tomorrow", "+4d5", "٤d"],
)
def test_refuses_what_is_no_shift(text: str) -> None:
    with pytest.raises(BadTime, match="is no shift, expected such as"):
        read_shift(text)


@pytest.mark.parametrize("text", ["2027-13-01", "soon", "2027-01-01T25:00:00Z", ""])
def test_refuses_what_is_no_instant(text: str) -> None:
    with pytest.raises(BadTime, match="is no instant, expected such as"):
        read_instant(text)


def test_takes_an_instant_without_a_zone_as_utc_in_texts_alone(clock: LabClock) -> None:
    assert clock.set("2027-01-01") == datetime(2027, 1, 1, tzinfo=UTC)
    with pytest.raises(BadTime, match="has no time zone"):
        clock.set(datetime(2027, 1, 1))  # noqa: DTZ001 - that is the point


@pytest.mark.parametrize("shift", ["+9000y", "-100y", "+7500y"])
def test_stays_within_what_certificates_can_say(clock: LabClock, shift: str) -> None:
    with pytest.raises(BadTime, match="expected the years 1971 to 8999"):
        clock.shift(shift)
    assert clock.now() == START


@pytest.mark.parametrize(
    ("text", "offset"), [("+3d", timedelta(days=3)), ("2026-11-22T13:00:00Z", timedelta(hours=1))]
)
def test_reads_how_far_away_a_text_is(text: str, offset: timedelta) -> None:
    assert read_offset(text, START) == offset


def test_tells_who_wants_to_know_after_each_move(clock: LabClock) -> None:
    told: list[datetime] = []
    clock.on_move(lambda: told.append(clock.now()))
    clock.shift("+1d")
    clock.set("2030-01-01")
    clock.reset()
    assert told == [START + timedelta(days=1), datetime(2030, 1, 1, tzinfo=UTC), START]


def test_a_refused_move_is_told_to_nobody(clock: LabClock) -> None:
    told: list[None] = []
    clock.on_move(lambda: told.append(None))
    with pytest.raises(BadTime):
        clock.shift("-100y")
    assert told == []


def test_no_shift_is_lost_between_threads(clock: LabClock) -> None:
    def move() -> None:
        for _ in range(200):
            clock.shift(timedelta(seconds=1))

    threads = [threading.Thread(target=move) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.offset == timedelta(seconds=800)
