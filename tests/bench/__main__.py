"""Run every benchmark and print the table: ``python -m tests.bench [--certificates N | --memory]``."""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the forge and the foreign servers

from forge.keys import KeyPool
from rich.console import Console
from rich.table import Table

from ca.folders import PkiFolder
from ca.opening import open_issuing_certificates

from . import crls, enrolment, labs, memory, observing, ocsp, population, throughput

_OPERATIONS = 3  # private RSA operations in one enrolment: open the envelope, sign certificate and reply
_FLAT_KB = 20  # that memory may grow by for each 1,000 enrolments, in the end
_SPARE = 1_000  # certificates beyond those on the base CRL, for the delta


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    found: str
    budget: str = ""
    kept: bool | None = None


class Run:
    """One run: says what it is at, and collects rows."""

    def __init__(self, console: Console, count: int) -> None:
        self.console = console
        self.count = count
        self.rows: list[Row] = []

    @contextmanager
    def at(self, what: str) -> Iterator[None]:
        """Say what is measured, and how long that took."""
        began = time.perf_counter()
        with self.console.status(what):
            yield
        self.console.print(f"{what}: {time.perf_counter() - began:.0f} s", style="dim", highlight=False)

    def add(self, what: str, found: str, budget: str = "", kept: bool | None = None) -> None:
        """Add a line; ``kept`` tells whether the budget was."""
        self.rows.append(Row(what, found, budget, kept))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--certificates", type=int, default=1_000_000, metavar="N", help="how many there are")
    parser.add_argument("--memory", action="store_true", help="only what 100,000 enrolments do to a worker")
    arguments = parser.parse_args()
    run = Run(Console(stderr=True), arguments.certificates)
    with tempfile.TemporaryDirectory(prefix="ndes-lab-bench-") as folder:
        (_memory if arguments.memory else _measure)(run, Path(folder))
    _print(run)
    if not arguments.memory:
        run.console.print("Memory over 100,000 enrolments, a quarter of an hour: make bench ARGS=--memory")


def _measure(run: Run, folder: Path) -> None:
    with run.at("keys for the clients"):
        keys = KeyPool(primes=64)  # each pair of primes is a key
    data_dir = folder / "lab" / "data"
    data_dir.parent.mkdir()
    _throughput(run, folder, data_dir)
    _first_certificate(run, folder, keys)
    _latency(run, data_dir, keys)
    _crls(run, data_dir)
    shutil.rmtree(data_dir)
    _observing(run, folder)
    with run.at("OCSP answers"):
        figures = ocsp.bench_ocsp()
    run.add("OCSP answers a second, each signed", f"{figures.signed:,.0f}")
    run.add("OCSP answers a second, signatures used again", f"{figures.reused:,.0f}")
    with run.at("labs in tests"):
        life = labs.bench_labs()
    run.add("ScepLab(): first start", f"{life.first_start:.2f} s", "0.5 s", life.first_start <= 0.5)
    run.add("ScepLab(): reset", f"{life.reset * 1000:.1f} ms", "5 ms", life.reset <= 0.005)
    used = life.reset_after_use
    run.add("ScepLab(): reset after 50 enrolments", f"{used * 1000:.1f} ms", "5 ms", used <= 0.005)


def _throughput(run: Run, folder: Path, data_dir: Path) -> None:
    bounds = [_bound(run)]
    theirs = _scepserver(run, folder / "scepserver")
    found = {"ndes-lab up": _served(run, "ndes-lab up", throughput.lab(data_dir), 600)}
    for workers in (1, 2):
        name = f"scep_server, {workers} worker{'s' * (workers > 1)}"
        place = _place(folder, f"sqlite-{workers}")
        found[f"{name}, SQLite"] = _served(run, name, throughput.program(place, workers), 1_000)
        place = _place(folder, f"postgresql-{workers}")
        serving = throughput.program_on_postgresql(place, workers)
        found[f"{name}, PostgreSQL"] = _served(run, name, serving, 1_000)
    bounds.append(_bound(run))
    bound = max(bounds)
    run.add("Enrolments a second that openssl speed -multi 2 allows", f"{bound:,.0f}")
    if theirs is None:
        run.add("Enrolments a second, scepserver", "scepserver is not installed")
    else:
        run.add("Enrolments a second, scepserver", _shown(theirs))
        run.add("  of what openssl speed allows", f"{theirs.per_second / bound:.2f}")
    for name, ours in found.items():
        run.add(f"Enrolments a second, {name}", _shown(ours))
        share = ours.per_second / bound
        run.add("  of what openssl speed allows", f"{share:.2f}", "0.40", share >= 0.40)
        if theirs is not None:
            times = ours.per_second / theirs.per_second
            run.add("  times scepserver's", f"{times:.1f}", "3", times >= 3)


