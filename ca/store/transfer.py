"""Everything in a store as lines of JSON, to be kept or taken to a store of another kind.

The first line is ``{"ndes_lab_store": 1, "revision": ..., "rows": {table: number}}``. Each of the others is a
row, ``{"table": ..., "row": {column: value}}``, those first that others refer to: integers (instants are
microseconds since 1970 UTC), texts, null, and octets in base64. Rows are as the tables keep them, so that a
store made of them is the same one, ids and all.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import LargeBinary, func, insert, select

from .tables import SCHEMA_REVISION, metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from sqlalchemy import Column, Connection, Table

_FORMAT: Final = "ndes_lab_store"
_VERSION: Final = 1
_CHUNK: Final = 500  # rows that are read or written at a time


class TransferRefused(Exception):
    """What is to be imported cannot be, or not into this store; nothing was written."""


def count_rows(connection: Connection, names: Iterable[str]) -> dict[str, int]:
    """Return how many rows each of these tables has."""
    tables = [table for table in metadata.sorted_tables if table.name in names]
    return {
        table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
        for table in tables
    }


def export_lines(connection: Connection, begun: Callable[[int], None]) -> Iterator[str]:
    """Yield the lines, each with its end; ``begun`` is told how many rows will follow the first."""
    rows = count_rows(connection, metadata.tables)
    begun(sum(rows.values()))
    yield json.dumps({_FORMAT: _VERSION, "revision": SCHEMA_REVISION, "rows": rows}) + "\n"
    for table in metadata.sorted_tables:
        statement = select(table).order_by(*table.primary_key)
        found = connection.execute(statement, execution_options={"yield_per": _CHUNK})
        for row in found.mappings():
            values = {column.name: _written(column, row[column]) for column in table.columns}
            yield json.dumps({"table": table.name, "row": values}, ensure_ascii=False) + "\n"


def import_lines(connection: Connection, lines: Iterable[str], begun: Callable[[int], None]) -> Iterator[int]:
    """Write rows into an empty store, and yield how many more are written; the caller commits.

    Raises:
        TransferRefused: the store is not empty, or the lines are not an export of this schema, or not whole.

    """
    occupied = {name: count for name, count in count_rows(connection, metadata.tables).items() if count}
    if occupied:
        found = ", ".join(f"{count} in {name}" for name, count in occupied.items())
        raise TransferRefused(f"the database has rows already ({found}), expected an empty one")
    numbered = enumerate(lines, start=1)
    promised = _header(next(numbered, (1, ""))[1])
    begun(sum(promised.values()))
    written = dict.fromkeys(promised, 0)
    for table, rows in _chunks(numbered):
        connection.execute(insert(table), rows)
        written[table.name] = written.get(table.name, 0) + len(rows)
        yield len(rows)
    if written != promised:
        missing = sum(promised.values()) - sum(written.values())
        raise TransferRefused(
            f"the export is not whole: {missing} of its {sum(promised.values())} rows are missing"
        )


def _header(line: str) -> Mapping[str, int]:
    header = _object(1, line)
    if header.get(_FORMAT) != _VERSION or not isinstance(header.get("rows"), dict):
        raise TransferRefused(f"line 1 is not the beginning of an export: expected {_FORMAT!r} {_VERSION}")
    if header.get("revision") != SCHEMA_REVISION:
        raise TransferRefused(
            f"the export has schema revision {header.get('revision')}, expected {SCHEMA_REVISION}: upgrade "
            "the database it came from, and export it again"
        )
    rows: dict[str, int] = header["rows"]
    return rows


def _chunks(numbered: Iterable[tuple[int, str]]) -> Iterator[tuple[Table, list[dict[str, Any]]]]:
    """Yield rows of one table at a time, as they come."""
    table: Table | None = None
    rows: list[dict[str, Any]] = []
    for number, line in numbered:
        content = _object(number, line)
        named = metadata.tables.get(str(content.get("table")))
        if named is None:
            raise TransferRefused(f"line {number} is a row of no table of this store")
        if table is not None and rows and (named is not table or len(rows) >= _CHUNK):
            yield table, rows
            rows = []
        table = named
        rows.append(_row(number, table, content.get("row")))
    if table is not None and rows:
        yield table, rows


def _row(number: int, table: Table, values: object) -> dict[str, Any]:
    if not isinstance(values, dict) or values.keys() != {column.name for column in table.columns}:
        raise TransferRefused(f"line {number} has not the columns of {table.name}")
    return {column.name: _read(number, column, values[column.name]) for column in table.columns}


def _written(column: Column[Any], value: Any) -> Any:
    if value is None or not isinstance(column.type, LargeBinary):
        return value
    return base64.b64encode(value).decode()


def _read(number: int, column: Column[Any], value: object) -> object:
    if value is None and column.nullable:
        return None
    expected = str if isinstance(column.type, LargeBinary) else column.type.python_type
    if type(value) is not expected:
        raise TransferRefused(f"line {number}: {column.name} is no {expected.__name__}")
    if "\0" in str(value):
        raise TransferRefused(f"line {number}: {column.name} holds the character NUL")
    if not isinstance(column.type, LargeBinary):
        return value
    try:
        return base64.b64decode(str(value), validate=True)
    except ValueError as error:
        raise TransferRefused(f"line {number}: {column.name} is not base64") from error


def _object(number: int, line: str) -> dict[str, Any]:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise TransferRefused(f"line {number} is not JSON: the file is no export, or not whole") from error
    if not isinstance(content, dict):
        raise TransferRefused(f"line {number} is no JSON object: the file is no export")
    return content
