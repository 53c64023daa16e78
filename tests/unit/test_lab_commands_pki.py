"""``ndes-lab pki``: the CA's certificates shown, renewed, prepared and put in service."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography import x509

from ca.folders import PkiFolder
from lab.commands import main


@pytest.fixture
def folder(tmp_path: Path) -> PkiFolder:
    made = CliRunner().invoke(main, ["init", "--data-dir", str(tmp_path / "pki"), "--pki-port", "18181"])
    assert made.exit_code == 0, made.output
    return PkiFolder(tmp_path / "pki")


@pytest.fixture
def pki(folder: PkiFolder) -> Callable[..., Result]:
    def run(command: str, *options: str, given: str | None = None) -> Result:
        arguments = ["pki", command, "--data-dir", str(folder.path), *options]
        return CliRunner().invoke(main, arguments, input=given)

    return run


def rows(done: Result) -> list[tuple[Any, Any]]:
    assert done.exit_code == 0, done.output
    return [(row["state"], row["version"]) for row in json.loads(done.stdout)]


def test_renewal_shows_in_versions_and_publishes_what_it_brings(
    folder: PkiFolder, pki: Callable[..., Result]
) -> None:
    assert rows(pki("show", "--json")) == [("root", "V0.0"), ("present", "V0.0")]
    assert rows(pki("renew-ca", "--same-key", "--json")) == [
        ("root", "V0.0"), ("present", "V1.0"), ("earlier", "V0.0"),
    ]  # fmt: skip
    done = pki("renew-ca")
    assert done.exit_code == 0
    assert "Start the lab again" in done.stderr
    assert rows(pki("show", "--json"))[1:] == [("present", "V2.2"), ("earlier", "V1.0"), ("earlier", "V0.0")]
    name = "NDES Lab Test Issuing CA"
    published = {file.name for file in folder.published.iterdir()}
    assert {f"{name}{part}.crl" for part in ("", "+", "(2)", "(2)+")} <= published
    assert {f"127.0.0.1_{name}{part}.crt" for part in ("", "(0-1)", "(2)")} <= published
    present = x509.load_pem_x509_certificate(folder.issuing_certificate.read_bytes())
    points = present.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert points[0].full_name is not None
    assert points[0].full_name[0].value.startswith("http://127.0.0.1:18181/CertEnroll/")
    crl = x509.load_der_x509_crl((folder.published / f"{name}(2).crl").read_bytes())
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 1


def test_next_certificate_is_shown_and_put_in_service(pki: Callable[..., Result]) -> None:
    assert rows(pki("renew-ca", "--next", "--json"))[1:] == [("present", "V0.0"), ("next", "V1.1")]
    again = pki("renew-ca")
    assert again.exit_code == 2
    assert "prepared already" in again.stderr
    assert rows(pki("activate-ca", "--json"))[1:] == [("present", "V1.1"), ("earlier", "V0.0")]
    assert pki("activate-ca").exit_code == 2


def test_renewal_wants_the_passphrase_of_the_root(folder: PkiFolder, pki: Callable[..., Result]) -> None:
    passphrase = folder.root_passphrase.read_text()
    folder.root_passphrase.unlink()
    assert pki("renew-ca").exit_code == 2
    assert pki("renew-ca", "--passphrase-file", "-", given="wrong passphrase").exit_code == 2
    assert rows(pki("show", "--json")) == [("root", "V0.0"), ("present", "V0.0")]
    done = pki("renew-ca", "--passphrase-file", "-", given=passphrase)
    assert done.exit_code == 0, done.output
