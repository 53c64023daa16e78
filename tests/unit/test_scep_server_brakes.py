"""Rates and holds by a clock that is moved by hand."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scep_server.brakes import Brakes, ChallengeBrake, RequestRate
from scep_server.settings import BrakeSettings
from scep_server.transport import TooManyRequests

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
NOTHING = timedelta()
WINDOW = 10 * MINUTE


def at(**later: float) -> datetime:
    return NOW + timedelta(**later)


def rate(**changes: int) -> RequestRate:
    return RequestRate(**{"per_minute": 60, "burst": 3, **changes})


def brake(**changes: int) -> ChallengeBrake:
    return ChallengeBrake(
        **{"limit": 3, "remembered": 100, **changes},
        window=WINDOW,
        first_hold=30 * SECOND,
        longest_hold=5 * MINUTE,
    )


# -- requests --------------------------------------------------------------------------


def test_lets_a_burst_in_and_then_one_at_a_time() -> None:
    requests = rate()
    assert [requests.take("a", NOW) for _ in range(4)] == [NOTHING] * 3 + [SECOND]
    assert requests.take("a", at(seconds=0.25)) == 0.75 * SECOND
    assert requests.take("a", at(seconds=1)) == NOTHING
    assert requests.take("a", at(seconds=1)) == SECOND


def test_waiting_as_long_as_told_is_enough() -> None:
    requests = rate(per_minute=7, burst=1)
    now = NOW
    for _ in range(20):
        assert requests.take("a", now) == NOTHING
        now += requests.take("a", now)


def test_refused_requests_cost_nothing() -> None:
    requests = rate()
    for _ in range(100):
        requests.take("a", NOW)
    assert requests.take("a", at(seconds=1)) == NOTHING


def test_addresses_do_not_disturb_each_other() -> None:
    requests = rate(burst=1)
    assert requests.take("a", NOW) == NOTHING
    assert requests.take("b", NOW) == NOTHING


def test_silence_saves_no_more_than_a_burst() -> None:
    requests = rate()
    requests.take("a", NOW)
    assert [requests.take("a", at(days=9)) for _ in range(4)] == [NOTHING] * 3 + [SECOND]


def test_clock_put_back_locks_nobody_out() -> None:
    requests = rate()
    for _ in range(3):
        requests.take("a", at(days=400))
    assert [requests.take("a", NOW) for _ in range(4)] == [NOTHING] * 3 + [SECOND]


def test_requests_out_of_order_get_no_more_in() -> None:
    requests = rate()
    taken = [requests.take("a", at(seconds=-0.1 * (number % 2))) for number in range(20)]
    assert taken.count(NOTHING) == 3


@given(
    steps=st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 5)), max_size=60),
    burst=st.integers(1, 5),
)
def test_nobody_gets_more_in_than_burst_and_rate(steps: list[tuple[str, float]], burst: int) -> None:
    requests, now = rate(burst=burst), NOW
    let_in = dict.fromkeys("abc", 0)
    for address, pause in steps:
        now += timedelta(seconds=pause)
        let_in[address] += requests.take(address, now) == NOTHING
    assert all(number <= burst + (now - NOW) / SECOND for number in let_in.values())


@given(keys=st.lists(st.text(max_size=3)))
def test_remembers_so_many_addresses_and_no_more(keys: list[str]) -> None:
    requests, challenges = rate(remembered=5), brake(remembered=5)
    for key in keys:
        requests.take(key, NOW)
        challenges.note_wrong(key, NOW)
        assert max(len(requests), len(challenges)) <= 5
    assert len(requests) == len(challenges) == min(5, len(set(keys)))


def test_the_address_that_was_silent_longest_is_forgotten_first() -> None:
    requests = rate(burst=1, remembered=2)
    for address in ("a", "b", "c"):
        requests.take(address, NOW)
    assert requests.take("c", NOW) > NOTHING
    assert requests.take("b", NOW) > NOTHING
    assert requests.take("a", NOW) == NOTHING


def at_once(call: Callable[[], object], times: int) -> list[object]:
    """Return the results of calls that begin together in as many threads."""
    together = Barrier(times)

    def wait_and_call() -> object:
        together.wait()
        return call()

    with ThreadPoolExecutor(times) as pool:
        return [future.result() for future in [pool.submit(wait_and_call) for _ in range(times)]]


def test_threads_get_no_more_in_than_the_burst() -> None:
    requests = rate(burst=7)
    assert at_once(lambda: requests.take("a", NOW), 32).count(NOTHING) == 7


# -- challenges ------------------------------------------------------------------------


def test_holds_after_so_many_wrong_ones_in_the_window() -> None:
    challenges = brake()
    assert [challenges.note_wrong("a", at(minutes=each)) for each in (0, 5)] == [NOTHING, NOTHING]
    assert not challenges.is_held("a", at(minutes=10))
    assert challenges.note_wrong("a", at(minutes=10)) == 30 * SECOND
    assert challenges.is_held("a", at(minutes=10, seconds=29))
    assert not challenges.is_held("a", at(minutes=10, seconds=30))
    assert not challenges.is_held("b", at(minutes=10))


def test_typing_errors_far_apart_hold_nobody() -> None:
    challenges = brake()
    for number in range(50):
        assert challenges.note_wrong("a", at(minutes=5.1 * number)) == NOTHING


def test_each_further_wrong_one_doubles_the_hold_up_to_the_longest() -> None:
    challenges, now = brake(), NOW
    for _ in range(2):
        challenges.note_wrong("a", now)
    holds = []
    for _ in range(40):
        holds.append(challenges.note_wrong("a", now))
        now += holds[-1]
    seconds = [round(hold.total_seconds()) for hold in holds]
    assert seconds[:6] == [30, 60, 120, 240, 300, 300]
    assert set(seconds[6:]) == {300}


def test_a_quiet_window_after_the_hold_begins_anew() -> None:
    challenges = brake()
    for _ in range(3):
        challenges.note_wrong("a", NOW)
    again = at(minutes=10, seconds=31)
    assert [challenges.note_wrong("a", again) for _ in range(3)] == [NOTHING, NOTHING, 30 * SECOND]


def test_guesses_that_were_being_looked_at_when_the_hold_began_do_not_lengthen_it() -> None:
    challenges = brake()
    told = at_once(lambda: challenges.note_wrong("a", NOW), 16)
    assert sorted(told) == [NOTHING] * 15 + [30 * SECOND]  # type: ignore[type-var]
    assert not challenges.is_held("a", at(seconds=30))


def test_clock_put_back_ends_a_hold() -> None:
    challenges = brake()
    for _ in range(3):
        challenges.note_wrong("a", at(days=400))
    assert not challenges.is_held("a", NOW)


def test_clock_put_forward_ends_a_hold() -> None:
    challenges = brake()
    for _ in range(3):
        challenges.note_wrong("a", NOW)
    assert not challenges.is_held("a", at(days=400))


def test_asking_does_not_count() -> None:
    challenges = brake()
    for _ in range(99):
        assert not challenges.is_held("a", NOW)
    assert len(challenges) == 0


@given(pauses=st.lists(st.floats(0, 1200), max_size=80))
def test_no_run_of_guesses_gets_further_than_the_limit_and_the_holds(pauses: list[float]) -> None:
    """Of guesses within one window no more are looked at than the limit and one for each hold that ended."""
    challenges, now, looked_at = brake(), NOW, list[datetime]()
    for pause in pauses:
        now += timedelta(seconds=pause)
        if not challenges.is_held("a", now):
            challenges.note_wrong("a", now)
            looked_at.append(now)
    for first in looked_at:
        within = [one for one in looked_at if first <= one <= first + WINDOW]
        assert len(within) <= 3 + 2 + 4  # 3, and then after 30, 60, 120, 240 and 300 seconds


# -- both, by the settings -------------------------------------------------------------


def settings(**changes: object) -> BrakeSettings:
    return BrakeSettings.model_validate({"enabled": True, **changes})


def test_nothing_is_braked_unless_enabled() -> None:
    brakes = Brakes(BrakeSettings(requests_per_minute=1, burst=1, wrong_challenges_per_address=1))
    for _ in range(9):
        brakes.admit("a", NOW)
        brakes.note_wrong_challenge("a", "default", NOW)
    assert not brakes.hold_challenges("a", "default", NOW)


def test_each_brake_can_be_had_alone() -> None:
    alone = {"requests_per_minute": None, "wrong_challenges_per_address": None}
    brakes = Brakes(settings(**alone, wrong_challenges_per_endpoint=1))
    for _ in range(999):
        brakes.admit("a", NOW)
    brakes.note_wrong_challenge("a", "default", NOW)
    assert brakes.hold_challenges("b", "default", NOW)
    assert not brakes.hold_challenges("a", "other", NOW)


def test_address_is_held_at_every_endpoint() -> None:
    brakes = Brakes(settings(wrong_challenges_per_address=1))
    brakes.note_wrong_challenge("a", "default", NOW)
    assert brakes.hold_challenges("a", "other", NOW)
    assert not brakes.hold_challenges("b", "default", NOW)


def test_says_in_whole_seconds_when_to_come_back() -> None:
    brakes = Brakes(settings(requests_per_minute=40, burst=1))
    brakes.admit("a", NOW)
    with pytest.raises(TooManyRequests) as refused:
        brakes.admit("a", NOW)
    assert refused.value.retry_after_seconds == 2
    brakes.admit("a", at(seconds=2))
