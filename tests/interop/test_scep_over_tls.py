"""SCEP over TLS, as `ndes-lab up --tls-port` serves it, by curl, openssl and the lab's own client."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from peers import require_peer

from interop.lab_process import NDES_LAB, LabProcess, lab_process

pytestmark = pytest.mark.interop


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The process, its URL in https, and a file with its root."""

    lab: LabProcess
    url: str
    root: Path

    @property
    def address(self) -> str:
        return urlsplit(self.url).netloc

    def challenge(self) -> str:
        done = self.run(NDES_LAB, "challenge", "new")
        return done.stdout.strip()

    def run(self, *words: str | Path, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(word) for word in words],
            cwd=folder,
            env=dict(self.lab.env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def enroll(self, out: Path, *options: str | Path) -> subprocess.CompletedProcess[str]:
        words = ("enroll", self.url, "--challenge", self.challenge(), "--subject", "CN=tls-client")
        return self.run(NDES_LAB, *words, "--ca-file", self.root, "--out", out, *options)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("tls")
    with lab_process(folder, "--ephemeral", "--tls-port", "0") as lab:
        root = folder / "root.pem"
        root.write_text(lab.ready["root_pem"])
        yield Served(lab=lab, url=lab.ready["scep_tls_url"], root=root)


def test_address_is_in_the_ready_file_and_in_what_up_prints(served: Served) -> None:
    assert served.url.startswith("https://127.0.0.1:")
    assert f"SCEP, TLS   {served.url}" in served.lab.log.read_text()
    assert served.url != served.lab.ready["scep_url"]


def test_curl_trusts_it_with_the_root_alone(served: Served) -> None:
    curl = require_peer("curl")
    query = f"{served.url}?operation=GetCACaps"
    assert "SCEPStandard" in served.run(curl, "-sS", "--cacert", served.root, query).stdout
    assert served.run(curl, "-sS", query).returncode == 60


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_verifies_name_purpose_and_chain(served: Served, version: str) -> None:
    words = ("s_client", "-connect", served.address, "-CAfile", served.root, "-no-CApath", "-no-CAstore")
    words += ("-verify_ip", "127.0.0.1", "-purpose", "sslserver", "-verify_return_error", version)
    done = served.run(require_peer("openssl"), *words)
    assert "Verify return code: 0 (ok)" in done.stdout, done.stderr


def test_own_client_enrols_with_the_root_for_tls_and_not_without(served: Served, tmp_path: Path) -> None:
    done = served.enroll(tmp_path / "out", "--tls-ca-file", served.root)
    assert done.returncode == 0, done.stderr
    issued = x509.load_pem_x509_certificate((tmp_path / "out" / "certificate.pem").read_bytes())
    assert issued.subject.rfc4514_string() == "CN=tls-client"
    refused = served.enroll(tmp_path / "other")
    assert refused.returncode == 2
    assert "0x80072F8F" in refused.stderr.replace("0x80072f8f", "0x80072F8F")
    assert not (tmp_path / "other" / "certificate.pem").exists()


def test_scepclient_enrols_with_the_root_in_its_trust_store(served: Served, tmp_path: Path) -> None:
    scepclient = require_peer("scepclient")
    words = ("env", f"SSL_CERT_FILE={served.root}", scepclient, "-server-url", served.url)
    keys = ("-cn", "tls-2", "-private-key", "key.pem", "-certificate", "crt.pem")
    done = served.run(*words, "-challenge", served.challenge(), *keys, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    issued = x509.load_pem_x509_certificate((tmp_path / "crt.pem").read_bytes())
    assert issued.subject.rfc4514_string().startswith("CN=tls-2")


def test_own_client_says_what_is_wrong_with_a_file_for_tls(served: Served, tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("nothing\n")
    done = served.enroll(tmp_path / "out", "--tls-ca-file", tmp_path / "no.pem")
    assert done.returncode == 2
    assert str(tmp_path / "no.pem") in done.stderr
    assert "Traceback" not in done.stderr


def test_certificate_is_one_that_the_ca_lists(served: Served) -> None:
    done = served.run(NDES_LAB, "cert", "list", "--template", "WebServer", "--json")
    listed = json.loads(done.stdout)
    found = listed["certificates"] if isinstance(listed, dict) else listed
    assert [each["subject"] for each in found] == ["CN=127.0.0.1"]


def test_faults_are_met_over_tls_as_well(served: Served) -> None:
    curl = require_peer("curl")
    url = f"https://{served.address}/fault/wire::not-found/scep?operation=GetCACaps"
    done = served.run(curl, "-sS", "--cacert", served.root, "-o", "/dev/null", "-w", "%{http_code}", url)
    assert done.stdout == "404"
