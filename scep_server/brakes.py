"""What slows down whoever asks too often, or guesses challenge passwords.

Lives here: how many requests an address may send (`RequestRate`), when challenges are no longer asked
for because too many were wrong (`ChallengeBrake`), and both by the settings (`Brakes`). All of it is
kept in memory, so that several processes each count for themselves and a restart begins anew; it is
bounded, and what was longest ago is forgotten first. Time comes in as a value: it may go back.

Does not live here: what a client is told (`scep_server.outcomes`), and how many requests may wait for
approval, which the database counts.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import structlog

from .addresses import client_address
from .transport import TooManyRequests

if TYPE_CHECKING:
    from datetime import datetime

    from .settings import BrakeSettings

_log = structlog.get_logger(__name__)
_Entry = TypeVar("_Entry")

REMEMBERED: Final = 10_000  # addresses; a network of more has more than one client
_DISORDER: Final = timedelta(minutes=1)
"""How far requests that are worked on at once may come out of order; beyond, the clock was put back."""
_MAXIMUM_DOUBLINGS: Final = 20
_NOTHING: Final = timedelta()


class _Remembered(Generic[_Entry]):
    """Entries by key, so many and no more; not safe by itself."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> _Entry | None:
        return self._entries.get(key)

    def put(self, key: str, entry: _Entry) -> None:
        """Remember ``entry`` as the newest; forget the oldest where there are too many."""
        self._entries[key] = entry
        self._entries.move_to_end(key)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)

    def forget(self, key: str) -> None:
        self._entries.pop(key, None)


class RequestRate:
    """A bucket of tokens for each address: a request takes one, and time brings them back.

    Safe to use from several threads.

    Args:
        per_minute: requests that an address may send for ever.
        burst: requests that it may send at once after a while of silence.
        remembered: addresses that are kept in mind; one that is forgotten has a full bucket.

    """

    def __init__(self, *, per_minute: int, burst: int, remembered: int = REMEMBERED) -> None:
        self._pause = timedelta(minutes=1) / per_minute
        self._full = self._pause * burst
        self._free_at: _Remembered[datetime] = _Remembered(remembered)  # when the bucket is full again
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return how many addresses are kept in mind."""
        return len(self._free_at)

    def take(self, address: str, now: datetime) -> timedelta:
        """Let one request in, or return how long it is until one is let in."""
        with self._lock:
            full_at = self._free_at.get(address)
            if full_at is None or full_at < now or full_at - now > self._full + _DISORDER:
                full_at = now
            wait = full_at + self._pause - now - self._full
            if wait > _NOTHING:
                return wait
            self._free_at.put(address, full_at + self._pause)
        return _NOTHING


@dataclass(slots=True)
class _Guesses:
    wrong_at: deque[datetime]
    last: datetime
    holds: int = 0
    held_until: datetime | None = field(default=None)

    def quiet_since(self) -> datetime:
        return max(self.last, self.held_until or self.last)


class ChallengeBrake:
    """Counts wrong challenges under a key, and says when no more are to be looked at.

    After ``limit`` of them within ``window`` the key is held for ``first_hold``. Once it has been held,
    each further wrong one holds it twice as long as the last time, up to ``longest_hold``, until it was
    quiet for a whole window after a hold. A good challenge resets nothing: whoever has one could guess
    on for ever. What is refused while held does not count. Safe to use from several threads; as many
    more are looked at as there are threads with one when the limit is reached.
    """

    def __init__(
        self,
        *,
        limit: int,
        window: timedelta,
        first_hold: timedelta,
        longest_hold: timedelta,
        remembered: int = REMEMBERED,
    ) -> None:
        self._limit = limit
        self._window = window
        self._first_hold = first_hold
        self._longest_hold = longest_hold
        self._guesses: _Remembered[_Guesses] = _Remembered(remembered)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return how many keys are kept in mind."""
        return len(self._guesses)

    def is_held(self, key: str, now: datetime) -> bool:
        """Tell whether challenges under this key are refused without looking."""
        with self._lock:
            found = self._current(key, now)
            return found is not None and found.held_until is not None and now < found.held_until

    def note_wrong(self, key: str, now: datetime) -> timedelta:
        """Count a wrong challenge; return how long the key is held from now on because of it."""
        with self._lock:
            found = self._current(key, now) or _Guesses(deque(maxlen=self._limit), now)
            if found.held_until is not None and now < found.held_until:
                return _NOTHING  # was being looked at when the hold began
            found.wrong_at.append(now)
            found.last = max(found.last, now)
            self._guesses.put(key, found)
            if not found.holds and not self._is_too_much(found, now):
                return _NOTHING
            doublings = min(found.holds, _MAXIMUM_DOUBLINGS)
            hold = min(self._first_hold * (1 << doublings), self._longest_hold)
            found.holds += 1
            found.held_until = now + hold
            return hold

    def _is_too_much(self, found: _Guesses, now: datetime) -> bool:
        return len(found.wrong_at) == self._limit and now - found.wrong_at[0] <= self._window

    def _current(self, key: str, now: datetime) -> _Guesses | None:
        """Return what still counts of a key; nothing after a quiet window, or when the clock was put back."""
        found = self._guesses.get(key)
        if found is None:
            return None
        if now - found.quiet_since() <= self._window and found.last - now <= _DISORDER:
            return found
        self._guesses.forget(key)
        return None


