"""Debian's scepserver 2.1.0 (micromdm): one self-signed RSA CA that is its own RA.

It checks one static challenge, and envelopes every reply in single DES whatever was advertised.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from peers import require_peer

from interop.process import run_well


@dataclass(frozen=True, slots=True, kw_only=True)
class ScepServer:
    """A running scepserver."""

    scep_url: str
    ca_pem: Path
    challenge: str
    pid: int


@contextmanager
def scep_server(folder: Path, *, challenge: str) -> Iterator[ScepServer]:
    """Make a CA in ``folder`` and serve it on a free port of loopback until the block ends."""
    program = require_peer("scepserver")
    run_well([program, "ca", "-init", "-keySize", "2048", "-depot", folder / "depot"])
    with (folder / "scepserver.log").open("wb") as log:
        port = _free_port()
        words: list[str | Path] = [program, "-depot", folder / "depot", "-port", str(port)]
        words += ["-challenge", challenge, "-allowrenew", "0", "-debug"]
        process = subprocess.Popen(
            words,
            cwd=folder,
            stdout=log,
            stderr=log,
        )
        try:
            _wait_until_it_listens(port, process)
            yield ScepServer(
                scep_url=f"http://127.0.0.1:{port}/scep",
                ca_pem=folder / "depot" / "ca.pem",
                challenge=challenge,
                pid=process.pid,
            )
        finally:
            process.terminate()
            process.wait(timeout=30)
    shutil.rmtree(folder / "depot")


def _free_port() -> int:
    # It cannot choose a free port itself (-port 0 is not told to anyone).
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_it_listens(port: int, process: subprocess.Popen[bytes]) -> None:
    # It says nothing when it is ready, so the port is asked.
    deadline = monotonic() + 20
    while monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            sleep(0.02)
        else:
            return
    raise AssertionError(f"scepserver does not listen on port {port} (exit status {process.poll()})")
