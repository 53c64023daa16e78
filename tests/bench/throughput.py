"""Enrolments a second of whatever serves SCEP: the same generator, the same messages, the same key sizes.

Messages are made beforehand by `lab.load`, which then sends them from one thread. Generator and server share
the processors, so that what the generator takes is told as well.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from flow.program import ProgramProcess, made_pki
from interop.lab_process import lab_process
from interop.scepserver import scep_server
from postgresql import running_postgresql

from ca.challenges import ChallengeBook
from ca.clock import SystemClock
from ca.folders import PkiFolder
from ca.opening import open_challenge_digest_key, open_store
from ca.settings import PkiSettings
from lab.load.messages import Kind, Prepared, Target
from lab.load.report import Latencies, LoadReport, summarise
from lab.load.running import LoadOrder, make_requests
from lab.load.sending import Load, send_all

CONCURRENCIES = (2, 8, 16)  # connections at once; the best counts, for whoever serves
_WARM_UP = 100
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Something that serves SCEP: ``processes`` and their children do the work.

    ``challenges`` makes so many; one is good for all where there is only one. ``all_must`` is False where
    some refusals are in its nature.
    """

    url: str
    processes: Sequence[int]
    challenges: Callable[[int], Sequence[str]] = field(repr=False)
    all_must: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """What came of the best of several loads; processor time is in milliseconds for each request."""

    per_second: float
    connections: int
    latencies: Latencies
    refused: int
    serving: float
    generating: float


def measure(served: Served, count: int) -> Throughput:
    """Send ``count`` enrolments with each number of connections, and return the best."""
    target = Target(url=served.url)
    requests = make_messages(target, served.challenges, _WARM_UP + count * len(CONCURRENCIES))
    send_all(target.url, requests[:_WARM_UP], Load())
    starts = range(_WARM_UP, len(requests), count)
    found = [
        _measured(served, requests[start : start + count], connections)
        for start, connections in zip(starts, CONCURRENCIES, strict=True)
    ]
    return max(found, key=lambda one: one.per_second)


def make_messages(
    target: Target, challenges: Callable[[int], Sequence[str]], count: int
) -> Sequence[Prepared]:
    """Return so many PKCSReq, each with a key of its own and, where they are good for one, a challenge."""
    order = LoadOrder(
        requests=count, mix={Kind.ENROL: 1}, load=Load(), challenges=challenges(count), warm_up=0
    )
    return make_requests(target, order, lambda *_: None)


def _measured(served: Served, requests: Sequence[Prepared], connections: int) -> Throughput:
    before, own = _cpu_seconds(served.processes), time.process_time()
    samples = send_all(served.url, requests, Load(concurrency=connections))
    own, serving = time.process_time() - own, _cpu_seconds(served.processes) - before
    report = summarise(served.url, samples, concurrency=connections, rate=None)
    _require_good(report, served.all_must)
    latencies = report.kinds[0].latencies
    if latencies is None:
        raise RuntimeError("nothing was granted")
    return Throughput(
        per_second=report.per_second,
        connections=connections,
        latencies=latencies,
        refused=report.requests - report.good,
        serving=1000 * serving / len(samples),
        generating=1000 * own / len(samples),
    )


def _require_good(report: LoadReport, all_must: bool) -> None:
    refused = report.requests - report.good
    if refused > (0 if all_must else report.requests // 2):
        raise RuntimeError(f"{refused} of {report.requests} were not granted: {report.kinds[0].problems}")


def openssl_signatures_per_second() -> float:
    """Return what two processes of `openssl speed` sign with RSA-2048 in a second."""
    command = ["openssl", "speed", "-seconds", "2", "-multi", "2", "rsa2048"]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    found = re.search(r"^rsa\s+2048 bits\s+\S+\s+\S+\s+([\d.]+)", done.stdout, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"openssl speed says {done.stdout!r}")
    return float(found[1])


# -- who serves ------------------------------------------------------------------------


@contextlib.contextmanager
def program(folder: Path, workers: int, database_url: str | None = None) -> Iterator[Served]:
    """Serve a new PKI with ``python -m scep_server``; its database is SQLite unless another is named."""
    settings = {} if database_url is None else {"PKI__DATABASE_URL": database_url}
    pki = made_pki(folder / "data", **({} if database_url is None else {"database_url": database_url}))
    running = ProgramProcess("scep_server", pki.path, folder / "log", workers=workers, settings=settings)
    try:
        yield Served(
            url=f"{running.url}/scep",
            processes=[running.process.pid],
            challenges=lambda count: _challenges(pki, PkiSettings(database_url=database_url), count),
        )
    finally:
        status = running.stop()
    if status:
        raise RuntimeError(f"it ended with status {status}:\n{running.log.read_text()}")


@contextlib.contextmanager
def program_on_postgresql(folder: Path, workers: int) -> Iterator[Served]:
    """Serve a new PKI in a PostgreSQL of its own, which works as durably as one that is installed."""
    with (
        running_postgresql(durable=True) as server,
        server.database() as url,
        program(folder, workers, url) as served,
    ):
        yield replace(served, processes=[*served.processes, server.process_id])


@contextlib.contextmanager
def lab(data_dir: Path) -> Iterator[Served]:
    """Serve a folder with ``ndes-lab up``."""
    with lab_process(data_dir.parent, "--data-dir", str(data_dir)) as running:
        yield Served(
            url=running.ready["scep_url"],
            processes=[running.ready["pid"]],
            challenges=lambda count: _challenges(PkiFolder(data_dir), PkiSettings(), count),
        )


@contextlib.contextmanager
def scepserver(folder: Path) -> Iterator[Served]:
    """Serve with Debian's scepserver, whose depot is no place for several at once: it refuses some."""
    challenge = "bench-secret"
    with scep_server(folder, challenge=challenge) as server:
        yield Served(
            url=server.scep_url,
            processes=[server.pid],
            challenges=lambda _: [challenge],
            all_must=False,
        )


def _challenges(pki: PkiFolder, settings: PkiSettings, count: int) -> Sequence[str]:
    """Return so many one-time challenges, made at the desk."""
    store = open_store(pki, settings)
    book = ChallengeBook(
        digest_key=open_challenge_digest_key(pki, settings), clock=SystemClock(), entropy=os.urandom
    )
    try:
        with store.transaction() as transaction:
            return [book.new(transaction, validity=timedelta(hours=1)).password for _ in range(count)]
    finally:
        store.close()


def _cpu_seconds(processes: Sequence[int]) -> float:
    """Return what processes and all that came of them have had of the processors so far."""
    ticks = 0
    for pid in processes:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
            ticks += round(_TICKS * _cpu_seconds(children(pid)))
    return ticks / _TICKS


def children(pid: int) -> list[int]:
    """Return the processes that a process has begun, in any of its threads."""
    found = (task.read_text() for task in Path(f"/proc/{pid}/task").glob("*/children"))
    return [int(child) for line in found for child in line.split()]
