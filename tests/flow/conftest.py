"""Fixtures of the flow tests: one stock of keys and one running lab for the whole session."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from flow.stand import Stand
from forge.bench import Bench, Log
from forge.keys import KeyPool
from postgresql import PostgresqlServer

KINDS = ["sqlite", "postgresql"]


@pytest.fixture(scope="session")
def key_pool() -> KeyPool:
    return KeyPool()


@pytest.fixture(scope="session")
def log() -> Iterator[Log]:
    """Everything that is logged, from debug upwards, whoever logs it."""
    handler, root = Log(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture(scope="session")
def bench(key_pool: KeyPool, log: Log) -> Iterator[Bench]:
    """The lab that most rows are sent to."""
    stand = Stand()
    yield Bench(stand, key_pool, log)
    stand.close()


@pytest.fixture(scope="session")
def postgresql_bench(postgresql: PostgresqlServer, key_pool: KeyPool, log: Log) -> Iterator[Bench]:
    """The same lab with its database on PostgreSQL."""
    with postgresql.database() as url:
        stand = Stand(database_url=url)
        bench = Bench(stand, key_pool, log)
        yield bench
        bench.close()
        stand.close()


@pytest.fixture(params=KINDS)
def bench_of_each(request: pytest.FixtureRequest) -> Bench:
    """The lab of each kind of database."""
    name = "bench" if request.param == "sqlite" else "postgresql_bench"
    found: Bench = request.getfixturevalue(name)
    return found


BRAKES = {
    "enabled": True,
    "requests_per_minute": 60,
    "burst": 40,
    "wrong_challenges_per_address": 5,
    "wrong_challenges_per_endpoint": 12,
    "pending_per_address": 2,
    "trusted_proxies": ["127.0.0.1/32"],
}
"""Requests name whom they are from by X-Forwarded-For; the clock stands unless a test moves it."""


@pytest.fixture(scope="session")
def braked_stand() -> Iterator[Stand]:
    stand = Stand(brakes=BRAKES)
    yield stand
    stand.close()


@pytest.fixture
def braked_bench(braked_stand: Stand, key_pool: KeyPool, log: Log) -> Bench:
    """A lab as if just started that slows its clients down."""
    braked_stand.begin_again()
    return Bench(braked_stand, key_pool, log)


@pytest.fixture(scope="session")
def another_stand() -> Iterator[Stand]:
    stand = Stand()
    yield stand
    stand.close()


@pytest.fixture
def fresh_bench(another_stand: Stand, key_pool: KeyPool, log: Log) -> Iterator[Bench]:
    """A lab as if just started, for tests that move its clock far or take something away."""
    another_stand.begin_again()
    yield Bench(another_stand, key_pool, log)
    another_stand.begin_again()


@pytest.fixture(scope="session")
def another_postgresql_stand(postgresql: PostgresqlServer) -> Iterator[Stand]:
    with postgresql.database() as url:
        stand = Stand(database_url=url)
        yield stand
        stand.close()


@pytest.fixture(params=KINDS)
def fresh_bench_of_each(request: pytest.FixtureRequest, key_pool: KeyPool, log: Log) -> Iterator[Bench]:
    """A lab as if just started, of each kind of database."""
    name = "another_stand" if request.param == "sqlite" else "another_postgresql_stand"
    stand: Stand = request.getfixturevalue(name)
    stand.begin_again()
    bench = Bench(stand, key_pool, log)
    yield bench
    bench.close()
    stand.begin_again()
