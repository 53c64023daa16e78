"""``ndes-lab enroll``: the lab's own strict client, driven from a shell like the others."""

from __future__ import annotations

from pathlib import Path

from interop.lab_process import NDES_LAB
from interop.process import Run, run

from .base import Enrolment, EnrolmentRefused, ForeignClient


class NdesLabEnroll(ForeignClient):
    """One output folder per enrolment; ``options`` are further words of the command line."""

    name = "ndes-lab-enroll"
    commands = ()
    renewal_message_type = 17
    poll_message_type = 20
    renews_with_new_key = True
    refusal_words = "refused: badRequest (2)"
    options: tuple[str, ...] = ("--wait", "--poll-interval", "0.2", "--max-polls", "300")

    def obtain(self, common_name: str, challenge: str) -> Enrolment:
        folder = self.folder / f"{common_name}-1"
        secret = self.folder / "challenge.txt"
        secret.write_text(f"{challenge}\n")
        words = ["--subject", f"CN={common_name},O=NDES Lab", "--challenge-file", secret]
        return self._enroll(folder, common_name, words)

    def renew(self, enrolment: Enrolment) -> Enrolment:
        folder = self.folder / f"{enrolment.common_name}-2"
        words = ["--renew-with", enrolment.certificate, enrolment.key]
        return self._enroll(folder, enrolment.common_name, words)

    def _enroll(self, folder: Path, common_name: str, words: list[str | Path]) -> Enrolment:
        command: list[str | Path] = [NDES_LAB, "enroll", self.endpoint.scep_url]
        command += ["--ca-file", self.endpoint.root_pem, *words, "--out", folder, *self.options]
        done = run(command, cwd=self.folder)
        return self._result(done, folder, common_name)

    @staticmethod
    def _result(done: Run, folder: Path, common_name: str) -> Enrolment:
        if not done.ok:
            raise EnrolmentRefused(done.text)
        certificate = folder / "certificate.pem"
        return Enrolment(
            certificate=certificate,
            certificate_pem=certificate.read_bytes(),
            key=folder / "key.pem",
            common_name=common_name,
            transcript=done.text,
        )
