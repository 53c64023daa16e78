"""How long a test waits for its lab: the first start in a process, and each reset after it."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

_STARTS = 3
_RESETS = 50
_PROGRAM = """
import time
began = time.perf_counter()
from lab import ScepLab
with ScepLab() as scep_lab:
    print(time.perf_counter() - began)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabFigures:
    """Seconds: from nothing loaded to a lab that answers, and from a used lab to one as new."""

    first_start: float
    reset: float


def bench_labs() -> LabFigures:
    """Return medians over a few processes, and over many resets of one lab."""
    from lab import ScepLab

    starts = [
        float(subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, check=True).stdout)
        for _ in range(_STARTS)
    ]
    took = []
    with ScepLab() as scep_lab:
        for _ in range(_RESETS):
            scep_lab.new_challenge()
            began = time.perf_counter()
            scep_lab.reset()
            took.append(time.perf_counter() - began)
    return LabFigures(first_start=statistics.median(starts), reset=statistics.median(took))
