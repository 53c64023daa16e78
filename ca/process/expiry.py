"""When certificates and CRLs end, as Prometheus metrics under the names of x509-certificate-exporter.

A program says what it has to look after (`Found`), and `ExpiryCollector` tells about it at each scrape, as
it is then. Does not live here: which files those are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ca import names
from ca.certificates import BadCertificate, read_certificate
from ca.folders import FolderError, pem_certificate, read_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime
    from pathlib import Path

    from prometheus_client.core import Metric

    from ca.clock import Clock

_SOURCE_LABELS: Final = ("source_kind", "source_name")
_CERTIFICATE_LABELS: Final = ("subject_CN", "issuer_CN", "serial_number", "filepath", *_SOURCE_LABELS)
_CRL_LABELS: Final = ("issuer_CN", "filepath", *_SOURCE_LABELS)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFound:
    """A certificate. ``kind`` and ``name`` say what it is for, together unique; ``place`` where it is.

    Subject and issuer are common names, the serial number is hex. ``not_before`` and ``not_after`` are None
    where nothing could be read; ``is_wrong`` says that more is wrong than the time.
    """

    kind: str
    name: str
    place: str = ""
    subject: str = ""
    issuer: str = ""
    serial_number: str = ""
    not_before: datetime | None = None
    not_after: datetime | None = None
    is_wrong: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CrlFound:
    """A CRL; as `CertificateFound`. Without ``next_update`` it never ends."""

    kind: str
    name: str
    place: str = ""
    issuer: str = ""
    number: int | None = None
    this_update: datetime | None = None
    next_update: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotFound:
    """Something to look after that cannot be read."""

    kind: str
    name: str


Found: TypeAlias = CertificateFound | CrlFound | NotFound


class ExpiryCollector(Collector):
    """Tells Prometheus about certificates and CRLs; register it with a registry.

    In multiprocess mode it belongs into the registry of the process that answers scrapes.

    Args:
        look: returns what there is now; raises nothing.
        clock: the time that "expired" and "expires in" are reckoned from.

    """

    def __init__(self, look: Callable[[], Iterable[Found]], clock: Clock) -> None:
        self._look = look
        self._clock = clock

    def describe(self) -> Iterable[Metric]:
        """Return nothing: registering must not look at anything."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Yield every metric as of now."""
        found, now = tuple(self._look()), self._clock.now()
        yield from certificate_metrics([one for one in found if isinstance(one, CertificateFound)], now)
        yield from crl_metrics([one for one in found if isinstance(one, CrlFound)], now)
        up = gauge("x509_source_up", "1 if the source could be read, 0 otherwise.", _SOURCE_LABELS)
        for one in found:
            up.add_metric([one.kind, one.name], 0 if isinstance(one, NotFound) else 1)
        yield up


def certificate_in_file(path: Path, *, kind: str, role: str, base: Path) -> CertificateFound | NotFound:
    """Return the PEM certificate in a file below ``base``; ``role`` is what it is for, beside whose it is.

    It is named after its subject where it is a CA's, and after its issuer where it is not.
    """
    try:
        certificate = read_certificate(pem_certificate(read_file(path)))
        subject, issuer = (
            names.common_name(one) for one in (certificate.subject_der, certificate.issuer_der)
        )
        owner = subject if certificate.is_ca else issuer
    except (FolderError, BadCertificate, ValueError):
        return NotFound(kind=kind, name=f"{role}, {path.name}")
    return CertificateFound(
        kind=kind,
        name=f"{owner}: {role}",
        place=path.relative_to(base).as_posix(),
        subject=subject,
        issuer=issuer,
        serial_number=f"{certificate.serial_number:x}",
        not_before=certificate.not_before,
        not_after=certificate.not_after,
    )


def certificate_metrics(found: Sequence[CertificateFound], now: datetime) -> Iterable[Metric]:
    """Return what there is to tell of certificates at the instant ``now``."""
    not_before = gauge("x509_cert_not_before", "notBefore, in Unix time.", _CERTIFICATE_LABELS)
    not_after = gauge("x509_cert_not_after", "notAfter, in Unix time.", _CERTIFICATE_LABELS)
    expired = gauge("x509_cert_expired", "1 if notAfter has passed, 0 otherwise.", _CERTIFICATE_LABELS)
    expires_in = gauge("x509_cert_expires_in_seconds", "Seconds until notAfter.", _CERTIFICATE_LABELS)
    error = gauge("x509_cert_error", "1 if something is wrong with it, 0 otherwise.", _CERTIFICATE_LABELS)
    for one in found:
        labels = [one.subject, one.issuer, one.serial_number, one.place, one.kind, one.name]
        is_wrong = one.is_wrong
        if one.not_before is not None and one.not_after is not None:
            not_before.add_metric(labels, one.not_before.timestamp())
            not_after.add_metric(labels, one.not_after.timestamp())
            expired.add_metric(labels, int(now >= one.not_after))
            expires_in.add_metric(labels, (one.not_after - now).total_seconds())
            is_wrong = is_wrong or not one.not_before <= now < one.not_after
        error.add_metric(labels, int(is_wrong))
    return (not_before, not_after, expired, expires_in, error)


def crl_metrics(found: Sequence[CrlFound], now: datetime) -> Iterable[Metric]:
    """Return what there is to tell of CRLs at the instant ``now``."""
    this_update = gauge("x509_crl_this_update", "thisUpdate, in Unix time.", _CRL_LABELS)
    next_update = gauge("x509_crl_next_update", "nextUpdate, in Unix time.", _CRL_LABELS)
    number = gauge("x509_crl_number", "CRL number.", _CRL_LABELS)
    stale = gauge("x509_crl_stale", "1 if nextUpdate has passed, 0 otherwise.", _CRL_LABELS)
    for one in found:
        labels = [one.issuer, one.place, one.kind, one.name]
        if one.this_update is not None:
            this_update.add_metric(labels, one.this_update.timestamp())
        if one.next_update is not None:
            next_update.add_metric(labels, one.next_update.timestamp())
        if one.number is not None:
            number.add_metric(labels, one.number)
        stale.add_metric(labels, int(one.next_update is not None and now >= one.next_update))
    return (this_update, next_update, number, stale)


def gauge(name: str, text: str, labels: Sequence[str] = ()) -> GaugeMetricFamily:
    """Return a gauge that is told at a scrape."""
    return GaugeMetricFamily(name, text, labels=labels)
