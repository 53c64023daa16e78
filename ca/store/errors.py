"""What the database says, in the words of `ca.records`: AlreadyExists or StoreUnavailable."""

from __future__ import annotations

import sqlite3
from typing import Final

from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from ca.records import AlreadyExists, StoreUnavailable

_SQLITE_TAKEN: Final = {sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY}
_SQLITE_DANGLING: Final = sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY
_POSTGRESQL_TAKEN: Final = "23505"
_POSTGRESQL_DANGLING: Final = "23503"


def store_error(error: SQLAlchemyError) -> Exception:
    """Return the exception a caller of the store gets for this one.

    The text is the database's own, without statement and parameters: those may hold a digest or a
    subject. A reference to a record that is not there is a LookupError.
    """
    cause = error.orig if isinstance(error, DBAPIError) else None
    if isinstance(error, IntegrityError):
        code = getattr(cause, "sqlite_errorcode", None) or getattr(cause, "sqlstate", None)
        if code in _SQLITE_TAKEN or code == _POSTGRESQL_TAKEN:
            return AlreadyExists(f"a unique value is taken: {_constraint(cause)}")
        if code in (_SQLITE_DANGLING, _POSTGRESQL_DANGLING):
            return LookupError("a record refers to another that is not in the store")
    return StoreUnavailable(f"the database cannot be used: {_first_line(cause or error)}")


def _constraint(cause: BaseException | None) -> str:
    diagnosis = getattr(cause, "diag", None)  # psycopg
    if diagnosis is not None:
        return str(diagnosis.constraint_name)
    return _first_line(cause).removeprefix("UNIQUE constraint failed: ")


def _first_line(error: BaseException | None) -> str:
    return (str(error).splitlines() or ["no reason given"])[0]
