"""The store keeps what it is given, and refuses what would contradict it."""

# ruff: noqa: PT012 - a transaction that fails is rarely a single statement

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from store_samples import (
    HOLD,
    ISSUER,
    NOW,
    OTHER_ISSUER,
    assert_same,
    crl,
    enrol,
    new_certificate,
    new_challenge,
    new_request,
)

from ca.records import (
    AlreadyExists,
    CertificateFilter,
    CertificateStatus,
    CrlKind,
    Store,
    StoreUnavailable,
)
from ca.store import SqlStore


@pytest.fixture
def store(database_url: str) -> Iterator[SqlStore]:
    opened = SqlStore.open(database_url)
    yield opened
    opened.close()


def test_is_a_store(store: SqlStore) -> None:
    typed: Store = store
    assert typed is store


@pytest.mark.parametrize("serial_number", [1, 2**159 - 1, 0x80, 0, -5, 2**300])
def test_certificate_comes_back_as_given(store: SqlStore, serial_number: int) -> None:
    given = new_certificate(
        1, serial_number=serial_number, subject="CN=Zoë \u00d8,O=\U0001f600 'quoted\" %_/"
    )
    with store.transaction() as transaction:
        added = transaction.add_certificate(given, NOW)
        assert transaction.certificate(added.id) == added
    with store.reading() as transaction:
        found = transaction.certificate_by_serial(ISSUER, serial_number)
        assert found == added
        assert transaction.certificate_by_serial(OTHER_ISSUER, serial_number) is None
        assert transaction.certificate_by_serial(ISSUER, serial_number + 1) is None
        assert transaction.certificate(added.id + 1) is None
    assert_same(found, given)
    assert found is not None
    assert found.issued_at == NOW
    assert found.not_before.utcoffset() == timedelta(0)


def test_rejects_same_serial_number_of_the_same_key_only(store: SqlStore) -> None:
    with store.transaction() as transaction:
        transaction.add_certificate(new_certificate(1), NOW)
        transaction.add_certificate(new_certificate(1, issuer_key_id=OTHER_ISSUER), NOW)
    with pytest.raises(AlreadyExists, match="serial_number"), store.transaction() as transaction:
        transaction.add_certificate(new_certificate(2), NOW)
        transaction.add_certificate(new_certificate(1), NOW)
    with store.reading() as transaction:
        assert transaction.count_certificates(CertificateFilter(), now=NOW) == 2


def test_swallowed_failure_does_not_commit(store: SqlStore) -> None:
    with store.transaction() as transaction:
        transaction.add_certificate(new_certificate(1), NOW)
    with pytest.raises(AlreadyExists), store.transaction() as transaction:
        transaction.add_certificate(new_certificate(2), NOW)
        with pytest.raises(AlreadyExists):
            transaction.add_certificate(new_certificate(1), NOW)
        with pytest.raises(AlreadyExists):
            transaction.certificate(1)
    with store.reading() as transaction:
        assert transaction.count_certificates(CertificateFilter(), now=NOW) == 1


def test_naive_instant_is_refused(store: SqlStore) -> None:
    with pytest.raises(TypeError), store.transaction() as transaction:
        transaction.add_certificate(new_certificate(1), NOW.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (CertificateFilter(), [0, 1, 2, 3, 4]),
        (CertificateFilter(status=CertificateStatus.VALID), [0, 4]),
        (CertificateFilter(status=CertificateStatus.EXPIRED), [1]),
        (CertificateFilter(status=CertificateStatus.REVOKED), [2, 3]),
        (CertificateFilter(template="WebServer"), [4]),
        (CertificateFilter(subject="DEVICE-3"), [3]),
        (CertificateFilter(subject="straSSE"), [4]),
        (CertificateFilter(subject="device_"), []),
        (CertificateFilter(subject="50%"), [4]),
        (CertificateFilter(subject="/"), [4]),
        (CertificateFilter(serial_number=(0x47 << 144) + 2), [2]),
        (CertificateFilter(sha1=new_certificate(3).sha1), [3]),
        (CertificateFilter(public_key_sha256=new_certificate(1).public_key_sha256), [1]),
        (CertificateFilter(expires_before=NOW), [1, 3]),
        (CertificateFilter(issuer_key_id=OTHER_ISSUER), []),
        (CertificateFilter(subject="device", status=CertificateStatus.REVOKED, expires_before=NOW), [3]),
    ],
)
def test_filter_finds_and_counts(store: SqlStore, wanted: CertificateFilter, numbers: list[int]) -> None:
    past = NOW - timedelta(microseconds=1)
    given = [
        new_certificate(0, not_after=NOW),
        new_certificate(1, not_after=past),
        new_certificate(2),
        new_certificate(3, not_after=past),
        new_certificate(4, template="WebServer", subject="CN=Straße 50% a/b"),
    ]
    with store.transaction() as transaction:
        ids = [transaction.add_certificate(certificate, NOW).id for certificate in given]
        for number in (0, 2, 3):
            transaction.revoke(ids[number], HOLD)
        transaction.release_hold(ids[0])
    with store.reading() as transaction:
        found = transaction.find_certificates(wanted, now=NOW)
        assert [ids.index(record.id) for record in found] == numbers
        assert transaction.count_certificates(wanted, now=NOW) == len(numbers)


