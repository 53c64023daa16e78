"""``ndes-lab up`` as a child process, for tests that kill it or read what it writes."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

COMMAND = Path(sys.executable).with_name("ndes-lab")


class UpProcess:
    """One run of ``ndes-lab up`` over a data directory; it is ready, unless ``wait`` is False."""

    def __init__(
        self, data_dir: Path, log: Path, *, settings: Mapping[str, str] | None = None, wait: bool = True
    ) -> None:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("NDES_LAB_")}
        environment |= {f"NDES_LAB_{key}": value for key, value in (settings or {}).items()}
        self._log = log.open("ab")
        self.log = log
        self.process = subprocess.Popen(
            [
                COMMAND, "up", "--data-dir", data_dir, "--host", "127.0.0.1",
                "--port", "0", "--pki-port", "0", "--admin-port", "0", "--json",
            ],
            cwd=log.parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )  # fmt: skip
        if wait:
            assert self.is_ready(), f"ndes-lab up did not start:\n{log.read_text()}"

    @functools.cached_property
    def _said(self) -> bytes:
        assert self.process.stdout is not None
        return bytes(self.process.stdout.readline())  # written once every listener answers

    def is_ready(self) -> bool:
        """Wait until it has started or given up, and tell which."""
        return bool(self._said)

    @property
    def facts(self) -> dict[str, Any]:
        """What it says of itself."""
        assert self.is_ready(), f"ndes-lab up did not start:\n{self.log.read_text()}"
        return dict(json.loads(self._said))

    @property
    def scep_url(self) -> str:
        """Where it enrols."""
        return str(self.facts["scep_url"])

    def kill(self) -> None:
        """End it as a power cut would (kill -9)."""
        self.process.kill()
        self._gone()

    def stop(self) -> int:
        """Ask it to end, and return its exit status."""
        self.process.terminate()
        return self._gone()

    def _gone(self) -> int:
        status = self.process.wait(30)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._log.close()
        return status
