"""The schema of a database: made when there is none, migrated when it is old.

The migration tool is loaded only to migrate. A new database gets its tables from the metadata
directly, which a test proves to be what all migrations together make.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Column, MetaData, PrimaryKeyConstraint, String, Table, insert, inspect, select

from ca.records import StoreUnavailable

from .tables import SCHEMA_REVISION, metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from .engines import Backend

_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_VERSION: Final = Table(  # as the migration tool makes it
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)


def bring_up(backend: Backend, *, create: bool) -> None:
    """Make or migrate the schema, in one transaction that no other process shares.

    Raises:
        StoreUnavailable: no schema and ``create`` not given; tables of somebody else; or a schema
            newer than this program knows.

    """
    with backend.reading() as connection:
        if revision_of(connection) == SCHEMA_REVISION:
            return
    with backend.changing_schema() as connection:
        found = revision_of(connection)  # again: another process may have been first
        if found is None:
            _make(connection, create=create)
        elif found != SCHEMA_REVISION:
            _migrate(connection, found)


def revision_of(connection: Connection) -> str | None:
    """Return the revision of the schema in a database; None where there is none of ours."""
    if not inspect(connection).has_table(_VERSION.name):
        return None
    return connection.execute(select(_VERSION.c.version_num)).scalar_one_or_none()


def _make(connection: Connection, *, create: bool) -> None:
    tables = inspect(connection).get_table_names()
    if not create or tables:
        found = f"the tables {', '.join(tables)}" if tables else "no tables"
        raise StoreUnavailable(f"the database has {found}, expected the schema of this store")
    metadata.create_all(connection, checkfirst=False)
    _VERSION.create(connection, checkfirst=False)
    connection.execute(insert(_VERSION).values(version_num=SCHEMA_REVISION))


def _migrate(connection: Connection, found: str) -> None:
    from alembic import command  # here, because it takes longer to load than a database to open
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreUnavailable(
            f"the database has schema revision {found}, the newest known here is {SCHEMA_REVISION}"
        ) from error