def _scepserver(run: Run, folder: Path) -> throughput.Throughput | None:
    if shutil.which("scepserver") is None:
        return None
    folder.mkdir()
    return _served(run, "scepserver", throughput.scepserver(folder), 300)


def _served(
    run: Run, name: str, serving: AbstractContextManager[throughput.Served], count: int
) -> throughput.Throughput:
    with run.at(f"enrolments a second, {name}"), serving as served:
        return throughput.measure(served, count)


def _place(folder: Path, name: str) -> Path:
    place = folder / name
    place.mkdir()
    return place


def _bound(run: Run) -> float:
    """Return how many enrolments two processors could sign for in a second, did they nothing else."""
    with run.at("openssl speed"):
        return throughput.openssl_signatures_per_second() / _OPERATIONS


def _shown(found: throughput.Throughput) -> str:
    took = found.latencies
    refused = f", {found.refused} refused" if found.refused else ""
    return (
        f"{found.per_second:,.0f}{refused}; p50 {took.p50:.0f}, p95 {took.p95:.0f}, p99 {took.p99:.0f} ms; "
        f"CPU {found.serving:.1f} + {found.generating:.1f} ms"
    )


def _first_certificate(run: Run, folder: Path, keys: KeyPool) -> None:
    with run.at("ndes-lab up to the first certificate"):
        took = statistics.median(
            enrolment.first_certificate(_place(folder, f"first-{number}"), keys) for number in range(3)
        )
    run.add("ndes-lab up from nothing to the first certificate", f"{took:.2f} s", "2 s", took <= 2)


def _memory(run: Run, folder: Path) -> None:
    with run.at("memory of a worker"):
        marks = memory.bench_memory(
            folder, lambda done: run.console.print(f"{done:,} enrolments", style="dim", highlight=False)
        )
    for mark in marks:
        run.add(f"Memory of a worker after {mark.enrolments:,} enrolments", f"{mark.megabytes:.1f} MB")
    more = memory.growth(marks)
    run.add(
        "  more for each 1,000 in the end", f"{1000 * more:.0f} kB", f"{_FLAT_KB} kB", 1000 * more <= _FLAT_KB
    )


def _latency(run: Run, data_dir: Path, keys: KeyPool) -> None:
    with run.at(f"{run.count:,} certificates"):
        folder = PkiFolder(data_dir)
        present = open_issuing_certificates(folder)[0]
        key_id = (present.subject_key_id or b"").hex()
        population.populate(folder.store, key_id, run.count + _SPARE)
    with run.at(f"enrolment, empty and with {run.count:,} certificates"):
        nothing = data_dir.parent.parent / "empty" / "data"
        nothing.parent.mkdir()
        empty, full = enrolment.compare_latencies((nothing, data_dir), keys, 250)
    shown = "{0.median:.1f} ms median, {0.mean:.1f} ms mean"
    run.add("Enrolment, empty store", shown.format(empty))
    run.add(f"Enrolment, {run.count:,} certificates", shown.format(full))
    ratio = full.median / empty.median
    run.add("  times the empty store's, median", f"{ratio:.2f}", "1.3", ratio <= 1.3)
    run.add("  times the empty store's, mean", f"{full.mean / empty.mean:.2f}")


def _crls(run: Run, data_dir: Path) -> None:
    with run.at(f"CRLs of {run.count:,} entries"):
        found = crls.bench_crls(data_dir, run.count, more=_SPARE)
    base, delta = found.base, found.delta
    run.add("Revocations a second, in bulk", f"{found.revoked_per_second:,.0f}")
    name = f"Base CRL, {base.entries:,} entries, {base.megabytes:.0f} MB"
    run.add(f"{name}: signed", f"{base.signed:.2f} s", "5 s", base.signed <= 5)
    run.add("  checked and published as well", f"{base.published:.2f} s", "5 s", base.published <= 5)
    run.add("  memory of the process", f"{base.memory:.0f} MB", "600 MB", base.memory <= 600)
    name = f"Delta CRL, {delta.entries:,} entries"
    run.add(f"{name}: signed", f"{delta.signed:.3f} s", "0.2 s", delta.signed <= 0.2)
    run.add("  checked and published as well", f"{delta.published:.3f} s")


def _observing(run: Run, folder: Path) -> None:
    with run.at("what watching costs"):
        costs = observing.measure(folder)
    watching = costs.context + costs.counters
    run.add("An enrolment's log context and counters", f"{watching:.0f} us", "20 us", watching <= 20)
    run.add("  its line in the log, JSON", f"{costs.line:.0f} us")


def _print(run: Run) -> None:
    table = Table("", "measured", "budget", "", box=None, pad_edge=False, header_style="bold")
    for row in run.rows:
        verdict = "" if row.kept is None else "kept" if row.kept else "missed"
        table.add_row(row.what, row.found, row.budget, verdict)
    Console(width=None if sys.stdout.isatty() else 110).print(table)


if __name__ == "__main__":
    main()
