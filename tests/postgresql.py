"""A PostgreSQL server of the tests' own: made in a temporary folder, reached through a socket in it.

Nobody else can reach it: there is no port, and the folder is closed to others. It refuses to run as root,
and is run as another user then. What it writes survives its own death, and a power cut if it is ``durable``.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from peers import require_peer
from psycopg import sql

_SUPERUSER = "postgres"
_OTHER_USERS = ("postgres", "nobody")  # the first of them there is runs the server where we are root
_SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{folder}'
unix_socket_permissions = 0700
max_connections = 200
"""
_FORGETFUL = """
fsync = off
full_page_writes = off
autovacuum = off
"""


class PostgresqlServer:
    """A server, running from the start on; `database` makes an empty database.

    Args:
        programs: the folder with ``initdb`` and ``pg_ctl``.
        folder: an empty folder of our own, with a path short enough for a socket.
        durable: whether it works as a server that is installed does, and not quicker.

    """

    def __init__(self, programs: Path, folder: Path, *, durable: bool = False) -> None:
        self._programs = programs
        self._folder = folder
        self._data = folder / "data"
        self._numbers = itertools.count(1)
        self._free: list[str] = []
        self._identity: dict[str, Any] = {}
        if os.geteuid() == 0:
            account = _other_account()
            os.chown(folder, account.pw_uid, account.pw_gid)
            self._identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": ()}
        options = ("--auth=trust", f"--username={_SUPERUSER}", "--encoding=UTF8", "--locale=C", "--no-sync")
        self._run("initdb", "--pgdata", str(self._data), *options)
        with (self._data / "postgresql.conf").open("a") as settings:
            settings.write(_SETTINGS.format(folder=folder) + ("" if durable else _FORGETFUL))
        self.start()

    @property
    def process_id(self) -> int:
        """The process that all others of the server come of, while it runs."""
        return int((self._data / "postmaster.pid").read_text().split()[0])

    def start(self) -> None:
        """Start the server and wait until it takes connections."""
        self._run("pg_ctl", "start", "-w", "-D", str(self._data), "-l", str(self._folder / "log"))

    def stop(self) -> None:
        """End every session, and then the server, in good order."""
        self._run("pg_ctl", "stop", "-w", "-m", "fast", "-D", str(self._data))

    def crash(self) -> None:
        """End the server as a crash would: it recovers from its log when it is started again."""
        self._run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", str(self._data))

    @contextmanager
    def database(self) -> Iterator[str]:
        """Yield the URL of an empty database; emptied at the end, it is somebody else's next.

        Emptying one takes a tenth of the time that making one does.
        """
        name = self._free.pop() if self._free else self._new_database()
        try:
            yield self.url(name)
        finally:
            self._empty(name)
            self._free.append(name)

    def url(self, database: str) -> str:
        """Return the URL of a database, as `SqlStore.open` wants it."""
        return f"postgresql+psycopg://{_SUPERUSER}@/{database}?host={quote(str(self._folder), safe='')}"

    @contextmanager
    def connected(self, url: str) -> Iterator[psycopg.Connection]:
        """Yield a connection of its own, without a transaction around each statement."""
        with psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True) as connection:
            yield connection

    def _new_database(self) -> str:
        name = f"test{next(self._numbers)}"
        with self.connected(self.url("postgres")) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return name

    def _empty(self, database: str) -> None:
        with self.connected(self.url(database)) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")

    def _run(self, program: str, *arguments: str) -> None:
        # Not pipes: the server would inherit them, and whoever reads waits until it ends.
        with (self._folder.parent / f"{self._folder.name}.out").open("w+b") as said:
            done = subprocess.run(
                [self._programs / program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=self._folder,
                check=False,
                env={"PATH": os.defpath, "LC_ALL": "C"},
                **self._identity,
            )
            said.seek(0)
            if done.returncode:
                raise RuntimeError(f"{program} failed: {said.read().decode(errors='replace')}{self._log()}")

    def _log(self) -> str:
        log = self._folder / "log"
        return log.read_text(errors="replace") if log.exists() else ""


@contextmanager
def running_postgresql(*, durable: bool = False) -> Iterator[PostgresqlServer]:
    """Yield a server that is gone afterwards; skips or fails the test when PostgreSQL is not installed."""
    programs = require_peer("initdb").resolve().parent
    with tempfile.TemporaryDirectory(prefix="pg-") as outer:
        Path(outer).chmod(0o711)  # the user that runs the server passes through
        folder = Path(outer) / "s"
        folder.mkdir(mode=0o700)
        server = PostgresqlServer(programs, folder, durable=durable)
        try:
            yield server
        finally:
            server.stop()
            shutil.rmtree(folder, ignore_errors=True)


def _other_account() -> pwd.struct_passwd:
    for name in _OTHER_USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError(f"PostgreSQL does not run as root, and there is no user {' or '.join(_OTHER_USERS)}")
