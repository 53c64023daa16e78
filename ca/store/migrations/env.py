"""Runs the schema changes on the connection that `ca.store.schema` hands over.

That connection already holds the lock that keeps other processes away; the caller commits.
"""

from __future__ import annotations

from alembic import context

from ca.store.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=connection.dialect.name == "sqlite",  # SQLite alters a table by copying it
)
context.run_migrations()
