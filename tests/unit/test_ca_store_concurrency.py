"""Many threads, many processes, and processes that die: the store stays right."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import store_samples
from store_samples import ISSUER, NOW, digest, enrol, new_certificate, new_challenge, new_transaction

from ca.records import (
    AlreadyExists,
    CertificateFilter,
    CrlKind,
    Revocation,
    RevocationReason,
    StoreTransaction,
    StoreUnavailable,
)
from ca.store import SqlStore, engines

THREADS = 200
SPENDING = """
import sys
from concurrent.futures import ThreadPoolExecutor
from store_samples import NOW, digest
from ca.store import SqlStore
store = SqlStore.open(sys.argv[1])
def spend(_):
    with store.transaction() as transaction:
        return transaction.spend_challenge(transaction.challenge_by_digest(digest("a")).id, NOW)
print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(25) as pool:
    print(sum(pool.map(spend, range(25))))
store.close()
"""


@pytest.fixture
def store(database_url: str) -> Iterator[SqlStore]:
    opened = SqlStore.open(database_url)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_path(tmp_path: Path) -> Path:
    return tmp_path / "sqlite.sqlite3"


def race(work: Callable[[int], bool]) -> list[bool]:
    """Start every thread's work at the same moment."""
    start = threading.Barrier(THREADS)

    def run(number: int) -> bool:
        start.wait()
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, range(THREADS)))


def test_one_of_200_threads_spends_a_challenge(store: SqlStore) -> None:
    with store.transaction() as transaction:
        challenge_id = transaction.add_challenge(new_challenge("a")).id

    def spend(number: int) -> bool:
        with store.transaction() as transaction:
            spent = transaction.spend_challenge(challenge_id, NOW)
            if spent:
                transaction.add_certificate(new_certificate(number), NOW)
            return spent

    assert sum(race(spend)) == 1
    with store.reading() as transaction:
        assert transaction.count_certificates(CertificateFilter(), now=NOW) == 1


def test_one_of_200_threads_adds_a_generation(store: SqlStore) -> None:
    def add(number: int) -> bool:
        try:
            with store.transaction() as transaction:
                certificate = transaction.add_certificate(new_certificate(number), NOW)
                transaction.add_scep_transaction(new_transaction("id", certificate_id=certificate.id))
        except AlreadyExists:
            return False
        return True

    assert sum(race(add)) == 1
    with store.reading() as transaction:
        assert transaction.count_certificates(CertificateFilter(), now=NOW) == 1


def test_one_thread_in_all_processes_spends_a_challenge(store: SqlStore, database_url: str) -> None:
    with store.transaction() as transaction:
        transaction.add_challenge(new_challenge("a"))
    started = [
        subprocess.Popen(
            [sys.executable, "-c", SPENDING, database_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(store_samples.__file__).parent)},
        )
        for _ in range(4)
    ]
    assert [process.stdout.readline() for process in started if process.stdout] == ["ready\n"] * 4
    answers = [process.communicate("\n") for process in started]
    assert [errors for _, errors in answers] == [""] * 4
    assert sorted(int(spent) for spent, _ in answers) == [0, 0, 0, 1]


def test_crl_numbers_are_given_out_once_in_a_race(store: SqlStore) -> None:
    with store.transaction() as transaction:
        transaction.next_crl_number(ISSUER)
    numbers: list[int] = []

    def take(_: int) -> bool:
        with store.transaction() as transaction:
            numbers.append(transaction.next_crl_number(ISSUER))
        return True

    assert all(race(take))
    assert sorted(numbers) == list(range(2, THREADS + 2))


def test_every_enrolment_of_many_threads_is_kept(store: SqlStore) -> None:
    def add(number: int) -> bool:
        with store.transaction() as transaction:
            enrol(transaction, number)
        with store.reading() as transaction:
            return transaction.scep_transaction("default", f"id {number}") is not None

    assert all(race(add))
    with store.reading() as transaction:
        assert transaction.count_certificates(CertificateFilter(), now=NOW) == THREADS


def test_reader_never_waits_and_sees_one_moment(store: SqlStore) -> None:
    with store.transaction() as transaction:
        enrol(transaction, 1)
    with store.transaction() as writing, store.reading() as before:
        enrol(writing, 2)
        assert before.scep_transaction("default", "id 1") is not None
        assert before.scep_transaction("default", "id 2") is None
        with store.reading() as beside:
            assert beside.count_certificates(CertificateFilter(), now=NOW) == 1
    with store.reading() as early:
        assert early.count_certificates(CertificateFilter(), now=NOW) == 2
        with store.transaction() as transaction:
            enrol(transaction, 3)
        with store.reading() as late:
            assert late.count_certificates(CertificateFilter(), now=NOW) == 3
        assert early.count_certificates(CertificateFilter(), now=NOW) == 2
        assert early.certificate_by_serial(ISSUER, new_certificate(3).serial_number) is None


