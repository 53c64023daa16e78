"""Revocations and CRLs in the store.

A revocation remembers the number of the first CRL that shows it. Revoking shares the counter's row
and numbering a CRL owns it, so whoever takes a number and then looks (in the same transaction, or in
a later snapshot) sees every revocation that carries this number or a lower one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Integer, bindparam, delete, func, insert, select, text, update

from ca.crls import EncodedEntry, encode_entry
from ca.records import CrlKind, CrlRecord, CrlSummary, Revocation, RevocationReason, RevokedEntry

from .certificates import revocation_of, serial_text
from .rows import Rows, Statement
from .tables import certificates, crl_counters, crls, instant, revocations, stored, stored_or_none

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from ca.records import CertificateRecord

    from .rows import Values

_STATE = ("revoked_at", "reason", "invalidity_date", "crl_number", "entry")
_CERTIFICATE = Statement(
    select(certificates.c.issuer_key_id, certificates.c.serial_number, certificates.c.not_after).where(
        certificates.c.id == bindparam("wanted_id")
    )
)
_HELD = Statement(
    select(
        revocations.c.issuer_key_id,
        revocations.c.serial_number,
        revocations.c.not_after,
        revocations.c.revoked_at,
    ).where(
        revocations.c.certificate_id == bindparam("wanted_id"),
        revocations.c.reason == RevocationReason.CERTIFICATE_HOLD.value,
    )
)
_ALL = ("certificate_id", "issuer_key_id", "serial_number", "not_after", *_STATE)
_ADD = Statement(insert(revocations), _ALL)
_CLEAR = Statement(delete(revocations).where(revocations.c.certificate_id == bindparam("wanted_id")))
_CHANGE = Statement(update(revocations).where(revocations.c.certificate_id == bindparam("wanted_id")), _STATE)

_ISSUER_COUNTS = crl_counters.c.issuer_key_id == bindparam("issuer_key")
_COUNTER_SHARED = Statement(select(crl_counters.c.number).where(_ISSUER_COUNTS).with_for_update(read=True))
_COUNTERS_OWNED = Statement(
    select(crl_counters.c.issuer_key_id).order_by(crl_counters.c.issuer_key_id).with_for_update()
)
# In one statement, because another process may be about to start the same counter.
_COUNT_UP = Statement(
    text(
        "INSERT INTO crl_counters (issuer_key_id, number) VALUES (:issuer_key, 1) "
        "ON CONFLICT (issuer_key_id) DO UPDATE SET number = crl_counters.number + 1 RETURNING number"
    )
)
_START_COUNTER = Statement(
    text("INSERT INTO crl_counters (issuer_key_id, number) VALUES (:issuer_key, 0) ON CONFLICT DO NOTHING")
)

_OF_ISSUER = revocations.c.issuer_key_id == bindparam("issuer_key")
_UNEXPIRED = revocations.c.not_after >= bindparam("not_expired_at")
_LISTED = (_OF_ISSUER, _UNEXPIRED, revocations.c.reason != RevocationReason.REMOVE_FROM_CRL.value)
_IN_ORDER = (revocations.c.crl_number, revocations.c.certificate_id)
_REVOKED = Statement(
    select(
        revocations.c.serial_number,
        revocations.c.not_after,
        revocations.c.revoked_at,
        revocations.c.reason,
        revocations.c.invalidity_date,
    )
    .where(*_LISTED)
    .order_by(*_IN_ORDER)
)
_ENTRIES = Statement(select(revocations.c.entry).where(*_LISTED).order_by(*_IN_ORDER))
_CHANGES = Statement(
    select(revocations.c.entry)
    .where(_OF_ISSUER, _UNEXPIRED, revocations.c.crl_number > bindparam("since"))
    .order_by(*_IN_ORDER)
)

_CRL = ("issuer_key_id", "number", "kind", "this_update", "next_update", "next_publish", "entries", "der")
_ADD_CRL = Statement(insert(crls), _CRL)
_LATEST_CRL = Statement(
    select(*(crls.c[name] for name in _CRL))
    .where(crls.c.issuer_key_id == bindparam("issuer_key"), crls.c.kind == bindparam("wanted_kind"))
    .order_by(crls.c.number.desc())
    .limit(1)
)
_CRL_SUMMARIES = Statement(
    select(*(crls.c[name] for name in _CRL[:-1]))
    .where(crls.c.issuer_key_id == bindparam("issuer_key"), crls.c.kind == bindparam("wanted_kind"))
    .order_by(crls.c.number.desc())
)
_NEWER = crls.alias("newer")
_SUPERSEDED = (
    select(func.count())
    .select_from(_NEWER)
    .where(
        _NEWER.c.issuer_key_id == crls.c.issuer_key_id,
        _NEWER.c.kind == crls.c.kind,
        _NEWER.c.number > crls.c.number,
    )
    .scalar_subquery()
)
_FORGET_CRLS = Statement(delete(crls).where(bindparam("kept", type_=Integer) < _SUPERSEDED))


class RevocationRows(Rows):
    """The revocation and CRL part of `ca.records.StoreTransaction`."""

    __slots__ = ()

    def lock_revocations(self) -> None:
        """Have nobody else revoke or release until this transaction ends: what is read stays so.

        The counters are owned for it: that of the CA's first key is there since the ceremony.
        """
        self._all(_COUNTERS_OWNED, {})

    def revoke(self, certificate_id: int, revocation: Revocation) -> None:
        """Set why and since when a certificate is revoked; replaces what was said before.

        Raises:
            LookupError: no certificate with this id.

        """
        row = self._one(_CERTIFICATE, {"wanted_id": certificate_id})
        if row is None:
            raise LookupError(f"no certificate has the id {certificate_id}")
        issuer_key_id, serial_text, not_after = row
        state = self._state(issuer_key_id, serial_text, not_after, revocation)
        if self._change(_CHANGE, {"wanted_id": certificate_id, **state}):
            return
        fixed = {
            "certificate_id": certificate_id,
            "issuer_key_id": issuer_key_id,
            "serial_number": serial_text,
            "not_after": not_after,
        }
        self._change(_ADD, {**fixed, **state})

    def revoke_many(self, wanted: Iterable[tuple[CertificateRecord, Revocation]]) -> None:
        """Do the same for many certificates, each with its reason; removeFromCRL releases a hold."""
        listings: dict[str, int] = {}
        rows = []
        for certificate, revocation in wanted:
            issuer = certificate.issuer_key_id
            if issuer not in listings:
                listings[issuer] = self._first_listing(issuer)
            entry = RevokedEntry(
                serial_number=certificate.serial_number,
                revocation=revocation,
                not_after=certificate.not_after,
            )
            rows.append(
                {
                    "certificate_id": certificate.id,
                    "issuer_key_id": issuer,
                    "serial_number": serial_text(certificate.serial_number),
                    "not_after": stored(certificate.not_after),
                    "revoked_at": stored(revocation.revoked_at),
                    "reason": revocation.reason.value,
                    "invalidity_date": stored_or_none(revocation.invalidity_date),
                    "crl_number": listings[issuer],
                    "entry": encode_entry(entry),
                }
            )
        ids = [{"wanted_id": row["certificate_id"]} for row in rows]
        self._change_many(_CLEAR, ids)
        self._change_many(_ADD, rows)

    def release_hold(self, certificate_id: int) -> None:
        """Take a certificate off hold; the next delta CRLs say removeFromCRL (RFC 5280 5.3.1).

        Raises:
            LookupError: the certificate is not on hold.

        """
        row = self._one(_HELD, {"wanted_id": certificate_id})
        if row is None:
            raise LookupError(f"certificate {certificate_id} is not on hold")
        issuer_key_id, serial_text, not_after, revoked_at = row
        released = Revocation(revoked_at=instant(revoked_at), reason=RevocationReason.REMOVE_FROM_CRL)
        state = self._state(issuer_key_id, serial_text, not_after, released)
        self._change(_CHANGE, {"wanted_id": certificate_id, **state})

    def _state(
        self, issuer_key_id: str, serial_text: str, not_after: int, revocation: Revocation
    ) -> dict[str, object]:
        """Return the changing columns of a revocation."""
        entry = RevokedEntry(
            serial_number=int(serial_text, 16), revocation=revocation, not_after=instant(not_after)
        )
        return {
            "revoked_at": stored(revocation.revoked_at),
            "reason": revocation.reason.value,
            "invalidity_date": stored_or_none(revocation.invalidity_date),
            "crl_number": self._first_listing(issuer_key_id),
            "entry": encode_entry(entry),
        }

    def _first_listing(self, issuer_key_id: str) -> int:
        """Return the number of the first CRL that can show a change made now."""
        counter = self._one(_COUNTER_SHARED, {"issuer_key": issuer_key_id})
        if counter is None:
            self._change(_START_COUNTER, {"issuer_key": issuer_key_id})
            counter = self._one(_COUNTER_SHARED, {"issuer_key": issuer_key_id})
        return int(counter[0]) + 1 if counter else 1

    def revoked_entries(self, issuer_key_id: str, *, not_expired_at: datetime) -> Sequence[RevokedEntry]:
        """Return what is revoked and was not yet expired then, in the order it was first listed.

        An entry stays on CRLs until one was issued after the certificate's expiry (RFC 5280 3.3), so
        ``not_expired_at`` is thisUpdate of the previous CRL.
        """
        wanted = {"issuer_key": issuer_key_id, "not_expired_at": stored(not_expired_at)}
        return [
            RevokedEntry(
                serial_number=int(serial_text, 16),
                not_after=instant(not_after),
                revocation=revocation_of(*revocation),
            )
            for serial_text, not_after, *revocation in self._all(_REVOKED, wanted)
        ]

    def encoded_entries(self, issuer_key_id: str, *, not_expired_at: datetime) -> Iterator[EncodedEntry]:
        """Yield the same as `revoked_entries`, as it stands in a CRL."""
        return self._column(_ENTRIES, {"issuer_key": issuer_key_id, "not_expired_at": stored(not_expired_at)})

    def changed_entries(
        self, issuer_key_id: str, *, since_crl_number: int, not_expired_at: datetime
    ) -> Iterator[EncodedEntry]:
        """Yield what a delta to base ``since_crl_number`` lists: revoked, changed or released after it."""
        wanted = {
            "issuer_key": issuer_key_id,
            "since": since_crl_number,
            "not_expired_at": stored(not_expired_at),
        }
        return self._column(_CHANGES, wanted)

    def next_crl_number(self, issuer_key_id: str) -> int:
        """Give out the next CRL number of a key: 1, 2, 3... each once (RFC 5280 5.2.3).

        A number of a transaction that is rolled back is given out again.
        """
        return self._insert(_COUNT_UP, {"issuer_key": issuer_key_id})

    def add_crl(self, crl: CrlRecord) -> None:
        """Remember a signed CRL; AlreadyExists when its key has one of this kind and number."""
        values = {
            "issuer_key_id": crl.issuer_key_id,
            "number": crl.number,
            "kind": crl.kind.value,
            "this_update": stored(crl.this_update),
            "next_update": stored(crl.next_update),
            "next_publish": stored(crl.next_publish),
            "entries": crl.entries,
            "der": crl.der,
        }
        self._change(_ADD_CRL, values)

    def latest_crl(self, issuer_key_id: str, kind: CrlKind) -> CrlRecord | None:
        """Return the CRL of this kind with the highest number."""
        row = self._one(_LATEST_CRL, {"issuer_key": issuer_key_id, "wanted_kind": kind.value})
        return None if row is None else CrlRecord(**_summary(row), der=row[7])

    def crl_summaries(self, issuer_key_id: str, kind: CrlKind) -> Sequence[CrlSummary]:
        """Return the CRLs of this kind, newest first, without reading their octets."""
        wanted = {"issuer_key": issuer_key_id, "wanted_kind": kind.value}
        return [CrlSummary(**_summary(row)) for row in self._all(_CRL_SUMMARIES, wanted)]

    def forget_crls(self, *, superseded_kept: int) -> int:
        """Forget all CRLs of each key and kind but the newest and so many before it; return how many."""
        return self._change(_FORGET_CRLS, {"kept": superseded_kept})


def _summary(row: Values) -> dict[str, Any]:
    """Return what the first columns of a CRL hold, by field."""
    return {
        "issuer_key_id": row[0],
        "number": row[1],
        "kind": CrlKind(row[2]),
        "this_update": instant(row[3]),
        "next_update": instant(row[4]),
        "next_publish": instant(row[5]),
        "entries": row[6],
    }
