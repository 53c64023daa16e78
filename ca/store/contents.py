"""Every row of a store, read and written as it is: a copy to come back to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import insert, select

from ca.records import StoreContents

from .tables import metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection


def read_contents(connection: Connection) -> StoreContents:
    """Return every row there is."""
    return StoreContents(
        rows={
            table.name: tuple(
                dict(row) for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()
            )
            for table in metadata.sorted_tables
        }
    )


def write_contents(connection: Connection, contents: StoreContents) -> None:
    """Write rows into empty tables, those first that others refer to."""
    for table in metadata.sorted_tables:
        rows = contents.rows[table.name]
        if rows:
            connection.execute(insert(table), list(rows))
