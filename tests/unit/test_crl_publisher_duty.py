"""Of several publishers one signs; the others publish what it signed, and come again soon."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ca.records import StoreUnavailable
from crl_publisher import PublishingByTurns

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WEEK = timedelta(weeks=1)


class StoppedClock:
    def now(self) -> datetime:
        return NOW


class SetDuty:
    """A duty that is whose the test says."""

    def __init__(self, *ours: bool) -> None:
        self.ours = list(ours)

    def take(self) -> bool:
        if not self.ours:
            raise StoreUnavailable("nobody knows")
        return self.ours.pop(0)


class Work:
    """Notes what was done; what is signed elsewhere is due then."""

    def __init__(self, due: datetime = NOW + WEEK) -> None:
        self.done: list[str] = []
        self.due = due

    def sign(self) -> datetime:
        self.done.append("signed")
        return NOW + WEEK

    def publish(self) -> datetime:
        self.done.append("published")
        return self.due


def by_turns(duty: SetDuty, work: Work) -> PublishingByTurns:
    return PublishingByTurns(duty=duty, sign=work.sign, publish=work.publish, clock=StoppedClock())


def test_signs_while_on_duty_only() -> None:
    work = Work()
    turns = by_turns(SetDuty(True, False, True), work)
    assert not turns.on_duty
    for on_duty in (True, False, True):
        assert turns() == NOW + WEEK
        assert turns.on_duty is on_duty
    assert work.done == ["signed", "published", "signed"]


def test_standing_by_comes_again_soon_while_something_is_due() -> None:
    came_again = by_turns(SetDuty(False), Work(due=NOW - WEEK))()
    assert NOW < came_again <= NOW + timedelta(seconds=10)


def test_duty_that_cannot_be_asked_for_publishes_nothing() -> None:
    work = Work()
    with pytest.raises(StoreUnavailable):
        by_turns(SetDuty(), work)()
    assert work.done == []
