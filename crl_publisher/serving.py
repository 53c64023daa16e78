"""Serve CRLs, CA certificates and OCSP with worker processes: python -m crl_publisher.

One process signs and publishes what is due; of several programs over one database, one at a time. The
PKI has to be there: ndes-lab init makes one. SIGHUP reads settings and keys anew without losing a
request; SIGTERM answers what is under way, and ends.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from prometheus_client import CollectorRegistry

from ca.ocsp import MAXIMUM_REQUEST_OCTETS
from ca.process.program import Served
from ca.records import StoreUnavailable

from .app import create_app
from .duty import PublishingByTurns
from .expiry import PublicationMetrics, PublisherExpiry
from .lookout import Lookout
from .metrics import PublisherMetrics
from .publisher import CrlPublisher
from .schedule import Republisher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prometheus_client.registry import Collector

    from ca.process.program import Parts

    from .program import CrlPublisherSettings
    from .schedule import PublisherState


def open_publisher(parts: Parts[CrlPublisherSettings]) -> CrlPublisher:
    """Return the publisher of a folder; raises as `CrlPublisher` does."""
    return CrlPublisher(parts.folder, parts.settings, clock=parts.clock, entropy=parts.entropy)


def application(parts: Parts[CrlPublisherSettings]) -> Served:
    """Return what a worker serves."""
    publisher = open_publisher(parts)
    directory = parts.settings.pki.virtual_directory
    metrics = PublisherMetrics(CollectorRegistry(), virtual_directory=directory)
    pages = create_app(
        publisher,
        virtual_directory=directory,
        settings=parts.settings.publisher,
        responder=metrics.counted(publisher) if parts.settings.pki.ocsp.enabled else None,
    )
    return Served(application=metrics.around(pages), body_octets=MAXIMUM_REQUEST_OCTETS)


class PublisherStanding:
    """What the parent of the workers has: who publishes when it is due."""

    def __init__(self, parts: Parts[CrlPublisherSettings]) -> None:
        self._publisher = publisher = open_publisher(parts)
        publishing = publisher.publishing
        self._turns = PublishingByTurns(
            duty=publisher.store.publishing,
            sign=publishing.publish_due,
            publish=publishing.publish_signed,
            clock=parts.clock,
        )
        self._republisher = Republisher(
            publish=self._turns,
            due=publishing.next_publication,
            clock=parts.clock,
            retry=parts.settings.publisher.retry,
        )
        self._lookout = Lookout(
            take_up=self._turns.take_up,
            news=publishing.newest_signed,
            tell=lambda: self._republisher.look(parts.clock.now()),
        )

    def start(self) -> None:
        """Publish what there is, and from now on what is due."""
        self._turns.take_up()
        self._publisher.publishing.publish_all()
        self._republisher.start()
        self._lookout.start()

    def stop(self) -> None:
        """Finish a publication under way, leave the duty to another, and close the database."""
        self._lookout.stop()
        self._republisher.stop()
        self._publisher.close()

    @property
    def state(self) -> PublisherState:
        """How publication goes."""
        return replace(self._republisher.state, on_duty=self._turns.on_duty)

    @property
    def probe(self) -> str:
        """A request that only a publisher answers that has published: the CRL."""
        publisher = self._publisher
        return f"{publisher.pki.virtual_directory}/{quote(publisher.authority.locations.crl_file)}"

    def trouble(self) -> str | None:
        """Return why clients do not find what they need now."""
        try:
            self._publisher.latest_crl()
        except StoreUnavailable as error:
            return str(error)
        return None

    def collectors(self) -> Sequence[Collector]:
        """Return how publication goes, and when what is published ends."""
        publisher = self._publisher
        return (
            PublicationMetrics(lambda: self.state),
            PublisherExpiry(publisher.folder, publisher.publication, publisher.clock),
        )
