"""A store with very many certificates, filled behind its back: a million in half a minute.

Rows are what `add_certificate` would have made; only the indexes are left for the end, which is what
makes it quick. Certificates are octets of a usual length: nobody reads them.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ca.drafting import request_serial_number
from ca.records import CertificateFilter, Revocation, RevocationReason
from ca.store import SqlStore
from ca.store.tables import DIGEST_BEGINNING, stored

_ROW = (
    "INSERT INTO certificates (issuer_key_id, serial_number, subject, subject_folded, template, requester, "
    "not_before, not_after, issued_at, public_key_sha256, sha1, der) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"
)
_OCTETS = 900
_PIECE = 10_000


def populate(store: Path, issuer_key_id: str, count: int) -> None:
    """Add ``count`` certificates to a store that nobody has open."""
    with closing(sqlite3.connect(store)) as database:
        for pragma in ("synchronous=OFF", "cache_size=-400000", "temp_store=MEMORY"):
            database.execute(f"PRAGMA {pragma}")
        (first,) = database.execute("SELECT COALESCE(MAX(id), 0) + 1 FROM certificates").fetchone()
        indexes = database.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL "
            "AND tbl_name = 'certificates'"
        ).fetchall()
        for name, _ in indexes:
            database.execute(f"DROP INDEX {name}")
        database.executemany(_ROW, _rows(issuer_key_id, first, count))
        beginnings = " UNION ".join(
            f"SELECT substr({column}, 1, {DIGEST_BEGINNING}), id FROM certificates WHERE id >= {first}"
            for column in ("public_key_sha256", "sha1")
        )
        database.execute(f"INSERT INTO certificate_digests {beginnings} ORDER BY 1")
        for _, statement in indexes:
            database.execute(statement)
        database.commit()
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _rows(issuer_key_id: str, first: int, count: int) -> Iterator[tuple[object, ...]]:
    now = datetime.now(UTC)
    issued, ends = stored(now), stored(now + timedelta(days=365))
    key_id = bytes.fromhex(issuer_key_id)
    for number in range(first, first + count):
        random = os.urandom(52 + _OCTETS)
        subject = f"CN=device-{number:07d},O=Example"
        yield (
            issuer_key_id, format(request_serial_number(os.urandom, key_id, number, 0), "x"), subject,
            subject.casefold(), "SCEP-Client-Auth", "device", issued, ends + number, issued,
            random[:32].hex(), random[32:52].hex(), random[52:],
        )  # fmt: skip


def revoke(store: SqlStore, *, after_id: int, count: int) -> int:
    """Revoke ``count`` certificates after one, a piece at a time as the desk does; return the last id."""
    now = datetime.now(UTC).replace(microsecond=0)
    revocation = Revocation(revoked_at=now, reason=RevocationReason.SUPERSEDED)
    left = count
    while left:
        with store.transaction() as transaction:
            found = transaction.find_certificates(
                CertificateFilter(), now=now, after_id=after_id, limit=min(left, _PIECE)
            )
            if not found:
                raise RuntimeError(f"{left} certificates are missing")
            transaction.revoke_many((record, revocation) for record in found)
        after_id, left = found[-1].id, left - len(found)
    return after_id
