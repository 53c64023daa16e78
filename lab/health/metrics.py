"""The report as Prometheus metrics, under the names of x509-certificate-exporter.

Each lab has a registry of its own: several run in one process. Whoever has more to tell registers a
collector with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import InfoMetricFamily

from ca.process.expiry import CertificateFound, CrlFound, certificate_metrics, crl_metrics, gauge
from crl_publisher.expiry import PublicationMetrics

from .report import HealthWord, State
from .subjects import common_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client.core import Metric

    from ca.clock import Clock
    from crl_publisher import PublisherState

    from .report import HealthReport, HealthRow

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
        self.registry.register(self)
        if publisher is not None:
            self.registry.register(PublicationMetrics(publisher))

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
        certificates = [_certificate(row) for row in rows if row.serial_number is not None]
        yield from certificate_metrics(certificates, now)
        yield from crl_metrics([_crl(row) for row in rows if row.is_crl and row.begins is not None], now)
        up = gauge("x509_source_up", "1 if the source could be read, 0 otherwise.", _SOURCE_LABELS)
        health = gauge(
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


def _certificate(row: HealthRow) -> CertificateFound:
    return CertificateFound(
        kind=row.kind,
        name=row.source,
        place=row.url or "",
        subject=common_name(row.subject or ""),
        issuer=common_name(row.issuer or ""),
        serial_number=row.serial_number or "",
        not_before=row.begins,
        not_after=row.ends,
        is_wrong=row.is_error,
    )


def _crl(row: HealthRow) -> CrlFound:
    return CrlFound(
        kind=row.kind,
        name=row.source,
        place=row.url or "",
        issuer=common_name(row.issuer or ""),
        number=row.number,
        this_update=row.begins,
        next_update=row.ends,
    )


def _source(row: HealthRow) -> list[str]:
    return [row.kind, row.source]
