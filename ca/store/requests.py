"""Requests that wait for a certificate manager, and the SCEP transactions that ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, func, insert, or_, select, update

from ca.records import RequestRecord, RequestStatus, TransactionRecord, TransactionStatus

from .rows import Rows, Statement
from .tables import instant, instant_or_none, request_origins, requests, scep_transactions, stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from ca.records import NewRequest, NewTransaction

    from .rows import Values

_SUBMITTED = ["csr", "subject", "template", "requester", "public_key_sha256", "submitted_at", "status"]
_RESOLUTION = ["resolved_at", "certificate_id", "disposition_message"]
_SELECT = select(requests.c.id, *(requests.c[name] for name in _SUBMITTED + _RESOLUTION))
_ADD = Statement(insert(requests).returning(requests.c.id), _SUBMITTED)
_BY_ID = Statement(_SELECT.where(requests.c.id == bindparam("wanted_id")))
_EVERY = Statement(_SELECT.order_by(requests.c.id))
_WITH_STATUS = Statement(
    _SELECT.where(requests.c.status == bindparam("wanted_status")).order_by(requests.c.id)
)
_RESOLVE = Statement(
    update(requests).where(requests.c.id == bindparam("wanted_id"), requests.c.status == bindparam("still")),
    ["status", *_RESOLUTION],
)
_ADD_ORIGIN = Statement(insert(request_origins), ["request_id", "endpoint", "client_address"])
_WAITING = (
    select(func.count())
    .select_from(request_origins.join(requests, requests.c.id == request_origins.c.request_id))
    .where(
        requests.c.status == RequestStatus.PENDING.value,
        request_origins.c.endpoint == bindparam("wanted_endpoint"),
    )
)
_COUNT_WAITING = Statement(_WAITING)
_COUNT_WAITING_OF_ADDRESS = Statement(
    _WAITING.where(request_origins.c.client_address == bindparam("wanted_address"))
)
_OVERDUE = Statement(
    select(requests.c.id)
    .where(requests.c.status == RequestStatus.PENDING.value, requests.c.submitted_at < bindparam("before"))
    .order_by(requests.c.id)
)
_REFERRED_TO = select(scep_transactions.c.id).where(scep_transactions.c.request_id == requests.c.id).exists()
_OUTLIVED_REQUESTS = Statement(
    select(requests.c.id)
    .where(requests.c.resolved_at < bindparam("before"), ~_REFERRED_TO)
    .order_by(requests.c.id)
)
_FORGET_ORIGIN = Statement(
    delete(request_origins).where(request_origins.c.request_id == bindparam("wanted_id"))
)
_FORGET_REQUEST = Statement(delete(requests).where(requests.c.id == bindparam("wanted_id")))

_TRANSACTION = [
    "endpoint",
    "transaction_id",
    "generation",
    "status",
    "message_type",
    "message_sha256",
    "public_key_sha256",
    "signer_key_sha256",
    "signer_sha256",
    "challenge_id",
    "certificate_id",
    "request_id",
    "created_at",
]
_SELECT_TRANSACTION = select(scep_transactions.c.id, *(scep_transactions.c[name] for name in _TRANSACTION))
_ADD_TRANSACTION = Statement(insert(scep_transactions).returning(scep_transactions.c.id), _TRANSACTION)
_GENERATIONS = _SELECT_TRANSACTION.where(
    scep_transactions.c.endpoint == bindparam("wanted_endpoint"),
    scep_transactions.c.transaction_id == bindparam("wanted_id"),
).order_by(scep_transactions.c.generation.desc())
_LATEST = Statement(_GENERATIONS.limit(1))
_REPEATED = Statement(
    _GENERATIONS.where(scep_transactions.c.message_sha256 == bindparam("wanted_message")).limit(1)
)
_OF_REQUEST = Statement(
    _SELECT_TRANSACTION.where(scep_transactions.c.request_id == bindparam("wanted_id")).order_by(
        scep_transactions.c.id
    )
)
# A transaction says how it began: whether it still waits, its request says.
_DECIDED = (
    select(requests.c.id)
    .where(requests.c.id == scep_transactions.c.request_id, requests.c.status != RequestStatus.PENDING.value)
    .exists()
)
_OUTLIVED = Statement(
    select(scep_transactions.c.id)
    .where(
        scep_transactions.c.created_at < bindparam("before"),
        or_(scep_transactions.c.status != TransactionStatus.PENDING.value, _DECIDED),
    )
    .order_by(scep_transactions.c.id)
)
_FORGET = Statement(delete(scep_transactions).where(scep_transactions.c.id == bindparam("wanted_id")))
_THIS = update(scep_transactions).where(scep_transactions.c.id == bindparam("wanted_id"))
_SET_STATUS = Statement(_THIS, ["status"])
_SET_STATUS_AND_CERTIFICATE = Statement(_THIS, ["status", "certificate_id"])


class RequestRows(Rows):
    """The approval queue of `ca.records.StoreTransaction`."""

    __slots__ = ()

    def add_request(self, request: NewRequest) -> RequestRecord:
        """Put a request in the queue."""
        row_id = self._insert(
            _ADD,
            {
                "csr": request.csr,
                "subject": request.subject,
                "template": request.template,
                "requester": request.requester,
                "public_key_sha256": request.public_key_sha256,
                "submitted_at": stored(request.submitted_at),
                "status": RequestStatus.PENDING.value,
            },
        )
        return RequestRecord(
            id=row_id,
            csr=request.csr,
            subject=request.subject,
            template=request.template,
            requester=request.requester,
            public_key_sha256=request.public_key_sha256,
            submitted_at=request.submitted_at,
            status=RequestStatus.PENDING,
        )

    def request(self, request_id: int) -> RequestRecord | None:
        """Return the request with this id."""
        row = self._one(_BY_ID, {"wanted_id": request_id})
        return None if row is None else _request(row)

    def requests(self, status: RequestStatus | None = None) -> Sequence[RequestRecord]:
        """Return every request, oldest first, or every one with this status."""
        if status is None:
            return [_request(row) for row in self._all(_EVERY, {})]
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
            "resolved_at": stored(at),
            "certificate_id": certificate_id,
            "disposition_message": disposition_message,
        }
        return self._change(_RESOLVE, values) == 1

    def add_request_origin(self, request_id: int, *, endpoint: str, client_address: str) -> None:
        """Remember at which endpoint, and from which address, a request was made."""
        values = {"request_id": request_id, "endpoint": endpoint, "client_address": client_address}
        self._change(_ADD_ORIGIN, values)

    def count_waiting(self, endpoint: str, *, client_address: str | None = None) -> int:
        """Return how many requests of an endpoint are pending, of one address or of any."""
        wanted = {"wanted_endpoint": endpoint}
        if client_address is None:
            (row,) = self._all(_COUNT_WAITING, wanted)
        else:
            (row,) = self._all(_COUNT_WAITING_OF_ADDRESS, {**wanted, "wanted_address": client_address})
        return int(row[0])

    def overdue_requests(self, *, submitted_before: datetime) -> Sequence[int]:
        """Return the ids of requests that have been pending since before then, oldest first."""
        return [int(row[0]) for row in self._all(_OVERDUE, {"before": stored(submitted_before)})]

    def outlived_requests(self, *, resolved_before: datetime) -> Sequence[int]:
        """Return the ids of requests that were resolved before then.

        Those that a SCEP transaction refers to are left out: they go when it has gone.
        """
        return [int(row[0]) for row in self._all(_OUTLIVED_REQUESTS, {"before": stored(resolved_before)})]

    def forget_requests(self, request_ids: Iterable[int]) -> int:
        """Forget requests that no SCEP transaction refers to, and their origins; return how many."""
        wanted = [{"wanted_id": each} for each in request_ids]
        self._change_many(_FORGET_ORIGIN, wanted)
        return self._change_many(_FORGET_REQUEST, wanted)


class TransactionRows(Rows):
    """The SCEP transactions of `ca.records.StoreTransaction`."""

    __slots__ = ()

    def scep_transaction(self, endpoint: str, transaction_id: str) -> TransactionRecord | None:
        """Return the latest generation of a transaction."""
        row = self._one(_LATEST, {"wanted_endpoint": endpoint, "wanted_id": transaction_id})
        return None if row is None else _transaction(row)

    def repeated_scep_transaction(
        self, endpoint: str, transaction_id: str, message_sha256: str
    ) -> TransactionRecord | None:
        """Return the latest generation of a transaction that began with this very message."""
        wanted = {
            "wanted_endpoint": endpoint,
            "wanted_id": transaction_id,
            "wanted_message": message_sha256,
        }
        row = self._one(_REPEATED, wanted)
        return None if row is None else _transaction(row)

    def add_scep_transaction(self, transaction: NewTransaction) -> TransactionRecord:
        """Remember a transaction; AlreadyExists when another has added this generation."""
        unchanged = {name: getattr(transaction, name) for name in _TRANSACTION}
        values = {
            **unchanged,
            "status": transaction.status.value,
            "created_at": stored(transaction.created_at),
        }
        return TransactionRecord(id=self._insert(_ADD_TRANSACTION, values), **unchanged)

    def scep_transactions_of_request(self, request_id: int) -> Sequence[TransactionRecord]:
        """Return the transactions that wait for this request, oldest first."""
        return [_transaction(row) for row in self._all(_OF_REQUEST, {"wanted_id": request_id})]

    def outlived_scep_transactions(self, *, created_before: datetime) -> Sequence[int]:
        """Return the ids of transactions begun before then that wait for nobody."""
        return [int(row[0]) for row in self._all(_OUTLIVED, {"before": stored(created_before)})]

    def forget_scep_transactions(self, record_ids: Iterable[int]) -> int:
        """Forget transactions: a client that repeats such a request is a stranger. Return how many."""
        return self._change_many(_FORGET, [{"wanted_id": each} for each in record_ids])

    def update_scep_transaction(
        self, record_id: int, status: TransactionStatus, *, certificate_id: int | None = None
    ) -> None:
        """Set how a transaction stands; without ``certificate_id`` that stays as it is.

        Raises:
            LookupError: no transaction with this id.

        """
        values: dict[str, object] = {"wanted_id": record_id, "status": status.value}
        statement = _SET_STATUS
        if certificate_id is not None:
            statement, values["certificate_id"] = _SET_STATUS_AND_CERTIFICATE, certificate_id
        if self._change(statement, values) != 1:
            raise LookupError(f"no SCEP transaction has the id {record_id}")


def _request(row: Values) -> RequestRecord:
    return RequestRecord(
        id=row[0],
        csr=row[1],
        subject=row[2],
        template=row[3],
        requester=row[4],
        public_key_sha256=row[5],
        submitted_at=instant(row[6]),
        status=RequestStatus(row[7]),
        resolved_at=instant_or_none(row[8]),
        certificate_id=row[9],
        disposition_message=row[10],
    )


def _transaction(row: Values) -> TransactionRecord:
    return TransactionRecord(
        id=row[0],
        endpoint=row[1],
        transaction_id=row[2],
        generation=row[3],
        status=TransactionStatus(row[4]),
        message_type=row[5],
        message_sha256=row[6],
        public_key_sha256=row[7],
        signer_key_sha256=row[8],
        signer_sha256=row[9],
        challenge_id=row[10],
        certificate_id=row[11],
        request_id=row[12],
        created_at=instant(row[13]),
    )
