"""Where waiting requests came from, so that no address and no endpoint can fill the queue."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table; what waits already came from nowhere that is known."""
    op.create_table(
        "request_origins",
        sa.Column(
            "request_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            sa.ForeignKey("requests.id", name="fk_request_origins_request_id"),
            primary_key=True,
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("client_address", sa.Text, nullable=False),
    )
    op.create_index("ix_request_origins_client_address", "request_origins", ["client_address"])
