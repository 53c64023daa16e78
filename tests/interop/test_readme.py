"""The README is executed: every ``sh`` block, in order, in one folder, against a running lab.

Blocks that begin with ``git clone`` or ``make`` are the two commands; .ci/run executes them. A
block that shows a failure is preceded by the comment ``<!-- exits N -->``. The ports of the README
are the default ones; here they are replaced by the free ones the lab got.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from peers import require_peer

from interop.lab_process import LabProcess, lab_process
from interop.process import run, run_well

pytestmark = pytest.mark.interop

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCK = re.compile(
    r"(?:^<!-- exits (?P<status>\d+) -->\n+)?^```(?P<language>\w+)\n(?P<text>.*?)^```",
    re.DOTALL | re.MULTILINE,
)
DEFAULT_PORTS = {"127.0.0.1:8080": "scep_url", "127.0.0.1:8081": "pki_url", "127.0.0.1:8082": "admin_url"}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabProcess]:
    """The lab that the README's reader has running."""
    with lab_process(tmp_path_factory.mktemp("up"), "--ephemeral") as process:
        yield process


def blocks(language: str) -> list[tuple[int, str]]:
    """Exit status expected, and text, of every block of ``language``."""
    found = [match for match in BLOCK.finditer(README) if match["language"] == language]
    return [(int(match["status"] or 0), match["text"]) for match in found]


def test_every_shell_block_does_what_it_says(up: LabProcess, tmp_path: Path) -> None:
    for peer in ("scepclient", "pki", "openssl", "curl"):
        require_peer(peer)
    executed = 0
    for status, text in blocks("sh"):
        if text.startswith(("git clone", "make ")):
            continue
        for default, key in DEFAULT_PORTS.items():
            text = text.replace(default, urlsplit(up.ready[key]).netloc)
        done = run(["bash", "-euo", "pipefail", "-c", text], cwd=tmp_path, env=up.env)
        assert done.status == status, done.text
        executed += 1
    assert executed >= 4


def test_every_python_block_runs(tmp_path: Path) -> None:
    found = blocks("python")
    assert found
    for number, (_, text) in enumerate(found):
        script = tmp_path / f"test_block_{number}.py"
        script.write_text(text)
        how = ["-m", "pytest", "-q", "-p", "no:cacheprovider"] if "def test_" in text else []
        run_well([sys.executable, *how, script], cwd=tmp_path)
