"""CRLs of one CA key: what a base and a delta CRL say, and how they are signed without holding the store.

A number is taken in one short transaction, the entries are read from a snapshot after it, and the
signed CRLs are remembered in another short one: a CRL of a million entries keeps nobody from
enrolling. Numbers that were taken and not used are left out (RFC 5280 5.2.3 asks for increase only).
Does not live here: the encoding (`ca.crls`), and when and where a CRL is published.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from . import crls, der, extensions, oids
from .errors import BadRequestStatus, InvalidCaCertificate
from .records import CrlKind, CrlRecord, CrlSummary

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from .certificates import CertificateInfo
    from .crls import EncodedEntry, ExtensionLike
    from .keys import SigningKey
    from .locations import PublicationLocations
    from .records import Store, StoreTransaction
    from .settings import PkiSettings


_PIECE: Final = 10_000  # entries


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listing:
    """What is to be signed: entries of a snapshot, and what the CRL says about itself."""

    kind: CrlKind
    count: int
    entries: list[bytes]  # many joined in each: a million small objects take twice their octets
    timing: crls.CrlTiming
    extensions: tuple[ExtensionLike, ...]


class CrlIssuer:
    """Signs the CRLs of one key; ``certificate`` is the newest of that key."""

    def __init__(
        self,
        *,
        certificate: CertificateInfo,
        key: SigningKey,
        locations: PublicationLocations,
        settings: PkiSettings,
    ) -> None:
        self._certificate = certificate
        self._key = key
        self._locations = locations
        self._settings = settings
        self._issuer = key.subject_key_id.hex()
        found = certificate.extension(oids.MS_CA_VERSION)
        self._ca_version = der.Reader(found.value).integer("CA version") if found else 0

    def sign_in(self, transaction: StoreTransaction, kind: CrlKind, now: datetime) -> CrlRecord:
        """Sign and remember one CRL within a transaction; raises as `sign`."""
        self._check(now)
        newest = self._newest_base(transaction, kind, now)
        number = transaction.next_crl_number(self._issuer)
        signed = self._signed(number, self._list(transaction, kind, now, newest))
        transaction.add_crl(signed)
        return signed

    def sign(self, store: Store, kind: CrlKind, now: datetime) -> tuple[CrlRecord, ...]:
        """Sign and remember a delta CRL, or a base CRL and its delta CRL under the same number.

        The delta is left out where the settings publish none.

        Raises:
            InvalidCaCertificate: the CA's certificate is not valid now.
            BadRequestStatus: a delta CRL is asked for, and none is published, or there is no base CRL
                that is still valid.
            StoreUnavailable: the database cannot be used.

        """
        self._check(now)
        with store.transaction() as transaction:
            self._newest_base(transaction, kind, now)
            number = transaction.next_crl_number(self._issuer)
        with store.reading() as transaction:
            listing = self._list(transaction, kind, now, self._newest_base(transaction, kind, now))
        signed = [self._signed(number, listing)]
        del listing
        if kind is CrlKind.BASE and self._settings.publishes_deltas:
            with store.reading() as transaction:
                delta = self._list(transaction, CrlKind.DELTA, now, signed[0])
            signed.append(self._signed(number, delta))
        with store.transaction() as transaction:
            for each in signed:
                transaction.add_crl(each)
        return tuple(signed)

    def _check(self, now: datetime) -> None:
        own = self._certificate
        if not own.not_before <= now < own.not_after:
            raise InvalidCaCertificate(
                f"the CA's certificate is valid from {own.not_before} to {own.not_after}, it is {now}"
            )

    def _newest_base(self, transaction: StoreTransaction, kind: CrlKind, now: datetime) -> CrlSummary | None:
        """Return the base before this CRL; for a delta it must be there, and valid."""
        found = next(iter(transaction.crl_summaries(self._issuer, CrlKind.BASE)), None)
        if kind is CrlKind.BASE:
            return found
        if not self._settings.publishes_deltas:
            raise BadRequestStatus("the settings publish no delta CRLs: crl_delta_period, or flag 64")
        if found is None or found.next_update <= now:
            raise BadRequestStatus("no base CRL is valid now that a delta CRL could complete")
        return found

    # -- what a CRL lists --------------------------------------------------------------

    def _list(
        self, transaction: StoreTransaction, kind: CrlKind, now: datetime, newest: CrlSummary | None
    ) -> _Listing:
        if kind is CrlKind.BASE:
            return self._list_base(transaction, now, newest)
        if newest is None:
            raise BadRequestStatus("a delta CRL completes a base CRL (RFC 5280 5.2.4)")
        return self._list_delta(transaction, now, newest)

    def _list_base(
        self, transaction: StoreTransaction, now: datetime, previous: CrlSummary | None
    ) -> _Listing:
        """List everything revoked; what has expired stays for one base after its end (RFC 5280 3.3)."""
        # A clock that was put back must not take off the list what has not expired by it.
        since = min(previous.this_update, now) if previous else self._certificate.not_before
        places = self._locations
        found: list[ExtensionLike] = []
        if self._settings.publishes_deltas and places.delta_crl_urls:
            found.append(extensions.freshest_crl(places.delta_crl_urls))
        if places.published_crl_urls:
            found.append(extensions.published_crl_locations(places.published_crl_urls))
        count, entries = _joined(transaction.encoded_entries(self._issuer, not_expired_at=since))
        return _Listing(
            kind=CrlKind.BASE,
            count=count,
            entries=entries,
            timing=crls.crl_timing(now, self._settings.crl_schedule, not_beyond=self._certificate.not_after),
            extensions=(*found, *self._scope()),
        )

    def _list_delta(self, transaction: StoreTransaction, now: datetime, newest: CrlSummary) -> _Listing:
        """List what changed since the base; whatever it lists stays until a base did (RFC 5280 5.2.4)."""
        schedule = self._settings.crl_delta_schedule
        if schedule is None:
            raise BadRequestStatus("the settings publish no delta CRLs: crl_delta_period, or flag 64")
        base = self._base_to_complete(transaction, now, newest)
        urls = self._locations.published_delta_crl_urls
        changed = transaction.changed_entries(
            self._issuer, since_crl_number=base.number, not_expired_at=base.this_update
        )
        count, entries = _joined(changed)
        return _Listing(
            kind=CrlKind.DELTA,
            count=count,
            entries=entries,
            timing=crls.crl_timing(now, schedule, not_beyond=newest.next_update),
            extensions=(
                crls.delta_crl_indicator(base.number),
                crls.virtual_base_crl_number(newest.number),
                *((extensions.published_crl_locations(urls),) if urls else ()),
                *self._scope(),
            ),
        )

    def _base_to_complete(
        self, transaction: StoreTransaction, now: datetime, newest: CrlSummary
    ) -> CrlSummary:
        if not self._settings.crl_delta_use_oldest_unexpired_base:
            return newest
        bases = transaction.crl_summaries(self._issuer, CrlKind.BASE)
        valid = [base for base in bases if base.next_update > now]
        return valid[-1] if valid else newest

    def _scope(self) -> tuple[ExtensionLike, ...]:
        """Return the IDP, the same in base and delta: they are of one scope (RFC 5280 5.2.4)."""
        urls = self._locations.distribution_point_urls
        return (extensions.issuing_distribution_point(urls),) if urls else ()

    # -- signing -----------------------------------------------------------------------

    def _signed(self, number: int, listing: _Listing) -> CrlRecord:
        header = crls.CrlHeader(
            issuer_der=self._certificate.subject_der,
            authority_key_id=self._key.subject_key_id,
            ca_version=self._ca_version,
            number=number,
            timing=listing.timing,
            extensions=listing.extensions,
        )
        return CrlRecord(
            issuer_key_id=self._issuer,
            number=number,
            kind=listing.kind,
            this_update=listing.timing.this_update,
            next_update=listing.timing.next_update,
            next_publish=listing.timing.next_publish,
            entries=listing.count,
            der=crls.sign_crl(header, listing.entries, self._key),
        )


def _joined(entries: Iterator[EncodedEntry]) -> tuple[int, list[bytes]]:
    """Return how many entries there are, and their octets in pieces."""
    count, pieces = 0, []
    while piece := list(itertools.islice(entries, _PIECE)):
        count += len(piece)
        pieces.append(b"".join(piece))
    return count, pieces
