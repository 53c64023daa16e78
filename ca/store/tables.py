"""The tables, for every engine alike, and how values look in them.

Instants are integers, microseconds since 1970 UTC: exact, small, ordered, and the same everywhere.
Serial numbers are lower-case hex: 20 octets do not fit an integer column. Enumerations are their
values. A change here needs a migration: a test compares the two.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

SCHEMA_REVISION: Final = "0004"
"""The newest migration: a database that says so is opened without loading the migration tool."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def stored(instant: datetime) -> int:
    """Return an aware instant as the tables keep it; a naive one raises TypeError."""
    return (instant - _EPOCH) // _MICROSECOND


def stored_or_none(instant: datetime | None) -> int | None:
    """Return an instant that may be absent as the tables keep it."""
    return None if instant is None else stored(instant)


def instant(microseconds: int) -> datetime:
    """Return the instant, in UTC, that the tables keep as this number."""
    return _EPOCH + timedelta(microseconds=microseconds)


def instant_or_none(microseconds: int | None) -> datetime | None:
    """Return the instant of a column that may be NULL."""
    return None if microseconds is None else instant(microseconds)


_Instant: Final = BigInteger
# SQLite numbers rows itself only in a column that is exactly INTEGER.
_Id: Final = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData()

certificates = Table(
    "certificates",
    metadata,
    Column("id", _Id, primary_key=True, nullable=False),
    Column("issuer_key_id", Text, nullable=False),
    Column("serial_number", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("subject_folded", Text, nullable=False),  # what the subject filter searches, on any engine
    Column("template", Text, nullable=False),
    Column("requester", Text, nullable=False),
    Column("not_before", _Instant, nullable=False),
    Column("not_after", _Instant, nullable=False),
    Column("issued_at", _Instant, nullable=False),
    Column("public_key_sha256", Text, nullable=False),
    Column("sha1", Text, nullable=False),
    Column("der", LargeBinary, nullable=False),
    UniqueConstraint("issuer_key_id", "serial_number", name="uq_certificates_serial_number"),
    Index("ix_certificates_not_after", "not_after"),
    Index("ix_certificates_template", "template", "id"),
)

# Finds certificates by the beginning of a digest: of the public key's SHA-256, or of the thumbprint.
# Digests come in no order, so that every index over them costs an enrolment a page somewhere in it; the
# beginnings of both in one table stay small enough to be kept in memory.
certificate_digests = Table(
    "certificate_digests",
    metadata,
    Column("beginning", Text, primary_key=True, nullable=False),
    Column(
        "certificate_id",
        _Id,
        ForeignKey("certificates.id", name="fk_certificate_digests_certificate_id"),
        primary_key=True,
        autoincrement=False,
        nullable=False,
    ),
    sqlite_with_rowid=False,
)
DIGEST_BEGINNING: Final = 12  # hex digits

# One row for each certificate that ever was revoked, as it stands now: a released hold stays, with
# reason removeFromCRL, because the next delta CRLs must say so (RFC 5280 5.2.4). `crl_number` is the
# first CRL that shows the present state, so a delta to base N is what has a number above N.
revocations = Table(
    "revocations",
    metadata,
    Column(
        "certificate_id",
        _Id,
        ForeignKey("certificates.id", name="fk_revocations_certificate_id"),
        primary_key=True,
        autoincrement=False,
        nullable=False,
    ),
    Column("issuer_key_id", Text, nullable=False),
    Column("serial_number", Text, nullable=False),
    Column("not_after", _Instant, nullable=False),
    Column("revoked_at", _Instant, nullable=False),
    Column("reason", SmallInteger, nullable=False),
    Column("invalidity_date", _Instant),
    Column("crl_number", BigInteger, nullable=False),
    Column("entry", LargeBinary, nullable=False),  # as it stands in a CRL, DER
    Index("ix_revocations_crl_number", "issuer_key_id", "crl_number"),
)

# The last CRL number given out for a key. Revoking shares this row and numbering a CRL owns it, so
# that no revocation can slip between a CRL and the number it is remembered by.
crl_counters = Table(
    "crl_counters",
    metadata,
    Column("issuer_key_id", Text, primary_key=True, nullable=False),
    Column("number", BigInteger, nullable=False),
)

crls = Table(
    "crls",
    metadata,
    Column("issuer_key_id", Text, primary_key=True, nullable=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False, nullable=False),
    Column("kind", Text, primary_key=True, nullable=False),  # a base and a delta may share a number
    Column("this_update", _Instant, nullable=False),
    Column("next_update", _Instant, nullable=False),
    Column("next_publish", _Instant, nullable=False),
    Column("entries", BigInteger, nullable=False),
    Column("der", LargeBinary, nullable=False),
    Index("ix_crls_kind", "issuer_key_id", "kind", "number"),
)

challenges = Table(
    "challenges",
    metadata,
    Column("id", _Id, primary_key=True, nullable=False),
    Column("digest", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("created_at", _Instant, nullable=False),
    Column("expires_at", _Instant),
    Column("subject", Text),
    Column("template", Text),
    Column("endpoint", Text),
    Column("label", Text, nullable=False),
    Column("sealed", LargeBinary),
    Column("spent_at", _Instant),
    Column("revoked_at", _Instant),
    Column("uses", BigInteger, nullable=False, server_default=text("0")),
    UniqueConstraint("digest", name="uq_challenges_digest"),
    Index("ix_challenges_usable", "spent_at", "revoked_at", "expires_at"),
)

requests = Table(
    "requests",
    metadata,
    Column("id", _Id, primary_key=True, nullable=False),
    Column("csr", LargeBinary, nullable=False),
    Column("subject", Text, nullable=False),
    Column("template", Text, nullable=False),
    Column("requester", Text, nullable=False),
    Column("public_key_sha256", Text, nullable=False),
    Column("submitted_at", _Instant, nullable=False),
    Column("status", Text, nullable=False),
    Column("resolved_at", _Instant),
    Column("certificate_id", _Id, ForeignKey("certificates.id", name="fk_requests_certificate_id")),
    Column("disposition_message", Text, nullable=False, server_default=text("''")),
    Index("ix_requests_status", "status", "id"),
)

# Who asked for a request that waits or waited, where that was over SCEP; goes with the request.
request_origins = Table(
    "request_origins",
    metadata,
    Column(
        "request_id",
        _Id,
        ForeignKey("requests.id", name="fk_request_origins_request_id"),
        primary_key=True,
        autoincrement=False,
        nullable=False,
    ),
    Column("endpoint", Text, nullable=False),
    Column("client_address", Text, nullable=False),
    Index("ix_request_origins_client_address", "client_address"),
)

scep_transactions = Table(
    "scep_transactions",
    metadata,
    Column("id", _Id, primary_key=True, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("transaction_id", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("message_type", Integer, nullable=False),
    Column("message_sha256", Text, nullable=False),
    Column("public_key_sha256", Text, nullable=False),
    Column("signer_key_sha256", Text, nullable=False),
    Column("signer_sha256", Text, nullable=False),
    Column("challenge_id", _Id, ForeignKey("challenges.id", name="fk_scep_transactions_challenge_id")),
    Column("certificate_id", _Id, ForeignKey("certificates.id", name="fk_scep_transactions_certificate_id")),
    Column("request_id", _Id, ForeignKey("requests.id", name="fk_scep_transactions_request_id")),
    Column("created_at", _Instant, nullable=False),
    UniqueConstraint("endpoint", "transaction_id", "generation", name="uq_scep_transactions_generation"),
    Index("ix_scep_transactions_request_id", "request_id"),
    Index("ix_scep_transactions_challenge_id", "challenge_id"),
)