def test_revocation_beside_a_crl_is_in_it_or_in_its_delta(store: SqlStore) -> None:
    """No revocation is lost between the CRL that is being made and the next one."""
    with store.transaction() as transaction:
        ids = [transaction.add_certificate(new_certificate(number), NOW).id for number in range(THREADS)]
        transaction.next_crl_number(ISSUER)
    hold = Revocation(revoked_at=NOW, reason=RevocationReason.CERTIFICATE_HOLD)
    bases: list[tuple[int, set[bytes]]] = []

    def work(number: int) -> bool:
        with store.transaction() as transaction:
            if number % 20:
                transaction.revoke(ids[number], hold)
            else:
                crl_number = transaction.next_crl_number(ISSUER)
                bases.append((crl_number, set(transaction.encoded_entries(ISSUER, not_expired_at=NOW))))
        return True

    assert all(race(work))
    with store.reading() as transaction:
        everything = set(transaction.encoded_entries(ISSUER, not_expired_at=NOW))
        assert len(everything) == THREADS - THREADS // 20
        for crl_number, base in bases:
            delta = set(transaction.changed_entries(ISSUER, since_crl_number=crl_number, not_expired_at=NOW))
            assert base | delta == everything
            assert not base & delta


# -- what the file system and other programs do to SQLite


def kept_by(transaction: StoreTransaction, number: int) -> bool:
    """Tell whether an enrolment is there as a whole; fail if it is there in part."""
    certificate = transaction.certificate_by_serial(ISSUER, new_certificate(number).serial_number)
    record = transaction.scep_transaction("default", f"id {number}")
    challenge = transaction.challenge_by_digest(digest(f"password {number}"))
    spent = challenge is not None and challenge.spent_at is not None
    assert spent == (certificate is not None) == (record is not None)
    if record is not None and certificate is not None and challenge is not None:
        assert (record.certificate_id, record.challenge_id) == (certificate.id, challenge.id)
    return spent


@pytest.mark.parametrize("enrolments", [1, 7, 50])
def test_killed_writer_leaves_whole_enrolments(database_url: str, enrolments: int) -> None:
    first = 0
    for _ in range(3):
        command = [sys.executable, store_samples.__file__, database_url, str(first)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            told = [int(process.stdout.readline()) for _ in range(enrolments)]
            process.send_signal(signal.SIGKILL)
            told += [int(line) for line in process.stdout.read().splitlines()]
        if database_url.startswith("sqlite"):
            with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"))) as database:
                assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        store = SqlStore.open(database_url, create=False)
        with store.reading() as transaction:
            assert told == list(range(first, first + len(told)))
            assert all(kept_by(transaction, number) for number in told)
            untold = kept_by(transaction, first + len(told))
        with store.transaction() as transaction:
            first += len(told) + untold
            enrol(transaction, first)
        first += 1
        store.close()


def test_database_locked_by_another_program_is_unavailable(
    sqlite_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_BUSY_SECONDS", 0.05)
    store = SqlStore.open(f"sqlite:///{sqlite_path}")
    with closing(sqlite3.connect(sqlite_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"), store.transaction():
            pytest.fail("began while another program was writing")
        with store.reading() as transaction:
            assert transaction.challenges() == []
        other.execute("ROLLBACK")
    with store.transaction() as transaction:
        enrol(transaction, 1)
    store.close()


def test_thread_that_writes_for_too_long_makes_others_unavailable(
    sqlite_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_BUSY_SECONDS", 0.05)
    store = SqlStore.open(f"sqlite:///{sqlite_path}")

    def write() -> None:
        with store.transaction():
            pass

    with store.transaction(), ThreadPoolExecutor(1) as pool, pytest.raises(StoreUnavailable, match="locked"):
        pool.submit(write).result()
    write()
    store.close()


def test_transaction_within_a_transaction_of_the_thread_is_a_mistake(sqlite_path: Path) -> None:
    store = SqlStore.open(f"sqlite:///{sqlite_path}")
    with store.transaction(), pytest.raises(RuntimeError, match="already"), store.transaction():
        pytest.fail("began twice")
    with store.transaction(), pytest.raises(RuntimeError, match="leave it before closing"):
        store.close()
    with store.transaction() as transaction:
        enrol(transaction, 1)
    store.close()


def test_full_disk_is_unavailable_and_keeps_nothing(sqlite_path: Path) -> None:
    store = SqlStore.open(f"sqlite:///{sqlite_path}")
    with store.transaction() as transaction:
        enrol(transaction, 1)
    with store._backend.writing() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StoreUnavailable, match="full"), store.transaction() as transaction:  # noqa: PT012
        for number in range(2, 1000):
            enrol(transaction, number)
    with store.reading() as transaction:
        assert kept_by(transaction, 1)
        assert not kept_by(transaction, 2)
    with store.transaction() as transaction:  # a new connection, without that limit
        enrol(transaction, 2)
    store.close()


def test_damaged_database_is_unavailable(sqlite_path: Path) -> None:
    store = SqlStore.open(f"sqlite:///{sqlite_path}")
    store.close()
    size = sqlite_path.stat().st_size
    with sqlite_path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    with pytest.raises(StoreUnavailable, match="malformed"):  # noqa: PT012 - opening may see it already
        store = SqlStore.open(f"sqlite:///{sqlite_path}")
        with store.transaction() as transaction:
            enrol(transaction, 1)


def test_closed_store_is_unavailable(sqlite_path: Path) -> None:
    store = SqlStore.open(f"sqlite:///{sqlite_path}")
    store.close()
    store.close()
    with pytest.raises(StoreUnavailable, match="closed"), store.transaction():
        pytest.fail("began on a closed store")
    with pytest.raises(StoreUnavailable, match="closed"), store.reading() as transaction:
        transaction.latest_crl(ISSUER, CrlKind.BASE)
    with pytest.raises(StoreUnavailable, match="closed"):
        store.reset()
