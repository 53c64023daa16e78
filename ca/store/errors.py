"""What the database says, in the words of `ca.records`: AlreadyExists or StoreUnavailable."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ca.records import AlreadyExists, StoreUnavailable

if TYPE_CHECKING:
    from sqlalchemy import Dialect

_TAKEN: Final = {sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, "23505"}
_DANGLING: Final = {sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY, "23503"}  # numbers: SQLite, texts: SQLSTATE


def driver_errors(dialect: Dialect) -> tuple[type[Exception], ...]:
    """Return what a statement on this engine may raise."""
    return SQLAlchemyError, dialect.loaded_dbapi.Error


def store_error(error: Exception) -> Exception:
    """Return the exception a caller of the store gets for this one of the driver or of SQLAlchemy.

    The text is the database's own, without statement and parameters: those may hold a digest or a
    subject. A reference to a record that is not there is a LookupError.
    """
    cause = error.orig or error if isinstance(error, DBAPIError) else error
    code = getattr(cause, "sqlite_errorcode", None) or getattr(cause, "sqlstate", None)
    if code in _TAKEN:
        return AlreadyExists(f"a unique value is taken: {_constraint(cause)}")
    if code in _DANGLING:
        return LookupError("a record refers to another that is not in the store")
    return StoreUnavailable(f"the database cannot be used: {_first_line(cause)}")


def _constraint(cause: BaseException) -> str:
    diagnosis = getattr(cause, "diag", None)  # psycopg
    if diagnosis is not None:
        return str(diagnosis.constraint_name)
    return _first_line(cause).removeprefix("UNIQUE constraint failed: ")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
