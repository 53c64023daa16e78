"""Looking out for what other publishers do."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from ca.records import StoreUnavailable
from crl_publisher.lookout import Lookout


class Others:
    """What other processes do."""

    def __init__(self) -> None:
        self.signed = 1
        self.asked = 0
        self.told = 0
        self.away = False
        self.looked = threading.Event()

    def take_up(self) -> bool:
        self.asked += 1
        return False

    def news(self) -> int:
        if self.asked > 2:
            self.looked.set()
        if self.away:
            raise StoreUnavailable("gone")
        return self.signed

    def tell(self) -> None:
        self.told += 1


@pytest.fixture
def others() -> Others:
    return Others()


@pytest.fixture
def lookout(others: Others) -> Lookout:
    return Lookout(
        take_up=others.take_up, news=others.news, tell=others.tell, every=timedelta(milliseconds=1)
    )


def test_tells_once_of_what_another_has_signed(others: Others, lookout: Lookout) -> None:
    lookout.look()
    assert others.told == 1  # nothing was known
    lookout.look()
    assert others.told == 1
    others.signed = 2
    lookout.look()
    lookout.look()
    assert (others.told, others.asked) == (2, 4)


def test_looks_from_a_thread_until_it_is_stopped_also_while_the_database_is_away(
    others: Others, lookout: Lookout, caplog: pytest.LogCaptureFixture
) -> None:
    lookout.start()
    others.away = True
    assert others.looked.wait(60)
    lookout.stop()
    asked = others.asked
    assert asked > 2
    assert others.told == 0
    assert not any(thread.name == "lookout" for thread in threading.enumerate())
    assert "cannot be seen" in caplog.text


def test_may_be_stopped_before_it_has_begun(lookout: Lookout) -> None:
    lookout.stop()
