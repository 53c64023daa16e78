"""Running statements within one database transaction; the base of what each subject adds.

Statements are built and compiled by SQLAlchemy Core, once for a process, and then handed to the
driver as they are: the columns hold integers, texts and octets only, so there is nothing left to
convert, and an enrolment spends its time in the database and not around it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from ca.records import Notes

from .errors import store_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import ClauseElement, Connection, Dialect
    from sqlalchemy.engine.interfaces import DBAPICursor

    Parameters = Mapping[str, object]
    Values = tuple[Any, ...]  # one row

_CHUNK = 10_000  # rows fetched at a time where a million may come


class Statement:
    """A Core statement, compiled when first run on an engine.

    ``columns`` are those an INSERT or UPDATE sets: each is a parameter of its own name.
    """

    __slots__ = ("_clause", "_columns", "_compiled")

    def __init__(self, clause: ClauseElement, columns: Sequence[str] = ()) -> None:
        self._clause = clause
        self._columns = columns
        self._compiled: dict[str, tuple[str, Parameters, Sequence[str] | None]] = {}

    def prepared(self, dialect: Dialect, parameters: Parameters) -> tuple[str, Any]:
        """Return the text and the parameters for the driver."""
        if dialect.name not in self._compiled:
            self._compile(dialect)
        text, constants, order = self._compiled[dialect.name]
        given = {**constants, **parameters}
        return text, given if order is None else tuple([given[name] for name in order])

    def _compile(self, dialect: Dialect) -> None:
        compiled: Any = self._clause.compile(dialect=dialect, column_keys=self._columns or None)
        constants = {name: value for name, value in compiled.params.items() if value is not None}
        order = compiled.positiontup if compiled.positional else None
        self._compiled[dialect.name] = str(compiled), constants, order


class Rows:
    """One transaction's connection, and the few ways statements are run on it.

    After a failure the transaction is lost: PostgreSQL would refuse whatever follows, and so does
    this, on any engine.
    """

    __slots__ = ("_cursor", "_dialect", "_driver", "_errors", "_lost", "_notes", "_over")

    def __init__(self, connection: Connection, errors: tuple[type[Exception], ...]) -> None:
        driver: Any = connection.connection.driver_connection
        self._driver = driver
        self._cursor: DBAPICursor = driver.cursor()
        self._dialect = connection.dialect
        self._errors = errors
        self._lost: Exception | None = None
        self._notes: Notes | None = None
        self._over = False

    def take_notes(self) -> Notes:
        """Return notes of everything that is read from now on, for `finds_again` of a later transaction."""
        self._notes = Notes()
        return self._notes

    def finds_again(self, notes: Notes) -> bool:
        """Tell whether all that was read then reads the same now: what was decided by it still holds."""
        return all(
            (self._one if single else self._all)(statement, parameters) == found
            for statement, parameters, found, single in notes.reads
        )

    def end(self) -> None:
        """Refuse any further use."""
        self._over = True
        self._cursor.close()

    def raise_if_lost(self) -> None:
        """Raise again what the transaction was lost by, if it was: it must not be committed."""
        if self._lost is not None:
            raise self._lost

    def _execute(self, statement: Statement, parameters: Parameters) -> DBAPICursor:
        """Run a statement on the transaction's one cursor: what it returns is read before the next."""
        self._require_usable()
        self._cursor.execute(*statement.prepared(self._dialect, parameters))
        return self._cursor

    def _require_usable(self) -> None:
        if self._over:
            raise RuntimeError("this transaction is over; its object cannot be used any more")
        self.raise_if_lost()

    def _one(self, statement: Statement, parameters: Parameters) -> Values | None:
        """Return the first row, or None."""
        row = self._hint(statement, parameters)
        if self._notes is not None:
            self._notes.reads.append((statement, parameters, row, True))
        return row

    def _hint(self, statement: Statement, parameters: Parameters) -> Values | None:
        """Return the first row, or None, of something that nothing is decided by."""
        try:
            cursor = self._execute(statement, parameters)
            row: Values | None = cursor.fetchone()
        except self._errors as error:
            self._lose(error)
        return row

    def _all(self, statement: Statement, parameters: Parameters) -> Sequence[Values]:
        """Return every row."""
        try:
            cursor = self._execute(statement, parameters)
            rows: Sequence[Values] = cursor.fetchall()
        except self._errors as error:
            self._lose(error)
        if self._notes is not None:
            self._notes.reads.append((statement, parameters, rows, False))
        return rows

    def _column(self, statement: Statement, parameters: Parameters) -> Iterator[Any]:
        """Yield the first column of every row, fetched a chunk at a time; too many to take notes of."""
        if self._notes is not None:
            raise RuntimeError("a listing of any length is no part of what is decided in one transaction")
        try:
            self._require_usable()
            cursor = self._driver.cursor()  # its own: others are run while this one is read
            cursor.execute(*statement.prepared(self._dialect, parameters))
            while not self._over and (chunk := cursor.fetchmany(_CHUNK)):
                yield from [row[0] for row in chunk]
            cursor.close()
        except self._errors as error:
            self._lose(error)

    def _insert(self, statement: Statement, parameters: Parameters) -> int:
        """Insert one row with a statement that returns its id."""
        row = self._hint(statement, parameters)
        if row is None:
            raise TypeError("an INSERT returned no id")
        return int(row[0])

    def _change(self, statement: Statement, parameters: Parameters) -> int:
        """Insert or update and return how many rows were touched."""
        try:
            cursor = self._execute(statement, parameters)
            touched = cursor.rowcount
        except self._errors as error:
            self._lose(error)
        return touched

    def _change_many(self, statement: Statement, rows: Sequence[Parameters]) -> int:
        """Run one statement once for each of ``rows`` and return how many rows were touched in all."""
        if not rows:
            return 0
        try:
            prepared = [statement.prepared(self._dialect, parameters) for parameters in rows]
            self._require_usable()
            self._cursor.executemany(prepared[0][0], [values for _, values in prepared])
            touched: int = self._cursor.rowcount
        except self._errors as error:
            self._lose(error)
        return touched

    def _lose(self, error: Exception) -> NoReturn:
        self._lost = store_error(error)
        raise self._lost from error
