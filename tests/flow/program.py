"""``python -m scep_server`` and ``python -m crl_publisher`` as child processes, and one as a stand."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from flow.stand import ENDPOINTS, TEMPLATES, Stand

from ca.ceremony import hold_ceremony
from ca.clock import SystemClock
from ca.folders import PkiFolder
from ca.settings import PkiSettings
from scep_server.program import ScepServerSettings
from scep_server.server import ScepServer


class ProgramProcess:
    """One of the programs over a folder with a PKI, on free ports; it listens, unless it gave up."""

    def __init__(
        self,
        package: str,
        data_dir: Path,
        log: Path,
        *arguments: str,
        workers: int = 1,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("NDES_LAB_")}
        environment |= {f"NDES_LAB_{key}": value for key, value in (settings or {}).items()}
        command = [
            sys.executable, "-m", package, "--data-dir", data_dir, "--host", "127.0.0.1", "--port", "0",
            "--status-port", "0", "--workers", str(workers), "--json", *arguments,
        ]  # fmt: skip
        self.log = log
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=file
            )

    @functools.cached_property
    def facts(self) -> dict[str, Any]:
        """What it says of itself, once it listens."""
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert said, f"it did not start:\n{self.log.read_text()}"
        return dict(json.loads(said))

    @property
    def url(self) -> str:
        return str(self.facts["url"])

    def get(self, path: str) -> tuple[int, str]:
        """Return status and text of a page at the status listener."""
        try:
            with urlopen(f"{self.facts['status_url']}{path}", timeout=60) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self) -> int:
        """Ask it to end, and return its exit status."""
        self.process.terminate()
        return self.gone()

    def kill(self) -> None:
        """End it as a power cut would, its workers with it."""
        for pid in (*self.workers(), self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.gone()

    def gone(self) -> int:
        status = self.process.wait(60)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return status

    def workers(self) -> list[int]:
        """Return the processes that it has begun."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]


def made_pki(folder: Path, **settings: Any) -> PkiFolder:
    """Return the folder with a PKI in it; settings are those of its section."""
    pki = PkiFolder(folder)
    hold_ceremony(pki, PkiSettings(**settings), clock=SystemClock(), entropy=os.urandom, durable=False)
    return pki


class ProgramStand(Stand):
    """``python -m scep_server`` with the endpoints of the tables; its desk works at the same database."""

    def __init__(self, folder: Path) -> None:
        self.clock = SystemClock()  # type: ignore[assignment]
        pki = made_pki(folder / "data")
        shutil.copytree(TEMPLATES, pki.templates, dirs_exist_ok=True)
        settings = ScepServerSettings.model_validate({"scep": {"endpoints": ENDPOINTS}})
        self.world = ScepServer(pki, settings, clock=self.clock, entropy=os.urandom)  # type: ignore[assignment]
        self.program = ProgramProcess(
            "scep_server", pki.path, folder / "log", settings={"SCEP__ENDPOINTS": json.dumps(ENDPOINTS)}
        )

    def url(self, endpoint: str) -> str:
        return f"{self.program.url}/scep" + ("" if endpoint == "default" else f"/{endpoint}")

    def advance(self, time: timedelta) -> None:
        if time:
            pytest.skip("the program goes by the machine's clock")

    def close(self) -> None:
        self.world.close()
        assert self.program.stop() == 0
