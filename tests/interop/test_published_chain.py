"""openssl verifies leaf, issuing CA and root, each with every CRL, and the delta CRL with its base."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from peers import require_peer

from interop import openssl
from interop.clients import Endpoint, Enrolment, ScepClient
from interop.process import Run, run, run_well
from lab import ScepLab

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def scep_lab() -> Iterator[ScepLab]:
    with ScepLab() as running:
        yield running


@pytest.fixture
def leaf(scep_lab: ScepLab, tmp_path: Path) -> Enrolment:
    endpoint = Endpoint(scep_url=scep_lab.scep_url, root_pem=scep_lab.root_pem_path)
    with ScepClient(tmp_path, endpoint) as client:
        return client.obtain("device", scep_lab.new_challenge())


def verify(scep_lab: ScepLab, certificate: Path, folder: Path, *options: str) -> Run:
    """openssl verify, strict, with all that is published: base CRLs alone unless told otherwise."""
    deltas = "-use_deltas" in options
    crls = b""
    for view in scep_lab.desk.crls():
        if deltas or not view.file.endswith("+.crl"):
            words = [require_peer("openssl"), "crl", "-inform", "DER"]
            crls += run_well(words, stdin=openssl.fetch(view.url)).stdout
    (folder / "crls.pem").write_bytes(crls)
    (folder / "issuing.pem").write_bytes(openssl.fetch(f"{scep_lab.admin_url}/intermediates/0"))
    return run(
        [
            *(require_peer("openssl"), "verify", "-x509_strict", "-no-CApath", "-no-CAstore"),
            *("-CAfile", scep_lab.root_pem_path, "-untrusted", folder / "issuing.pem"),
            *("-crl_check_all", "-CRLfile", folder / "crls.pem", *options, certificate),
        ]
    )


DELTAS = ("-extended_crl", "-use_deltas")


@pytest.mark.parametrize("options", [(), DELTAS], ids=["base", "delta"])
def test_every_certificate_of_the_chain_verifies(scep_lab, leaf, tmp_path, options):
    verify(scep_lab, leaf.certificate, tmp_path, *options)  # writes issuing.pem
    for certificate in (leaf.certificate, tmp_path / "issuing.pem", scep_lab.root_pem_path):
        done = verify(scep_lab, certificate, tmp_path, *options)
        assert done.stdout.endswith(b": OK\n"), done.text


def test_a_revocation_is_seen_through_the_delta(scep_lab, leaf, tmp_path):
    words = [require_peer("openssl"), "x509", "-noout", "-serial", "-in", leaf.certificate]
    serial = run_well(words).stdout.decode().strip().removeprefix("serial=")
    assert verify(scep_lab, leaf.certificate, tmp_path, *DELTAS).ok
    scep_lab.revoke(serial, "superseded")
    done = verify(scep_lab, leaf.certificate, tmp_path, *DELTAS)
    assert not done.ok
    assert "certificate revoked" in done.text


def test_ndes_lab_verify_agrees_with_openssl_on_what_is_fetched(scep_lab, leaf, tmp_path):
    """certutil's shape, with every retrieval, and openssl beside it."""
    import sys

    command = [Path(sys.executable).with_name("ndes-lab"), "verify", leaf.certificate]
    command += ["--ca-file", scep_lab.root_pem_path, "--url-fetch", "--openssl-cross-check"]
    done = run(command)
    text = done.stdout.decode()
    assert done.ok, done.text
    assert "openssl accepts the chain as well." in text
    for line in (
        '  Verified "Certificate (0)" Time: 0 ',
        '  Verified "Base CRL (',
        '  Verified "Delta CRL (',
        '  Verified "OCSP" Time: 0 ',
        "Verified Application Policies:\n    1.3.6.1.5.5.7.3.2 Client Authentication",
        "Leaf certificate revocation check passed",
        "CertUtil: -verify command completed successfully.",
    ):
        assert line in text, text
