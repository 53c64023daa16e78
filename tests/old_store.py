"""Databases as earlier versions made them: a schema of their time, filled behind the store's back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, MetaData, create_engine, func, insert, select
from sqlalchemy.pool import NullPool

import ca.store

MIGRATIONS = Path(ca.store.__file__).parent / "migrations"
Rows = Mapping[str, Sequence[Mapping[str, Any]]]


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """Yield a connection that commits at the end."""
    with create_engine(url, poolclass=NullPool).begin() as connection:
        yield connection


def migrated(url: str, revision: str = "head") -> None:
    """Make the schema by running the migrations up to one, as a database of that age got it."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with connected(url) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def put(url: str, rows: Rows) -> None:
    """Insert rows, leaving out what the tables of that time have no place for."""
    with connected(url) as connection:
        tables = MetaData()
        tables.reflect(connection)
        for name in (table.name for table in tables.sorted_tables if table.name in rows):
            table = tables.tables[name]
            for row in rows[name]:
                known = {key: value for key, value in row.items() if key in table.columns}
                connection.execute(insert(table).values(known))
            if connection.dialect.name == "postgresql" and any("id" in row for row in rows[name]):
                sequence = func.pg_get_serial_sequence(name, "id")  # as if it had numbered them itself
                connection.execute(select(func.setval(sequence, func.max(table.columns["id"]))))


def everything(
    url: str, columns: Mapping[str, Sequence[str]] | None = None
) -> dict[str, list[dict[str, Any]]]:
    """Return every row of every table, or of these tables and columns, in a fixed order."""
    with connected(url) as connection:
        tables = MetaData()
        tables.reflect(connection)
        wanted = columns or {name: table.columns.keys() for name, table in tables.tables.items()}
        return {
            name: sorted(
                (
                    dict(row)
                    for row in connection.execute(
                        select(*(tables.tables[name].columns[each] for each in wanted[name]))
                    ).mappings()
                ),
                key=repr,
            )
            for name in wanted
        }
