"""The store spends a challenge once, and forgets it when it is of no more use."""

# ruff: noqa: PT012 - a transaction that fails is rarely a single statement

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from store_samples import (
    NOW,
    assert_same,
    enrol,
    new_challenge,
    new_transaction,
)

from ca.records import (
    AlreadyExists,
    ChallengeKind,
    TransactionStatus,
)
from ca.store import SqlStore


@pytest.fixture
def store(database_url: str) -> Iterator[SqlStore]:
    opened = SqlStore.open(database_url)
    yield opened
    opened.close()


def test_challenge_comes_back_as_given(store: SqlStore) -> None:
    full = new_challenge(
        "a", subject="CN=x", template="WebServer", endpoint="site", label="for Zoë", sealed=b"\0\1"
    )
    bare = new_challenge("b", expires_at=None, kind=ChallengeKind.STATIC)
    with store.transaction() as transaction:
        added = [transaction.add_challenge(given) for given in (full, bare)]
    with store.reading() as transaction:
        for record, given in zip(added, (full, bare), strict=True):
            assert transaction.challenge(record.id) == record == transaction.challenge_by_digest(given.digest)
            assert_same(record, given)
        assert transaction.challenge_by_digest("0") is None
        assert transaction.challenge(added[1].id + 1) is None
        assert list(transaction.challenges()) == added


def test_one_time_challenge_is_spent_once(store: SqlStore) -> None:
    with store.transaction() as transaction:
        added = transaction.add_challenge(new_challenge("a"))
        assert transaction.spend_challenge(added.id, NOW)
        assert not transaction.spend_challenge(added.id, NOW)
        assert transaction.challenge(added.id) == replace(added, spent_at=NOW, uses=1)
        assert not transaction.revoke_challenge(added.id, NOW)


def test_static_challenge_counts_its_uses(store: SqlStore) -> None:
    with store.transaction() as transaction:
        added = transaction.add_challenge(new_challenge("a", kind=ChallengeKind.STATIC, expires_at=None))
        assert all(transaction.spend_challenge(added.id, NOW) for _ in range(3))
        assert transaction.challenge(added.id) == replace(added, uses=3)
        assert transaction.revoke_challenge(added.id, NOW)
        assert not transaction.spend_challenge(added.id, NOW)


def test_expired_revoked_and_unknown_challenges_are_not_spent(store: SqlStore) -> None:
    with store.transaction() as transaction:
        expired = transaction.add_challenge(new_challenge("a", expires_at=NOW))
        revoked = transaction.add_challenge(new_challenge("b"))
        assert transaction.revoke_challenge(revoked.id, NOW)
        assert not transaction.revoke_challenge(revoked.id, NOW)
        assert not any(transaction.spend_challenge(each, NOW) for each in (expired.id, revoked.id, 99))
        assert transaction.challenge(revoked.id) == replace(revoked, revoked_at=NOW)


def test_usable_challenges_are_counted(store: SqlStore) -> None:
    with store.transaction() as transaction:
        spent, revoked, _, kept = (
            transaction.add_challenge(new_challenge(name, expires_at=expires_at))
            for name, expires_at in (
                ("spent", None),
                ("revoked", None),
                ("expired", NOW),
                ("kept", NOW + timedelta(seconds=1)),
            )
        )
        endless = transaction.add_challenge(new_challenge("endless", expires_at=None))
        transaction.spend_challenge(spent.id, NOW)
        transaction.revoke_challenge(revoked.id, NOW)
        assert transaction.count_challenges(usable_at=NOW) == 2
        assert list(transaction.challenges(usable_at=NOW)) == [kept, endless]
        assert len(transaction.challenges()) == 5


def test_rejects_second_challenge_with_same_digest(store: SqlStore) -> None:
    with pytest.raises(AlreadyExists, match="digest") as raised, store.transaction() as transaction:
        transaction.add_challenge(new_challenge("a"))
        transaction.add_challenge(new_challenge("a"))
    assert new_challenge("a").digest not in str(raised.value)


def test_only_challenges_of_no_more_use_are_outlived(store: SqlStore) -> None:
    with store.transaction() as transaction:
        made = {
            name: transaction.add_challenge(new_challenge(name, expires_at=expires)).id
            for name, expires in (
                ("spent", None),
                ("revoked", None),
                ("over", NOW - timedelta(hours=2)),
                ("usable", None),
                ("just over", NOW),
            )
        }
        assert transaction.spend_challenge(made["spent"], NOW - timedelta(hours=2))
        assert transaction.revoke_challenge(made["revoked"], NOW - timedelta(hours=2))
        found = transaction.outlived_challenges(given_up_before=NOW)
    assert found == [made["spent"], made["revoked"], made["over"]]


def test_forgets_old_transactions_and_then_their_challenges(store: SqlStore) -> None:
    later = NOW + timedelta(days=1)
    with store.transaction() as transaction:
        enrol(transaction, 1)
        transaction.add_scep_transaction(new_transaction("pending", status=TransactionStatus.PENDING))
        transaction.add_scep_transaction(new_transaction("young", created_at=later))
        assert transaction.outlived_challenges(given_up_before=later) == []
        assert transaction.forget_challenges([1]) == 0
        old = transaction.outlived_scep_transactions(created_before=later)
        assert transaction.forget_scep_transactions(old) == 1
        assert transaction.scep_transaction("default", "id 1") is None
        for kept in ("pending", "young"):
            assert transaction.scep_transaction("default", kept) is not None
        assert transaction.forget_challenges(transaction.outlived_challenges(given_up_before=later)) == 1
        assert transaction.challenges() == []
