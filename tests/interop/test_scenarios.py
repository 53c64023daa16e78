"""Scenarios judged by others: openssl and curl see the same failure, and see it gone after the cure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from peers import require_peer

from interop.process import Run, run, run_well
from lab.scenarios import scenarios
from lab.scenarios.engine.device import PKI_CLIENT
from lab.scenarios.engine.run import proof_of, symptom_of
from lab.scenarios.engine.stage import Stage

pytestmark = pytest.mark.interop
ALL = scenarios()


class StandingClock:
    def now(self) -> datetime:
        return datetime(2031, 5, 5, 12, tzinfo=UTC)


class Judge:
    """Somebody with curl and openssl, who is told the root and shown a certificate."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage = stage
        self.folder = folder
        (folder / "root.pem").write_text(stage.lab.running.root_pem)

    def curl(self, url: str, *options: str) -> Run:
        words = (require_peer("curl"), "--silent", "--show-error", "--max-time", "2", *options, url)
        return run(words, cwd=self.folder)

    def fetch(self, url: str) -> bytes | None:
        done = self.curl(url, "--fail")
        return done.stdout if done.ok else None

    def verify(self, leaf: bytes, issuing: bytes | None, *options: str) -> str:
        """Return what openssl says of a certificate at the lab's time."""
        self._write("leaf.pem", leaf)
        untrusted = self._write("issuing.pem", issuing) if issuing else ()
        at = str(int(self.stage.lab.clock.now().timestamp()))
        words = ("verify", "-no-CApath", "-no-CAstore", "-attime", at, "-CAfile", "root.pem", *options)
        untrusted_options = ("-untrusted", *untrusted) if untrusted else ()
        done = run((require_peer("openssl"), *words, *untrusted_options, "leaf.pem"), cwd=self.folder)
        return done.text

    def _write(self, name: str, der: bytes) -> tuple[str]:
        certificate = x509.load_der_x509_certificate(der)
        (self.folder / name).write_bytes(certificate.public_bytes(Encoding.PEM))
        return (name,)


def device_certificate(judge: Judge) -> str:
    """Let openssl judge the device's certificate, with what its URLs lead to."""
    leaf = x509.load_der_x509_certificate(judge.stage.device.certificate.der)
    issuing = judge.fetch(_issuer_url(leaf))
    crls = [judge.fetch(_crl_url(leaf))]
    if issuing is not None:
        crls.append(judge.fetch(_crl_url(x509.load_der_x509_certificate(issuing))))
    pem = b"".join(x509.load_der_x509_crl(crl).public_bytes(Encoding.PEM) for crl in crls if crl)
    (judge.folder / "crls.pem").write_bytes(pem)
    options = ("-crl_check_all", *(("-CRLfile", "crls.pem") if pem else ()))
    return judge.verify(leaf.public_bytes(Encoding.DER), issuing, *options)


def registrar(judge: Judge) -> str:
    """Let openssl judge the RA's certificate that requests are encrypted to, by GetCACert alone."""
    bag = judge.fetch(f"{judge.stage.device.url}{PKI_CLIENT}?operation=GetCACert")
    assert bag is not None
    done = run_well((require_peer("openssl"), "pkcs7", "-inform", "DER", "-print_certs"), stdin=bag)
    _, encryption, issuing, _ = x509.load_pem_x509_certificates(done.stdout)  # NDES's order; the root last
    return judge.verify(encryption.public_bytes(Encoding.DER), issuing.public_bytes(Encoding.DER))


def http(judge: Judge) -> str:
    """Ask GetCACaps with curl, and return status and exit status."""
    url = f"{judge.stage.device.url}{PKI_CLIENT}?operation=GetCACaps"
    done = judge.curl(url, "--output", "answer", "--write-out", "HTTP %{http_code}\n")
    return done.text


def _issuer_url(certificate: x509.Certificate) -> str:
    access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    wanted = x509.AuthorityInformationAccessOID.CA_ISSUERS
    return next(str(one.access_location.value) for one in access if one.access_method == wanted)


def _crl_url(certificate: x509.Certificate) -> str:
    points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert points[0].full_name is not None
    return str(points[0].full_name[0].value)


OK = "leaf.pem: OK"
ANSWERS = "HTTP 200"
ROWS: dict[str, tuple[Callable[[Judge], str], str, str]] = {
    "certificate-expired": (device_certificate, "certificate has expired", OK),
    "certificate-revoked": (device_certificate, "certificate revoked", OK),
    "crl-expired": (device_certificate, "CRL has expired", OK),
    "crl-missing": (device_certificate, "unable to get certificate CRL", OK),
    "crl-of-root-expired": (device_certificate, "CRL has expired", OK),
    "crl-unreachable": (device_certificate, "unable to get", OK),
    "missing-intermediate": (device_certificate, "unable to get local issuer certificate", OK),
    "ra-expired-unnoticed": (registrar, "certificate has expired", OK),
    "ra-of-old-ca": (registrar, "unable to get local issuer certificate", OK),
    "http-403": (http, "HTTP 403", ANSWERS),
    "http-404-pkiclient": (http, "HTTP 404", ANSWERS),
    "http-500-impersonation": (http, "HTTP 500", ANSWERS),
    "http-503-pool-stopped": (http, "HTTP 503", ANSWERS),
    "ra-certificates-expired": (http, "HTTP 500", ANSWERS),
    "server-name-unknown": (http, "[exit 6]", ANSWERS),
    "server-timeout": (http, "[exit 28]", ANSWERS),
    "server-unreachable": (http, "[exit 7]", ANSWERS),
}


@pytest.mark.parametrize("name", ROWS)
def test_others_see_the_failure_and_that_it_is_cured(name: str, tmp_path: Path) -> None:
    look, failure, success = ROWS[name]
    with Stage(ALL[name], StandingClock()) as stage:
        judge = Judge(stage, tmp_path)
        ALL[name].set_the_stage(stage)
        assert symptom_of(ALL[name], stage).passed
        said = look(judge)
        assert failure in said
        assert success not in said
        ALL[name].apply_the_cure(stage)
        assert proof_of(ALL[name], stage).passed
        assert success in look(judge)
