"""A base CRL of a million entries, and the delta CRL after a thousand more.

Each is signed, checked and published by a process of its own, so that its memory is its own:
``python -m tests.bench.crls DATA_DIR KIND`` is that process.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from ca.clock import SystemClock
from ca.folders import PkiFolder
from ca.opening import open_authority, open_store
from ca.records import CrlKind
from ca.settings import PkiSettings
from crl_publisher import Publication, SignedCrl

from .population import revoke


@dataclass(frozen=True, slots=True, kw_only=True)
class CrlFigures:
    """Seconds from the first look at the store until the CRL is signed and remembered, and memory."""

    entries: int
    megabytes: float
    signed: float
    published: float  # until it is checked and in its place, signing included
    memory: float  # megabytes at the most, of the whole process


@dataclass(frozen=True, slots=True, kw_only=True)
class CrlRun:
    """Both, and how many certificates a second were revoked."""

    base: CrlFigures
    delta: CrlFigures
    revoked_per_second: float


def bench_crls(data_dir: Path, count: int, *, more: int = 1000) -> CrlRun:
    """Revoke ``count`` of the certificates there are and sign a base; ``more``, and sign a delta."""
    store = open_store(PkiFolder(data_dir), PkiSettings(), durable=False)
    try:
        began = time.perf_counter()
        last = revoke(store, after_id=100, count=count)
        seconds = time.perf_counter() - began
    finally:
        store.close()
    base = _in_a_process(data_dir, CrlKind.BASE)
    store = open_store(PkiFolder(data_dir), PkiSettings(), durable=False)
    try:
        revoke(store, after_id=last, count=more)
    finally:
        store.close()
    delta = _in_a_process(data_dir, CrlKind.DELTA)
    return CrlRun(base=base, delta=delta, revoked_per_second=count / seconds)


def _in_a_process(data_dir: Path, kind: CrlKind) -> CrlFigures:
    command = [sys.executable, "-m", "tests.bench.crls", data_dir, kind.value]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, check=True)
    return CrlFigures(**json.loads(done.stdout))


def _sign(data_dir: Path, kind: CrlKind) -> CrlFigures:
    folder, settings, clock = PkiFolder(data_dir), PkiSettings(), SystemClock()
    authority = open_authority(folder, settings, clock=clock, entropy=os.urandom)
    publication = Publication(folder.published, clock)
    store = open_store(folder, settings)
    try:
        began = time.perf_counter()
        signed = authority.sign_crls(store, kind)
        at_signed = time.perf_counter()
    finally:
        store.close()
    names = {CrlKind.BASE: authority.locations.crl_file, CrlKind.DELTA: authority.locations.delta_crl_file}
    publication.publish(
        *(SignedCrl(name=names[one.kind], der=one.der, issuer=authority.certificate.der) for one in signed)
    )
    return CrlFigures(
        entries=signed[0].entries,
        megabytes=len(signed[0].der) / 1e6,
        signed=at_signed - began,
        published=time.perf_counter() - began,
        memory=_peak_memory(),
    )


def _peak_memory() -> float:
    """Return the megabytes this process had at the most.

    getrusage would tell those of the process that forked it, where it had more.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:  # not Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    (kilobytes,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(kilobytes) / 1024


if __name__ == "__main__":
    figures = _sign(Path(sys.argv[1]), CrlKind(sys.argv[2]))
    sys.stdout.write(json.dumps({name: getattr(figures, name) for name in CrlFigures.__slots__}))
