"""A publisher over an open PKI, put together: files, OCSP responder, what is due when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ca.ocsp_responder import OcspResponder, ServedIssuer
from ca.open_pki import OpenPki
from ca.opening import open_ocsp_credentials

from .publication import Publication
from .publishing import Publishing

if TYPE_CHECKING:
    from collections.abc import Callable

    from ca.clock import Clock
    from ca.folders import PkiFolder
    from ca.ocsp_responder import OcspAnswer

    from .program import PublisherSections
    from .publication import PublishedFile


class CrlPublisher(OpenPki):
    """A PKI, open for publishing.

    Is itself the files and who answers OCSP for `crl_publisher.app.create_app`, so that ``publication``
    and ``responder`` may be replaced while requests come in. Nothing is published until
    ``publishing.publish_all()``. Raises as `OpenPki` does.
    """

    settings: PublisherSections

    def __init__(
        self,
        folder: PkiFolder,
        settings: PublisherSections,
        *,
        clock: Clock,
        entropy: Callable[[int], bytes],
        durable: bool = True,
    ) -> None:
        self.publishing = Publishing(self)
        super().__init__(folder, settings, clock=clock, entropy=entropy, durable=durable)

    def _put_together(self) -> None:
        super()._put_together()
        self.publication = Publication(self.folder.published, self.clock, durable=self._durable)
        self.responder = self.new_responder()

    def new_responder(self) -> OcspResponder:
        """Return an OCSP responder over what there is now."""
        return OcspResponder(
            issuers=[
                ServedIssuer(
                    certificate=authority.certificate,
                    credentials=open_ocsp_credentials(
                        self.folder, self.pki, authority=authority, store=self.store, clock=self.clock
                    ),
                )
                for authority in self.authorities
            ],
            store=self.store,
            clock=self.clock,
            settings=self.pki.ocsp,
            clock_skew=self.pki.clock_skew,
        )

    def find(self, name: str) -> PublishedFile | None:
        """Return the published file of this name, whatever its case, or None."""
        return self.publication.find(name)

    def answer(self, octets: bytes) -> OcspAnswer:
        """Answer one OCSP request."""
        return self.responder.answer(octets)
