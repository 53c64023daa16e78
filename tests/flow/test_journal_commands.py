"""The journal at the command line: list, show, diff, export, replay, follow, clear."""

from __future__ import annotations

import base64
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from journal_lab import WRONG, refused, run
from lab_client import client_key, enrol

from lab import ScepLab


@pytest.fixture(scope="module")
def running() -> Iterator[ScepLab]:
    with ScepLab({"journal": {"files": True}}) as scep_lab:
        yield scep_lab


@pytest.fixture
def scep_lab(running: ScepLab) -> ScepLab:
    running.reset()
    return running


@pytest.fixture
def good_and_bad(scep_lab: ScepLab) -> ScepLab:
    """Entry 3 is a good enrolment, entry 6 one that is refused."""
    enrol(scep_lab, subject="CN=good")
    refused(scep_lab, "CN=bad,O=Lab")
    return scep_lab


def test_list_shows_what_matches_in_lines_and_json(good_and_bad: ScepLab) -> None:
    lines = run(good_and_bad, "list").stdout.splitlines()
    assert len(lines) == 7
    (line,) = run(good_and_bad, "list", "--refused").stdout.splitlines()[1:]
    assert line.split("\t")[3:7] == [
        "PKIOperation PKCSReq",
        "CN=bad,O=Lab",
        "FAILURE badRequest",
        "challenge-unknown",
    ]
    (row,) = json.loads(run(good_and_bad, "list", "--message-type", "pkcsreq", "--accepted", "--json").stdout)
    assert (row["number"], row["pki_status"], row["subject"]) == (3, "SUCCESS", "CN=good")
    assert len(run(good_and_bad, "list", "--last", "2").stdout.splitlines()) == 3


@pytest.mark.parametrize("where", ["running", "folder"])
def test_show_tells_every_check_and_both_messages(good_and_bad: ScepLab, where: str) -> None:
    at = () if where == "running" else ("--data-dir", str(good_and_bad.world.folder.path))
    text = run(good_and_bad, "show", "6", *at).stdout
    assert "Verdict      not accepted: FAILURE badRequest, refused by challenge-unknown" in text
    assert re.search(r"failed +challenge +unknown, expected accepted  \(RFC 8894 2\.4\)", text)
    assert "plaintext  (as the server opened it)" in text
    assert f"challengePassword 1.2.840.113549.1.9.7: {'*' * len(WRONG)}  (PrintableString)" in text
    assert "failInfo: badRequest (2)" in text
    document = json.loads(run(good_and_bad, "show", "6", "--json", *at).stdout)
    assert document["checks"][-1]["name"] == "challenge"
    assert base64.b64decode(document["request"]["body"]) == good_and_bad.journal[5].request.body
    assert document["request_tree"][0]["name"] == "SCEP pkiMessage: PKCSReq (19)"


def test_show_opens_the_answer_with_the_clients_key(good_and_bad: ScepLab, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    key = tmp_path / "key.pem"
    key.write_bytes(
        client_key(0).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"opens"),
        )
    )
    (tmp_path / "password").write_text("opens\n")
    named = ("--key", str(key), "--key-password-file", str(tmp_path / "password"))
    text = run(good_and_bad, "show", "3", *named).stdout
    assert "SignedData, degenerate" in text
    assert "SignedData, degenerate" not in run(good_and_bad, "show", "3").stdout
    without = run(good_and_bad, "show", "3", "--key", str(key))
    assert without.exit_code == 2
    assert "no private key that can be read" in without.stderr


def test_diff_tells_what_mine_has_otherwise_than_a_good_one(good_and_bad: ScepLab) -> None:
    done = run(good_and_bad, "diff", "3", "6", "--json")
    assert done.exit_code == 1
    found = {" > ".join(each["path"]): each for each in json.loads(done.stdout)["differences"]}
    subject = found.pop(
        "SCEP pkiMessage > content > EnvelopedData > plaintext > certificate request (PKCS#10) > subject"
    )
    assert subject["kind"] == "differs"
    assert subject["left"] == "CN=good"
    assert not [place for place in found if "Nonce" in place or "signature" in place or "modulus" in place]
    everything = run(good_and_bad, "diff", "3", "6", "--all").stdout
    assert "senderNonce" in everything
    assert "modulus" in everything
    same = run(good_and_bad, "diff", "6", "last")
    assert same.exit_code == 0
    assert same.stdout == "entry 6 and entry 6 do not differ.\n"
    answers = run(good_and_bad, "diff", "3", "6", "--answer")
    assert "pkiStatus\n  entry 3  SUCCESS (0) (PrintableString)\n  entry 6  FAILURE (2)" in answers.stdout


