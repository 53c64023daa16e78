"""The first tables.

Written out, not derived from the present metadata: what a released schema was must not change when
the tables do.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make every table of the first schema."""
    _certificates()
    _certificate_revocation_lists()
    _challenges_and_requests()
    _scep_transactions()


def _certificates() -> None:
    op.create_table(
        "certificates",
        sa.Column("id", row_id, primary_key=True, nullable=False),
        sa.Column("issuer_key_id", sa.Text, nullable=False),
        sa.Column("serial_number", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("subject_folded", sa.Text, nullable=False),
        sa.Column("template", sa.Text, nullable=False),
        sa.Column("requester", sa.Text, nullable=False),
        sa.Column("not_before", sa.BigInteger, nullable=False),
        sa.Column("not_after", sa.BigInteger, nullable=False),
        sa.Column("issued_at", sa.BigInteger, nullable=False),
        sa.Column("public_key_sha256", sa.Text, nullable=False),
        sa.Column("sha1", sa.Text, nullable=False),
        sa.Column("der", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("issuer_key_id", "serial_number", name="uq_certificates_serial_number"),
    )
    op.create_index("ix_certificates_public_key_sha256", "certificates", ["public_key_sha256"])
    op.create_index("ix_certificates_sha1", "certificates", ["sha1"])
    op.create_index("ix_certificates_not_after", "certificates", ["not_after"])
    op.create_index("ix_certificates_template", "certificates", ["template", "id"])


def _certificate_revocation_lists() -> None:
    op.create_table(
        "revocations",
        sa.Column(
            "certificate_id",
            row_id,
            sa.ForeignKey("certificates.id", name="fk_revocations_certificate_id"),
            primary_key=True,
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("issuer_key_id", sa.Text, nullable=False),
        sa.Column("serial_number", sa.Text, nullable=False),
        sa.Column("not_after", sa.BigInteger, nullable=False),
        sa.Column("revoked_at", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.SmallInteger, nullable=False),
        sa.Column("invalidity_date", sa.BigInteger),
        sa.Column("crl_number", sa.BigInteger, nullable=False),
        sa.Column("entry", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_revocations_crl_number", "revocations", ["issuer_key_id", "crl_number"])
    op.create_table(
        "crl_counters",
        sa.Column("issuer_key_id", sa.Text, primary_key=True, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "crls",
        sa.Column("issuer_key_id", sa.Text, primary_key=True, nullable=False),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("this_update", sa.BigInteger, nullable=False),
        sa.Column("next_update", sa.BigInteger, nullable=False),
        sa.Column("next_publish", sa.BigInteger, nullable=False),
        sa.Column("entries", sa.BigInteger, nullable=False),
        sa.Column("der", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_crls_kind", "crls", ["issuer_key_id", "kind", "number"])


def _challenges_and_requests() -> None:
    op.create_table(
        "challenges",
        sa.Column("id", row_id, primary_key=True, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("subject", sa.Text),
        sa.Column("template", sa.Text),
        sa.Column("endpoint", sa.Text),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary),
        sa.Column("spent_at", sa.BigInteger),
        sa.Column("revoked_at", sa.BigInteger),
        sa.Column("uses", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.UniqueConstraint("digest", name="uq_challenges_digest"),
    )
    op.create_index("ix_challenges_usable", "challenges", ["spent_at", "revoked_at", "expires_at"])
    op.create_table(
        "requests",
        sa.Column("id", row_id, primary_key=True, nullable=False),
        sa.Column("csr", sa.LargeBinary, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("template", sa.Text, nullable=False),
        sa.Column("requester", sa.Text, nullable=False),
        sa.Column("public_key_sha256", sa.Text, nullable=False),
        sa.Column("submitted_at", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("resolved_at", sa.BigInteger),
        sa.Column(
            "certificate_id", row_id, sa.ForeignKey("certificates.id", name="fk_requests_certificate_id")
        ),
        sa.Column("disposition_message", sa.Text, nullable=False, server_default=sa.text("''")),
    )
    op.create_index("ix_requests_status", "requests", ["status", "id"])


def _scep_transactions() -> None:
    op.create_table(
        "scep_transactions",
        sa.Column("id", row_id, primary_key=True, nullable=False),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("transaction_id", sa.Text, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("message_type", sa.Integer, nullable=False),
        sa.Column("message_sha256", sa.Text, nullable=False),
        sa.Column("public_key_sha256", sa.Text, nullable=False),
        sa.Column("signer_key_sha256", sa.Text, nullable=False),
        sa.Column("signer_sha256", sa.Text, nullable=False),
        sa.Column(
            "challenge_id", row_id, sa.ForeignKey("challenges.id", name="fk_scep_transactions_challenge_id")
        ),
        sa.Column(
            "certificate_id",
            row_id,
            sa.ForeignKey("certificates.id", name="fk_scep_transactions_certificate_id"),
        ),
        sa.Column("request_id", row_id, sa.ForeignKey("requests.id", name="fk_scep_transactions_request_id")),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint(
            "endpoint", "transaction_id", "generation", name="uq_scep_transactions_generation"
        ),
    )
    op.create_index("ix_scep_transactions_request_id", "scep_transactions", ["request_id"])
