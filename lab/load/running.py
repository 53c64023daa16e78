"""A load from beginning to end: keys, messages, warm-up, the load itself, the report."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from .keys import keys_of, make_primes, primes_for
from .messages import CannotPrepare, Kind, Wish, prepare, questions
from .report import summarise
from .sending import Load, send_all

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .messages import Prepared, Target
    from .report import LoadReport


class Progress(Protocol):
    """Is told how far each stage is."""

    def __call__(self, stage: str, done: int, total: int, /) -> None:
        """Take note that so many of ``total`` are done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOrder:
    """A load that is wanted.

    ``mix`` is how many parts of the requests are of which kind. ``challenges`` are used one for each
    enrolment; a single one is used for all; none sends none. ``warm_up`` requests come first and do not
    count. ``processes`` make the messages.
    """

    requests: int
    mix: Mapping[Kind, int]
    load: Load
    challenges: Sequence[str] = field(repr=False, default=())
    warm_up: int = 20
    key_bits: int = 2048
    processes: int = 2

    @property
    def kinds(self) -> list[Kind]:
        """The kind of every request, warm-up first, evenly mixed."""
        pattern = _evenly(self.mix)
        return list(itertools.islice(itertools.cycle(pattern), self.warm_up + self.requests))

    @property
    def enrolments(self) -> int:
        """How many challenges are used up."""
        return sum(kind.is_message for kind in self.kinds)


def make_requests(target: Target, order: LoadOrder, progress: Progress) -> list[Prepared]:
    """Return every request of a load, warm-up first.

    Raises:
        CannotPrepare: the server cannot be used, or there are too few challenges.

    """
    kinds = order.kinds
    wishes = list(_wishes(order, kinds, progress))
    made = iter(
        prepare(
            target,
            wishes,
            processes=order.processes,
            progress=lambda done: progress("messages", done, len(wishes)),
        )
    )
    return [next(made) if kind.is_message else questions(target, kind) for kind in kinds]


def run(target: Target, requests: Sequence[Prepared], order: LoadOrder, progress: Progress) -> LoadReport:
    """Send the warm-up, then the load, and return the report on the load."""
    warm_up, counted = requests[: order.warm_up], requests[order.warm_up :]
    if warm_up:
        send_all(target.url, warm_up, Load(concurrency=order.load.concurrency, timeout=order.load.timeout))
    samples = send_all(target.url, counted, order.load, lambda done: progress("requests", done, len(counted)))
    return summarise(target.url, samples, concurrency=order.load.concurrency, rate=order.load.rate)


def _wishes(order: LoadOrder, kinds: Sequence[Kind], progress: Progress) -> Iterator[Wish]:
    messages = [kind for kind in kinds if kind.is_message]
    if len(order.challenges) > 1 and len(order.challenges) < len(messages):
        raise CannotPrepare(
            f"there are {len(order.challenges)} challenges for {len(messages)} enrolments; give one that is "
            "static, or as many as are needed"
        )
    wanted = len(messages) + sum(kind is Kind.RENEW for kind in messages)
    count = primes_for(wanted)
    primes = make_primes(count, order.key_bits, lambda done: progress("keys", done, count)) if wanted else []
    keys = keys_of(primes)
    challenges = itertools.cycle(order.challenges or (None,))
    run_name = os.urandom(3).hex()
    for number, kind in enumerate(messages):
        key = next(keys)
        renewed = next(keys) if kind is Kind.RENEW else None
        yield Wish.of(kind, key, next(challenges), f"CN=load-{run_name}-{number}", renewed)


def _evenly(mix: Mapping[Kind, int]) -> list[Kind]:
    """Return one round of a mix, its kinds as far apart from their like as can be."""
    placed = [
        ((turn + 0.5) / parts, place, kind)
        for place, (kind, parts) in enumerate(mix.items())
        for turn in range(parts)
    ]
    return [kind for _, _, kind in sorted(placed, key=lambda one: one[:2])]
