"""Databases of the first schema are migrated with all that is in them, whatever kind they are."""

from __future__ import annotations

from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from old_store import connected, everything, migrated, put
from store_samples import ISSUER, NOW, digest, enrol

from ca.records import CertificateFilter, CrlKind, RequestStatus
from ca.store import SqlStore, tables
from ca.store.tables import SCHEMA_REVISION, stored

FIRST = "0001"
AT = stored(NOW)


def first_rows() -> dict[str, list[dict[str, Any]]]:
    """Return rows for every table of the first schema; ids are left to the database."""
    certificate = {
        "issuer_key_id": ISSUER, "template": "SCEP-Client-Auth", "requester": "scep", "not_before": AT,
        "not_after": AT + 1, "issued_at": AT, "der": b"\x00der\xff",
    }  # fmt: skip
    transaction = {
        "endpoint": "default", "generation": 1, "message_type": 19, "message_sha256": digest("message"),
        "public_key_sha256": digest("key 1"), "signer_key_sha256": digest("key 1"),
        "signer_sha256": digest("signer"), "created_at": AT,
    }  # fmt: skip
    return {
        "certificates": [
            {
                **certificate, "serial_number": format((0x47 << 144) + number, "x"),
                "subject": f"CN=Zoë {number}", "subject_folded": f"cn=zoë {number}",
                "public_key_sha256": digest(f"key {number}"), "sha1": digest(f"certificate {number}")[:40],
            }
            for number in (1, 2, 3)
        ],
        "revocations": [
            {
                "certificate_id": 2, "issuer_key_id": ISSUER, "serial_number": format((0x47 << 144) + 2, "x"),
                "not_after": AT + 1, "revoked_at": AT, "reason": 1, "invalidity_date": None,
                "crl_number": 3, "entry": b"entry",
            }
        ],
        "crl_counters": [{"issuer_key_id": ISSUER, "number": 3}],
        "crls": [
            {
                "issuer_key_id": ISSUER, "number": number, "kind": "base", "this_update": AT,
                "next_update": AT, "next_publish": AT, "entries": 1, "der": b"crl %d" % number,
            }
            for number in (1, 2, 3)
        ],
        "challenges": [
            {"digest": digest("password 1"), "kind": "one-time", "created_at": AT, "label": "",
             "spent_at": AT, "uses": 1},
            {"digest": digest("password 2"), "kind": "static", "created_at": AT, "label": "Zoë", "uses": 0},
        ],
        "requests": [
            {"csr": b"csr", "subject": "CN=waiting", "template": "T", "requester": "scep",
             "public_key_sha256": digest("key 9"), "submitted_at": AT, "status": "pending"}
        ],
        "scep_transactions": [
            {**transaction, "transaction_id": "issued", "status": "issued", "challenge_id": 1,
             "certificate_id": 1},
            {**transaction, "transaction_id": "waiting", "status": "pending", "request_id": 1},
        ],
    }  # fmt: skip


def test_database_of_the_first_schema_keeps_every_row(database_url: str) -> None:
    migrated(database_url, FIRST)
    put(database_url, first_rows())
    before = everything(database_url)
    assert [name for name, rows in before.items() if not rows] == [], "a table without rows"

    SqlStore.open(database_url, create=False).close()

    columns = {name: list(rows[0]) for name, rows in before.items()}
    after = everything(database_url, columns)
    assert after.pop("alembic_version") == [{"version_num": SCHEMA_REVISION}]
    before.pop("alembic_version")
    assert after == before


def test_migrated_database_works_on(database_url: str) -> None:
    migrated(database_url, FIRST)
    put(database_url, first_rows())
    store = SqlStore.open(database_url, create=False)
    with store.transaction() as transaction:
        for number in (1, 2, 3):
            wanted = CertificateFilter(public_key_sha256=digest(f"key {number}"))
            (found,) = transaction.find_certificates(wanted, now=NOW)
            assert found.id == number
            assert (found.revocation is not None) == (number == 2)
        latest = transaction.latest_crl(ISSUER, CrlKind.BASE)
        assert latest is not None
        assert (latest.number, latest.der) == (3, b"crl 3")
        assert transaction.next_crl_number(ISSUER) == 4
        assert transaction.resolve_request(1, RequestStatus.DENIED, at=NOW)
        issued = transaction.scep_transaction("default", "issued")
        assert issued is not None
        assert (issued.certificate_id, issued.challenge_id) == (1, 1)
        enrol(transaction, 50)
        assert transaction.next_certificate_id() == 5
    store.close()


@pytest.mark.parametrize("made", ["by migrations", "from metadata"])
def test_schema_is_that_of_the_code_on_every_kind(database_url: str, made: str) -> None:
    if made == "by migrations":
        migrated(database_url)
    else:
        SqlStore.open(database_url).close()
    with connected(database_url) as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, tables.metadata) == []
        assert context.get_current_revision() == SCHEMA_REVISION
