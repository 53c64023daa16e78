"""The store lists what is revoked, and keeps the CRLs that said so."""

# ruff: noqa: PT012 - a transaction that fails is rarely a single statement

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from store_samples import (
    COMPROMISE,
    HOLD,
    ISSUER,
    NOW,
    OTHER_ISSUER,
    assert_same,
    crl,
    new_certificate,
)

from ca.crls import encode_entry
from ca.records import (
    AlreadyExists,
    CrlKind,
    Revocation,
    RevocationReason,
    RevokedEntry,
)
from ca.store import SqlStore


@pytest.fixture
def store(database_url: str) -> Iterator[SqlStore]:
    opened = SqlStore.open(database_url)
    yield opened
    opened.close()


def listed(store: SqlStore, *, issuer_key_id: str = ISSUER) -> list[tuple[int, RevocationReason]]:
    with store.reading() as transaction:
        entries = transaction.revoked_entries(issuer_key_id, not_expired_at=NOW)
        encoded = list(transaction.encoded_entries(issuer_key_id, not_expired_at=NOW))
    assert encoded == [encode_entry(entry) for entry in entries]
    return [(entry.serial_number & 0xFF, entry.revocation.reason) for entry in entries]


def changes(store: SqlStore, since_crl_number: int) -> list[bytes]:
    with store.reading() as transaction:
        return list(
            transaction.changed_entries(ISSUER, since_crl_number=since_crl_number, not_expired_at=NOW)
        )


def entry(number: int, revocation: Revocation) -> bytes:
    certificate = new_certificate(number)
    return encode_entry(
        RevokedEntry(
            serial_number=certificate.serial_number, revocation=revocation, not_after=certificate.not_after
        )
    )


def test_revocation_comes_back_and_is_listed(store: SqlStore) -> None:
    with store.transaction() as transaction:
        added = transaction.add_certificate(new_certificate(7), NOW)
        assert added.revocation is None
        transaction.revoke(added.id, COMPROMISE)
        assert transaction.certificate(added.id) == replace(added, revocation=COMPROMISE)
    assert listed(store) == [(7, RevocationReason.KEY_COMPROMISE)]
    assert listed(store, issuer_key_id=OTHER_ISSUER) == []


def test_hold_can_be_made_final_or_released(store: SqlStore) -> None:
    with store.transaction() as transaction:
        one, two = (transaction.add_certificate(new_certificate(number), NOW).id for number in (1, 2))
        transaction.revoke(one, HOLD)
        transaction.revoke(two, HOLD)
    with store.transaction() as transaction:
        transaction.revoke(one, COMPROMISE)
        transaction.release_hold(two)
        released = transaction.certificate(two)
    assert released is not None
    assert released.revocation is None
    assert listed(store) == [(1, RevocationReason.KEY_COMPROMISE)]


def test_release_and_revoke_of_nothing_are_refused(store: SqlStore) -> None:
    with store.transaction() as transaction:
        added = transaction.add_certificate(new_certificate(1), NOW)
        transaction.revoke(added.id, COMPROMISE)
        with pytest.raises(LookupError, match="not on hold"):
            transaction.release_hold(added.id)
        with pytest.raises(LookupError, match="no certificate"):
            transaction.revoke(added.id + 1, COMPROMISE)


def test_expired_certificate_leaves_the_list(store: SqlStore) -> None:
    with store.transaction() as transaction:
        for number, not_after in ((1, NOW), (2, NOW - timedelta(seconds=1))):
            added = transaction.add_certificate(new_certificate(number, not_after=not_after), NOW)
            transaction.revoke(added.id, HOLD)
    assert listed(store) == [(1, RevocationReason.CERTIFICATE_HOLD)]


def test_delta_lists_what_changed_since_its_base(store: SqlStore) -> None:
    with store.transaction() as transaction:
        ids = [transaction.add_certificate(new_certificate(number), NOW).id for number in range(4)]
        transaction.revoke(ids[0], COMPROMISE)
        transaction.revoke(ids[1], HOLD)
    with store.transaction() as transaction:
        assert transaction.next_crl_number(ISSUER) == 1
    assert changes(store, 1) == []
    with store.transaction() as transaction:
        transaction.release_hold(ids[1])
        transaction.revoke(ids[2], HOLD)
    with store.transaction() as transaction:
        assert transaction.next_crl_number(ISSUER) == 2
        transaction.revoke(ids[3], COMPROMISE)
    removed = Revocation(revoked_at=NOW, reason=RevocationReason.REMOVE_FROM_CRL)
    assert changes(store, 1) == [entry(1, removed), entry(2, HOLD), entry(3, COMPROMISE)]
    assert changes(store, 2) == [entry(3, COMPROMISE)]
    assert changes(store, 0) == [
        entry(0, COMPROMISE),
        entry(1, removed),
        entry(2, HOLD),
        entry(3, COMPROMISE),
    ]


