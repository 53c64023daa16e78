"""``ndes-lab db``: the database of a PKI, looked at, migrated, and taken from one kind to another."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from ._output import json_option, print_fields, print_json
from ._progress import progress_bar
from ._settings import config_option, data_dir_option, database_url_option, load

if TYPE_CHECKING:
    from collections.abc import Callable


def _database(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that name a database."""
    return data_dir_option(database_url_option(config_option(function)))


@click.group()
def db() -> None:
    """Look at the database, migrate it, or take it elsewhere: SQLite to PostgreSQL and back."""


@db.command()
@_database
@json_option
def status(data_dir: Path | None, database_url: str | None, config: Path | None, as_json: bool) -> None:
    """Show the engine, the revision of the schema and the number of rows in each table."""
    from ca.store import SqlStore

    found = SqlStore.status(_url(data_dir, database_url, config))
    if as_json:
        print_json(
            {
                "engine": found.engine,
                "url": found.url,
                "revision": found.revision,
                "newest_revision": found.newest_revision,
                "rows": dict(found.rows),
            }
        )
        return
    old = "" if found.revision == found.newest_revision else f" (the newest is {found.newest_revision})"
    print_fields(
        [
            ("Engine", found.engine),
            ("URL", found.url),
            ("Schema revision", f"{found.revision or 'none'}{old}"),
            *((f"  {name}", count) for name, count in found.rows.items()),
        ]
    )


@db.command()
@_database
def upgrade(data_dir: Path | None, database_url: str | None, config: Path | None) -> None:
    """Migrate the database to the newest schema now, and not when it is opened next.

    Whoever opens a database migrates it; an older program cannot use it after that.
    """
    from ca.store import SqlStore

    url = _url(data_dir, database_url, config)
    before = SqlStore.status(url)
    SqlStore.open(url, create=False).close()
    if before.revision == before.newest_revision:
        click.echo(f"The schema has revision {before.revision}, the newest, already.")
    else:
        click.echo(f"The schema had revision {before.revision}, and has {before.newest_revision} now.")


@db.command("export")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_database
def export(file: Path, data_dir: Path | None, database_url: str | None, config: Path | None) -> None:
    """Write everything in the database to FILE, as lines of JSON.

    A lab may go on meanwhile: the file has one moment. Keys, templates and published files are not in it;
    they are in the data folder.
    """
    from ca.folders import PRIVATE, write_file
    from ca.store import SqlStore

    url = _url(data_dir, database_url, config)
    if file.exists():
        raise click.UsageError(f"{file} exists; it is not overwritten")
    unfinished = file.with_name(f"{file.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    write_file(unfinished, b"", mode=PRIVATE)
    with ExitStack() as undo:
        undo.callback(unfinished.unlink, missing_ok=True)
        store = undo.enter_context(closing(SqlStore.open(url, create=False)))
        output = undo.enter_context(unfinished.open("w", encoding="utf-8"))
        bar = _Bar("Rows", undo)
        for line in store.export(bar.begin):
            output.write(line)
            bar.advance(1)
        output.flush()
        unfinished.rename(file)
    click.echo(f"{file} has {bar.total} rows.")


@db.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@_database
def import_(file: TextIO, data_dir: Path | None, database_url: str | None, config: Path | None) -> None:
    """Fill an empty database, of either kind, with what `db export` wrote to FILE; - is standard input.

    All of it or nothing: interrupted, it leaves the database empty.
    """
    from ca.store import SqlStore, TransferRefused

    url = _url(data_dir, database_url, config)
    with ExitStack() as undo:
        store = undo.enter_context(closing(SqlStore.open(url)))
        bar = _Bar("Rows", undo)
        try:
            store.import_lines(file, bar.begin, bar.advance)
        except UnicodeDecodeError as error:
            raise TransferRefused(f"{file.name} is not UTF-8: it is no export") from error
    click.echo(f"The database has {bar.total} rows.")


class _Bar:
    """A progress bar whose length is known only when the work has begun."""

    def __init__(self, title: str, undo: ExitStack) -> None:
        self.total = 0
        self._advance: Callable[[int], None] = lambda _: None
        self._title = title
        self._undo = undo

    def begin(self, total: int) -> None:
        """Show a bar of this length."""
        self.total = total
        self._advance = self._undo.enter_context(progress_bar(self._title, total))

    def advance(self, more: int) -> None:
        """Take note that so many more are done."""
        self._advance(more)


def _url(data_dir: Path | None, database_url: str | None, config: Path | None) -> str:
    """Return the URL of the database that options and settings name."""
    from ca import opening
    from ca.folders import PkiFolder
    from ca.process.settings import DEFAULT_DATA_DIR

    loaded = load(config, server__data_dir=data_dir, pki__database_url=database_url)
    settings = loaded.settings
    return opening.database_url(PkiFolder(settings.server.data_dir or DEFAULT_DATA_DIR), settings.pki)
