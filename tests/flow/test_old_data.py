"""A data folder whose database has the first schema is served by the present code, and goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from flow.replicas import check_records, replica, rows
from forge.bench import Log
from forge.keys import KeyPool
from old_store import everything, migrated, put


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_lab_of_the_first_schema_is_served(
    request: pytest.FixtureRequest, tmp_path: Path, key_pool: KeyPool, log: Log, kind: str
) -> None:
    data = tmp_path / "data"
    first = replica(data, tmp_path / "up.log", key_pool, log)
    repeated = first.bench.request()
    issued = first.bench.enrolled(repeated).certificate
    open_challenge = first.desk.new_challenge()
    assert first.process.stop() == 0
    database = data / "store.sqlite3"
    found = everything(f"sqlite:///{database}")
    del found["alembic_version"]
    found["crls"] = [crl for crl in found["crls"] if crl["kind"] == "base"]  # there were no others then
    for file in data.glob("store.sqlite3*"):
        file.unlink()
    url = f"sqlite:///{database}" if kind == "sqlite" else request.getfixturevalue("postgresql_url")
    migrated(url, "0001")
    put(url, found)

    again = replica(data, tmp_path / "up.log", key_pool, log, PKI__DATABASE_URL=url)
    try:
        assert again.bench.enrolled(repeated).certificate == issued, "a lost reply is fetched again"
        others = {again.bench.enrol(challenge=open_challenge).certificate, again.bench.enrol().certificate}
    finally:
        assert again.process.stop() == 0
    check_records(url, {issued, *others})
    assert rows(url, "SELECT version_num FROM alembic_version") != [("0001",)]