def test_pages_are_in_order_of_id(store: SqlStore) -> None:
    with store.transaction() as transaction:
        ids = [transaction.add_certificate(new_certificate(number), NOW).id for number in (5, 3, 9, 1)]
    with store.reading() as transaction:
        first = transaction.find_certificates(CertificateFilter(), now=NOW, limit=3)
        second = transaction.find_certificates(CertificateFilter(), now=NOW, after_id=first[-1].id, limit=3)
    assert [record.id for record in (*first, *second)] == ids


def test_exception_undoes_everything(store: SqlStore) -> None:
    with pytest.raises(ZeroDivisionError), store.transaction() as transaction:
        enrol(transaction, 1)
        raise ZeroDivisionError
    with store.reading() as transaction:
        assert transaction.certificate(1) is None
        assert transaction.challenges() == []
        assert transaction.scep_transaction("default", "id 1") is None


def test_transaction_cannot_be_used_when_it_is_over(store: SqlStore) -> None:
    with store.transaction() as transaction:
        pass
    with pytest.raises(RuntimeError, match="over"):
        transaction.certificate(1)
    with store.reading() as reading:
        entries = reading.encoded_entries(ISSUER, not_expired_at=NOW)
    with pytest.raises(RuntimeError, match="over"):
        list(entries)


def test_reading_cannot_write(store: SqlStore) -> None:
    with pytest.raises(StoreUnavailable, match=r"read.?only"), store.reading() as transaction:
        transaction.add_challenge(new_challenge("a"))
    with store.transaction() as transaction:
        assert transaction.challenges() == []


def test_reset_forgets_everything_and_counts_from_one(store: SqlStore) -> None:
    with store.transaction() as transaction:
        enrol(transaction, 1)
        enrol(transaction, 2)
        transaction.revoke(1, HOLD)
        transaction.add_crl(crl(transaction.next_crl_number(ISSUER), CrlKind.BASE))
        transaction.add_request(new_request(1))
    store.reset()
    with store.transaction() as transaction:
        assert transaction.count_certificates(CertificateFilter(), now=NOW) == 0
        assert transaction.challenges() == []
        assert transaction.requests() == []
        assert transaction.latest_crl(ISSUER, CrlKind.BASE) is None
        assert list(transaction.encoded_entries(ISSUER, not_expired_at=NOW)) == []
        assert transaction.next_crl_number(ISSUER) == 1
        enrol(transaction, 1)
        found = transaction.scep_transaction("default", "id 1")
        assert found is not None
        assert (found.id, found.certificate_id, found.challenge_id) == (1, 1, 1)
        assert transaction.add_request(new_request(1)).id == 1


def test_reset_comes_back_to_what_was_kept_and_numbers_on_after_it(store: SqlStore) -> None:
    with store.transaction() as transaction:
        enrol(transaction, 1)
        transaction.add_crl(crl(transaction.next_crl_number(ISSUER), CrlKind.BASE))
    kept = store.contents()
    assert {name for name, rows in kept.rows.items() if rows} >= {"certificates", "crls", "challenges"}
    with store.transaction() as transaction:
        enrol(transaction, 2)
        transaction.revoke(1, HOLD)
        transaction.add_crl(crl(transaction.next_crl_number(ISSUER), CrlKind.BASE))
        transaction.add_request(new_request(1))
    assert store.contents() != kept
    store.reset(kept)
    assert store.contents() == kept
    with store.transaction() as transaction:
        enrol(transaction, 2)
        found = transaction.scep_transaction("default", "id 2")
        assert found is not None
        assert (found.id, found.certificate_id, found.challenge_id) == (2, 2, 2)
        assert transaction.next_crl_number(ISSUER) == 2
        assert transaction.add_request(new_request(1)).id == 1


# -- deciding in one transaction, writing in another


def test_finds_again_what_nobody_has_changed(store: SqlStore) -> None:
    with store.transaction() as transaction:
        enrol(transaction, 1)
        wanted = CertificateFilter(public_key_sha256=new_certificate(1).public_key_sha256)
    with store.reading() as transaction:
        notes = transaction.take_notes()
        assert transaction.certificate_by_serial(ISSUER, new_certificate(1).serial_number)
        assert len(transaction.find_certificates(wanted, now=NOW)) == 1
        assert transaction.challenge(10_000) is None
        transaction.next_certificate_id()
    with store.transaction() as transaction:
        enrol(transaction, 2)
        assert transaction.finds_again(notes)


@pytest.mark.parametrize("change", ["another row", "another value"])
def test_does_not_find_again_what_has_changed(store: SqlStore, change: str) -> None:
    with store.transaction() as transaction:
        added = transaction.add_certificate(new_certificate(1), NOW)
    with store.reading() as transaction:
        notes = transaction.take_notes()
        transaction.find_certificates(CertificateFilter(), now=NOW)
    with store.transaction() as transaction:
        if change == "another row":
            transaction.add_certificate(new_certificate(2), NOW)
        else:
            transaction.revoke(added.id, HOLD)
        assert not transaction.finds_again(notes)


def test_takes_no_notes_of_a_listing_of_any_length(store: SqlStore) -> None:
    with store.reading() as transaction:
        transaction.take_notes()
        with pytest.raises(RuntimeError, match="listing"):
            next(iter(transaction.encoded_entries(ISSUER, not_expired_at=NOW)))
