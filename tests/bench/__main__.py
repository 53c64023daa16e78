"""Run every benchmark and print the table: ``python -m tests.bench [--certificates N]``."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the forge and the foreign servers

from forge.keys import KeyPool
from rich.console import Console
from rich.table import Table

from ca.folders import PkiFolder
from ca.opening import open_issuing_certificates

from . import crls, enrolment, labs, observing, ocsp, population

_OPERATIONS = 3  # private RSA operations in one enrolment: open the envelope, sign certificate and reply
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
    count: int = parser.parse_args().certificates
    run = Run(Console(stderr=True), count)
    with tempfile.TemporaryDirectory(prefix="ndes-lab-bench-") as folder:
        _measure(run, Path(folder))
    _print(run)


def _measure(run: Run, folder: Path) -> None:
    with run.at("keys for the clients"):
        keys = KeyPool(primes=64)  # each pair of primes is a key
    data_dir = folder / "lab" / "data"
    data_dir.parent.mkdir()
    _throughput(run, folder, data_dir, keys)
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


def _throughput(run: Run, folder: Path, data_dir: Path, keys: KeyPool) -> None:
    with run.at("enrolments a second"):
        ours = enrolment.measure_throughput(data_dir, keys, 600, clients=8)
    with run.at("openssl speed"):
        bound = enrolment.openssl_signatures_per_second() / _OPERATIONS
    run.add("PKIOperation a second, 8 clients, durable store", f"{ours:,.0f}")
    share = ours / bound
    run.add("  of what openssl speed -multi 2 rsa2048 allows", f"{share:.2f}", "0.40", share >= 0.40)
    if shutil.which("scepserver") is None:
        run.add("  against scepserver", "scepserver is not installed")
        return
    with run.at("enrolments a second, scepserver"):
        found = []
        for clients in (2, 8):
            place = folder / f"scepserver-{clients}"
            place.mkdir()
            found.append(enrolment.measure_scepserver(place, keys, 200, clients=clients))
        theirs = max(found)
    times = ours / theirs
    run.add(
        f"  against scepserver ({theirs:,.0f} a second at best)", f"{times:.1f} times", "3 times", times >= 3
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
