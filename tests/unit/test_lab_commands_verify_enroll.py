"""The commands `verify` and `enroll` as a user meets them: exit status, text, JSON, mistakes."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from small_server import DAY, KEY, NOW, SECRET, Authority, Server, certificate, client_of, order

from lab.client.reports import certificate_pem
from lab.commands import enroll as enroll_module
from lab.commands.enroll import enroll
from lab.commands.verify import verify
from lab.trust import X509Certificate
from scep_server.protocol.messages import FailInfo


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture
def server(authority):
    return Server(authority)


@pytest.fixture
def run(server, monkeypatch):
    """Run `enroll` with the small server in place of HTTP and its time in place of ours."""

    class StoppedClock:
        def now(self):
            return NOW

    monkeypatch.setattr(enroll_module, "HttpTransport", lambda **_: server)
    monkeypatch.setattr(enroll_module, "SystemClock", StoppedClock)
    root = X509Certificate.read(server.certificates["root"])

    def run(*words, trust=True):
        given = ["http://test/scep", *(["--ca-fingerprint", root.sha256] if trust else []), *words]
        return CliRunner().invoke(enroll, [str(word) for word in given], catch_exceptions=False)

    return run


def new(folder):
    return ["--challenge", SECRET, "--subject", "CN=device", "--out", folder]


def test_enrols_and_says_where_everything_is(run, tmp_path):
    done = run(*new(tmp_path))
    assert done.exit_code == 0, done.output
    assert "issued: CN=device" in done.stdout
    assert str(tmp_path / "certificate.pem") in done.stdout
    assert SECRET not in done.output


def test_reads_the_challenge_from_a_file(run, tmp_path, server):
    (tmp_path / "challenge").write_text(f"{SECRET}\n")
    done = run("--challenge-file", tmp_path / "challenge", "--subject", "CN=d", "--out", tmp_path, "--json")
    document = json.loads(done.stdout)
    assert document["outcome"] == "issued"
    assert document["files"]["key"] == str(tmp_path / "key.pem")
    assert [one["subject"] for one in document["chain"]] == ["CN=Issuing", "CN=Root"]


def test_renews_in_place(run, tmp_path):
    run(*new(tmp_path))
    before = (tmp_path / "key.pem").read_bytes()
    done = run("--renew-with", tmp_path / "certificate.pem", tmp_path / "key.pem", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "key.pem").read_bytes() != before


def test_refused_is_exit_status_1_with_the_reason(run, tmp_path, server):
    server.refuse = FailInfo.BAD_REQUEST
    done = run(*new(tmp_path))
    assert done.exit_code == 1
    assert "refused: badRequest (2)" in done.stdout
    assert "no such challenge" in done.stdout


def test_pending_is_exit_status_1_and_goes_on_next_time(run, tmp_path, server):
    server.pending = 1
    done = run(*new(tmp_path))
    assert (done.exit_code, "pending: transaction" in done.stdout) == (1, True)
    again = run(*new(tmp_path))
    assert again.exit_code == 0
    assert "going on with the enrolment under way" in again.stderr


def test_waits_when_told_to(run, tmp_path, server):
    server.pending = 3
    done = run(*new(tmp_path), "--wait", "--poll-interval", 0, "--max-polls", 5)
    assert done.exit_code == 0
    assert "polled 2 times" in done.stderr


def test_an_untrusted_ca_is_exit_status_1_and_json_says_why(run, tmp_path):
    done = run(*new(tmp_path), "--ca-fingerprint", "ab" * 32, "--json", trust=False)
    assert done.exit_code == 1
    assert json.loads(done.stdout)["hresult_name"] == "CRYPT_E_HASH_VALUE"
    assert not (tmp_path / "key.pem").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--challenge", "x", "--subject", "CN=d"], "--out DIR is needed"),
        (["--challenge", "x", "--out", "{}"], "--subject is needed"),
        (["--subject", "device", "--out", "{}"], "no distinguished name"),
        (["--subject", "CN=d", "--san", "fax:1", "--out", "{}"], "is none of dns:NAME"),
        (["--subject", "CN=d", "--message-type", "renewalreq", "--out", "{}"], "give --renew-with"),
        (["--get-ca-caps", "--get-crl"], "give only one of"),
        (["--get-cert", "xyz"], "is no hex number"),
        (["--ca-file", os.devnull], "is a directory|does not exist|no certificate|neither DER"),
        (["--key-type", "rsa-512"], "Invalid value for '--key-type'"),
    ],
)
def test_a_mistake_is_exit_status_2_without_a_trace(run, tmp_path, words, says):
    done = run(*[word.format(tmp_path / "out") for word in words])
    assert done.exit_code == 2, done.output
    assert re.search(says, done.stderr)
    assert "Traceback" not in done.output


def test_starts_without_trust_only_when_told_to(run, tmp_path):
    refused = run(*new(tmp_path), trust=False)
    assert refused.exit_code == 2
    for said in ("RFC 8894 2.1.1", "--ca-file", "--ca-fingerprint", "--insecure"):
        assert said in refused.stderr
    believed = run(*new(tmp_path), "--insecure", trust=False)
    assert believed.exit_code == 0
    assert "warning: the CA is not authenticated" in believed.stderr


def test_does_not_overwrite_an_earlier_enrolment(run, tmp_path):
    run(*new(tmp_path))
    before = (tmp_path / "key.pem").read_bytes()
    assert run(*new(tmp_path)).exit_code == 2
    assert (tmp_path / "key.pem").read_bytes() == before
    assert run(*new(tmp_path), "--overwrite").exit_code == 0


def test_answers_questions(run, server):
    issued = client_of(server).enrol(order()).certificate
    assert run("--get-ca-caps", trust=False).stdout.split()[:2] == ["AES", "POSTPKIOperation"]
    assert len(json.loads(run("--get-ca-cert", "--json", trust=False).stdout)) == 4
    assert "BEGIN CERTIFICATE" in run("--get-cert", f"{issued.serial_number:x}").stdout
    assert "BEGIN X509 CRL" in run("--get-crl").stdout
    assert "CN=Issuing 2" in run("--get-next-ca").stdout
    server.refuse = FailInfo.BAD_CERT_ID
    refused = run("--get-cert", "1")
    assert (refused.exit_code, "badCertId" in refused.stdout) == (1, True)


# -- verify -----------------------------------------------------------------------------


def pem(path, *octets):
    path.write_bytes(b"".join(certificate_pem(X509Certificate.read(one)) for one in octets))
    return str(path)


@pytest.fixture
def files(tmp_path, server):
    leaf = certificate("device", KEY, "Issuing", server.authority.keys["i"], usages=("digital_signature",))
    (tmp_path / "crl").write_bytes(server.crl())
    (tmp_path / "revoked").write_bytes(server.crl(revoked=[leaf]))
    return {
        "leaf": pem(tmp_path / "leaf.pem", leaf),
        "chain": pem(tmp_path / "chain.pem", leaf, server.certificates["issuing"]),
        "root": pem(tmp_path / "root.pem", server.certificates["root"]),
        "issuing": pem(tmp_path / "issuing.pem", server.certificates["issuing"]),
        "crl": str(tmp_path / "crl"),
        "revoked": str(tmp_path / "revoked"),
    }


AT = ["--at", f"{NOW:%Y-%m-%dT%H:%M:%SZ}"]


def test_verify_ends_with_certutils_line_and_status(files):
    done = CliRunner().invoke(verify, [files["chain"], "--ca-file", files["root"], *AT])
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (
        0,
        "CertUtil: -verify command completed successfully.",
    )
    alone = CliRunner().invoke(verify, [files["leaf"], "--ca-file", files["root"], *AT])
    assert alone.exit_code == 1
    assert "0x800b010a (-2146762486 CERT_E_CHAINING)" in alone.stdout


def test_verify_takes_crls_and_prints_json(files):
    words = [files["leaf"], "--ca-file", files["issuing"], *AT, "--json"]
    good = CliRunner().invoke(verify, [*words, "--crl", files["crl"]])
    assert json.loads(good.stdout)["elements"][0]["revocation"]["verdict"] == "good"
    revoked = CliRunner().invoke(verify, [*words, "--crl", files["revoked"]])
    assert revoked.exit_code == 1
    assert json.loads(revoked.stdout)["hresult_name"] == "CRYPT_E_REVOKED"


def test_verify_trusts_the_root_of_a_data_folder(files, tmp_path, server):
    folder = tmp_path / "pki" / "issuing"
    folder.mkdir(parents=True)
    pem(folder / "issuing.crt", server.certificates["issuing"])
    pem(folder / "root.crt", server.certificates["root"])
    words = [files["leaf"], "--data-dir", str(tmp_path / "pki"), *AT]
    assert CliRunner().invoke(verify, words).exit_code == 0
    (folder / "root.crt").unlink()
    missing = CliRunner().invoke(verify, words)
    assert missing.exit_code == 2
    assert "root.crt cannot be read" in missing.stderr


def test_verify_reads_standard_input_and_judges_another_day(files):
    octets = Path(files["chain"]).read_bytes()
    late = f"{NOW + 5 * DAY:%Y-%m-%d}"
    done = CliRunner().invoke(verify, ["-", "--ca-file", files["root"], "--at", late], input=octets)
    assert "CERT_E_EXPIRED" in done.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["{leaf}"], "nothing to trust"),
        (["{crl}", "--ca-file", "{root}"], "no certificate"),
        (["{leaf}", "--ca-file", "{root}", "--crl", "{leaf}"], "are no CRL"),
        (["nowhere", "--ca-file", "{root}"], "does not exist"),
    ],
)
def test_verify_tells_a_mistake(files, words, says):
    done = CliRunner().invoke(verify, [word.format(**files) for word in words])
    assert done.exit_code == 2
    assert says in done.stderr
