"""Connections to PostgreSQL: how many there are, and how long anybody waits for anybody."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, sleep

import pytest
from postgresql import PostgresqlServer
from store_samples import ISSUER, NOW, enrol, new_challenge

from ca.records import CertificateFilter, StoreUnavailable
from ca.store import SqlStore, engines

OURS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def wait_until(holds: Callable[[], object]) -> None:
    deadline = monotonic() + 30
    while not holds():
        assert monotonic() < deadline, "it did not come to that"
        sleep(0.001)


def test_process_has_as_many_connections_as_it_may_and_one_for_its_duty(
    postgresql: PostgresqlServer, postgresql_url: str
) -> None:
    store = SqlStore.open(postgresql_url, connections=2)
    assert store.publishing.take()

    def add(number: int) -> None:
        with store.transaction() as transaction:
            enrol(transaction, number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(40)))
    with store.reading() as transaction:
        assert transaction.count_certificates(CertificateFilter(), now=NOW) == 40
    with postgresql.connected(postgresql_url) as connection:
        assert connection.execute(f"SELECT count(*) {OURS}").fetchone() == (3,)
    store.close()


def test_transaction_of_a_process_that_stopped_in_it_is_ended(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SqlStore.open(postgresql_url)
    with other.transaction() as transaction:
        transaction.next_crl_number(ISSUER)
    monkeypatch.setattr(engines, "_IDLE_SECONDS", 0.2)
    stopped = SqlStore.open(postgresql_url)
    with pytest.raises(StoreUnavailable, match="idle"), stopped.transaction() as transaction:  # noqa: PT012
        transaction.lock_revocations()
        with other.transaction() as following:
            following.lock_revocations()  # has it when the server has ended the first
        transaction.next_crl_number(ISSUER)
    with stopped.transaction() as transaction:
        assert transaction.next_crl_number(ISSUER) == 2
    for store in (stopped, other):
        store.close()


def test_export_takes_as_long_as_its_reader(
    postgresql: PostgresqlServer, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_IDLE_SECONDS", 0.05)
    store = SqlStore.open(postgresql_url)
    with store.transaction() as transaction:
        transaction.add_challenge(new_challenge("a"))
    lines = store.export()
    next(lines)
    idle = f"SELECT {OURS} AND state = 'idle in transaction' AND now() - state_change > interval '0.2s'"
    with postgresql.connected(postgresql_url) as connection:
        wait_until(lambda: connection.execute(idle).fetchone() is not None)
    assert len(list(lines)) == 1
    store.close()


def test_change_of_the_schema_waits_for_another_longer_than_for_rows(
    postgresql: PostgresqlServer, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqlStore.open(postgresql_url)
    store.close()
    monkeypatch.setattr(engines, "_BUSY_SECONDS", 1)
    waiting = f"SELECT {OURS} AND wait_event_type = 'Lock' AND now() - query_start > interval '1.2s'"
    with (
        postgresql.connected(postgresql_url) as migrating,
        postgresql.connected(postgresql_url) as connection,
        ThreadPoolExecutor(1) as pool,
    ):
        migrating.execute(f"SELECT pg_advisory_lock({engines._MIGRATION_LOCK})")
        migrating.execute("ALTER TABLE alembic_version RENAME TO somewhere_else")
        opening = pool.submit(SqlStore.open, postgresql_url)
        wait_until(lambda: opening.done() or connection.execute(waiting).fetchone() is not None)
        assert not opening.done()
        migrating.execute("ALTER TABLE somewhere_else RENAME TO alembic_version")
        migrating.execute(f"SELECT pg_advisory_unlock({engines._MIGRATION_LOCK})")
        opening.result(30).close()
