"""Challenges: what is made, what a password is worth, and what the database never holds."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from store_samples import NOW

from ca.challenges import ChallengeBook, ChallengeVerdict
from ca.extensions import GeneralName, subject_alt_name
from ca.records import AlreadyExists, ChallengeKind, NewChallenge, StoreTransaction
from ca.store import SqlStore

KEY = bytes(range(32))
HOUR = timedelta(hours=1)
SUBJECT = "CN=device-1,O=Example"


class MovableClock:
    def __init__(self) -> None:
        self.instant = NOW

    def now(self) -> datetime:
        return self.instant


class Counter:
    """Entropy that can be foretold: every octet is one more than the last."""

    def __init__(self) -> None:
        self._octets = itertools.cycle(range(256))

    def __call__(self, count: int) -> bytes:
        return bytes(itertools.islice(self._octets, count))


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite3"


@pytest.fixture
def transaction(path: Path) -> Iterator[StoreTransaction]:
    store = SqlStore.open(f"sqlite:///{path}", durable=False)
    with store.transaction() as begun:
        yield begun
    store.close()


def new_book(clock: MovableClock, *, key: bytes = KEY, sealing: bool = False) -> ChallengeBook:
    return ChallengeBook(digest_key=key, clock=clock, entropy=Counter(), sealing=sealing)


@pytest.fixture
def book(clock: MovableClock) -> ChallengeBook:
    return new_book(clock)


def verdict(
    book: ChallengeBook,
    transaction: StoreTransaction,
    password: str | bytes | None,
    *,
    subject: str = SUBJECT,
    endpoint: str = "default",
) -> ChallengeVerdict:
    octets = password.encode() if isinstance(password, str) else password
    return book.examine(transaction, octets, subject=subject, endpoint=endpoint).verdict


def test_generated_password_is_upper_case_hex_of_the_entropy(
    book: ChallengeBook, transaction: StoreTransaction
) -> None:
    issued = book.new(transaction, validity=HOUR, label="first")
    assert issued.password == "000102030405060708090A0B0C0D0E0F"
    assert len(book.new(transaction, validity=HOUR, length=8).password) == 16
    assert issued.record.created_at == NOW
    assert issued.record.expires_at == NOW + HOUR
    assert issued.record.label == "first"
    assert issued.record.digest == hmac.new(KEY, issued.password.encode(), hashlib.sha256).hexdigest()


def test_accepted_challenge_is_redeemed_once(book: ChallengeBook, transaction: StoreTransaction) -> None:
    issued = book.new(transaction, validity=HOUR, template="WebServer")
    finding = book.examine(transaction, issued.password.encode(), subject=SUBJECT, endpoint="default")
    assert finding.verdict is ChallengeVerdict.ACCEPTED
    assert finding.record == issued.record
    assert finding.record.template == "WebServer"
    assert (
        verdict(book, transaction, issued.password) is ChallengeVerdict.ACCEPTED
    )  # examining writes nothing
    assert book.redeem(transaction, issued.record)
    assert not book.redeem(transaction, issued.record)
    assert verdict(book, transaction, issued.password) is ChallengeVerdict.SPENT


def test_static_challenge_is_redeemed_again_and_again(
    book: ChallengeBook, transaction: StoreTransaction
) -> None:
    issued = book.new(transaction, kind=ChallengeKind.STATIC, validity=None, password="shared")
    for _ in range(3):
        assert verdict(book, transaction, "shared") is ChallengeVerdict.ACCEPTED
        assert book.redeem(transaction, issued.record)
    assert book.list(transaction) == [replace(issued.record, uses=3)]


@pytest.mark.parametrize("password", [None, b""])
def test_no_password_is_absent(
    book: ChallengeBook, transaction: StoreTransaction, password: bytes | None
) -> None:
    assert verdict(book, transaction, password) is ChallengeVerdict.ABSENT


@pytest.mark.parametrize(
    "password",
    ["secret ", "secret\n", "secret\0", "Secret", " secret", "secre", "x" * 1_000_000, b"\xff\xfe"],
)
def test_other_octets_are_unknown(
    book: ChallengeBook, transaction: StoreTransaction, password: str | bytes
) -> None:
    book.new(transaction, validity=HOUR, password="secret")
    assert verdict(book, transaction, password) is ChallengeVerdict.UNKNOWN


def test_expires_at_its_instant(
    book: ChallengeBook, transaction: StoreTransaction, clock: MovableClock
) -> None:
    issued = book.new(transaction, validity=HOUR, password="secret")
    endless = book.new(transaction, validity=None, password="endless")
    clock.instant = NOW + HOUR - timedelta(microseconds=1)
    assert verdict(book, transaction, "secret") is ChallengeVerdict.ACCEPTED
    clock.instant = NOW + HOUR
    assert verdict(book, transaction, "secret") is ChallengeVerdict.EXPIRED
    assert not book.redeem(transaction, issued.record)
    clock.instant = NOW + timedelta(days=100_000)
    assert verdict(book, transaction, "endless") is ChallengeVerdict.ACCEPTED
    assert book.list(transaction, usable_only=True) == [endless.record]


def test_revoked_challenge_is_told_apart(book: ChallengeBook, transaction: StoreTransaction) -> None:
    issued = book.new(transaction, validity=HOUR)
    assert book.revoke(transaction, issued.record.id)
    assert not book.revoke(transaction, issued.record.id)
    assert verdict(book, transaction, issued.password) is ChallengeVerdict.REVOKED
    assert not book.redeem(transaction, issued.record)


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        (SUBJECT, ChallengeVerdict.ACCEPTED),
        ("cn=Device-1, o=example", ChallengeVerdict.ACCEPTED),
        ("O=Example,CN=device-1", ChallengeVerdict.WRONG_SUBJECT),
        ("CN=device-11,O=Example", ChallengeVerdict.WRONG_SUBJECT),
        ("", ChallengeVerdict.WRONG_SUBJECT),
    ],
)
def test_bound_to_a_subject(
    book: ChallengeBook, transaction: StoreTransaction, subject: str, expected: ChallengeVerdict
) -> None:
    issued = book.new(transaction, validity=HOUR, subject=SUBJECT)
    assert verdict(book, transaction, issued.password, subject=subject) is expected


def test_bound_to_an_endpoint(book: ChallengeBook, transaction: StoreTransaction) -> None:
    issued = book.new(transaction, validity=HOUR, endpoint="site")
    assert verdict(book, transaction, issued.password, endpoint="site") is ChallengeVerdict.ACCEPTED
    assert verdict(book, transaction, issued.password) is ChallengeVerdict.WRONG_ENDPOINT


@pytest.mark.parametrize("octets", ["Zoë_1".encode(), "Zoë_1".encode("latin-1")], ids=["utf-8", "latin-1"])
def test_encoding_of_the_password_does_not_matter(
    book: ChallengeBook, transaction: StoreTransaction, octets: bytes
) -> None:
    book.new(transaction, validity=HOUR, password="Zoë_1")
    assert verdict(book, transaction, octets) is ChallengeVerdict.ACCEPTED


def test_another_digest_key_knows_nothing(
    book: ChallengeBook, transaction: StoreTransaction, clock: MovableClock
) -> None:
    issued = book.new(transaction, validity=HOUR)
    other = new_book(clock, key=b"\1" * 32)
    assert verdict(other, transaction, issued.password) is ChallengeVerdict.UNKNOWN


def test_refuses_to_make_an_unusable_challenge(
    book: ChallengeBook, transaction: StoreTransaction, clock: MovableClock
) -> None:
    with pytest.raises(ValueError, match="empty"):
        book.new(transaction, validity=HOUR, password="")
    with pytest.raises(ValueError, match="0 octets"):
        book.new(transaction, validity=HOUR, length=0)
    with pytest.raises(ValueError, match="label of a challenge holds the character NUL"):
        book.new(transaction, validity=HOUR, label="a\0b")
    with pytest.raises(ValueError, match="digest key has 15 octets"):
        new_book(clock, key=b"1" * 15)


def test_given_password_cannot_be_given_twice(path: Path, book: ChallengeBook) -> None:
    store = SqlStore.open(f"sqlite:///{path}", durable=False)
    with pytest.raises(AlreadyExists), store.transaction() as transaction:  # noqa: PT012
        book.new(transaction, validity=HOUR, password="secret")
        book.new(transaction, validity=HOUR, password="secret")
    store.close()


def test_password_is_recoverable_only_where_sealed(
    transaction: StoreTransaction, clock: MovableClock
) -> None:
    plain, sealing = new_book(clock), new_book(clock, sealing=True)
    plain.new(transaction, validity=HOUR, length=8)
    sealed = sealing.new(transaction, validity=HOUR)
    spent = sealing.new(transaction, validity=HOUR)
    assert sealing.redeem(transaction, spent.record)
    assert sealing.recoverable(transaction) == [(sealed.record, sealed.password.encode())]
    assert plain.recoverable(transaction) == []
    assert new_book(clock, key=b"\1" * 32, sealing=True).recoverable(transaction) == []


def test_sealed_password_belongs_to_its_challenge(transaction: StoreTransaction, clock: MovableClock) -> None:
    book = new_book(clock, sealing=True)
    issued = book.new(transaction, validity=HOUR)
    one = issued.record
    moved = NewChallenge(
        digest="0" * 64,
        kind=one.kind,
        created_at=one.created_at,
        expires_at=one.expires_at,
        sealed=one.sealed,
    )
    transaction.add_challenge(moved)
    assert book.recoverable(transaction) == [(one, issued.password.encode())]


def test_given_password_is_never_recoverable(transaction: StoreTransaction, clock: MovableClock) -> None:
    book = new_book(clock, sealing=True)
    given = book.new(transaction, validity=HOUR, password="Summer2026")
    assert given.record.sealed is None
    assert book.recoverable(transaction) == []
    assert book.recover(given.record) is None
    assert verdict(book, transaction, "Summer2026") is ChallengeVerdict.ACCEPTED


@pytest.mark.parametrize("sealing", [False, True])
def test_database_and_texts_never_hold_the_password(path: Path, clock: MovableClock, sealing: bool) -> None:
    book = new_book(clock, sealing=sealing)
    store = SqlStore.open(f"sqlite:///{path}", durable=False)
    with store.transaction() as transaction:
        issued = book.new(transaction, validity=HOUR, password="correct horse battery")
        finding = book.examine(transaction, b"correct horse battery", subject=SUBJECT, endpoint="default")
    store.close()
    with closing(sqlite3.connect(path)) as database:
        dump = "\n".join(database.iterdump())
    for text in (dump, repr(issued), repr(finding), repr(book)):
        assert "correct horse battery" not in text
        assert b"correct horse battery".hex() not in text.lower()


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ([], ChallengeVerdict.ACCEPTED),
        (["device.example"], ChallengeVerdict.ACCEPTED),
        (["DEVICE.example"], ChallengeVerdict.ACCEPTED),
        (["dc1.corp.example"], ChallengeVerdict.WRONG_SUBJECT),
        (["device.example", "dc1.corp.example"], ChallengeVerdict.WRONG_SUBJECT),
    ],
)
def test_a_bound_challenge_covers_only_names_that_repeat_its_subject(
    book: ChallengeBook, transaction: StoreTransaction, wanted: list[str], expected: ChallengeVerdict
) -> None:
    names = [GeneralName(2, text.encode(), text) for text in wanted]
    asked = (subject_alt_name(names),) if names else ()
    subject = "CN=device.example,O=Example"
    issued = book.new(transaction, validity=HOUR, subject=subject)
    finding = book.examine(
        transaction, issued.password.encode(), subject=subject, endpoint="default", extensions=asked
    )
    assert finding.verdict is expected
    unbound = book.new(transaction, validity=HOUR)
    anyone = book.examine(
        transaction, unbound.password.encode(), subject=subject, endpoint="default", extensions=asked
    )
    assert anyone.verdict is ChallengeVerdict.ACCEPTED
