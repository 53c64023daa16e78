"""Debian's scepclient 2.1.0 (micromdm): Go, single DES and SHA-1 whatever is advertised."""

from __future__ import annotations

import shutil
from pathlib import Path

from interop.process import Run, run

from .base import Enrolment, EnrolmentRefused, ForeignClient


class ScepClient(ForeignClient):
    """Enrols in a folder of its own; where a certificate is already there, it renews that.

    It keeps ``csr.pem`` beside the key and sends it again, the spent challenge in it included,
    and encrypts each request to every certificate of the GetCACert bag.
    """

    name = "scepclient"
    commands = ("scepclient",)
    renewal_message_type = 17
    poll_message_type = 19
    renews_with_new_key = False
    refusal_words = "failInfo: badRequest"

    def obtain(self, common_name: str, challenge: str) -> Enrolment:
        folder = self.folder / common_name
        folder.mkdir()
        done = self._run(folder, common_name, challenge)
        return self._result(done, folder, common_name)

    def renew(self, enrolment: Enrolment) -> Enrolment:
        # A copy, because it overwrites the certificate that it renews.
        folder = enrolment.certificate.parent.with_name(f"{enrolment.common_name}-renewed")
        shutil.copytree(enrolment.certificate.parent, folder)
        done = self._run(folder, enrolment.common_name, "")
        if (folder / "cert.pem").read_bytes() == enrolment.certificate_pem:
            raise EnrolmentRefused(done.text)
        return self._result(done, folder, enrolment.common_name)

    def _run(self, folder: Path, common_name: str, challenge: str) -> Run:
        command: list[str | Path] = [
            self.programs["scepclient"],
            "-server-url",
            self.endpoint.scep_url,
            "-challenge",
            challenge,
            "-cn",
            common_name,
            "-private-key",
            folder / "key.pem",
            "-certificate",
            folder / "cert.pem",
            "-debug",
        ]
        return run(command, cwd=folder)

    @staticmethod
    def _result(done: Run, folder: Path, common_name: str) -> Enrolment:
        certificate = folder / "cert.pem"
        if not done.ok or not certificate.exists():
            raise EnrolmentRefused(done.text)
        return Enrolment(
            certificate=certificate,
            certificate_pem=certificate.read_bytes(),
            key=folder / "key.pem",
            common_name=common_name,
            transcript=done.text,
        )
