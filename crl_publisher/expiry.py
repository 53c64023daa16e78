"""What a publisher needs that ends, and how publication goes, as Prometheus metrics told at each scrape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.registry import Collector

from ca.process.expiry import CrlFound, ExpiryCollector, NotFound, certificate_in_file, gauge

from .errors import PublicationRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client.core import Metric

    from ca.clock import Clock
    from ca.folders import PkiFolder
    from ca.process.expiry import Found

    from .publication import Publication
    from .schedule import PublisherState


class PublisherExpiry(ExpiryCollector):
    """Tells Prometheus when the CAs' and OCSP responders' certificates and the published CRLs end.

    Needs no key and no passphrase. In multiprocess mode it is for the process that answers scrapes.
    """

    def __init__(self, folder: PkiFolder, publication: Publication, clock: Clock) -> None:
        super().__init__(lambda: (*_certificates(folder), *_crls(publication)), clock)


class PublicationMetrics(Collector):
    """Tells Prometheus how publication goes.

    In multiprocess mode it is for the process that answers scrapes, which must know how it goes.

    Args:
        state: returns how it goes now.

    """

    def __init__(self, state: Callable[[], PublisherState]) -> None:
        self._state = state

    def describe(self) -> Iterable[Metric]:
        """Return nothing: registering must not look at anything."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Yield every metric as of now."""
        state = self._state()
        failing = not state.is_healthy
        yield _number("crl_publication_failing", "1 while publishing CRLs fails, 0 otherwise.", failing)
        yield _number("crl_publication_failures", "Failures since the last success.", state.failures)
        yield _number("crl_publication_on_duty", "1 if CRLs are signed here, 0 in standby.", state.on_duty)
        if state.last_success is not None:
            last = state.last_success.timestamp()
            yield _number("crl_publication_last_success_timestamp_seconds", "Last success, Unix time.", last)
        if state.due is not None:
            due = state.due.timestamp()
            yield _number("crl_publication_due_timestamp_seconds", "When it is due next, Unix time.", due)


def _certificates(folder: PkiFolder) -> Iterator[Found]:
    paths = [folder.issuing_root_certificate, folder.issuing_certificate]
    for path in paths:
        yield certificate_in_file(path, kind="ca", role="CA Certificate", base=folder.path)
    for path in sorted(folder.ocsp.glob("*.pem")):  # named after the keys they answer for
        role = f"OCSP Responder Certificate ({path.stem[:8]})"
        yield certificate_in_file(path, kind="ocsp-responder", role=role, base=folder.path)


def _crls(publication: Publication) -> Iterator[Found]:
    try:
        files = [file.name for file in publication.files() if file.name.endswith(".crl")]
    except OSError:
        yield NotFound(kind="cdp", name="published files")
        return
    for name in files:
        yield _crl(publication, name)


def _crl(publication: Publication, name: str) -> Found:
    kind = "delta" if name.endswith("+.crl") else "cdp"
    try:
        facts = publication.crl_facts(name)
    except (PublicationRefused, OSError):
        facts = None
    if facts is None:
        return NotFound(kind=kind, name=name)
    return CrlFound(
        kind=kind,
        name=name,
        place=name,
        issuer=facts.issuer,
        number=facts.number,
        this_update=facts.this_update,
        next_update=facts.next_update,
    )


def _number(name: str, text: str, value: float) -> Metric:
    family = gauge(name, text)
    family.add_metric([], value)
    return family
