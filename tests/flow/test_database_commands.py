"""``ndes-lab db`` as a user calls it: a lab's database is taken to PostgreSQL, and the lab goes on there."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from flow.process import COMMAND
from flow.replicas import replica
from forge.bench import Log
from forge.keys import KeyPool


def db(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NDES_LAB_")}
    return subprocess.run(
        [COMMAND, "db", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def rows_of(folder: Path, *options: str | Path) -> dict[str, int]:
    done = db(folder, "status", "--json", *options)
    assert done.returncode == 0, done.stderr
    rows: dict[str, int] = json.loads(done.stdout)["rows"]
    return rows


def test_lab_moves_to_postgresql_and_goes_on(
    tmp_path: Path, postgresql_url: str, key_pool: KeyPool, log: Log
) -> None:
    data, export = tmp_path / "data", tmp_path / "export.jsonl"
    here, there = ("--data-dir", data), ("--database-url", postgresql_url)
    before = replica(data, tmp_path / "up.log", key_pool, log)
    repeated = before.bench.request()
    issued = before.bench.enrolled(repeated).certificate
    assert before.process.stop() == 0

    done = db(tmp_path, "export", export, *here)
    assert (done.returncode, done.stdout) == (
        0,
        f"{export} has {sum(rows_of(tmp_path, *here).values())} rows.\n",
    )
    assert export.stat().st_mode & 0o777 == 0o600
    again = db(tmp_path, "export", export, *here)
    assert again.returncode == 2
    assert "not overwritten" in again.stderr
    assert db(tmp_path, "status", *there).returncode == 0  # looks, and makes nothing
    assert db(tmp_path, "import", export, *there).returncode == 0
    assert rows_of(tmp_path, *there) == rows_of(tmp_path, *here)
    full = db(tmp_path, "import", export, *there)
    assert full.returncode == 2
    assert "the database has rows already" in full.stderr
    assert "Traceback" not in full.stderr

    after = replica(data, tmp_path / "up.log", key_pool, log, PKI__DATABASE_URL=postgresql_url)
    try:
        assert after.bench.enrolled(repeated).certificate == issued, "a lost reply is fetched again"
        after.bench.enrol()
    finally:
        assert after.process.stop() == 0


@pytest.mark.parametrize("command", ["status", "upgrade", "export"])
def test_says_that_there_is_no_database(tmp_path: Path, command: str) -> None:
    file = ["export.jsonl"] if command == "export" else []
    done = db(tmp_path, command, *file, "--data-dir", tmp_path / "nowhere")
    assert done.returncode == 2
    assert "store.sqlite3 does not exist" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_status_hides_the_password(tmp_path: Path, postgresql_url: str) -> None:
    url = postgresql_url.replace("postgres@", "postgres:open-sesame@")
    done = db(tmp_path, "status", "--database-url", url)
    assert done.returncode == 0
    assert "PostgreSQL" in done.stdout
    assert "none" in done.stdout
    assert "sesame" not in done.stdout + done.stderr
