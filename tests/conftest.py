"""What holds for every test: the run begins by naming the foreign judges, and logs go to `logging`.

And the databases: a test that asks for ``database_url`` is run on each kind.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from peers import PEERS, REQUIRE_PEERS
from postgresql import PostgresqlServer, running_postgresql

from ca.process.logs import route_to_standard_logging

# Who runs the tests in the background may have switched Ctrl-C off, also for all processes begun here.
signal.signal(signal.SIGINT, signal.default_int_handler)

# `structlog.testing.capture_logs` leaves structlog configured as it found it. Found without a configuration
# it would leave the one that prints, and every lab of a later test would log into what a command prints.
route_to_standard_logging()


def pytest_report_header() -> list[str]:
    """Name the foreign programs found and, with their Debian packages, those that are missing."""
    found = sorted(name for name, peer in PEERS.items() if peer.path)
    missing = [f"{name} ({' '.join(peer.packages)})" for name, peer in PEERS.items() if not peer.path]
    return [
        f"foreign judges: {', '.join(found) or 'none'}",
        *([f"missing, see {REQUIRE_PEERS}: {', '.join(missing)}"] if missing else []),
    ]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """A PostgreSQL server, the same for all tests of a process; whoever stops it starts it again."""
    with running_postgresql() as server:
        yield server


@pytest.fixture
def postgresql_url(postgresql: PostgresqlServer) -> Iterator[str]:
    """A new, empty database on PostgreSQL."""
    with postgresql.database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty database of each kind there is."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.sqlite3"
    url: str = request.getfixturevalue("postgresql_url")
    return url
