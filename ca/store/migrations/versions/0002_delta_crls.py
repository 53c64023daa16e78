"""A base and a delta CRL may share a number; challenges may be forgotten.

RFC 5280 5.2.3 wants one number for a complete and a delta CRL that are issued at the same time, so
the kind joins the key of ``crls``. Forgetting a challenge asks whether a transaction refers to it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_COLUMNS = "issuer_key_id, number, kind, this_update, next_update, next_publish, entries, der"


def upgrade() -> None:
    """Make ``crls`` anew around its rows, the same way on every engine."""
    op.execute("CREATE TABLE crls_before AS SELECT * FROM crls")
    op.drop_table("crls")
    op.create_table(
        "crls",
        sa.Column("issuer_key_id", sa.Text, primary_key=True, nullable=False),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text, primary_key=True, nullable=False),
        sa.Column("this_update", sa.BigInteger, nullable=False),
        sa.Column("next_update", sa.BigInteger, nullable=False),
        sa.Column("next_publish", sa.BigInteger, nullable=False),
        sa.Column("entries", sa.BigInteger, nullable=False),
        sa.Column("der", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_crls_kind", "crls", ["issuer_key_id", "kind", "number"])
    op.execute(f"INSERT INTO crls ({_COLUMNS}) SELECT {_COLUMNS} FROM crls_before")  # noqa: S608 - constants
    op.drop_table("crls_before")
    op.create_index("ix_scep_transactions_challenge_id", "scep_transactions", ["challenge_id"])
