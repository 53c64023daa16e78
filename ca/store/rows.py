"""Running a statement within one database transaction; the base of what each subject adds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from sqlalchemy.exc import SQLAlchemyError

from .errors import store_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import Connection, Executable, Row

    Parameters = Mapping[str, object]

_CHUNK = 10_000  # rows fetched at a time where a million may come


class Rows:
    """One transaction's connection, and the few ways statements are run on it.

    Statements are module constants with bound parameters where they can be, so that each is built
    once for a process. After a failure the transaction is lost: PostgreSQL would refuse whatever
    follows, and so does this, on any engine.
    """

    __slots__ = ("_connection", "_lost", "_over")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lost: Exception | None = None
        self._over = False

    def end(self) -> None:
        """Refuse any further use."""
        self._over = True

    def raise_if_lost(self) -> None:
        """Raise again what the transaction was lost by, if it was: it must not be committed."""
        if self._lost is not None:
            raise self._lost

    def _one(self, statement: Executable, parameters: Parameters | None = None) -> Row[Any] | None:
        """Return the only row, or None."""
        self._usable()
        try:
            return self._connection.execute(statement, parameters).one_or_none()
        except SQLAlchemyError as error:
            self._lose(error)

    def _all(self, statement: Executable, parameters: Parameters | None = None) -> Sequence[Row[Any]]:
        """Return every row."""
        self._usable()
        try:
            return self._connection.execute(statement, parameters).all()
        except SQLAlchemyError as error:
            self._lose(error)

    def _column(self, statement: Executable, parameters: Parameters) -> Iterator[Any]:
        """Yield the first column of every row, a chunk at a time."""
        self._usable()
        try:
            with self._connection.execute(
                statement, parameters, execution_options={"yield_per": _CHUNK}
            ) as result:
                for chunk in result.partitions():
                    yield from [row[0] for row in chunk]
        except SQLAlchemyError as error:
            self._lose(error)

    def _insert(self, statement: Executable, parameters: Parameters) -> int:
        """Insert one row and return its id."""
        self._usable()
        try:
            key = self._connection.execute(statement, parameters).inserted_primary_key
        except SQLAlchemyError as error:
            self._lose(error)
        return int(key[0]) if key is not None and isinstance(key[0], int) else 0

    def _change(self, statement: Executable, parameters: Parameters) -> int:
        """Insert or update and return how many rows were touched."""
        self._usable()
        try:
            return self._connection.execute(statement, parameters).rowcount
        except SQLAlchemyError as error:
            self._lose(error)

    def _usable(self) -> None:
        if self._over:
            raise RuntimeError("this transaction is over; its object cannot be used any more")
        self.raise_if_lost()

    def _lose(self, error: SQLAlchemyError) -> NoReturn:
        self._lost = store_error(error)
        raise self._lost from error
