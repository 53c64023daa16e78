"""When publication happens by itself."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from ca.errors import ServiceUnavailable
from ca.records import StoreUnavailable
from crl_publisher import PublicationRefused, PublisherState, Republisher

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
            raise self.errors.pop(0)
        return now + WEEK


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def desk(clock: SetClock) -> Desk:
    return Desk(clock)


Start = Callable[[datetime], Republisher]


def wait_for(holds: Callable[[], bool]) -> None:
    """Give the thread its turn until something holds; the run's own time limit ends a test that hangs."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0)


@pytest.fixture
def start(clock: SetClock, desk: Desk) -> Iterator[Start]:
    started: list[Republisher] = []
    before = set(threading.enumerate())

    def begin(due: datetime) -> Republisher:
        republisher = Republisher(publish=desk.publish, due=lambda: due, clock=clock)
        republisher.start()
        started.append(republisher)
        return republisher

    yield begin
    for republisher in started:
        republisher.stop()
    assert set(threading.enumerate()) <= before


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


def test_state_says_what_is_wrong_and_since_when_until_it_is_not(
    start: Start, desk: Desk, clock: SetClock
) -> None:
    desk.errors += [StoreUnavailable("gone"), OSError("disk full")]
    republisher = start(START)
    assert desk.published.get(timeout=10) == START
    wait_for(lambda: republisher.state.failures == 1)
    clock.instant += timedelta(minutes=1)
    republisher.look()
    desk.published.get(timeout=10)
    wait_for(lambda: republisher.state.failures == 2)
    assert republisher.state == PublisherState(
        due=START + timedelta(minutes=2),
        last_error="disk full",
        failing_since=START,
        failures=2,
        running=True,
    )
    assert not republisher.state.is_healthy
    clock.instant += timedelta(minutes=1)
    republisher.look()
    desk.published.get(timeout=10)
    wait_for(lambda: republisher.state.is_healthy)
    now = START + timedelta(minutes=2)
    assert republisher.state == PublisherState(due=now + WEEK, last_success=now, running=True)


def test_state_keeps_the_last_success_while_it_fails(start: Start, desk: Desk, clock: SetClock) -> None:
    republisher = start(START)
    desk.published.get(timeout=10)
    wait_for(lambda: republisher.state.last_success is not None)
    desk.errors.append(ServiceUnavailable("the key cannot be used"))
    clock.instant = START + WEEK
    republisher.look()
    desk.published.get(timeout=10)
    wait_for(lambda: not republisher.state.is_healthy)
    assert republisher.state.last_success == START
    assert republisher.state.last_error == "the key cannot be used"


def test_state_says_that_the_thread_has_ended(start: Start, desk: Desk) -> None:
    republisher = start(START)
    assert republisher.state.running
    republisher.stop()
    assert not republisher.state.running


def test_publishes_sooner_when_a_clock_that_was_put_back_says_so(
    start: Start, desk: Desk, clock: SetClock
) -> None:
    republisher = start(START + WEEK)
    republisher.look(START + WEEK)
    assert republisher.due == START + WEEK
    republisher.look(START)
    assert desk.published.get(timeout=10) == START
    wait_for(lambda: republisher.due == START + WEEK)
    assert desk.published.empty()
    assert clock.instant == START


def test_a_clock_that_is_put_back_meanwhile_is_not_forgotten(
    start: Start, desk: Desk, clock: SetClock
) -> None:
    """Whoever publishes just now does so by the time before, and says so."""
    publish, looked = desk.publish, threading.Event()

    def publish_and_be_looked_at() -> datetime:
        due = publish()
        if not looked.is_set():
            looked.set()
            republisher.look(START)
        return due

    desk.publish = publish_and_be_looked_at  # type: ignore[method-assign]
    republisher = start(START + WEEK)
    clock.instant = START + WEEK
    republisher.look()
    assert [desk.published.get(timeout=10) for _ in range(2)] == [START + WEEK] * 2
    wait_for(lambda: republisher.due == START + 2 * WEEK)
    assert desk.published.empty()


def test_stops_without_having_been_started(clock: SetClock, desk: Desk) -> None:
    Republisher(publish=desk.publish, due=clock.now, clock=clock).stop()
    assert desk.published.empty()
