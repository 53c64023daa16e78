"""A whole lab on PostgreSQL, as a user starts it: foreign clients notice no difference."""

from __future__ import annotations

from pathlib import Path

import pytest
from flow.replicas import rows

from interop.clients import Endpoint, ScepClient
from interop.lab_process import NDES_LAB, lab_process
from interop.process import run

pytestmark = pytest.mark.interop


def test_scepclient_enrols_and_renews_at_a_lab_on_postgresql(tmp_path: Path, postgresql_url: str) -> None:
    options = ("--data-dir", str(tmp_path / "data"), "--database-url", postgresql_url)
    root_pem = tmp_path / "root.pem"
    for start in (1, 2):  # the second finds what the first one left
        folder = tmp_path / str(start)
        folder.mkdir()
        with lab_process(folder, *options) as lab:
            root_pem.write_text(lab.ready["root_pem"])
            endpoint = Endpoint(scep_url=lab.ready["scep_url"], root_pem=root_pem)
            with ScepClient(folder, endpoint) as client:
                client.renew(client.obtain(f"device-{start}", lab.ready["challenge"]))
    assert not list((tmp_path / "data").glob("store.sqlite3*"))
    enrolled = rows(
        postgresql_url, "SELECT subject FROM certificates WHERE subject LIKE '%CN=device-%' ORDER BY id"
    )
    for (subject,), start in zip(enrolled, (1, 1, 2, 2), strict=True):
        assert f"CN=device-{start}" in subject


def test_says_in_one_sentence_that_the_database_is_not_there(tmp_path: Path) -> None:
    url = "postgresql://ca:open-sesame@127.0.0.1:1/pki"
    done = run([NDES_LAB, "init", "--data-dir", tmp_path / "data", "--database-url", url], cwd=tmp_path)
    assert done.status == 2
    assert "the database cannot be used" in done.text
    assert "sesame" not in done.stdout.decode() + done.stderr
    assert "Traceback" not in done.text
