"""`ndes-lab verify` as a user meets it: where trust comes from, what is refused, openssl beside it."""

from __future__ import annotations

import json

import pytest
from chain_samples import DAY, LEAF, NOW, Shape, issue, pki
from click.testing import CliRunner

from lab.commands.verify import verify
from lab.trust.stores import CertificateStores

AT = ("--at", NOW.strftime("%Y-%m-%dT%H:%M:%SZ"))


@pytest.fixture
def world():
    return pki()


@pytest.fixture
def folder(world, tmp_path):
    """A device's stores, and the certificate beside them."""
    for name, parties in (("Root", [world.root]), ("CA", [world.issuing]), ("Disallowed", [])):
        (tmp_path / name).mkdir()
        for party in parties:
            (tmp_path / name / f"{party.name}.cer").write_bytes(party.der)
    (tmp_path / "leaf.pem").write_bytes(world.leaf.pem)
    return tmp_path


def run(folder, *words):
    return CliRunner().invoke(
        verify, [str(word) for word in (folder / "leaf.pem", *AT, *words)], catch_exceptions=False
    )


def test_a_devices_stores_say_what_is_trusted(folder):
    done = run(folder, "--store", folder)
    assert done.exit_code == 0, done.output
    assert f"Anchors: the store {folder / 'Root'}" in done.stdout


def test_an_empty_store_trusts_nothing(folder, tmp_path):
    (tmp_path / "none").mkdir()
    done = run(folder, "--store", tmp_path / "none")
    assert done.exit_code == 1
    assert "CERT_E_CHAINING" in done.stdout


def test_what_a_device_disallows_is_refused(folder, world):
    (folder / "Disallowed" / "issuing.cer").write_bytes(world.issuing.pem)
    done = run(folder, "--store", folder, "--openssl-cross-check")
    assert done.exit_code == 1
    assert "CERT_TRUST_IS_EXPLICIT_DISTRUST (0x4000000)" in done.stdout
    assert "openssl refuses the chain as well." in done.stdout
    assert [one.subject for one in CertificateStores.of_folder(folder).disallowed.certificates] == [
        "CN=Test Issuing"
    ]


def test_what_is_distrusted_on_the_command_line_is_refused(folder, world):
    done = run(folder, "--store", folder, "--distrust", folder / "CA" / "Test Issuing.cer")
    assert done.exit_code == 1
    assert "TRUST_E_EXPLICIT_DISTRUST" in done.stdout.splitlines()[-1]


def test_a_store_with_something_else_in_it_is_a_mistake(folder):
    (folder / "Root" / "readme.txt").write_text("nothing")
    done = run(folder, "--store", folder)
    assert done.exit_code == 2
    assert "readme.txt" in done.stderr


def test_time_nesting_is_asked_for_only_when_wanted(folder, world):
    leaf = issue("device", world.issuing, Shape(**LEAF, end=NOW + 60 * DAY))
    (folder / "leaf.pem").write_bytes(leaf.pem)
    assert run(folder, "--store", folder).exit_code == 0
    done = run(folder, "--store", folder, "--time-nesting", "--openssl-cross-check", "--json")
    document = json.loads(done.stdout)
    assert (done.exit_code, document["errors"]) == (1, ["CERT_TRUST_IS_NOT_TIME_NESTED"])
    assert document["openssl"]["accepted"]
    assert not document["openssl"]["agrees"]
    assert document["openssl"]["known_differences"]


def test_a_policy_that_is_not_there_is_missed(folder):
    done = run(folder, "--store", folder, "--issuance-policy", "1.3.6.1.4.1.99999.7.1")
    assert done.exit_code == 1
    assert "CERT_TRUST_IS_NOT_VALID_FOR_USAGE" in done.stdout


def test_openssl_that_is_not_there_is_said_so(folder, monkeypatch):
    monkeypatch.setenv("PATH", str(folder))
    done = run(folder, "--store", folder, "--openssl-cross-check")
    assert done.exit_code == 2
    assert "openssl cannot be run" in done.stderr
