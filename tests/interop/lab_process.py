"""``ndes-lab up`` as a child process, as a user starts it: free ports, and its ready file read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

NDES_LAB = Path(sys.executable).with_name("ndes-lab")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabProcess:
    """A running ``ndes-lab up``: what its ready file says, and the environment for its users."""

    ready: Mapping[str, Any]
    env: Mapping[str, str]
    log: Path


@contextmanager
def lab_process(folder: Path, *options: str) -> Iterator[LabProcess]:
    """Run ``ndes-lab up`` with free ports until the block ends; it then has to stop by itself."""
    ready_file, log = folder / "ready.json", folder / "up.log"
    ports = ("--port", "0", "--pki-port", "0", "--admin-port", "0")
    env = {key: value for key, value in os.environ.items() if not key.startswith("NDES_LAB_")}
    env["PATH"] = f"{NDES_LAB.parent}{os.pathsep}{env['PATH']}"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [NDES_LAB, "up", *ports, "--ready-file", ready_file, *options],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            ready = _wait_for(ready_file, process, log)
            yield LabProcess(ready=ready, env=env | {"NDES_LAB_ADMIN_URL": ready["admin_url"]}, log=log)
        finally:
            process.terminate()
            status = process.wait(timeout=30)
    assert status == 0, log.read_text()


def _wait_for(ready_file: Path, process: subprocess.Popen[bytes], log: Path) -> Mapping[str, Any]:
    deadline = monotonic() + 60
    while not ready_file.exists():
        assert process.poll() is None, log.read_text()
        assert monotonic() < deadline, f"no ready file after 60 s\n{log.read_text()}"
        sleep(0.02)
    ready: Mapping[str, Any] = json.loads(ready_file.read_text())
    return ready
