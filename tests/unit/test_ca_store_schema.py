"""Opening a database: made, recognised, migrated, or refused in plain words."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from old_store import MIGRATIONS, migrated
from store_samples import ISSUER, NOW, enrol

from ca.records import CertificateFilter, CrlKind, StoreUnavailable
from ca.store import SqlStore, schema, tables


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite3"


def definitions(path: Path) -> dict[str, str]:
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        return {name: " ".join(sql.split()) for name, sql in rows}


def test_new_database_is_what_all_migrations_make(tmp_path: Path) -> None:
    migrated(f"sqlite:///{tmp_path}/migrated")
    SqlStore.open(f"sqlite:///{tmp_path}/new").close()
    assert definitions(tmp_path / "new") == definitions(tmp_path / "migrated")


def test_revision_in_the_code_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [tables.SCHEMA_REVISION]


def test_opening_new_or_present_database_does_not_load_the_migration_tool(path: Path) -> None:
    program = (
        "import sys; from ca.store import SqlStore; SqlStore.open(sys.argv[1]).close(); "
        "SqlStore.open(sys.argv[1], create=False).close(); print('alembic' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, f"sqlite:///{path}"], capture_output=True, check=True, text=True
    )
    assert ran.stdout == "False\n"


def test_database_is_readable_by_its_owner_only(path: Path) -> None:
    store = SqlStore.open(f"sqlite:///{path}")
    with store.transaction() as transaction:
        enrol(transaction, 1)
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    store.close()
    assert modes == {"store.sqlite3": 0o600, "store.sqlite3-wal": 0o600, "store.sqlite3-shm": 0o600}


def test_old_database_is_migrated_with_its_contents(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqlStore.open(f"sqlite:///{path}")
    with store.transaction() as transaction:
        enrol(transaction, 1)
    store.close()
    newer = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, newer, ignore=shutil.ignore_patterns("__pycache__"))
    (newer / "versions" / "9998_colour.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n"
        f"revision = '9998'\ndown_revision = '{tables.SCHEMA_REVISION}'\n"
        "branch_labels = None\ndepends_on = None\n"
        "def upgrade():\n    op.add_column('certificates', sa.Column('colour', sa.Text))\n"
    )
    monkeypatch.setattr(schema, "_MIGRATIONS", newer)
    monkeypatch.setattr(schema, "SCHEMA_REVISION", "9998")
    store = SqlStore.open(f"sqlite:///{path}")
    with store.reading() as transaction:
        assert transaction.count_certificates(CertificateFilter(issuer_key_id=ISSUER), now=NOW) == 1
    store.close()
    assert "colour" in definitions(path)["certificates"]
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [("9998",)]


def test_database_of_the_first_release_keeps_its_certificates_and_crls(path: Path) -> None:
    migrated(f"sqlite:///{path}", "0001")
    microseconds = tables.stored(NOW)
    with closing(sqlite3.connect(path)) as database, database:
        for number in (1, 2):
            values = (number, ISSUER, f"4{number}", f"CN={number}", f"cn={number}", "T", "r",
                      *[microseconds] * 3, f"{number}" * 64, f"a{number}" * 20, b"der")  # fmt: skip
            database.execute(f"INSERT INTO certificates VALUES ({','.join('?' * len(values))})", values)
        crl = (ISSUER, 7, "base", microseconds, microseconds, microseconds, 2, b"crl")
        database.execute("INSERT INTO crls VALUES (?,?,?,?,?,?,?,?)", crl)
    store = SqlStore.open(f"sqlite:///{path}")
    with store.reading() as transaction:
        for wanted in (CertificateFilter(sha1="a2" * 20), CertificateFilter(public_key_sha256="2" * 64)):
            (found,) = transaction.find_certificates(wanted, now=NOW)
            assert (found.id, found.serial_number, found.subject) == (2, 0x42, "CN=2")
        latest = transaction.latest_crl(ISSUER, CrlKind.BASE)
    store.close()
    assert latest is not None
    assert (latest.number, latest.entries, latest.der) == (7, 2, b"crl")


def test_failed_migration_changes_nothing(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SqlStore.open(f"sqlite:///{path}").close()
    before = definitions(path)
    newer = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, newer, ignore=shutil.ignore_patterns("__pycache__"))
    (newer / "versions" / "9998_colour.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n"
        f"revision = '9998'\ndown_revision = '{tables.SCHEMA_REVISION}'\n"
        "branch_labels = None\ndepends_on = None\n"
        "def upgrade():\n    op.add_column('certificates', sa.Column('colour', sa.Text))\n"
        "    op.execute('SELECT * FROM nowhere')\n"
    )
    monkeypatch.setattr(schema, "_MIGRATIONS", newer)
    monkeypatch.setattr(schema, "SCHEMA_REVISION", "9998")
    with pytest.raises(StoreUnavailable, match="nowhere"):
        SqlStore.open(f"sqlite:///{path}")
    assert definitions(path) == before


def test_rejects_database_newer_than_the_program(path: Path) -> None:
    SqlStore.open(f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreUnavailable, match=rf"revision 9999.* {tables.SCHEMA_REVISION}"):
        SqlStore.open(f"sqlite:///{path}")


def test_rejects_database_of_somebody_else(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE songs (title TEXT)")
    with pytest.raises(StoreUnavailable, match="songs"):
        SqlStore.open(f"sqlite:///{path}")


def test_rejects_file_that_is_no_database(path: Path) -> None:
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(StoreUnavailable, match="not a database"):
        SqlStore.open(f"sqlite:///{path}")


def test_makes_nothing_where_it_may_not(path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="does not exist"):
        SqlStore.open(f"sqlite:///{path}", create=False)
    assert not path.exists()
    path.touch()
    with pytest.raises(StoreUnavailable, match="no tables"):
        SqlStore.open(f"sqlite:///{path}", create=False)
    with pytest.raises(StoreUnavailable, match="No such file or directory"):
        SqlStore.open(f"sqlite:///{path.parent}/nowhere/store.sqlite3")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nonsense", "not a database URL"),
        ("mysql://host/database", "'mysql' is unknown"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
    ],
)
def test_rejects_url_it_cannot_serve(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        SqlStore.open(url)


def test_several_processes_may_make_it_at_once(path: Path) -> None:
    program = (
        "import sys; from ca.store import SqlStore; print('ready', flush=True); sys.stdin.readline(); "
        "store = SqlStore.open(sys.argv[1]); store.close(); print('opened')"
    )
    command_line = [sys.executable, "-c", program, f"sqlite:///{path}"]
    started = [
        subprocess.Popen(
            command_line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(6)
    ]
    assert [process.stdout.readline() for process in started if process.stdout] == ["ready\n"] * 6
    assert [process.communicate("\n") for process in started] == [("opened\n", "")] * 6


def test_durable_and_fast_settings_reach_the_database(tmp_path: Path) -> None:
    for durable, synchronous in ((True, 2), (False, 0)):
        path = tmp_path / f"{durable}.sqlite3"
        store = SqlStore.open(f"sqlite:///{path}", durable=durable)
        with store._backend.writing() as connection:
            asked = ("synchronous", "foreign_keys", "journal_mode")
            found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in asked]
        store.close()
        assert found == [synchronous, 1, "wal"]


def test_no_hot_statement_scans_a_table(path: Path) -> None:
    store = SqlStore.open(f"sqlite:///{path}")
    statements: list[str] = []
    with store.transaction() as transaction:
        driver: Any = transaction._driver
        driver.set_trace_callback(statements.append)
        enrol(transaction, 1)
        transaction.scep_transaction("default", "id 1")
        transaction.scep_transactions_of_request(1)
        transaction.count_challenges(usable_at=NOW)
        transaction.certificate_by_serial(ISSUER, 1)
        for wanted in (
            CertificateFilter(public_key_sha256="a"),
            CertificateFilter(sha1="a"),
            CertificateFilter(template="a"),
        ):
            transaction.find_certificates(wanted, now=NOW)
        list(transaction.encoded_entries(ISSUER, not_expired_at=NOW))
        list(transaction.changed_entries(ISSUER, since_crl_number=1, not_expired_at=NOW))
        transaction.next_crl_number(ISSUER)
        transaction.requests()
        driver.set_trace_callback(None)
        plans = {
            sql: [row[3] for row in driver.execute(f"EXPLAIN QUERY PLAN {sql}")]
            for sql in statements
            if sql.startswith(("SELECT", "UPDATE"))
        }
    store.close()
    assert len(plans) >= 12
    scanning = [
        sql for sql, plan in plans.items() if any("SCAN" in step or "TEMP B-TREE" in step for step in plan)
    ]
    assert len(scanning) == 1, plans
    assert "FROM requests" in scanning[0]  # asked for on purpose: shows that a scan is seen
