"""How much memory a worker takes, enrolment after enrolment: a hundred thousand of them, each a real one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.load.keys import keys_of, make_primes, primes_for
from lab.load.messages import Kind, Target, Wish, prepare
from lab.load.sending import Load, send_all

from .throughput import Served, children, program

MARKS = (10_000, 50_000, 100_000)
_PIECE = 5_000  # messages that are made, and then sent
_BITS = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Megabytes that a worker has of the machine's memory after so many enrolments."""

    enrolments: int
    megabytes: float


def bench_memory(folder: Path, done: Callable[[int], None], marks: Sequence[int] = MARKS) -> list[Mark]:
    """Enrol new devices at one worker up to the last of ``marks``, and return its memory at each."""
    wishes = _wishes(marks[-1])
    found = []
    with program(folder, workers=1) as served:
        for before, mark in itertools.pairwise((0, *marks)):
            for begun in range(before, mark, _PIECE):
                _enrol(served, wishes, min(_PIECE, mark - begun))
                done(min(begun + _PIECE, mark))
            worker = max(children(served.processes[0]), key=_resident)  # beside Python's resource tracker
            found.append(Mark(enrolments=mark, megabytes=_resident(worker)))
    return found


def growth(marks: Sequence[Mark]) -> float:
    """Return the megabytes that 1,000 enrolments added between the last two marks."""
    earlier, last = marks[-2:]
    return 1000 * (last.megabytes - earlier.megabytes) / (last.enrolments - earlier.enrolments)


def _wishes(count: int) -> Iterator[Callable[[str], Wish]]:
    """Yield what makes a wish of a challenge, each for a device of its own."""
    keys = keys_of(make_primes(primes_for(count), _BITS))
    for number, key in enumerate(keys):
        yield lambda challenge, key=key, number=number: Wish.of(
            Kind.ENROL, key, challenge, f"CN=device-{number}"
        )


def _enrol(served: Served, wishes: Iterator[Callable[[str], Wish]], count: int) -> None:
    target = Target(url=served.url)
    challenges = served.challenges(count)
    wanted = [
        wish(challenge) for wish, challenge in zip(itertools.islice(wishes, count), challenges, strict=True)
    ]
    samples = send_all(target.url, prepare(target, wanted, processes=2), Load())
    problems = {sample.problem for sample in samples if sample.problem}
    if problems:
        raise RuntimeError(f"not all of {count} were granted: {problems}")


def _resident(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    kibibytes = next(line.split()[1] for line in lines if line.startswith("VmRSS"))
    return int(kibibytes) / 1024
