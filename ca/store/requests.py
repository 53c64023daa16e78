"""Requests that wait for a certificate manager, and the SCEP transactions that ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, insert, select, update

from ca.records import RequestRecord, RequestStatus, TransactionRecord, TransactionStatus

from .rows import Rows
from .tables import requests, scep_transactions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Row

    from ca.records import NewRequest, NewTransaction

_ADD = insert(requests)
_BY_ID = select(requests).where(requests.c.id == bindparam("request_id"))
_EVERY = select(requests).order_by(requests.c.id)
_WITH_STATUS = _EVERY.where(requests.c.status == bindparam("wanted_status"))
_RESOLVE = update(requests).where(
    requests.c.id == bindparam("wanted_id"), requests.c.status == bindparam("still")
)

_ADD_TRANSACTION = insert(scep_transactions)
_LATEST = (
    select(scep_transactions)
    .where(
        scep_transactions.c.endpoint == bindparam("wanted_endpoint"),
        scep_transactions.c.transaction_id == bindparam("wanted_id"),
    )
    .order_by(scep_transactions.c.generation.desc())
    .limit(1)
)
_OF_REQUEST = (
    select(scep_transactions)
    .where(scep_transactions.c.request_id == bindparam("wanted_id"))
    .order_by(scep_transactions.c.id)
)
_UPDATE = update(scep_transactions).where(scep_transactions.c.id == bindparam("wanted_id"))


class RequestRows(Rows):
    """The approval queue of `ca.records.StoreTransaction`."""

    __slots__ = ()

    def add_request(self, request: NewRequest) -> RequestRecord:
        """Put a request in the queue."""
        values: dict[str, Any] = {
            "csr": request.csr,
            "subject": request.subject,
            "template": request.template,
            "requester": request.requester,
            "public_key_sha256": request.public_key_sha256,
            "submitted_at": request.submitted_at,
        }
        status = RequestStatus.PENDING
        row_id = self._insert(_ADD, {**values, "status": status.value})
        return RequestRecord(id=row_id, status=status, **values)

    def request(self, request_id: int) -> RequestRecord | None:
        """Return the request with this id."""
        row = self._one(_BY_ID, {"request_id": request_id})
        return None if row is None else _request(row)

    def requests(self, status: RequestStatus | None = None) -> Sequence[RequestRecord]:
        """Return every request, oldest first, or every one with this status."""
        if status is None:
            return [_request(row) for row in self._all(_EVERY)]
        return [_request(row) for row in self._all(_WITH_STATUS, {"wanted_status": status.value})]

    def resolve_request(
        self,
        request_id: int,
        status: RequestStatus,
        *,
        at: datetime,
        certificate_id: int | None = None,
        disposition_message: str = "",
    ) -> bool:
        """Resolve a pending request, in one step; False when it is not pending any more."""
        values = {
            "wanted_id": request_id,
            "still": RequestStatus.PENDING.value,
            "status": status.value,
            "resolved_at": at,
            "certificate_id": certificate_id,
            "disposition_message": disposition_message,
        }
        return self._change(_RESOLVE, values) == 1


class TransactionRows(Rows):
    """The SCEP transactions of `ca.records.StoreTransaction`."""

    __slots__ = ()

    def scep_transaction(self, endpoint: str, transaction_id: str) -> TransactionRecord | None:
        """Return the latest generation of a transaction."""
        row = self._one(_LATEST, {"wanted_endpoint": endpoint, "wanted_id": transaction_id})
        return None if row is None else _transaction(row)

    def add_scep_transaction(self, transaction: NewTransaction) -> TransactionRecord:
        """Remember a transaction; AlreadyExists when another has added this generation."""
        values: dict[str, Any] = {
            "endpoint": transaction.endpoint,
            "transaction_id": transaction.transaction_id,
            "generation": transaction.generation,
            "message_type": transaction.message_type,
            "message_sha256": transaction.message_sha256,
            "public_key_sha256": transaction.public_key_sha256,
            "signer_key_sha256": transaction.signer_key_sha256,
            "signer_sha256": transaction.signer_sha256,
            "challenge_id": transaction.challenge_id,
            "certificate_id": transaction.certificate_id,
            "request_id": transaction.request_id,
            "created_at": transaction.created_at,
        }
        row_id = self._insert(_ADD_TRANSACTION, {**values, "status": transaction.status.value})
        return TransactionRecord(id=row_id, status=transaction.status, **values)

    def scep_transactions_of_request(self, request_id: int) -> Sequence[TransactionRecord]:
        """Return the transactions that wait for this request, oldest first."""
        return [_transaction(row) for row in self._all(_OF_REQUEST, {"wanted_id": request_id})]

    def update_scep_transaction(
        self, record_id: int, status: TransactionStatus, *, certificate_id: int | None = None
    ) -> None:
        """Set how a transaction stands; without ``certificate_id`` that stays as it is.

        Raises:
            LookupError: no transaction with this id.

        """
        values: dict[str, object] = {"wanted_id": record_id, "status": status.value}
        if certificate_id is not None:
            values["certificate_id"] = certificate_id
        if self._change(_UPDATE, values) != 1:
            raise LookupError(f"no SCEP transaction has the id {record_id}")


def _request(row: Row[Any]) -> RequestRecord:
    return RequestRecord(
        id=row.id,
        csr=row.csr,
        subject=row.subject,
        template=row.template,
        requester=row.requester,
        public_key_sha256=row.public_key_sha256,
        submitted_at=row.submitted_at,
        status=RequestStatus(row.status),
        resolved_at=row.resolved_at,
        certificate_id=row.certificate_id,
        disposition_message=row.disposition_message,
    )


def _transaction(row: Row[Any]) -> TransactionRecord:
    return TransactionRecord(
        id=row.id,
        endpoint=row.endpoint,
        transaction_id=row.transaction_id,
        generation=row.generation,
        status=TransactionStatus(row.status),
        message_type=row.message_type,
        message_sha256=row.message_sha256,
        public_key_sha256=row.public_key_sha256,
        signer_key_sha256=row.signer_key_sha256,
        signer_sha256=row.signer_sha256,
        challenge_id=row.challenge_id,
        certificate_id=row.certificate_id,
        request_id=row.request_id,
        created_at=row.created_at,
    )
