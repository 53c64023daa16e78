"""The ready file: whole, and its owner's alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab.ready import ReadyFacts, read_ready_file, write_ready_file

FACTS = ReadyFacts.model_validate(
    dict.fromkeys(ReadyFacts.model_fields, "x") | {"pid": 1, "admin_token": "secret"}
)


def test_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_ready_file(tmp_path / "ready.json", FACTS)
    assert read_ready_file(tmp_path / "ready.json") == FACTS


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX file modes")
def test_nobody_who_prepared_the_folder_reads_it(tmp_path: Path) -> None:
    prepared = tmp_path / f".ready.json.{os.getpid()}.tmp"
    for prepare in (lambda: prepared.touch(0o666), lambda: prepared.symlink_to(tmp_path / "elsewhere")):
        prepare()
        write_ready_file(tmp_path / "ready.json", FACTS)
        ready = tmp_path / "ready.json"
        assert (ready.is_symlink(), ready.stat().st_mode & 0o777) == (False, 0o600)
        assert [path.name for path in tmp_path.iterdir()] == ["ready.json"]
