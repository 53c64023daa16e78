"""The store keeps requests, and the SCEP transactions that led to them, until both are over."""

# ruff: noqa: PT012 - a transaction that fails is rarely a single statement

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from store_samples import (
    NOW,
    assert_same,
    new_certificate,
    new_request,
    new_transaction,
)

from ca.records import (
    AlreadyExists,
    RequestStatus,
    TransactionStatus,
)
from ca.store import SqlStore


@pytest.fixture
def store(database_url: str) -> Iterator[SqlStore]:
    opened = SqlStore.open(database_url)
    yield opened
    opened.close()


def test_request_is_resolved_once(store: SqlStore) -> None:
    with store.transaction() as transaction:
        one, two, three = (transaction.add_request(new_request(number)) for number in (1, 2, 3))
        assert_same(one, new_request(1))
        certificate = transaction.add_certificate(new_certificate(1), NOW)
        assert transaction.resolve_request(
            one.id, RequestStatus.ISSUED, at=NOW, certificate_id=certificate.id
        )
        assert transaction.resolve_request(two.id, RequestStatus.DENIED, at=NOW, disposition_message="No.")
        assert not transaction.resolve_request(one.id, RequestStatus.DENIED, at=NOW)
        assert not transaction.resolve_request(99, RequestStatus.DENIED, at=NOW)
    issued = replace(one, status=RequestStatus.ISSUED, resolved_at=NOW, certificate_id=certificate.id)
    denied = replace(two, status=RequestStatus.DENIED, resolved_at=NOW, disposition_message="No.")
    with store.reading() as transaction:
        assert transaction.request(one.id) == issued
        assert transaction.request(99) is None
        assert list(transaction.requests()) == [issued, denied, three]
        assert list(transaction.requests(RequestStatus.PENDING)) == [three]
        assert list(transaction.requests(RequestStatus.DENIED)) == [denied]


def test_latest_generation_of_a_transaction_counts(store: SqlStore) -> None:
    with store.transaction() as transaction:
        first = transaction.add_scep_transaction(new_transaction("a b+/="))
        assert_same(first, new_transaction("a b+/="))
        assert transaction.scep_transaction("default", "a b+/=") == first
        second = transaction.add_scep_transaction(new_transaction("a b+/=", generation=2))
        assert transaction.scep_transaction("default", "a b+/=") == second
        assert transaction.scep_transaction("other", "a b+/=") is None
        assert transaction.scep_transaction("default", "A B+/=") is None
        transaction.add_scep_transaction(new_transaction("a b+/=", endpoint="other"))


def test_rejects_same_generation_of_a_transaction(store: SqlStore) -> None:
    with pytest.raises(AlreadyExists, match=r"generation|transaction_id"), store.transaction() as transaction:
        transaction.add_scep_transaction(new_transaction("a"))
        transaction.add_scep_transaction(new_transaction("a"))


def test_transaction_follows_its_request(store: SqlStore) -> None:
    with store.transaction() as transaction:
        request = transaction.add_request(new_request(1))
        certificate = transaction.add_certificate(new_certificate(1), NOW)
        waiting = new_transaction("a", status=TransactionStatus.PENDING, request_id=request.id)
        added = transaction.add_scep_transaction(waiting)
        transaction.add_scep_transaction(new_transaction("b"))
        transaction.update_scep_transaction(added.id, TransactionStatus.ISSUED, certificate_id=certificate.id)
        issued = replace(added, status=TransactionStatus.ISSUED, certificate_id=certificate.id)
        assert list(transaction.scep_transactions_of_request(request.id)) == [issued]
        transaction.update_scep_transaction(added.id, TransactionStatus.DENIED)
        denied = replace(issued, status=TransactionStatus.DENIED)
        assert transaction.scep_transaction("default", "a") == denied
        with pytest.raises(LookupError):
            transaction.update_scep_transaction(99, TransactionStatus.ISSUED)


def test_record_that_refers_to_nothing_is_refused(store: SqlStore) -> None:
    with pytest.raises(LookupError, match="refers"), store.transaction() as transaction:
        transaction.add_scep_transaction(new_transaction("a", certificate_id=12345))


def test_forgets_requests_once_their_transactions_have_gone(store: SqlStore) -> None:
    later = NOW + timedelta(days=1)
    with store.transaction() as transaction:
        decided, waiting = (transaction.add_request(new_request(number)).id for number in (1, 2))
        for name, request_id in (("decided", decided), ("waiting", waiting)):
            transaction.add_request_origin(request_id, endpoint="default", client_address="192.0.2.1")
            transaction.add_scep_transaction(
                new_transaction(name, status=TransactionStatus.PENDING, request_id=request_id)
            )
        assert transaction.resolve_request(decided, RequestStatus.DENIED, at=NOW)
        assert transaction.outlived_requests(resolved_before=later) == []
        old = transaction.outlived_scep_transactions(created_before=later)
        assert transaction.forget_scep_transactions(old) == 1
        assert transaction.scep_transaction("default", "waiting") is not None
        assert transaction.outlived_requests(resolved_before=NOW) == []
        assert transaction.outlived_requests(resolved_before=later) == [decided]
        assert transaction.forget_requests([decided]) == 1
        assert [one.id for one in transaction.requests()] == [waiting]


def test_counts_what_waits_by_endpoint_and_address(store: SqlStore) -> None:
    origins = [("a", "192.0.2.1"), ("a", "192.0.2.1"), ("a", "192.0.2.2"), ("b", "192.0.2.1")]
    with store.transaction() as transaction:
        for number, (endpoint, address) in enumerate(origins, start=1):
            made = transaction.add_request(new_request(number))
            transaction.add_request_origin(made.id, endpoint=endpoint, client_address=address)
        transaction.add_request(new_request(9))  # made without SCEP
        assert transaction.count_waiting("a") == 3
        assert transaction.count_waiting("a", client_address="192.0.2.1") == 2
        assert transaction.count_waiting("c") == 0
        assert transaction.resolve_request(1, RequestStatus.DENIED, at=NOW)
        assert transaction.count_waiting("a") == 2
        assert transaction.count_waiting("a", client_address="192.0.2.1") == 1
