"""Where an earlier SCEP transaction stands now.

The record says how it began; a request that waited for a certificate manager may have been decided
since, and a certificate may have been revoked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ca.records import RequestStatus, TransactionStatus

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from ca.records import CertificateRecord, StoreTransaction, TransactionRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The present state of a transaction; ``certificate`` where one came of it."""

    record: TransactionRecord
    status: TransactionStatus
    certificate: CertificateRecord | None = None

    def is_deliverable(self, now: datetime) -> bool:
        """Tell whether its certificate exists, is not revoked and has not expired."""
        found = self.certificate
        return found is not None and found.revocation is None and now <= found.not_after

    def is_recent(self, now: datetime, window: timedelta) -> bool:
        """Tell whether it was issued within ``window``, and in the first half of its validity."""
        if self.certificate is None:
            return False
        issued = self.certificate.issued_at
        return now <= issued + min(window, (self.certificate.not_after - issued) / 2)


def standing_of(transaction: StoreTransaction, record: TransactionRecord) -> Standing:
    """Return where the transaction ``record`` stands."""
    status, certificate_id = record.status, record.certificate_id
    if status is TransactionStatus.PENDING and record.request_id is not None:
        request = transaction.request(record.request_id)
        if request is not None and request.status is RequestStatus.ISSUED:
            status, certificate_id = TransactionStatus.ISSUED, request.certificate_id
        elif request is None or request.status is RequestStatus.DENIED:
            status = TransactionStatus.DENIED
    certificate = None if certificate_id is None else transaction.certificate(certificate_id)
    return Standing(record=record, status=status, certificate=certificate)
