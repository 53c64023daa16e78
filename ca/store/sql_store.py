"""`SqlStore`: opens a database and hands out transactions on it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from .certificates import CertificateRows
from .challenges import ChallengeRows
from .contents import read_contents, write_contents
from .engines import PostgresqlBackend, SqliteBackend
from .errors import store_error
from .requests import RequestRows, TransactionRows
from .revocations import RevocationRows
from .schema import bring_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ca.records import Duty, StoreContents

    from .engines import Backend


class SqlTransaction(CertificateRows, RevocationRows, ChallengeRows, RequestRows, TransactionRows):
    """The store within one database transaction: `ca.records.StoreTransaction`."""

    __slots__ = ()


class SqlStore:
    """Where a CA remembers, in SQLite or PostgreSQL: `ca.records.Store`.

    Safe for any number of threads and processes at once. A thread has at most one writing
    transaction open; it may read beside it.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @classmethod
    def open(cls, url: str, *, create: bool = True, durable: bool = True) -> SqlStore:
        """Open the database at ``url``, make its schema if there is none, migrate it if it is old.

        Args:
            url: ``sqlite:////absolute/path`` or ``postgresql://user@host/database``.
            create: whether to make a database that is not there.
            durable: whether a commit is on disk before it returns; without, the last commits may be
                lost with the machine's power, though not with the process.

        Raises:
            ValueError: a URL that is none, or of another kind of database.
            StoreUnavailable: the database cannot be opened, or is not one of ours.

        """
        backend = _backend(url, create=create, durable=durable)
        try:
            bring_up(backend, create=create)
        except backend.errors as error:
            backend.close()
            raise store_error(error) from error
        except BaseException:
            backend.close()
            raise
        return cls(backend)

    @contextmanager
    def transaction(self) -> Iterator[SqlTransaction]:
        """Begin a writing transaction; commits on leaving, rolls back on any exception.

        Raises:
            AlreadyExists: a unique value is taken (also on leaving).
            StoreUnavailable: the database cannot be used; nothing was kept.

        """
        try:
            with self._backend.writing() as connection:
                transaction = SqlTransaction(connection, self._backend.errors)
                try:
                    yield transaction
                finally:
                    transaction.end()
                transaction.raise_if_lost()
        except self._backend.errors as error:
            raise store_error(error) from error

    @contextmanager
    def reading(self) -> Iterator[SqlTransaction]:
        """Begin a read-only transaction: one consistent snapshot, never waits for a writer."""
        try:
            with self._backend.reading() as connection:
                transaction = SqlTransaction(connection, self._backend.errors)
                try:
                    yield transaction
                finally:
                    transaction.end()
        except self._backend.errors as error:
            raise store_error(error) from error

    @property
    def publishing(self) -> Duty:
        """The duty of signing CRLs when they are due, which one process at this database has."""
        return self._backend.publishing

    def contents(self) -> StoreContents:
        """Return every row there is, to come back to by `reset`."""
        try:
            with self._backend.reading() as connection:
                return read_contents(connection)
        except self._backend.errors as error:
            raise store_error(error) from error

    def reset(self, to: StoreContents | None = None) -> None:
        """Forget everything, or all but ``to``; the schema stays, and ids go on after those there are."""
        try:
            with self._backend.writing() as connection:
                self._backend.empty(connection)
                if to is not None:
                    write_contents(connection, to)
                    self._backend.number_on(connection)
        except self._backend.errors as error:
            raise store_error(error) from error

    def close(self) -> None:
        """Close every connection; a closed store raises StoreUnavailable."""
        self._backend.close()


def _backend(url: str, *, create: bool, durable: bool) -> Backend:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ValueError("not a database URL, expected sqlite:////path or postgresql://...") from error
    if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
        return SqliteBackend(parsed, create=create, durable=durable)
    if parsed.drivername in ("postgresql", "postgresql+psycopg"):
        return PostgresqlBackend(parsed.set(drivername="postgresql+psycopg"), durable=durable)
    raise ValueError(f"database {parsed.drivername!r} is unknown, expected sqlite or postgresql")
