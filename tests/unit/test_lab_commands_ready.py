"""`ndes-lab ready`: what health checks and scripts are told."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from ca_world import HandClock
from click.testing import CliRunner, Result

from lab import ScepLab
from lab.commands import main
from lab.world import World


@pytest.fixture(scope="module")
def running() -> Iterator[ScepLab]:
    with ScepLab(clock=HandClock()) as scep_lab:
        yield scep_lab


@pytest.fixture
def scep_lab(running: ScepLab) -> ScepLab:
    running.reset()
    return running


def ready(*words: str | Path, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, ["ready", *map(str, words)], env=env)


def ready_file(folder: Path, admin_url: str) -> Path:
    file = folder / "ready.json"
    file.write_text(json.dumps({"admin_url": admin_url}))
    return file


@contextmanager
def answering(status: int, content: bytes) -> Iterator[str]:
    """A server that is no lab."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("how", ["admin_url", "ready_file", "environment"])
def test_a_lab_that_can_work_is_ready(scep_lab: ScepLab, how: str, tmp_path: Path) -> None:
    file = ready_file(tmp_path, scep_lab.admin_url)
    done = {
        "admin_url": lambda: ready("--admin-url", scep_lab.admin_url),
        "ready_file": lambda: ready("--ready-file", file),
        "environment": lambda: ready(env={"NDES_LAB_READY_FILE": str(file)}),
    }[how]()
    assert (done.exit_code, done.stdout) == (0, "ready\n")


def test_a_lab_whose_crl_has_run_out_is_not_and_says_so(
    scep_lab: ScepLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(World, "latest_crl", lambda _: None)
    done = ready("--admin-url", scep_lab.admin_url)
    assert (done.exit_code, done.stdout) == (1, "not ready: the CRL has run out\n")


def test_waiting_cannot_be_shown_as_one_call(scep_lab: ScepLab) -> None:
    done = ready("--admin-url", scep_lab.admin_url, "--curl", "--wait", "3")
    assert done.exit_code == 2
    assert "--curl shows one call" in done.stderr


def test_where_nobody_answers_nothing_is_ready() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = ready("--admin-url", url)
    assert done.exit_code == 1
    assert f"no lab answers at {url}" in done.stdout


@pytest.mark.parametrize(("status", "content"), [(404, b"{}"), (401, b"no JSON"), (503, b"[]")])
def test_what_is_no_lab_is_not_ready(status: int, content: bytes) -> None:
    with answering(status, content) as url:
        done = ready("--admin-url", url)
    assert (done.exit_code, done.stdout) == (
        1,
        f"not ready: what answers at {url} is no lab (HTTP {status})\n",
    )


def test_a_ready_file_that_is_yet_to_come_is_waited_for(
    scep_lab: ScepLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            ready_file(tmp_path, scep_lab.admin_url)

    monkeypatch.setattr("lab.commands.ready.time.sleep", sleep)
    done = ready("--ready-file", tmp_path / "ready.json", "--wait", "3600")
    assert (done.exit_code, done.stdout, len(slept)) == (0, "ready\n", 3)


def test_it_is_waited_no_longer_than_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("lab.commands.ready.time.monotonic", lambda: now[0])
    monkeypatch.setattr("lab.commands.ready.time.sleep", lambda _: now.__setitem__(0, now[0] + 4))
    done = ready("--ready-file", tmp_path / "ready.json", "--wait", "10")
    assert (done.exit_code, now) == (1, [112.0])
    assert done.stdout == f"not ready: there is no {tmp_path / 'ready.json'} yet\n"


def test_a_url_that_is_typed_outweighs_the_file_that_the_environment_names(
    scep_lab: ScepLab, tmp_path: Path
) -> None:
    environment = {"NDES_LAB_READY_FILE": str(tmp_path / "none.json")}
    assert ready("--admin-url", scep_lab.admin_url, env=environment).exit_code == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (lambda folder: ["--admin-url", "http://x", "--ready-file", folder / "x"], "name different labs"),
        (lambda folder: ["--admin-url", "ftp://x"], "no URL of a management listener, expected http://"),
        (lambda folder: ["--admin-url", "http://x:port"], "no URL of a management listener"),
        (lambda folder: ["--ready-file", written(folder, "[]")], "is no ready file of a lab"),
        (lambda folder: ["--ready-file", written(folder, "<html>")], "is no ready file of a lab"),
        (lambda folder: ["--ready-file", written(folder, '{"admin_url": 1}')], "no URL of a management"),
        (lambda folder: ["--wait", "-1"], "--wait"),
    ],
)
def test_what_cannot_be_asked_is_told(
    words: Callable[[Path], list[str | Path]], says: str, tmp_path: Path
) -> None:
    done = ready(*words(tmp_path))
    assert done.exit_code == 2
    assert says in done.stderr


def written(folder: Path, text: str) -> Path:
    file = folder / "ready.json"
    file.write_text(text)
    return file
