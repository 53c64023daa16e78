"""What a publisher does: what is due, for every key of the issuing CA, and the files that say so.

Signs through the authorities, publishes through the publication, and tells who wants to know when the
next publication is due.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog

from ca.certificates import certs_only
from ca.errors import CaError
from ca.locations import PublicationLocations
from ca.opening import open_issuing_certificates, open_root_crl
from ca.records import CrlKind
from ca.retention import deny_overdue, forget_outlived

from .errors import PublicationRefused, Superseded
from .publication import CaCertificate, CaCertificates, SignedCrl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from ca.authority import CertificateAuthority
    from ca.records import CrlRecord, CrlSummary

    from .publication import Publishable
    from .publisher import CrlPublisher

_log = structlog.get_logger(__name__)


class Publishing:
    """Signs and publishes for a publisher, with what it has when it is asked."""

    def __init__(self, publisher: CrlPublisher) -> None:
        self._publisher = publisher
        self._signing = threading.Lock()
        self._told: list[Callable[[datetime], None]] = []

    def on_publication(self, tell: Callable[[datetime], None]) -> None:
        """Have ``tell`` called, after each publication, with the instant the next one is due."""
        self._told.append(tell)

    # -- everything there is -----------------------------------------------------------

    def publish_all(self) -> None:
        """Publish CA certificates and CRLs; sign CRLs first where the last ones are no longer good.

        What fails a check is logged and left out: a lab whose root CRL ran out still serves.
        """
        for item in self._certificates():
            self._publish_if_good(item)
        for authority in self._publisher.authorities:
            try:
                kind = self._wanting(authority)
                if kind is not None:
                    authority.sign_crls(self._publisher.store, kind)
            except CaError as error:
                _log.warning("no CRL can be signed", issuer=_label(authority), reason=str(error))
            for record in self._latest(authority):
                self._publish_if_good(_signed_crl(authority, record))

    def _publish_if_good(self, item: Publishable) -> None:
        try:
            self._publisher.publication.publish(item)
        except Superseded:
            return
        except PublicationRefused as error:
            _log.warning("left out of the publication", file=item.name, reason=str(error))

    def _certificates(self) -> Iterator[Publishable]:
        """Yield the certificates of root and issuing CA, all there were, and the root's CRL."""
        publisher = self._publisher
        root = publisher.root
        file = publisher.root_locations.certificate_file
        yield CaCertificate(name=file, der=root.der, issuer=root.der)
        yield _bag(file, root.der, root.der)
        for certificate in reversed(open_issuing_certificates(publisher.folder)):
            file = PublicationLocations.of_certificate(
                publisher.pki, certificate, ocsp=False
            ).certificate_file
            yield CaCertificate(name=file, der=certificate.der, issuer=root.der)
            yield _bag(file, certificate.der, root.der)
        yield SignedCrl(
            name=publisher.root_locations.crl_file, der=open_root_crl(publisher.folder), issuer=root.der
        )

    def _wanting(self, authority: CertificateAuthority) -> CrlKind | None:
        """Return the kind of CRL without which nothing good could be published."""
        base, delta = self._newest(authority, CrlKind.BASE), self._newest(authority, CrlKind.DELTA)
        now = self._publisher.clock.now()
        if base is None or not _holds(base, now):
            return CrlKind.BASE
        if self._has_deltas() and (delta is None or not _holds(delta, now) or delta.number < base.number):
            return CrlKind.DELTA
        return None

    def _latest(self, authority: CertificateAuthority) -> Iterator[CrlRecord]:
        """Yield the newest base CRL, and the newest delta CRL that goes with it."""
        with self._publisher.store.reading() as transaction:
            base = transaction.latest_crl(authority.issuer_key_id, CrlKind.BASE)
            delta = transaction.latest_crl(authority.issuer_key_id, CrlKind.DELTA)
        if base is not None:
            yield base
            if delta is not None and delta.number >= base.number and self._has_deltas():
                yield delta

    # -- what is due -------------------------------------------------------------------

    def publish(self, kind: CrlKind) -> datetime:
        """Sign and publish new CRLs of every key, a delta or a base with its delta; return what is due.

        Raises:
            CaError: one cannot be signed.
            PublicationRefused: one fails a check; the last good one stays.
            StoreUnavailable, OSError: database or folder cannot be written.

        """
        with self._signing:
            for authority in self._alive():
                self._sign_and_publish(authority, kind)
        return self._tell()

    def publish_due(self) -> datetime:
        """Sign and publish what is due, forget what is outlived, and return when the next is due.

        Raises as `publish`.
        """
        now = self._publisher.clock.now()
        with self._signing:
            for authority in self._alive():
                kind, due = self._next(authority, now)
                if due <= now:
                    self._sign_and_publish(authority, kind)
                else:  # what was signed may not have got to its place
                    self._publish_signed(authority, self._latest(authority))
        now = (
            self._publisher.clock.now()
        )  # signing takes time, and the clock may have been put back meanwhile
        denied = deny_overdue(self._publisher.store, self._publisher.pki.retention, now)
        if denied:
            _log.info("pending requests have expired", denied=denied)
        forgotten = forget_outlived(self._publisher.store, self._publisher.pki.retention, now)
        if forgotten:
            _log.info(
                "forgotten",
                crls=forgotten.crls,
                challenges=forgotten.challenges,
                scep_transactions=forgotten.scep_transactions,
                requests=forgotten.requests,
            )
        return self._tell()

    def publish_signed(self) -> datetime:
        """Publish what is signed, by whomever, and return when the next is due.

        Raises as `publish`, but signs nothing.
        """
        for authority in self._alive():
            self._publish_signed(authority, self._latest(authority))
        return self._tell()

    def newest_signed(self) -> tuple[tuple[str, CrlKind, int], ...]:
        """Return issuer, kind and number of the newest CRLs there are, by whomever they were signed."""
        newest = (
            (authority.issuer_key_id, kind, self._newest(authority, kind))
            for authority in self._alive()
            for kind in CrlKind
        )
        return tuple((issuer, kind, found.number) for issuer, kind, found in newest if found is not None)

    def next_publication(self) -> datetime:
        """Return when the next CRL is due; now, if one is missing."""
        now = self._publisher.clock.now()
        return min(self._next(authority, now)[1] for authority in self._alive())

    def _next(self, authority: CertificateAuthority, now: datetime) -> tuple[CrlKind, datetime]:
        """Return what of one key is due next, and when; ``now`` where something is missing."""
        base, delta = self._newest(authority, CrlKind.BASE), self._newest(authority, CrlKind.DELTA)
        if base is None or now < base.this_update:  # the clock was put back
            return CrlKind.BASE, now
        if not self._has_deltas() or base.next_publish <= now:
            return CrlKind.BASE, base.next_publish
        if delta is None or delta.number < base.number or now < delta.this_update:
            return CrlKind.DELTA, now
        if delta.next_publish < base.next_publish:
            return CrlKind.DELTA, delta.next_publish
        return CrlKind.BASE, base.next_publish

    def _sign_and_publish(self, authority: CertificateAuthority, kind: CrlKind) -> None:
        signed = authority.sign_crls(self._publisher.store, kind)
        self._publish_signed(authority, signed)
        for record in signed:
            _log.info(
                "CRL published",
                issuer=_label(authority),
                kind=record.kind.value,
                number=record.number,
                entries=record.entries,
                next=record.next_publish.isoformat(),
            )

    def _publish_signed(self, authority: CertificateAuthority, signed: Iterable[CrlRecord]) -> None:
        try:
            self._publisher.publication.publish(*(_signed_crl(authority, record) for record in signed))
        except Superseded:  # another process at the same folder was faster with a later one
            _log.info("a later CRL is published already", issuer=_label(authority))

    def _tell(self) -> datetime:
        due = self.next_publication()
        for tell in self._told:
            tell(due)
        return due

    def _alive(self) -> list[CertificateAuthority]:
        """Return the CA under each key whose certificate has not ended; the present one in any case."""
        present, *earlier = self._publisher.authorities
        now = self._publisher.clock.now()
        return [present, *(one for one in earlier if now < one.certificate.not_after)]

    def _has_deltas(self) -> bool:
        return self._publisher.pki.publishes_deltas

    def _newest(self, authority: CertificateAuthority, kind: CrlKind) -> CrlSummary | None:
        with self._publisher.store.reading() as transaction:
            return next(iter(transaction.crl_summaries(authority.issuer_key_id, kind)), None)


def _holds(crl: CrlSummary, now: datetime) -> bool:
    return crl.this_update <= now < crl.next_update


def _signed_crl(authority: CertificateAuthority, record: CrlRecord) -> SignedCrl:
    places = authority.locations
    name = places.crl_file if record.kind is CrlKind.BASE else places.delta_crl_file
    return SignedCrl(name=name, der=record.der, issuer=authority.certificate.der)


def _label(authority: CertificateAuthority) -> str:
    return authority.locations.crl_file.removesuffix(".crl")


def _bag(certificate_file: str, certificate: bytes, issuer: bytes) -> CaCertificates:
    """Return the certificate as the other form of RFC 5280 4.2.2.1, under the same name."""
    name = f"{certificate_file.removesuffix('.crt')}.p7c"
    return CaCertificates(name=name, der=certs_only([certificate]), issuers=(issuer,))
