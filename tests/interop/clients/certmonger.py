"""certmonger 0.79.17: its daemon, told what to enrol through getcert. GET only.

The daemon runs for one folder: HOME is that folder, and it listens on a socket of
its own there (``-L -P``), so that neither a system nor a session bus is needed or touched.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Self

import pytest

from interop.process import Run, run

from .base import Endpoint, Enrolment, EnrolmentRefused, ForeignClient

# The gate command is started by the daemon once it listens; it ends with its standard output.
_GATE = 'echo "$CERTMONGER_PVT_ADDRESS"; exec sleep 3600'


class Certmonger(ForeignClient):
    """Tracks one request per common name; renewing is ``getcert resubmit``.

    It renews with the same key, and hence the same transactionID, and sends the spent challenge
    along. Told to ask again for a pending request, it submits the request once more.
    """

    name = "certmonger"
    commands = ("certmonger-session", "getcert")
    renewal_message_type = 19
    poll_message_type = 19
    renews_with_new_key = False
    refusal_words = "Transaction either is not permitted or is not supported by server."

    def __init__(self, folder: Path, endpoint: Endpoint) -> None:
        super().__init__(folder, endpoint)
        self._env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder),
        }

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            self._env["CERTMONGER_PVT_ADDRESS"] = self._start_daemon(starting)
            done = self._getcert("add-scep-ca", "-c", "lab", "-u", self.endpoint.scep_url)
            assert done.ok, done.text
            self._leaving = starting.pop_all()
        return self

    def _start_daemon(self, starting: ExitStack) -> str:
        """Start it and wait until it listens; returns the address that getcert connects to."""
        gate = self.folder / "gate.sh"
        gate.write_text(_GATE)
        # A socket path holds at most 107 octets; pytest's folders are longer.
        socket_folder = starting.enter_context(TemporaryDirectory(prefix="certmonger-"))
        words: list[str | Path] = [self.programs["certmonger-session"], "-n", "-d", "1"]
        words += ["-L", "-P", f"{socket_folder}/socket", "-c", f"sh {gate}"]
        daemon = subprocess.Popen(
            words,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=starting.enter_context((self.folder / "certmonger.log").open("wb")),
            start_new_session=True,
        )
        starting.callback(daemon.communicate, timeout=30)
        starting.callback(os.killpg, daemon.pid, signal.SIGTERM)
        assert daemon.stdout is not None
        return daemon.stdout.readline().decode().strip()

    def obtain(self, common_name: str, challenge: str) -> Enrolment:
        done = self._getcert(
            *("request", "-c", "lab", "-I", common_name, "-N", f"CN={common_name},O=NDES Lab"),
            *("-k", self.folder / f"{common_name}.key", "-f", self.folder / f"{common_name}.crt"),
            *("-L", challenge, "-w", "--wait-timeout", "30", "-v"),
        )
        return self._result(done, common_name)

    def obtain_once_approved(
        self, common_name: str, challenge: str, approve: Callable[[], None]
    ) -> Enrolment:
        with pytest.raises(EnrolmentRefused, match="status: CA_WORKING"):
            self.obtain(common_name, challenge)
        approve()
        # It would ask again by itself, but not within the patience of a test.
        refreshed = self._getcert("refresh", "-i", common_name)
        deadline = monotonic() + 30
        while b"status: MONITORING" not in self._getcert("list", "-i", common_name).stdout:
            if monotonic() > deadline:
                break
            sleep(0.1)
        return self._result(refreshed, common_name)

    def renew(self, enrolment: Enrolment) -> Enrolment:
        done = self._getcert("resubmit", "-i", enrolment.common_name, "-w", "--wait-timeout", "30", "-v")
        renewed = self._result(done, enrolment.common_name)
        if renewed.certificate_pem == enrolment.certificate_pem:
            raise EnrolmentRefused(renewed.transcript)
        return renewed

    def _result(self, done: Run, common_name: str) -> Enrolment:
        listed = self._getcert("list", "-i", common_name)
        transcript = f"{done.text}\n{listed.text}"
        if b"status: MONITORING" not in listed.stdout:
            raise EnrolmentRefused(transcript)
        certificate = self.folder / f"{common_name}.crt"
        return Enrolment(
            certificate=certificate,
            certificate_pem=certificate.read_bytes(),
            key=self.folder / f"{common_name}.key",
            common_name=common_name,
            transcript=transcript,
        )

    def _getcert(self, *words: str | Path) -> Run:
        return run([self.programs["getcert"], *words], env=self._env, cwd=self.folder)
