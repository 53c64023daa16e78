"""Who of the processes at one database does what only one of them should do.

A duty belongs to a connection, not to a row: when its process dies, however that happens, the operating
system or the server ends the connection, and whoever asks next has the duty. Nobody has to find out that
somebody is dead.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ca.records import StoreUnavailable

from .errors import store_error

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection, Engine

_PUBLISHING: Final = 0x6E64657363726C  # any number, the same in every process


class PostgresqlDuty:
    """A lock of the session that has it; needs sessions of its own, which pools of transactions are not."""

    def __init__(self, engine: Engine, errors: tuple[type[Exception], ...]) -> None:
        self._engine = engine
        self._errors = errors
        self._lock = threading.Lock()
        self._session: Connection | None = None

    def take(self) -> bool:
        """Take the duty if nobody else has it, and tell whether it is ours; raises StoreUnavailable."""
        with self._lock:
            try:
                if self._session is not None and self._still_there(self._session):
                    return True
                self._session = self._try()
            except self._errors as error:
                raise store_error(error) from error
            return self._session is not None

    def leave(self) -> None:
        """Let another have it."""
        with self._lock:
            if self._session is not None:
                with suppress(*self._errors):  # the server ends a session a little later than it is told to
                    self._session.exec_driver_sql(f"SELECT pg_advisory_unlock({_PUBLISHING})")
                self._session.invalidate()  # not back into the pool, where it would keep the lock
                self._session.close()
                self._session = None

    def _still_there(self, session: Connection) -> bool:
        """Tell whether the session lives; where the server ended it, somebody else may have the duty."""
        try:
            session.exec_driver_sql("SELECT 1")
        except self._errors:
            session.invalidate()
            session.close()
            self._session = None
            return False
        return True

    def _try(self) -> Connection | None:
        session = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            if session.exec_driver_sql(f"SELECT pg_try_advisory_lock({_PUBLISHING})").scalar():
                return session
        except BaseException:
            session.close()
            raise
        session.close()
        return None


class SqliteDuty:
    """A lock on an empty file beside the database, held by SQLite's own means, which work everywhere."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}.publisher")
        self._lock = threading.Lock()
        self._holder: sqlite3.Connection | None = None

    def take(self) -> bool:
        """Take the duty if nobody else has it, and tell whether it is ours; raises StoreUnavailable."""
        with self._lock:
            if self._holder is None:
                self._holder = self._try()
            return self._holder is not None

    def leave(self) -> None:
        """Let another have it."""
        with self._lock:
            if self._holder is not None:
                self._holder.close()
                self._holder = None

    def _try(self) -> sqlite3.Connection | None:
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            found = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise StoreUnavailable(f"{self._path} cannot be opened: {error}") from error
        try:
            found.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            found.close()
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
                return None
            raise StoreUnavailable(f"{self._path} cannot be locked: {error}") from error
        return found
