"""How long a test waits for its lab: the first start in a process, and each reset after it."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from lab_client import enrolled

from lab import ScepLab

_STARTS = 3
_RESETS = 50
_ENROLMENTS = 50
_PROGRAM = """
import time
began = time.perf_counter()
from lab import ScepLab
with ScepLab() as scep_lab:
    print(time.perf_counter() - began)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabFigures:
    """Seconds: from nothing loaded to a lab that answers, and from a used lab to one as new.

    ``reset_after_use`` is that of a lab where many certificates were issued.
    """

    first_start: float
    reset: float
    reset_after_use: float


def bench_labs() -> LabFigures:
    """Return medians over a few processes, and over many resets of one lab."""
    starts = [
        float(subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, check=True).stdout)
        for _ in range(_STARTS)
    ]
    with ScepLab() as scep_lab:
        took = [_reset_after(scep_lab, lambda: scep_lab.new_challenge()) for _ in range(_RESETS)]
        after_use = [_reset_after(scep_lab, lambda: _enrol(scep_lab)) for _ in range(_RESETS // 10)]
    return LabFigures(
        first_start=statistics.median(starts),
        reset=statistics.median(took),
        reset_after_use=statistics.median(after_use),
    )


def _reset_after(scep_lab: ScepLab, use: Callable[[], object]) -> float:
    use()
    began = time.perf_counter()
    scep_lab.reset()
    return time.perf_counter() - began


def _enrol(scep_lab: ScepLab) -> None:
    for number in range(_ENROLMENTS):
        enrolled(scep_lab, f"CN=device-{number}", key=number)
