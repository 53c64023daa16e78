"""The token of a management listener that is open to others: told, made, or refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ca.process.settings import UnusableSettings
from lab import ScepLab
from lab.admin_token import kept_token, token_file
from lab.commands import main
from lab.ready import read_ready_file

NDES_LAB = Path(sys.executable).parent / "ndes-lab"
DEADLINE = 120


def run_command(*words: str) -> int:
    return CliRunner().invoke(main, words).exit_code


def test_a_made_token_is_kept_for_its_owner_only(tmp_path: Path) -> None:
    made = kept_token(tmp_path, lambda octets: b"\x0b" * octets)
    assert made == "0b" * 32
    assert token_file(tmp_path).stat().st_mode & 0o777 == 0o600
    assert kept_token(tmp_path, os.urandom) == made


@pytest.mark.parametrize("content", [b"", b"too-short\n", b"\xff" * 40])
def test_a_file_without_a_token_is_told_and_left_alone(content: bytes, tmp_path: Path) -> None:
    file = token_file(tmp_path)
    file.parent.mkdir()
    file.write_bytes(content)
    with pytest.raises(UnusableSettings, match="admin-token holds no secret, expected at least 16"):
        kept_token(tmp_path, os.urandom)
    assert file.read_bytes() == content


def test_none_is_made_where_none_is_needed() -> None:
    with ScepLab({"admin": {"make_token": True}}) as scep_lab:
        assert run_command("challenge", "list", "--admin-url", scep_lab.admin_url) == 0


def test_up_makes_one_and_tells_it_in_the_ready_file_alone(tmp_path: Path) -> None:
    ready_file = tmp_path / "ready.json"
    told = {
        "SERVER__HOST": "127.0.0.1",
        "SERVER__READY_FILE": str(ready_file),
        "SERVER__DATA_DIR": str(tmp_path / "data"),
        "ADMIN__HOST": "0.0.0.0",
        "ADMIN__MAKE_TOKEN": "true",
    }
    env = {name: value for name, value in os.environ.items() if not name.startswith("NDES_LAB_")}
    env |= {f"NDES_LAB_{name}": value for name, value in told.items()}
    free = ["--port", "0", "--pki-port", "0", "--admin-port", "0"]
    with subprocess.Popen([NDES_LAB, "up", *free], env=env, stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()  # printed once everything answers
        facts = read_ready_file(ready_file)
        made = subprocess.run(
            [NDES_LAB, "challenge", "new"],
            env=env | {"NDES_LAB_READY_FILE": str(ready_file)},
            capture_output=True,
            check=True,
        )
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=DEADLINE) == 0
        assert process.stderr is not None
        out, err = process.stdout.read(), process.stderr.read()
    assert len(made.stdout) > 16
    assert facts.admin_token == token_file(tmp_path / "data").read_text().strip()
    assert str(token_file(tmp_path / "data")) in out
    assert facts.admin_token not in said + out + err
    assert not ready_file.exists()
