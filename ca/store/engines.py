"""Connections: how each engine begins, isolates and ends a transaction.

SQLite: write-ahead log, one writer connection for a process behind a fair lock (SQLite's own waiting
is polling, and a second writer would only throw away the first one's page cache), as many readers as
there are threads that read. PostgreSQL: a pool; the database serialises what must be.
"""

from __future__ import annotations

import os
import select as waiting
import sqlite3
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from sqlalchemy import create_engine, event, func, select
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import NullPool

from ca.records import StoreUnavailable

from .duty import PostgresqlDuty, SqliteDuty
from .errors import driver_errors
from .tables import metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from sqlalchemy import URL, Connection, Engine

    from ca.records import Duty

_BUSY_SECONDS: Final = 10  # how long a writer waits for another before it gives up
_PAUSE_SECONDS: Final = 0.001  # between two looks whether another process is still writing
_CACHE_KIB: Final = 65_536  # of the one writer, and only as much as it needs: indexes of a million rows
_LOG_PAGES: Final = 4_000  # of 4 KiB; the longer the log, the fewer pages are copied back twice
_STATEMENT_SECONDS: Final = 60  # how long PostgreSQL works on one statement: a CRL of a million takes a few
_IDLE_SECONDS: Final = 60  # how long a transaction of a process that has stopped keeps what others wait for
_SILENT_SECONDS: Final = 30  # after how long a peer is asked whether it lives; a minute on it is given up
# READ COMMITTED and explicit locks for writers: nothing has to be repeated.
_READ_COMMITTED: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"
_SNAPSHOT: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_MIGRATION_LOCK: Final = 0x6E6465736C6162  # any number, the same in every process


class Backend(Protocol):
    """What `SqlStore` needs of an engine; every connection it yields is in a transaction."""

    errors: tuple[type[Exception], ...]  # what anything done with a connection may raise

    @property
    def publishing(self) -> Duty:
        """The duty of signing CRLs when they are due."""

    def writing(self) -> AbstractContextManager[Connection]:
        """Begin a transaction that may write; commits on leaving, rolls back on any exception."""

    def reading(self) -> AbstractContextManager[Connection]:
        """Begin a snapshot that cannot write and waits for no writer."""

    def reading_at_leisure(self) -> AbstractContextManager[Connection]:
        """Begin a snapshot that may stay as long as its reader takes."""

    def changing_schema(self) -> AbstractContextManager[Connection]:
        """Begin a transaction that alone, in all processes, may change the schema."""

    def engine_version(self, connection: Connection) -> str:
        """Return the database's name and version, for people."""

    def empty(self, connection: Connection) -> None:
        """Delete every row of every table; numbering starts again at 1."""

    def number_on(self, connection: Connection) -> None:
        """Have the next row of each table numbered after those that were written with their numbers."""

    def close(self) -> None:
        """Close every connection."""