def test_many_are_revoked_as_one_by_one(store: SqlStore) -> None:
    released = Revocation(revoked_at=NOW, reason=RevocationReason.REMOVE_FROM_CRL)
    with store.transaction() as transaction:
        records = [transaction.add_certificate(new_certificate(number), NOW) for number in range(1, 5)]
        transaction.revoke(records[1].id, HOLD)
        transaction.revoke(records[2].id, HOLD)
        assert transaction.next_crl_number(ISSUER) == 1
        transaction.revoke_many([(records[0], COMPROMISE), (records[1], COMPROMISE), (records[2], released)])
        found = [transaction.certificate(record.id) for record in records]
        assert [one.revocation for one in found if one] == [COMPROMISE, COMPROMISE, None, None]
        entries = [
            encode_entry(
                RevokedEntry(
                    serial_number=record.serial_number, revocation=revocation, not_after=record.not_after
                )
            )
            for record, revocation in zip(records, (COMPROMISE, COMPROMISE, released), strict=False)
        ]
        assert list(transaction.encoded_entries(ISSUER, not_expired_at=NOW)) == entries[:2]
        changed = transaction.changed_entries(ISSUER, since_crl_number=1, not_expired_at=NOW)
        assert list(changed) == entries
        transaction.revoke_many([])


def test_latest_crl_of_each_kind_and_key(store: SqlStore) -> None:
    given = [
        crl(1, CrlKind.BASE),
        crl(2, CrlKind.DELTA),
        crl(10, CrlKind.BASE),
        crl(9, CrlKind.BASE, OTHER_ISSUER),
    ]
    with store.transaction() as transaction:
        assert transaction.latest_crl(ISSUER, CrlKind.BASE) is None
        for each in given:
            transaction.add_crl(each)
        assert transaction.latest_crl(ISSUER, CrlKind.BASE) == given[2]
        assert transaction.latest_crl(ISSUER, CrlKind.DELTA) == given[1]
        assert transaction.latest_crl(OTHER_ISSUER, CrlKind.DELTA) is None
    with store.transaction() as transaction:
        transaction.add_crl(crl(10, CrlKind.DELTA))  # signed together with base 10 (RFC 5280 5.2.3)
    with pytest.raises(AlreadyExists), store.transaction() as transaction:
        transaction.add_crl(crl(10, CrlKind.DELTA))


def test_crl_summaries_are_those_of_one_key_and_kind_newest_first(store: SqlStore) -> None:
    with store.transaction() as transaction:
        for number in (1, 3, 2):
            transaction.add_crl(crl(number, CrlKind.BASE))
        transaction.add_crl(crl(9, CrlKind.DELTA))
        transaction.add_crl(crl(8, CrlKind.BASE, OTHER_ISSUER))
    with store.reading() as transaction:
        found = transaction.crl_summaries(ISSUER, CrlKind.BASE)
    assert [one.number for one in found] == [3, 2, 1]
    assert_same(crl(3, CrlKind.BASE), found[0])


def test_forgets_superseded_crls_and_never_the_newest(store: SqlStore) -> None:
    kept = [crl(9, CrlKind.BASE, OTHER_ISSUER), crl(5, CrlKind.DELTA), crl(7, CrlKind.BASE)]
    with store.transaction() as transaction:
        for each in (*(crl(number, CrlKind.BASE) for number in (1, 2, 6)), *kept):
            transaction.add_crl(each)
        assert transaction.forget_crls(superseded_kept=1) == 2
        numbers = [one.number for one in transaction.crl_summaries(ISSUER, CrlKind.BASE)]
        assert numbers == [7, 6]
        assert transaction.forget_crls(superseded_kept=0) == 1
        for each in kept:
            assert transaction.latest_crl(each.issuer_key_id, each.kind) == each


def test_crl_numbers_count_up_per_key_and_survive_rollback(store: SqlStore) -> None:
    with store.transaction() as transaction:
        assert [transaction.next_crl_number(ISSUER) for _ in range(3)] == [1, 2, 3]
        assert transaction.next_crl_number(OTHER_ISSUER) == 1
    with pytest.raises(ZeroDivisionError), store.transaction() as transaction:
        assert transaction.next_crl_number(ISSUER) == 4
        raise ZeroDivisionError
    with store.transaction() as transaction:
        assert transaction.next_crl_number(ISSUER) == 4
