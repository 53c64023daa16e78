"""What waited too long is denied, and what was decided long ago is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from store_samples import NOW, new_request, new_transaction

from ca.periods import Period, PeriodUnit
from ca.records import RequestStatus, TransactionStatus
from ca.retention import EXPIRED, deny_overdue, forget_outlived
from ca.settings import RetentionSettings
from ca.store import SqlStore

POLICY = RetentionSettings(
    pending_requests=Period(10, PeriodUnit.DAYS),
    resolved_requests=Period(20, PeriodUnit.DAYS),
    scep_transactions=Period(40, PeriodUnit.DAYS),
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    opened = SqlStore.open(f"sqlite:///{tmp_path}/store.sqlite3", durable=False)
    yield opened
    opened.close()


def waits(store: SqlStore, number: int = 1) -> int:
    """Put a request in the queue, as SCEP does; return its id."""
    with store.transaction() as transaction:
        request = transaction.add_request(new_request(number))
        transaction.add_request_origin(request.id, endpoint="default", client_address="192.0.2.1")
        transaction.add_scep_transaction(
            new_transaction(f"id {number}", status=TransactionStatus.PENDING, request_id=request.id)
        )
    return request.id


def test_denies_what_waited_longer_than_it_may(store: SqlStore) -> None:
    request_id = waits(store)
    assert deny_overdue(store, POLICY, NOW + timedelta(days=10)) == 0
    at = NOW + timedelta(days=10, seconds=1)
    assert deny_overdue(store, POLICY, at) == 1
    assert deny_overdue(store, POLICY, at) == 0
    with store.reading() as transaction:
        found = transaction.request(request_id)
    assert found is not None
    assert (found.status, found.resolved_at) == (RequestStatus.DENIED, at)
    assert found.disposition_message == EXPIRED


def test_leaves_alone_what_a_certificate_manager_decided(store: SqlStore) -> None:
    request_id = waits(store)
    with store.transaction() as transaction:
        transaction.resolve_request(request_id, RequestStatus.DENIED, at=NOW, disposition_message="no")
    assert deny_overdue(store, POLICY, NOW + timedelta(days=99)) == 0
    with store.reading() as transaction:
        found = transaction.request(request_id)
    assert found is not None
    assert found.disposition_message == "no"


def test_forgets_a_request_after_the_transaction_that_made_it(store: SqlStore) -> None:
    request_id = waits(store)
    with store.transaction() as transaction:
        transaction.resolve_request(request_id, RequestStatus.DENIED, at=NOW)
    assert not forget_outlived(store, POLICY, NOW + timedelta(days=39))
    forgotten = forget_outlived(store, POLICY, NOW + timedelta(days=41))
    assert (forgotten.scep_transactions, forgotten.requests) == (1, 1)
    with store.reading() as transaction:
        assert transaction.requests() == []


def test_never_forgets_what_still_waits(store: SqlStore) -> None:
    request_id = waits(store)
    assert not forget_outlived(store, POLICY, NOW + timedelta(days=999))
    with store.reading() as transaction:
        assert [one.id for one in transaction.requests()] == [request_id]