def test_diff_takes_files_in_any_form(good_and_bad: ScepLab, tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    assert run(good_and_bad, "export", "--format", "raw", "--output", str(folder)).exit_code == 0
    assert run(good_and_bad, "export", "6", "--output", str(tmp_path / "6.json")).exit_code == 0
    exported = run(good_and_bad, "diff", "6", str(tmp_path / "6.json"))
    assert exported.exit_code == 0, exported.output
    for name in ("6-request.der", "6-request.http"):
        done = run(good_and_bad, "diff", str(folder / "6-request.der"), str(folder / name))
        assert done.exit_code == 0, done.output
    piped = run(
        good_and_bad,
        "diff",
        str(folder / "6-request.der"),
        "-",
        input=(folder / "3-request.der").read_bytes(),
    )
    assert piped.exit_code == 1
    assert "SCEP pkiMessage > certificate" in piped.stdout
    nothing = tmp_path / "nothing"
    nothing.write_bytes(b"\x00\x01")
    refusal = run(good_and_bad, "diff", "6", str(nothing))
    assert refusal.exit_code == 2
    assert "neither ASN.1" in refusal.stderr


def test_exported_messages_are_what_was_sent(good_and_bad: ScepLab, tmp_path: Path) -> None:
    assert run(good_and_bad, "export", "--format", "raw", "--output", str(tmp_path / "raw")).exit_code == 0
    names = {path.name for path in (tmp_path / "raw").iterdir()}
    assert {"1-request.http", "3-request.der", "3-answer.der", "3-certificate.der", "6-answer.http"} <= names
    judged = subprocess.run(
        ["openssl", "cms", "-cmsout", "-print", "-inform", "DER", "-in", tmp_path / "raw" / "3-request.der"],
        check=True,
        capture_output=True,
    )
    assert b"contentType: pkcs7-signedData" in judged.stdout
    har = json.loads(run(good_and_bad, "export", "--format", "har").stdout)["log"]
    assert (har["version"], len(har["entries"])) == ("1.2", 6)
    last = har["entries"][-1]
    assert base64.b64decode(last["request"]["postData"]["text"]) == good_and_bad.journal[5].request.body
    assert base64.b64decode(last["response"]["content"]["text"]) == good_and_bad.journal[5].answer.body
    assert last["_ndesLab"]["verdict"]["refused_by"] == "challenge-unknown"
    missing = run(good_and_bad, "export", "--format", "raw")
    assert missing.exit_code == 2
    assert "--output" in missing.stderr


def test_replay_sends_the_same_octets_and_compares_the_answers(good_and_bad: ScepLab, tmp_path: Path) -> None:
    again = run(good_and_bad, "replay", "3", good_and_bad.mscep_url)
    assert again.exit_code == 0, again.output
    assert "entry 3 and now do not differ." in again.stdout
    first, second = good_and_bad.journal[2], good_and_bad.journal[-1]
    assert second.request.body == first.request.body
    assert second.request.header("Content-Type") == first.request.header("Content-Type")
    assert second.request.target == "/certsrv/mscep/mscep.dll?operation=PKIOperation"
    assert second.certificate == first.certificate  # the same again, not a second one

    run(good_and_bad, "export", "6", "--output", str(tmp_path / "6.json"))
    with good_and_bad.fault("reply::fail-info-bad-time", times=1):
        changed = run(good_and_bad, "replay", str(tmp_path / "6.json"), good_and_bad.scep_url, "--json")
    assert changed.exit_code == 1
    document = json.loads(changed.stdout)
    assert document["status"] == 200
    assert [each["path"][-1] for each in document["differences"] if each["path"][-1] == "failInfo"] == [
        "failInfo"
    ]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://127.0.0.1/", "no http or https URL"),
        ("file:///etc/passwd", "no http or https URL"),
        ("http://127.0.0.1:1/scep", "cannot be connected to"),
        ("http://127.0.0.1:1/scep?operation=x", "has a query"),
    ],
)
def test_replay_says_why_it_cannot(good_and_bad: ScepLab, url: str, says: str) -> None:
    done = run(good_and_bad, "replay", "6", url)
    assert done.exit_code == 2
    assert says in done.stderr


