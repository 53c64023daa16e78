"""strongSwan's pki --scepca and pki --scep (5.9.8 in Debian 12): POST, AES-128, SHA-256."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509

from interop.process import Run, run, run_well

from .base import Enrolment, EnrolmentRefused, ForeignClient


class StrongSwanPki(ForeignClient):
    """Fetches the CA certificates once with --scepca, then enrols and renews with --scep.

    ``options`` are further words of the command line, such as ``--digest sha512``.
    """

    name = "strongswan-pki"
    commands = ("pki", "openssl")
    renewal_message_type = 17
    poll_message_type = 20
    renews_with_new_key = True
    refusal_words = "failInfo:     badRequest"
    options: tuple[str, ...] = ("--interval", "1", "--maxpolltime", "60")

    def obtain(self, common_name: str, challenge: str) -> Enrolment:
        self._fetch_ca_certificates()
        return self._enrol(common_name, f"{common_name}-1", ["--password", challenge])

    def renew(self, enrolment: Enrolment) -> Enrolment:
        old = ["--cert", str(enrolment.certificate), "--key", str(enrolment.key)]
        return self._enrol(enrolment.common_name, f"{enrolment.common_name}-2", old)

    def _fetch_ca_certificates(self) -> None:
        """GetCACert: writes the CA certificates as ca*.crt and the RA certificates as ra*.crt."""
        if list(self.folder.glob("ca*.crt")):
            return
        words = ["--scepca", "--url", self.endpoint.scep_url, "--caout", "ca.crt", "--raout", "ra.crt"]
        done = run([self.programs["pki"], *words], cwd=self.folder)
        if not done.ok:
            raise EnrolmentRefused(done.text)

    def _ca_options(self) -> list[str | Path]:
        """Which of the fetched certificates encrypts, which verifies, and which are CAs.

        Where a CA is its own RA no ra*.crt is written, and the CA takes both parts.
        """
        authorities = sorted(self.folder.glob("ca*.crt"))
        registration = sorted(self.folder.glob("ra*.crt")) or authorities
        usages = {path: _key_usage(path) for path in registration}
        encryption = next(path for path, usage in usages.items() if usage.key_encipherment)
        signing = next(path for path, usage in usages.items() if usage.digital_signature)
        options: list[str | Path] = ["--cacert-enc", encryption, "--cacert-sig", signing]
        for authority in authorities:
            options += ["--cacert", authority]
        return options

    def _enrol(self, common_name: str, stem: str, authentication: list[str]) -> Enrolment:
        key = self.folder / f"{stem}.key"
        run_well([self.programs["openssl"], "genrsa", "-out", key, "2048"])
        words: list[str | Path] = [
            self.programs["pki"],
            "--scep",
            "--url",
            self.endpoint.scep_url,
            "--in",
            key,
            "--dn",
            f"O=NDES Lab, CN={common_name}",
            *authentication,
            *self._ca_options(),
            "--outform",
            "pem",
            *self.options,
        ]
        return self._result(run(words, cwd=self.folder), key, common_name)

    def _result(self, done: Run, key: Path, common_name: str) -> Enrolment:
        if not done.ok or not done.stdout:
            raise EnrolmentRefused(done.text)
        certificate = key.with_suffix(".crt")
        certificate.write_bytes(done.stdout)
        return Enrolment(
            certificate=certificate,
            certificate_pem=done.stdout,
            key=key,
            common_name=common_name,
            transcript=done.text,
        )


def _key_usage(path: Path) -> x509.KeyUsage:
    certificate = x509.load_der_x509_certificate(path.read_bytes())
    return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
