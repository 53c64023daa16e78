"""When publication happens by itself."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from ca.errors import ServiceUnavailable
from crl_publisher import PublicationRefused, Republisher

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
WEEK = timedelta(weeks=1)


class SetClock:
    def __init__(self) -> None:
        self.instant = START

    def now(self) -> datetime:
        return self.instant


class Desk:
    """Publishes weekly by the clock; every publication can be waited for."""

    def __init__(self, clock: SetClock) -> None:
        self.clock = clock
        self.published: queue.Queue[datetime] = queue.Queue()
        self.errors: list[Exception] = []

    def publish(self) -> datetime:
        now = self.clock.now()
        self.published.put(now)
        if self.errors:
            raise self.errors.pop()
        return now + WEEK


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def desk(clock: SetClock) -> Desk:
    return Desk(clock)


Start = Callable[[datetime], Republisher]


@pytest.fixture
def start(clock: SetClock, desk: Desk) -> Iterator[Start]:
    started: list[Republisher] = []

    def begin(due: datetime) -> Republisher:
        republisher = Republisher(publish=desk.publish, due=lambda: due, clock=clock)
        republisher.start()
        started.append(republisher)
        return republisher

    yield begin
    for republisher in started:
        republisher.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "republisher"]


def test_publishes_at_once_what_is_overdue(start: Start, desk: Desk) -> None:
    start(START)
    assert desk.published.get(timeout=10) == START


def test_publishes_when_the_clock_gets_there_and_not_before(
    start: Start, desk: Desk, clock: SetClock
) -> None:
    republisher = start(START + WEEK)
    clock.instant = START + WEEK - timedelta(seconds=1)
    republisher.look()
    clock.instant = START + WEEK
    republisher.look()
    assert desk.published.get(timeout=10) == START + WEEK
    clock.instant = START + 2 * WEEK
    republisher.look()
    assert desk.published.get(timeout=10) == START + 2 * WEEK


def test_a_timer_is_enough_without_anybody_looking(start: Start, desk: Desk, clock: SetClock) -> None:
    class Advancing(SetClock):
        def now(self) -> datetime:
            self.instant += timedelta(milliseconds=1)
            return self.instant

    republisher = Republisher(
        publish=desk.publish, due=lambda: START + timedelta(milliseconds=20), clock=Advancing()
    )
    republisher.start()
    desk.published.get(timeout=10)
    republisher.stop()


def test_waits_for_the_new_date_once_somebody_else_published(
    start: Start, desk: Desk, clock: SetClock
) -> None:
    republisher = start(START + WEEK)
    republisher.reschedule(START + 2 * WEEK)
    clock.instant = START + WEEK
    republisher.look()
    clock.instant = START + 2 * WEEK
    republisher.look()
    assert desk.published.get(timeout=10) == START + 2 * WEEK


@pytest.mark.parametrize(
    "error", [PublicationRefused("no"), ServiceUnavailable("no"), OSError("disk full")], ids=repr
)
def test_tries_again_after_a_failure(start: Start, desk: Desk, clock: SetClock, error: Exception) -> None:
    desk.errors.append(error)
    republisher = start(START)
    assert desk.published.get(timeout=10) == START
    clock.instant += timedelta(minutes=1)
    republisher.look()
    assert desk.published.get(timeout=10) == START + timedelta(minutes=1)


def test_stops_without_having_been_started(clock: SetClock, desk: Desk) -> None:
    Republisher(publish=desk.publish, due=clock.now, clock=clock).stop()
    assert desk.published.empty()