class SqliteBackend:
    """A database file."""

    def __init__(self, url: URL, *, create: bool, durable: bool) -> None:
        self._path = _database_file(url, create=create)
        self._durable = durable
        self._lock = threading.Lock()
        self._owner: int | None = None
        self._writer: Connection | None = None
        self._closed = False
        self._readers: deque[Connection] = deque()  # idle; a pool's bookkeeping takes longer than a query
        self._writing_engine = _sqlite_engine(url, self._prepare_writer)
        self._reading_engine = _sqlite_engine(url, self._prepare_reader)
        self.errors = driver_errors(self._writing_engine.dialect)
        self.publishing = SqliteDuty(self._path)

    def _prepare_writer(self, connection: Any, _record: object) -> None:
        (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != "wal":
            raise StoreUnavailable(
                f"{self._path} has journal mode {mode}: its file system takes no write-ahead log"
            )
        connection.execute(f"PRAGMA synchronous={'FULL' if self._durable else 'OFF'}")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")
        connection.execute("PRAGMA busy_timeout=0")  # `_wait_for_turn` waits

    def _prepare_reader(self, connection: Any, _record: object) -> None:
        connection.execute("PRAGMA query_only=ON")

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Begin with BEGIN IMMEDIATE: what is read here cannot have changed when it is written."""
        if self._owner == threading.get_ident():
            raise RuntimeError("this thread is in a transaction of this store already")
        if not self._lock.acquire(timeout=_BUSY_SECONDS):
            raise StoreUnavailable(
                f"{self._path} is locked: another thread has been writing for {_BUSY_SECONDS} s"
            )
        self._owner = threading.get_ident()
        try:
            with _begun(self._writer_connection(), "BEGIN IMMEDIATE", _wait_for_turn) as connection:
                yield connection
        except BaseException as error:
            self._drop_broken_writer(error)
            raise
        finally:
            self._owner = None
            self._lock.release()

    changing_schema = writing

    def _writer_connection(self) -> Connection:
        if self._closed:
            raise StoreUnavailable(f"{self._path} is closed")
        if self._writer is None:
            self._writer = self._writing_engine.connect()
        return self._writer

    def _drop_broken_writer(self, error: BaseException) -> None:
        """Start over with a new connection after trouble: the file may be another one by then."""
        writer = self._writer
        if writer is not None and isinstance(error, (StoreUnavailable, *self.errors)):
            self._writer = None
            writer.invalidate()
            writer.close()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Begin with BEGIN: in a write-ahead log a reader keeps what it saw first."""
        if self._closed:
            raise StoreUnavailable(f"{self._path} is closed")
        try:
            connection = self._readers.pop()
        except IndexError:
            connection = self._reading_engine.connect()
        try:
            with _begun(connection, "BEGIN"):
                yield connection
        except BaseException:
            connection.invalidate()
            connection.close()
            raise
        self._give_back(connection)

    reading_at_leisure = reading

    def _give_back(self, reader: Connection) -> None:
        self._readers.append(reader)
        if self._closed:
            self._close_readers()

    def _close_readers(self) -> None:
        while self._readers:
            with suppress(IndexError):  # another thread took the last one
                self._readers.pop().close()

    def engine_version(self, connection: Connection) -> str:
        """Return what SQLite says of itself."""
        return f"SQLite {connection.exec_driver_sql('SELECT sqlite_version()').scalar()}"

    def empty(self, connection: Connection) -> None:
        """Delete table by table, those that refer to others first."""
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())

    def number_on(self, connection: Connection) -> None:
        """Leave it to SQLite, which counts from the largest number there is."""

    def close(self) -> None:
        """Close after the transaction that another thread is in, if one is."""
        if self._owner == threading.get_ident():
            raise RuntimeError("this thread is in a transaction of this store: leave it before closing")
        self.publishing.leave()
        with self._lock:
            self._closed = True
            if self._writer is not None:
                self._writer.close()
                self._writer = None
        self._close_readers()


def _sqlite_engine(url: URL, prepare: Callable[[Any, object], None]) -> Engine:
    arguments = {"isolation_level": None, "check_same_thread": False, "timeout": _BUSY_SECONDS}
    engine = create_engine(url, connect_args=arguments, poolclass=NullPool)
    event.listen(engine, "connect", prepare)
    return engine


def _execute(driver: Any, text: str) -> None:
    driver.execute(text)


def _wait_for_turn(driver: Any, begin: str) -> None:
    """Begin to write once no other process does, asking again at equal distances.

    SQLite's own pauses grow up to 100 ms, so that who has waited longest would get in last.
    """
    for _ in range(round(_BUSY_SECONDS / _PAUSE_SECONDS)):
        try:
            driver.execute(begin)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
        else:
            return
        time.sleep(_PAUSE_SECONDS)
    driver.execute(begin)


@contextmanager
def _begun(
    connection: Connection,
    begin: str,
    execute: Callable[[Any, str], object] = _execute,
) -> Iterator[Connection]:
    """Run a transaction on a connection whose driver begins none by itself.

    The driver is told directly: SQLAlchemy's own account of a transaction takes longer than SQLite's. It
    keeps one only where its `execute` is used.
    """
    driver: Any = connection.connection.driver_connection
    try:
        execute(driver, begin)
        yield connection
        (connection if connection.in_transaction() else driver).commit()
    except BaseException:
        _roll_back(connection, driver)
        raise


def _roll_back(connection: Connection, driver: Any) -> None:
    """Undo what was begun; a connection that cannot has been ended by its server, and is thrown away."""
    try:
        (connection if connection.in_transaction() else driver).rollback()
    except driver_errors(connection.dialect):
        connection.invalidate()


def _database_file(url: URL, *, create: bool) -> Path:
    """Return the file; made here, if it may be, because SQLite would let others read it."""
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise ValueError(f"{url} names no file: the store needs a database that several connections can open")
    path = Path(url.database)
    if not create:
        if not path.exists():
            raise StoreUnavailable(f"{path} does not exist")
        return path
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be opened: {error.strerror}") from error
    return path


