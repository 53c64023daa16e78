"""Looking into the database of a lab under test, from beside it: what is there, and has anything changed."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psycopg
from psycopg import sql

_SQLITE = "sqlite:///"


@dataclass(frozen=True, slots=True)
class State:
    """What the database holds, told cheaply.

    ``version`` changes with every row that anyone changes; ``tables`` has the number of rows and the highest
    of each table, to say where a change was.
    """

    version: int
    tables: dict[str, tuple[int, int]]

    def difference(self, other: State) -> list[str]:
        """Return the tables that differ; "rows changed in place" if none does but something was written."""
        if self.version == other.version:
            return []
        names = self.tables.keys() | other.tables.keys()
        changed = sorted(name for name in names if self.tables.get(name) != other.tables.get(name))
        return changed or ["rows changed in place"]


class Watch(Protocol):
    """Who looks."""

    def state(self) -> State:
        """Return what the database holds now."""

    def close(self) -> None:
        """Look no more."""


class SqliteWatch:
    """Looks into a file."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        found = self._database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
        self._newest = {name: "0" if "WITHOUT ROWID" in sql else "MAX(rowid)" for name, sql in found}

    def state(self) -> State:
        tables = {
            name: self._database.execute(f'SELECT COUNT(*), COALESCE({newest}, 0) FROM "{name}"').fetchone()
            for name, newest in self._newest.items()
        }
        return State(self._database.execute("PRAGMA data_version").fetchone()[0], tables)

    def close(self) -> None:
        self._database.close()


class PostgresqlWatch:
    """Looks into a database of a server; a row that is changed gets the number of who changed it."""

    _COUNT = (
        "SELECT count(*), coalesce(max(writer), 0), coalesce(sum(writer), 0) "
        "FROM (SELECT xmin::text::bigint AS writer FROM {}) AS written"
    )

    def __init__(self, url: str) -> None:
        self._database = psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True)
        found = self._database.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        self._names = [name for (name,) in found]

    def state(self) -> State:
        tables, version = {}, 0
        for name in self._names:
            row = self._database.execute(sql.SQL(self._COUNT).format(sql.Identifier(name))).fetchone()
            assert row is not None
            tables[name] = (row[0], row[1])
            version += row[2]
        return State(version, tables)

    def close(self) -> None:
        self._database.close()


def watch(database: Path | str) -> Watch:
    """Return who looks into a database: a file of SQLite's, or what is at an URL of SQLAlchemy's."""
    if isinstance(database, Path):
        return SqliteWatch(database)
    if database.startswith(_SQLITE):
        return SqliteWatch(Path(database.removeprefix(_SQLITE)))
    return PostgresqlWatch(database)
