"""Every row of a store, read and written as it is: a copy to come back to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import insert, select

from .tables import metadata

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreContents:
    """The rows of each table by its name, ordered by primary key, as the tables keep values."""

    rows: Mapping[str, Sequence[Mapping[str, Any]]] = field(repr=False)


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
