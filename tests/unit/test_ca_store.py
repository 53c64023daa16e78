"""The store keeps what it is given, and refuses what would contradict it."""

# ruff: noqa: PT012 - a transaction that fails is rarely a single statement

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import timedelta

import pytest
from store_samples import ISSUER, NOW, enrol, new_certificate, new_challenge, new_request, new_transaction

from ca.crls import encode_entry
from ca.records import (
    AlreadyExists,
    CertificateFilter,
    CertificateStatus,
    ChallengeKind,
    CrlKind,
    CrlRecord,
    RequestStatus,
    Revocation,
    RevocationReason,
    RevokedEntry,
    Store,
    StoreUnavailable,
    TransactionStatus,
)
from ca.store import SqlStore

HOLD = Revocation(revoked_at=NOW, reason=RevocationReason.CERTIFICATE_HOLD)
COMPROMISE = Revocation(
    revoked_at=NOW, reason=RevocationReason.KEY_COMPROMISE, invalidity_date=NOW - timedelta(days=3)
)
OTHER_ISSUER = "cd" * 20


@pytest.fixture
def store(database_url: str) -> Iterator[SqlStore]:
    opened = SqlStore.open(database_url)
    yield opened
    opened.close()


def assert_same(record: object, given: object) -> None:
    assert {field.name: getattr(record, field.name) for field in fields(given)} == {  # type: ignore[arg-type]
        field.name: getattr(given, field.name)
        for field in fields(given)  # type: ignore[arg-type]
    }


def test_is_a_store(store: SqlStore) -> None:
    typed: Store = store
    assert typed is store


# -- certificates


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


# -- revocations and CRLs


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


def crl(number: int, kind: CrlKind, issuer_key_id: str = ISSUER) -> CrlRecord:
    return CrlRecord(
        issuer_key_id=issuer_key_id,
        number=number,
        kind=kind,
        this_update=NOW,
        next_update=NOW + timedelta(days=8),
        next_publish=NOW + timedelta(days=7),
        entries=12,
        der=b"crl %d" % number,
    )


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


def test_crl_numbers_count_up_per_key_and_survive_rollback(store: SqlStore) -> None:
    with store.transaction() as transaction:
        assert [transaction.next_crl_number(ISSUER) for _ in range(3)] == [1, 2, 3]
        assert transaction.next_crl_number(OTHER_ISSUER) == 1
    with pytest.raises(ZeroDivisionError), store.transaction() as transaction:
        assert transaction.next_crl_number(ISSUER) == 4
        raise ZeroDivisionError
    with store.transaction() as transaction:
        assert transaction.next_crl_number(ISSUER) == 4


# -- challenges


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


# -- requests and SCEP transactions


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


# -- transactions


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
