"""A lab that writes its journal is killed: what was answered is in it, and the next lab goes on."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from pathlib import Path

from flow.process import COMMAND, UpProcess

SETTINGS = {"JOURNAL__FILES": "true", "JOURNAL__KEEP": "1000", "ALERTS__ENABLED": "false"}


def ask(up: UpProcess, first: int, last: int) -> None:
    for number in range(first, last):
        urllib.request.urlopen(f"{up.scep_url}?operation=GetCACaps&n={number}").close()


def journal(*words: str | Path) -> list[dict[str, object]]:
    done = subprocess.run(
        [COMMAND, "journal", "list", "--last", "1000", "--json", *words], check=True, capture_output=True
    )
    rows: list[dict[str, object]] = json.loads(done.stdout)
    return rows


def test_what_was_answered_is_kept_and_numbers_go_on(tmp_path: Path) -> None:
    data_dir = tmp_path / "pki"
    first = UpProcess(data_dir, tmp_path / "log", settings=SETTINGS)
    ask(first, 1, 31)
    first.kill()
    newest = sorted((data_dir / "journal").iterdir())[-1]
    with newest.open("ab") as file:
        file.write(b'{"number":31,"received_at":"20')  # the line that a kill may leave

    left = journal("--data-dir", data_dir)
    assert [row["number"] for row in left] == list(range(1, 31))

    second = UpProcess(data_dir, tmp_path / "log", settings=SETTINGS)
    try:
        ask(second, 31, 41)
        running = journal("--admin-url", str(second.facts["admin_url"]))
        assert [row["number"] for row in running] == list(range(1, 41))
        assert running[:30] == left
    finally:
        assert second.stop() == 0
    assert journal("--data-dir", data_dir) == running
