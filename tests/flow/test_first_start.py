"""Several processes begin at once where there is no PKI yet: they all serve the same one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from flow.process import UpProcess
from flow.replicas import ReplicaDesk, check_records, rows
from flow.test_conversations import at_once
from forge.bench import Bench, Log
from forge.certificates import read_certificate
from forge.keys import KeyPool

from ca.folders import PkiFolder

PROCESSES = 3


@pytest.fixture
def undo() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def begin(undo: ExitStack, data_dir: Path, log: Path, url: str) -> UpProcess:
    """Start a process; it has not said anything yet."""
    process = UpProcess(data_dir, log, settings={"PKI__DATABASE_URL": url}, wait=False)
    undo.callback(process.kill)
    return process


def test_processes_that_begin_at_once_in_one_empty_folder_serve_one_pki(
    tmp_path: Path, database_url: str, key_pool: KeyPool, log: Log, undo: ExitStack
) -> None:
    started = [
        begin(undo, tmp_path / "data", tmp_path / f"{number}.log", database_url)
        for number in range(PROCESSES)
    ]
    assert len({process.facts["root_sha256"] for process in started}) == 1
    benches = [Bench(ReplicaDesk(process), key_pool, log) for process in started]  # type: ignore[arg-type]
    certificates = at_once([lambda bench=bench: bench.enrol().certificate for bench in benches])
    assert len({read_certificate(one).issuer for one in certificates}) == 1  # type: ignore[arg-type]
    check_records(database_url, set(certificates))  # type: ignore[arg-type]
    assert len(rows(database_url, "SELECT DISTINCT issuer_key_id FROM certificates")) == 1
    for process in started:
        assert process.stop() == 0
        assert "Traceback" not in process.log.read_text()
    assert not PkiFolder(tmp_path / "data").unfinished()


def test_process_takes_over_from_one_that_was_killed_in_the_middle_of_the_ceremony(
    tmp_path: Path, database_url: str, key_pool: KeyPool, log: Log, undo: ExitStack
) -> None:
    folder = PkiFolder(tmp_path / "data")
    killed = begin(undo, folder.path, tmp_path / "killed.log", database_url)
    while not folder.unfinished():
        assert killed.process.poll() is None, killed.log.read_text()
    following = begin(undo, folder.path, tmp_path / "following.log", database_url)
    killed.kill()
    assert not folder.ceremony.exists(), "it had come to its end"
    Bench(ReplicaDesk(following), key_pool, log).demand_alive()  # type: ignore[arg-type]
    assert not folder.unfinished()
    assert following.stop() == 0
    assert "Traceback" not in following.log.read_text()


def test_of_processes_with_an_empty_folder_each_and_one_database_one_serves_and_the_others_say_why(
    tmp_path: Path, database_url: str, undo: ExitStack
) -> None:
    started = [
        begin(undo, tmp_path / f"data {number}", tmp_path / f"{number}.log", database_url)
        for number in range(PROCESSES)
    ]
    serving = [process for process in started if process.is_ready()]
    assert len(serving) == 1
    for process in started:
        if process not in serving:
            assert process.process.wait(30) == 2
            said = process.log.read_text()
            assert "the database holds the records of a PKI whose keys are not in this folder" in said
            assert "Traceback" not in said
    assert len(rows(database_url, "SELECT DISTINCT issuer_key_id FROM certificates")) == 1
    assert serving[0].stop() == 0
