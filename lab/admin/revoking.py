"""Revocation at the desk of a world: one certificate, or many at once, and the CRL that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ca.errors import CaError
from ca.records import CrlKind

from .desk import DeskError, DeskRefused, Invalid
from .models import REASONS, BulkResult, BulkView
from .selecting import select

if TYPE_CHECKING:
    from datetime import datetime

    from ca.records import CertificateRecord, Revocation, StoreTransaction
    from lab.world import World

    from .models import BulkEntry, BulkOrder, RevocationOrder

CRL_KINDS = {"base": CrlKind.BASE, "delta": CrlKind.DELTA}


def check_dates(order: RevocationOrder | BulkEntry) -> None:
    """Raise Invalid for an instant without a time zone."""
    for name in ("revoked_at", "invalidity_date"):
        value: datetime | None = getattr(order, name, None)
        if value is not None and value.tzinfo is None:
            raise Invalid(f"{name} has no time zone, expected one, such as Z")


def revoke_one(world: World, selector: str, order: RevocationOrder) -> CertificateRecord:
    """Revoke a certificate, or take it off hold, under whichever key of the CA issued it."""
    with world.store.transaction() as transaction:
        return revoke_in(world, transaction, select_in(world, transaction, selector), order)


def revoke_in(
    world: World,
    transaction: StoreTransaction,
    found: CertificateRecord,
    order: RevocationOrder | BulkEntry,
) -> CertificateRecord:
    """Revoke a certificate, or take it off hold, within a transaction; raises Invalid, CaError."""
    check_dates(order)
    authority = world.authority_of(found)
    if order.reason == "removeFromCRL":
        return authority.release(transaction, found.id)
    return authority.revoke(
        transaction,
        found.id,
        REASONS[order.reason],
        revoked_at=order.revoked_at,
        invalidity_date=getattr(order, "invalidity_date", None),
    )


def revoke_many(world: World, order: BulkOrder) -> BulkView:
    """Revoke all, in one transaction, or none; ``dry_run`` tells what would be in the way."""
    if order.dry_run:
        with world.store.reading() as transaction:
            results, _ = _examine(world, transaction, order)
            return BulkView(results=results, applied=False)
    with world.store.transaction() as transaction:
        transaction.lock_revocations()
        results, wanted = _examine(world, transaction, order)
        good = len(wanted) == len(results)
        if good:
            transaction.revoke_many(wanted)
    return BulkView(results=results, applied=good)


def _examine(
    world: World, transaction: StoreTransaction, order: BulkOrder
) -> tuple[tuple[BulkResult, ...], list[tuple[CertificateRecord, Revocation]]]:
    """Return what becomes of each entry, and the revocations of those that nothing speaks against."""
    results: list[BulkResult] = []
    wanted: list[tuple[CertificateRecord, Revocation]] = []
    seen: set[int] = set()
    for entry in order.entries:
        try:
            check_dates(entry)
            found = select_in(world, transaction, entry.selector, by_number=False)
            if found.id in seen:
                raise DeskRefused(f"certificate {found.id} is named twice")
            revocation = world.authority_of(found).revocation_of(
                found, REASONS[entry.reason], revoked_at=entry.revoked_at
            )
        except (CaError, DeskError) as error:
            results.append(BulkResult(problem=str(error)))
            continue
        seen.add(found.id)
        wanted.append((found, revocation))
        results.append(BulkResult(certificate_id=found.id))
    return tuple(results), wanted


def select_in(
    world: World, transaction: StoreTransaction, selector: str, *, by_number: bool = True
) -> CertificateRecord:
    """Return the certificate that a selector names; raises NotFound."""
    key_ids = [authority.issuer_key_id for authority in world.authorities]
    return select(transaction, selector, key_ids=key_ids, now=world.clock.now(), by_number=by_number)
