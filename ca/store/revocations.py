"""Revocations and CRLs in the store.

A revocation remembers the number of the first CRL that shows it. Revoking shares the counter's row
and numbering a CRL owns it, so whoever takes a number and then looks (in the same transaction, or in
a later snapshot) sees every revocation that carries this number or a lower one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, insert, select, update

from ca.crls import EncodedEntry, encode_entry
from ca.records import CrlKind, CrlRecord, Revocation, RevocationReason, RevokedEntry

from .certificates import revocation_of
from .rows import Rows
from .tables import certificates, crl_counters, crls, revocations

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from sqlalchemy import Row

_REMOVED = RevocationReason.REMOVE_FROM_CRL.value

_CERTIFICATE = select(
    certificates.c.issuer_key_id, certificates.c.serial_number, certificates.c.not_after
).where(certificates.c.id == bindparam("wanted_id"))
_HELD = select(revocations).where(
    revocations.c.certificate_id == bindparam("wanted_id"),
    revocations.c.reason == RevocationReason.CERTIFICATE_HOLD.value,
)
_ADD = insert(revocations)
_CHANGE = update(revocations).where(revocations.c.certificate_id == bindparam("wanted_id"))

_COUNTER = select(crl_counters.c.number).where(crl_counters.c.issuer_key_id == bindparam("issuer_key"))
_COUNTER_SHARED = _COUNTER.with_for_update(read=True)
_COUNT_UP = (
    update(crl_counters)
    .where(crl_counters.c.issuer_key_id == bindparam("issuer_key"))
    .values(number=crl_counters.c.number + 1)
)
_START_COUNTER = insert(crl_counters)

_OF_ISSUER = revocations.c.issuer_key_id == bindparam("issuer_key")
_IN_ORDER = (revocations.c.crl_number, revocations.c.certificate_id)
_LISTED = (
    _OF_ISSUER,
    revocations.c.reason != _REMOVED,
    revocations.c.not_after >= bindparam("not_expired_at"),
)
_REVOKED = select(revocations).where(*_LISTED).order_by(*_IN_ORDER)
_ENTRIES = select(revocations.c.entry).where(*_LISTED).order_by(*_IN_ORDER)
_CHANGES = (
    select(revocations.c.entry)
    .where(
        _OF_ISSUER,
        revocations.c.crl_number > bindparam("since"),
        revocations.c.not_after >= bindparam("not_expired_at"),
    )
    .order_by(*_IN_ORDER)
)

_ADD_CRL = insert(crls)
_LATEST_CRL = (
    select(crls)
    .where(crls.c.issuer_key_id == bindparam("issuer_key"), crls.c.kind == bindparam("wanted_kind"))
    .order_by(crls.c.number.desc())
    .limit(1)
)


class RevocationRows(Rows):
    """The revocation and CRL part of `ca.records.StoreTransaction`."""

    __slots__ = ()

    def revoke(self, certificate_id: int, revocation: Revocation) -> None:
        """Set why and since when a certificate is revoked; replaces what was said before.

        Raises:
            LookupError: no certificate with this id.

        """
        row = self._one(_CERTIFICATE, {"wanted_id": certificate_id})
        if row is None:
            raise LookupError(f"no certificate has the id {certificate_id}")
        state = self._state(row, revocation)
        if self._change(_CHANGE, {"wanted_id": certificate_id, **state}):
            return
        fixed = {
            "certificate_id": certificate_id,
            "issuer_key_id": row.issuer_key_id,
            "serial_number": row.serial_number,
            "not_after": row.not_after,
        }
        self._change(_ADD, {**fixed, **state})

    def release_hold(self, certificate_id: int) -> None:
        """Take a certificate off hold; the next delta CRLs say removeFromCRL (RFC 5280 5.3.1).

        Raises:
            LookupError: the certificate is not on hold.

        """
        row = self._one(_HELD, {"wanted_id": certificate_id})
        if row is None:
            raise LookupError(f"certificate {certificate_id} is not on hold")
        released = Revocation(revoked_at=row.revoked_at, reason=RevocationReason.REMOVE_FROM_CRL)
        self._change(_CHANGE, {"wanted_id": certificate_id, **self._state(row, released)})

    def _state(self, row: Row[Any], revocation: Revocation) -> dict[str, object]:
        """Return the changing columns of a revocation; ``row`` says whose it is."""
        entry = RevokedEntry(
            serial_number=int(row.serial_number, 16), revocation=revocation, not_after=row.not_after
        )
        return {
            "revoked_at": revocation.revoked_at,
            "reason": revocation.reason.value,
            "invalidity_date": revocation.invalidity_date,
            "crl_number": self._first_listing(row.issuer_key_id),
            "entry": encode_entry(entry),
        }

    def _first_listing(self, issuer_key_id: str) -> int:
        """Return the number of the first CRL that can show a change made now."""
        counter = self._one(_COUNTER_SHARED, {"issuer_key": issuer_key_id})
        if counter is None:
            self._change(_START_COUNTER, {"issuer_key_id": issuer_key_id, "number": 0})
            return 1
        return int(counter.number) + 1

    def revoked_entries(self, issuer_key_id: str, *, not_expired_at: datetime) -> Sequence[RevokedEntry]:
        """Return what is revoked and was not yet expired then, in the order it was first listed.

        An entry stays on CRLs until one was issued after the certificate's expiry (RFC 5280 3.3), so
        ``not_expired_at`` is thisUpdate of the previous CRL.
        """
        rows = self._all(_REVOKED, {"issuer_key": issuer_key_id, "not_expired_at": not_expired_at})
        return [_entry(row) for row in rows]

    def encoded_entries(self, issuer_key_id: str, *, not_expired_at: datetime) -> Iterator[EncodedEntry]:
        """Yield the same as `revoked_entries`, as it stands in a CRL."""
        return self._column(_ENTRIES, {"issuer_key": issuer_key_id, "not_expired_at": not_expired_at})

    def changed_entries(
        self, issuer_key_id: str, *, since_crl_number: int, not_expired_at: datetime
    ) -> Iterator[EncodedEntry]:
        """Yield what a delta to base ``since_crl_number`` lists: revoked, changed or released after it."""
        wanted = {"issuer_key": issuer_key_id, "since": since_crl_number, "not_expired_at": not_expired_at}
        return self._column(_CHANGES, wanted)

    def next_crl_number(self, issuer_key_id: str) -> int:
        """Give out the next CRL number of a key: 1, 2, 3... each once (RFC 5280 5.2.3).

        A number of a transaction that is rolled back is given out again.
        """
        if not self._change(_COUNT_UP, {"issuer_key": issuer_key_id}):
            self._change(_START_COUNTER, {"issuer_key_id": issuer_key_id, "number": 1})
        counter = self._one(_COUNTER, {"issuer_key": issuer_key_id})
        return int(counter.number) if counter is not None else 1

    def add_crl(self, crl: CrlRecord) -> None:
        """Remember a signed CRL; AlreadyExists when its key has one with this number."""
        values = {
            "issuer_key_id": crl.issuer_key_id,
            "number": crl.number,
            "kind": crl.kind.value,
            "this_update": crl.this_update,
            "next_update": crl.next_update,
            "next_publish": crl.next_publish,
            "entries": crl.entries,
            "der": crl.der,
        }
        self._change(_ADD_CRL, values)

    def latest_crl(self, issuer_key_id: str, kind: CrlKind) -> CrlRecord | None:
        """Return the CRL of this kind with the highest number."""
        row = self._one(_LATEST_CRL, {"issuer_key": issuer_key_id, "wanted_kind": kind.value})
        if row is None:
            return None
        return CrlRecord(
            issuer_key_id=row.issuer_key_id,
            number=row.number,
            kind=CrlKind(row.kind),
            this_update=row.this_update,
            next_update=row.next_update,
            next_publish=row.next_publish,
            entries=row.entries,
            der=row.der,
        )


def _entry(row: Row[Any]) -> RevokedEntry:
    revocation = revocation_of(row)
    if revocation is None:
        raise TypeError("a revocation has no reason")
    return RevokedEntry(
        serial_number=int(row.serial_number, 16), revocation=revocation, not_after=row.not_after
    )