def _connection_arguments(*, durable: bool) -> dict[str, object]:
    """Return what each connection is made with, so that nobody waits for ever for anybody.

    Either side asks the other whether it lives: a publisher's machine that lost its power has no duty.
    """
    asking = {"keepalives_idle": _SILENT_SECONDS, "keepalives_interval": 10, "keepalives_count": 3}
    options = {
        "synchronous_commit": "on" if durable else "off",
        "lock_timeout": f"{_BUSY_SECONDS}s",
        "statement_timeout": f"{_STATEMENT_SECONDS}s",
        "idle_in_transaction_session_timeout": f"{_IDLE_SECONDS}s",
        **{f"tcp_{name}": value for name, value in asking.items()},
    }
    return {
        "connect_timeout": _BUSY_SECONDS,
        "tcp_user_timeout": 1000 * _SILENT_SECONDS,
        **asking,
        "options": " ".join(f"-c {name}={value}" for name, value in options.items()),
    }


def _make_ready(driver: Any, _record: object, _proxy: object) -> None:
    """Replace a connection that the server has closed, as when it was restarted; leave beginning to `_begun`.

    Nobody has asked anything over a connection in the pool: if there is something to read, it is the end.
    Asking the server instead would cost every transaction a round trip.
    """
    if driver.closed or _readable(driver.fileno()):
        raise DisconnectionError
    if not driver.autocommit:
        driver.autocommit = True


def _readable(descriptor: int) -> bool:
    watched = waiting.poll()
    watched.register(descriptor, waiting.POLLIN)
    return bool(watched.poll(0))


class PostgresqlBackend:
    """A PostgreSQL database, reached by psycopg, over at most so many ``connections`` at a time."""

    def __init__(self, url: URL, *, durable: bool, connections: int) -> None:
        arguments = _connection_arguments(durable=durable)
        try:
            self._engine = create_engine(
                url,
                connect_args=arguments,
                pool_size=connections,
                max_overflow=0,
                pool_timeout=_BUSY_SECONDS,
            )
        except ModuleNotFoundError as error:
            raise StoreUnavailable(
                f"PostgreSQL needs {error.name}, which is not installed: pip install 'ndes-lab[postgres]'"
            ) from error
        event.listen(self._engine, "checkout", _make_ready)
        self.errors = driver_errors(self._engine.dialect)
        self.publishing = PostgresqlDuty(
            create_engine(url, connect_args=arguments, poolclass=NullPool), self.errors
        )

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Begin a READ COMMITTED transaction."""
        with self._engine.connect() as connection, _begun(connection, _READ_COMMITTED):
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Begin a REPEATABLE READ, READ ONLY transaction."""
        with self._engine.connect() as connection, _begun(connection, _SNAPSHOT):
            yield connection

    @contextmanager
    def changing_schema(self) -> Iterator[Connection]:
        """Begin a transaction that holds the advisory lock of schema changes."""
        with self._engine.connect() as connection, _begun(connection, _READ_COMMITTED):
            # Others may migrate for long, and so may we; but nobody waits long for tables that others use.
            for statement in (
                "SET LOCAL statement_timeout = 0",
                "SET LOCAL lock_timeout = 0",
                f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})",
                f"SET LOCAL lock_timeout = '{_BUSY_SECONDS}s'",
            ):
                connection.exec_driver_sql(statement)
            yield connection

    @contextmanager
    def reading_at_leisure(self) -> Iterator[Connection]:
        """Begin the same for whoever takes the rows as slowly as they are written elsewhere."""
        with self.reading() as connection:
            connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
            yield connection

    def engine_version(self, connection: Connection) -> str:
        """Return what the server says of itself, without its distribution."""
        version = str(connection.exec_driver_sql("SHOW server_version").scalar())
        return f"PostgreSQL {version.partition(' ')[0]}"

    def empty(self, connection: Connection) -> None:
        """Truncate all tables in one statement."""
        names = ", ".join(table.name for table in metadata.sorted_tables)
        connection.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY")

    def number_on(self, connection: Connection) -> None:
        """Set the sequence of each table that has rows to its largest number."""
        for table in metadata.sorted_tables:
            for column in table.columns:
                if column is table.autoincrement_column:
                    sequence = func.pg_get_serial_sequence(table.name, column.name)
                    numbered = select(func.setval(sequence, func.max(column))).having(func.count() > 0)
                    connection.execute(numbered.select_from(table))

    def close(self) -> None:
        """Close the pool, and what is outside of it."""
        self.publishing.leave()
        self._engine.dispose()
