"""Prometheus' text, read as Prometheus reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from prometheus_client.core import Metric


def families(text: str | bytes | CollectorRegistry) -> dict[str, Metric]:
    """Return what there is by name; counters without their ``_total``, nothing of creation times."""
    if isinstance(text, CollectorRegistry):
        text = generate_latest(text)
    decoded = text.decode() if isinstance(text, bytes) else text
    found = text_string_to_metric_families(decoded)
    return {family.name: family for family in found if not family.name.endswith("_created")}


def samples(text: str | bytes | CollectorRegistry, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    """Return the values of the sample ``name`` by those labels, without zeros."""
    return {
        tuple(sample.labels[label] for label in labels): sample.value
        for family in families(text).values()
        for sample in family.samples
        if sample.name == name and sample.value
    }


def names_of_samples(text: str | bytes | CollectorRegistry) -> set[str]:
    """Return the names under which a query finds something, of histograms the family's."""
    return {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in families(text).values()
    }
