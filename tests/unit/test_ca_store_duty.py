"""One of all who use a database is on duty, and another as soon as that one is gone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from postgresql import PostgresqlServer

from ca.records import StoreUnavailable
from ca.store import SqlStore

ON_DUTY = """
import sys
from ca.store import SqlStore
store = SqlStore.open(sys.argv[1])
print(store.publishing.take(), flush=True)
sys.stdin.readline()
"""

Pair = tuple[SqlStore, SqlStore]


@pytest.fixture
def pair(database_url: str) -> Iterator[Pair]:
    with ExitStack() as undo:
        stores = SqlStore.open(database_url), SqlStore.open(database_url)
        for store in stores:
            undo.callback(store.close)
        yield stores


def test_one_has_the_duty_until_it_leaves(pair: Pair) -> None:
    first, second = (store.publishing for store in pair)
    assert [first.take(), second.take(), first.take(), second.take()] == [True, False, True, False]
    first.leave()
    assert [second.take(), first.take()] == [True, False]


def test_closing_gives_up_the_duty(pair: Pair) -> None:
    assert pair[0].publishing.take()
    pair[0].close()
    assert pair[1].publishing.take()


def test_duty_is_in_nobodys_way(pair: Pair) -> None:
    assert pair[0].publishing.take()
    for store in pair:
        with store.transaction() as transaction:
            transaction.next_crl_number("ab" * 20)
        store.reset()


def test_killed_process_leaves_the_duty_to_the_next(pair: Pair, database_url: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ON_DUTY, database_url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        assert not pair[0].publishing.take()
        process.kill()
        process.wait(30)
    # The server may take a moment to notice that its client is gone: asked as often as it takes.
    while not pair[0].publishing.take():
        pass
    assert not pair[1].publishing.take()


def test_ended_session_has_lost_the_duty_and_says_so(
    postgresql: PostgresqlServer, postgresql_url: str
) -> None:
    first, second = SqlStore.open(postgresql_url), SqlStore.open(postgresql_url)
    assert first.publishing.take()
    with postgresql.connected(postgresql_url) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory' "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
    assert second.publishing.take()
    assert not first.publishing.take()
    first.close()
    second.close()


def test_unreachable_database_is_unavailable(tmp_path: Path) -> None:
    store = SqlStore.open(f"sqlite:///{tmp_path}/store.sqlite3")
    (tmp_path / "store.sqlite3.publisher").mkdir()
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        store.publishing.take()
    store.close()
