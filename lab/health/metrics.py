"""The report as Prometheus metrics, under the names of x509-certificate-exporter.

Each lab has a registry of its own: several run in one process. Whoever has more to tell registers a
collector with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily

from .report import HealthWord, State
from .subjects import common_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from prometheus_client.core import Metric

    from ca.clock import Clock
    from crl_publisher import PublisherState

    from .report import HealthReport, HealthRow

_CERTIFICATE_LABELS = ("subject_CN", "issuer_CN", "serial_number", "filepath", "source_kind", "source_name")
_CRL_LABELS = ("issuer_CN", "filepath", "source_kind", "source_name")
_SOURCE_LABELS = ("source_kind", "source_name")
_SEVERITY = {HealthWord.OK: 0, HealthWord.EXPIRING: 1}


class HealthMetrics:
    """A registry that asks for the report at each scrape.

    Args:
        report: returns the last report, not too old.
        clock: the time that "expires in" is reckoned from.
        version: of this program.
        publisher: returns how publication goes, where there is a publisher.

    """

    def __init__(
        self,
        *,
        report: Callable[[], HealthReport],
        clock: Clock,
        version: str,
        publisher: Callable[[], PublisherState] | None = None,
    ) -> None:
        self.registry = CollectorRegistry()
        self._report = report
        self._clock = clock
        self._version = version
        self._publisher = publisher
        self.registry.register(self)

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)

    def describe(self) -> Iterable[Metric]:
        """Return nothing: registering must not look at anything."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Yield every metric as of now."""
        report, now = self._report(), self._clock.now()
        rows = report.rows
        yield from _certificates([row for row in rows if row.serial_number is not None], now)
        yield from _crls([row for row in rows if row.is_crl and row.begins is not None], now)
        up = _gauge("x509_source_up", "1 if the source could be read, 0 otherwise.", _SOURCE_LABELS)
        health = _gauge(
            "ndes_lab_health", "0 OK, 1 Expiring, 2 anything worse, as PKIView would say.", _SOURCE_LABELS
        )
        unread = {State.FAILED_TO_DOWNLOAD, State.UNREADABLE, State.MISSING, State.DATABASE_UNAVAILABLE}
        for row in rows:
            up.add_metric(_source(row), 0 if unread & set(row.states) else 1)
            health.add_metric(_source(row), _SEVERITY.get(row.status, 2))
        yield from (up, health)
        yield InfoMetricFamily(
            "x509_exporter_build", "What tells these metrics.", value={"version": self._version}
        )
        if self._publisher is not None:
            yield from _publisher(self._publisher())


def _gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=labels)


def _certificates(rows: list[HealthRow], now: datetime) -> Iterable[Metric]:
    not_before = _gauge("x509_cert_not_before", "notBefore, in Unix time.", _CERTIFICATE_LABELS)
    not_after = _gauge("x509_cert_not_after", "notAfter, in Unix time.", _CERTIFICATE_LABELS)
    expired = _gauge("x509_cert_expired", "1 if notAfter has passed, 0 otherwise.", _CERTIFICATE_LABELS)
    expires_in = _gauge("x509_cert_expires_in_seconds", "Seconds until notAfter.", _CERTIFICATE_LABELS)
    error = _gauge("x509_cert_error", "1 if something is wrong with it, 0 otherwise.", _CERTIFICATE_LABELS)
    for row in rows:
        labels = [
            common_name(row.subject or ""),
            common_name(row.issuer or ""),
            row.serial_number or "",
            row.url or "",
            *_source(row),
        ]
        if row.begins is not None and row.ends is not None:
            not_before.add_metric(labels, row.begins.timestamp())
            not_after.add_metric(labels, row.ends.timestamp())
            expired.add_metric(labels, int(now >= row.ends))
            expires_in.add_metric(labels, (row.ends - now).total_seconds())
        error.add_metric(labels, int(row.is_error))
    return (not_before, not_after, expired, expires_in, error)


def _crls(rows: list[HealthRow], now: datetime) -> Iterable[Metric]:
    this_update = _gauge("x509_crl_this_update", "thisUpdate, in Unix time.", _CRL_LABELS)
    next_update = _gauge("x509_crl_next_update", "nextUpdate, in Unix time.", _CRL_LABELS)
    number = _gauge("x509_crl_number", "CRL number.", _CRL_LABELS)
    stale = _gauge("x509_crl_stale", "1 if nextUpdate has passed, 0 otherwise.", _CRL_LABELS)
    for row in rows:
        labels = [common_name(row.issuer or ""), row.url or "", *_source(row)]
        if row.begins is not None:
            this_update.add_metric(labels, row.begins.timestamp())
        if row.ends is not None:
            next_update.add_metric(labels, row.ends.timestamp())
        if row.number is not None:
            number.add_metric(labels, row.number)
        stale.add_metric(labels, int(row.ends is not None and now >= row.ends))
    return (this_update, next_update, number, stale)


def _publisher(state: PublisherState) -> Iterable[Metric]:
    failing = _gauge("ndes_lab_crl_publication_failing", "1 while publishing CRLs fails, 0 otherwise.")
    failing.add_metric([], int(not state.is_healthy))
    failures = _gauge("ndes_lab_crl_publication_failures", "Failures in a row.")
    failures.add_metric([], state.failures)
    duty = _gauge("ndes_lab_crl_publication_on_duty", "1 where CRLs are signed, 0 while standing by.")
    duty.add_metric([], int(state.on_duty))
    yield from (failing, failures, duty)
    if state.last_success is not None:
        last = _gauge("ndes_lab_crl_publication_last_success", "Last success, in Unix time.")
        last.add_metric([], state.last_success.timestamp())
        yield last


def _source(row: HealthRow) -> list[str]:
    return [row.kind, row.source]
