"""What came of a load, for people and for machines."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .sending import Sample


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Latencies(_Model):
    """Milliseconds that answers took; quantiles are nearest ranks."""

    p50: float
    p95: float
    p99: float
    longest: float
    mean: float


class KindReport(_Model):
    """What came of the requests of one kind. ``latencies`` are of those that went well."""

    kind: str
    requests: int
    good: int
    per_second: float
    latencies: Latencies | None
    problems: dict[str, int]


class LoadReport(_Model):
    """What came of a load; ``per_second`` counts what went well, over ``seconds`` from first to last."""

    url: str
    concurrency: int
    rate: float | None
    seconds: float
    requests: int
    good: int
    per_second: float
    kinds: tuple[KindReport, ...]


def summarise(url: str, samples: Sequence[Sample], *, concurrency: int, rate: float | None) -> LoadReport:
    """Return the report on samples; at least one of them."""
    seconds = max(sample.at for sample in samples)
    kinds = tuple(
        _of_kind(kind, [sample for sample in samples if sample.kind.value == kind], seconds)
        for kind in dict.fromkeys(sample.kind.value for sample in samples)
    )
    good = sum(kind.good for kind in kinds)
    return LoadReport(
        url=url,
        concurrency=concurrency,
        rate=rate,
        seconds=round(seconds, 3),
        requests=len(samples),
        good=good,
        per_second=round(good / seconds, 2),
        kinds=kinds,
    )


def _of_kind(kind: str, samples: Sequence[Sample], seconds: float) -> KindReport:
    took = sorted(sample.seconds for sample in samples if not sample.problem)
    problems = Counter(sample.problem for sample in samples if sample.problem)
    return KindReport(
        kind=kind,
        requests=len(samples),
        good=len(took),
        per_second=round(len(took) / seconds, 2),
        latencies=_latencies(took) if took else None,
        problems=dict(problems.most_common()),
    )


def _latencies(took: Sequence[float]) -> Latencies:
    def quantile(part: float) -> float:
        return round(1000 * took[math.ceil(part * len(took)) - 1], 3)

    return Latencies(
        p50=quantile(0.5),
        p95=quantile(0.95),
        p99=quantile(0.99),
        longest=round(1000 * took[-1], 3),
        mean=round(1000 * math.fsum(took) / len(took), 3),
    )
