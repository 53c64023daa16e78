"""`SqlStore`: opens a database and hands out transactions on it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import inspect, make_url
from sqlalchemy.exc import ArgumentError

from ca.records import StoreUnavailable

from .certificates import CertificateRows
from .challenges import ChallengeRows
from .contents import read_contents, write_contents
from .engines import PostgresqlBackend, SqliteBackend
from .errors import store_error
from .requests import RequestRows, TransactionRows
from .revocations import RevocationRows
from .schema import bring_up, revision_of
from .tables import SCHEMA_REVISION
from .transfer import TransferRefused, count_rows, export_lines, import_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection

    from ca.records import Duty, StoreContents

    from .engines import Backend

CONNECTIONS: Final = 16


class SqlTransaction(CertificateRows, RevocationRows, ChallengeRows, RequestRows, TransactionRows):
    """The store within one database transaction: `ca.records.StoreTransaction`."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStatus:
    """What a database is and holds; ``revision`` is None where it has no schema of ours."""

    engine: str
    url: str  # without its password
    revision: str | None
    newest_revision: str
    rows: Mapping[str, int]


class SqlStore:
    """Where a CA remembers, in SQLite or PostgreSQL: `ca.records.Store`.

    Safe for any number of threads and processes at once. A thread has at most one writing
    transaction open; it may read beside it.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @classmethod
    def open(
        cls, url: str, *, create: bool = True, durable: bool = True, connections: int = CONNECTIONS
    ) -> SqlStore:
        """Open the database at ``url``, make its schema if there is none, migrate it if it is old.

        Args:
            url: ``sqlite:////absolute/path`` or ``postgresql://user@host/database``.
            create: whether to make a database that is not there.
            durable: whether a commit is on disk before it returns; without, the last commits may be
                lost with the machine's power, though not with the process.
            connections: how many to PostgreSQL there are at most, besides that of a duty; each transaction
                takes one.

        Raises:
            ValueError: a URL that is none, or of another kind of database.
            StoreUnavailable: the database cannot be opened, or is not one of ours.

        """
        backend = _backend(url, create=create, durable=durable, connections=connections)
        try:
            bring_up(backend, create=create)
        except backend.errors as error:
            backend.close()
            raise store_error(error) from error
        except BaseException:
            backend.close()
            raise
        return cls(backend)

    @classmethod
    def status(cls, url: str) -> StoreStatus:
        """Return what the database at ``url`` holds, without making or migrating anything.

        Raises as `open`.
        """
        backend = _backend(url, create=False, durable=True, connections=1)
        try:
            with backend.reading() as connection:
                return StoreStatus(
                    engine=backend.engine_version(connection),
                    url=make_url(url).render_as_string(hide_password=True),
                    revision=revision_of(connection),
                    newest_revision=SCHEMA_REVISION,
                    rows=count_rows(connection, inspect(connection).get_table_names()),
                )
        except backend.errors as error:
            raise store_error(error) from error
        finally:
            backend.close()

    @contextmanager
    def transaction(self) -> Iterator[SqlTransaction]:
        """Begin a writing transaction; commits on leaving, rolls back on any exception.

        Raises:
            AlreadyExists: a unique value is taken (also on leaving).
            StoreUnavailable: the database cannot be used; nothing was kept.

        """
        with self._written(self._backend.writing()) as transaction:
            yield transaction

    @contextmanager
    def founding(self) -> Iterator[SqlTransaction]:
        """Begin a writing transaction that shares the database with no other of this kind, in any process.

        What is not there at its beginning no other such one adds before its end. Raises as `transaction`.
        """
        with self._written(self._backend.changing_schema()) as transaction:
            yield transaction

    @contextmanager
    def _written(self, begun: AbstractContextManager[Connection]) -> Iterator[SqlTransaction]:
        try:
            with begun as connection:
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

    def export(self, begun: Callable[[int], None] = lambda _: None) -> Iterator[str]:
        """Yield every row of one moment as `ca.store.transfer` has it; ``begun`` is told how many follow."""
        try:
            with self._backend.reading_at_leisure() as connection:
                yield from export_lines(connection, begun)
        except self._backend.errors as error:
            raise store_error(error) from error

    def import_lines(
        self,
        lines: Iterable[str],
        begun: Callable[[int], None] = lambda _: None,
        written: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Fill this store, which is empty, with what `export` yielded: all of it or nothing.

        ``begun`` is told how many rows there are, ``written`` how many more are there.

        Raises:
            TransferRefused: the store is not empty, or the lines are no whole export of this schema.
            StoreUnavailable: the database cannot be used.

        """
        try:
            with self._backend.changing_schema() as connection:
                for more in import_lines(connection, lines, begun):
                    written(more)
                self._backend.number_on(connection)
        except self._backend.errors as error:
            known = store_error(error)
            if isinstance(known, StoreUnavailable):
                raise known from error
            raise TransferRefused(f"the rows contradict each other: {known}") from error

    def close(self) -> None:
        """Close every connection; a closed store raises StoreUnavailable."""
        self._backend.close()


def _backend(url: str, *, create: bool, durable: bool, connections: int) -> Backend:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ValueError("not a database URL, expected sqlite:////path or postgresql://...") from error
    if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
        return SqliteBackend(parsed, create=create, durable=durable)
    if parsed.drivername in ("postgresql", "postgresql+psycopg"):
        return PostgresqlBackend(
            parsed.set(drivername="postgresql+psycopg"), durable=durable, connections=connections
        )
    raise ValueError(f"database {parsed.drivername!r} is unknown, expected sqlite or postgresql")