class Brakes:
    """Both brakes as the settings want them; neither, where they are not enabled."""

    def __init__(self, settings: BrakeSettings) -> None:
        self._trusted_proxies = settings.trusted_proxies
        self._rate: RequestRate | None = None
        self._of_address: ChallengeBrake | None = None
        self._of_endpoint: ChallengeBrake | None = None
        if not settings.enabled:
            return
        if settings.requests_per_minute is not None:
            self._rate = RequestRate(per_minute=settings.requests_per_minute, burst=settings.burst)
        self._of_address = _challenge_brake(settings, settings.wrong_challenges_per_address)
        self._of_endpoint = _challenge_brake(settings, settings.wrong_challenges_per_endpoint)

    def client_address(self, peer: str, forwarded_for: str) -> str:
        """Return what a client is counted under, as `scep_server.addresses.client_address` does."""
        return client_address(peer, forwarded_for, self._trusted_proxies)

    def admit(self, address: str, now: datetime) -> None:
        """Let a request in.

        Raises:
            TooManyRequests: the address sends more than it may; says when to come back.

        """
        wait = _NOTHING if self._rate is None else self._rate.take(address, now)
        if wait > _NOTHING:
            seconds = math.ceil(wait.total_seconds())
            raise TooManyRequests(
                f"brake: more requests than one address may send, expected none for {seconds} s",
                retry_after_seconds=seconds,
            )

    def hold_challenges(self, address: str, endpoint: str, now: datetime) -> bool:
        """Tell whether challenges from this address at this endpoint are refused without looking."""
        pairs = ((self._of_address, address), (self._of_endpoint, endpoint))
        return any(brake is not None and brake.is_held(key, now) for brake, key in pairs)

    def note_wrong_challenge(self, address: str, endpoint: str, now: datetime) -> None:
        """Count a wrong challenge; a hold that begins is a warning in the log."""
        for brake, key in ((self._of_address, address), (self._of_endpoint, endpoint)):
            held = _NOTHING if brake is None else brake.note_wrong(key, now)
            if held > _NOTHING:
                _log.warning(
                    "too many wrong challenges: none is looked at for a while",
                    all_of="address" if brake is self._of_address else "endpoint",
                    address=ascii(address),
                    endpoint=endpoint,
                    seconds=round(held.total_seconds()),
                )


def _challenge_brake(settings: BrakeSettings, limit: int | None) -> ChallengeBrake | None:
    if limit is None:
        return None
    return ChallengeBrake(
        limit=limit,
        window=timedelta(minutes=settings.challenge_window_minutes),
        first_hold=timedelta(seconds=settings.first_hold_seconds),
        longest_hold=timedelta(minutes=settings.longest_hold_minutes),
    )