@pytest.mark.parametrize(
    "url",
    [
        "http://user:hunter2@127.0.0.1:9/scep",
        "ftp://user:hunter2@127.0.0.1",
        "http:/u:hunter2@h",
        "u:hunter2@h",
    ],
)
def test_replay_does_not_tell_the_password_in_a_url(good_and_bad: ScepLab, url: str) -> None:
    done = run(good_and_bad, "replay", "3", url)
    assert done.exit_code == 2
    assert "hunter2" not in done.output
    assert "user or password" in done.stderr or "no http or https URL" in done.stderr


def test_follow_prints_a_line_for_each_new_exchange_and_ends_well_on_ctrl_c(scep_lab: ScepLab) -> None:
    command = [
        Path(sys.executable).with_name("ndes-lab"),
        "journal",
        "follow",
        "--after",
        "0",
        "--admin-url",
        scep_lab.admin_url,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            enrol(scep_lab, subject="CN=good")
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(3)]
            refused(scep_lab)
            lines += [process.stdout.readline() for _ in range(3)]
            process.send_signal(signal.SIGINT)
            rest, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert [line.split("\t")[0] for line in lines] == ["1", "2", "3", "4", "5", "6"]
    assert "challenge-unknown" in lines[-1]
    assert (process.returncode, rest, errors) == (0, "", "")


def test_follow_ends_after_a_count_and_filters(good_and_bad: ScepLab) -> None:
    done = run(good_and_bad, "follow", "--after", "0", "--count", "1", "--refused", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["number"] == 6


def test_an_exported_entry_is_shown_as_the_journal_shows_it(good_and_bad: ScepLab, tmp_path: Path) -> None:
    assert run(good_and_bad, "export", "6", "--output", str(tmp_path / "6.json")).exit_code == 0
    assert run(good_and_bad, "show", str(tmp_path / "6.json")).stdout == run(good_and_bad, "show", "6").stdout


@pytest.mark.parametrize(
    ("words", "calls"),
    [
        (["list", "--last", "3"], ["/api/v1/journal?limit=3&newest=true"]),
        (["show", "6"], ["/api/v1/journal/6"]),
        (["show"], ["/api/v1/journal?limit=1&newest=true", "/api/v1/journal/6"]),
        (["diff", "3", "6"], ["/api/v1/journal/3?trees=false", "/api/v1/journal/6?trees=false"]),
        (["export", "3"], ["/api/v1/journal/3?trees=false"]),
        (["follow", "--after", "6"], ["/api/v1/journal?after=6&wait_seconds=25.0"]),
        (["clear"], ["-X DELETE"]),
    ],
    ids=lambda value: " ".join(value[:1]),
)
def test_curl_does_the_same(good_and_bad: ScepLab, words: list[str], calls: list[str]) -> None:
    done = run(good_and_bad, *words, "--curl")
    lines = done.stdout.splitlines()
    assert len(lines) == len(calls), done.output
    assert all(call in line for call, line in zip(calls, lines, strict=True)), lines
    assert len(good_and_bad.journal) == 6
    line = lines[-1].replace("wait_seconds=25.0", "wait_seconds=0")
    answer = subprocess.run(["bash", "-c", line], check=True, capture_output=True).stdout
    assert answer.startswith(b"{") or words == ["clear"]


@pytest.mark.parametrize("words", [["replay", "3", "http://127.0.0.1:1"], ["export", "--output", "x"]])
def test_what_is_no_call_is_refused_with_curl(good_and_bad: ScepLab, words: list[str]) -> None:
    done = run(good_and_bad, *words, "--curl")
    assert done.exit_code == 2
    assert "is no call of it" in done.stderr


def test_mistakes_are_told_in_one_sentence(good_and_bad: ScepLab) -> None:
    for words, says in (
        (["show", "99"], "no entry 99; kept are 1 to 6"),
        (["show", "none"], "'none' is no entry"),
        (["show", "0"], "'0' is no entry"),
        (["diff", "1", "no-such-file"], "no-such-file"),
        (["follow", "--data-dir", str(good_and_bad.world.folder.path)], "only the journal of a running lab"),
    ):
        done = run(good_and_bad, *words)
        assert done.exit_code == 2, words
        assert says in done.stderr
        assert "Traceback" not in done.stderr


def test_clear_forgets_all(good_and_bad: ScepLab) -> None:
    assert run(good_and_bad, "clear").exit_code == 0
    assert len(good_and_bad.journal) == 0
    assert run(good_and_bad, "show").exit_code == 2
