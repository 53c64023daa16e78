"""The folder in which workers count."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ca.process.counting import counting_folder

HOLDER = """
import sys
from pathlib import Path
from ca.process.counting import counting_folder

with counting_folder(Path(sys.argv[1])) as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_is_there_for_as_long_as_it_is_used(tmp_path: Path) -> None:
    with counting_folder(tmp_path) as folder, counting_folder(tmp_path) as another:
        (folder / "counter_1.db").write_bytes(b"1")
        assert folder != another
        assert sorted(tmp_path.iterdir()) == sorted([folder, another])
    assert list(tmp_path.iterdir()) == []


def test_that_of_a_killed_program_goes_with_the_next_start(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, tmp_path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        abandoned = Path(process.stdout.readline().strip())
        with counting_folder(tmp_path):
            assert abandoned.is_dir()  # in use
        process.kill()
    assert abandoned.is_dir()
    with counting_folder(tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder]


def test_what_others_keep_there_stays(tmp_path: Path) -> None:
    other = tmp_path / "ndes-lab-metrics-of-somebody"
    other.mkdir()
    with counting_folder(tmp_path):
        assert other.is_dir()
