"""`ndes-lab ndes` and `ndes-lab ra`: against a running lab, and against a folder."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from peers import require_peer

from lab import ScepLab
from lab.commands import main
from scep_server.ndes.w3c import FIELDS


@pytest.fixture(scope="module")
def scep_lab() -> Iterator[ScepLab]:
    with ScepLab({"logs": {"files": True}}, profile="ndes-2019") as running:
        for query in ("operation=GetCACaps", "operation=PKIOperation&message=%%"):
            try:
                urllib.request.urlopen(f"{running.mscep_url}?{query}").close()
            except urllib.error.HTTPError as error:
                error.close()
        yield running


@pytest.fixture(params=["running", "folder"])
def desk(request: pytest.FixtureRequest, scep_lab: ScepLab) -> tuple[str, str]:
    if request.param == "running":
        return "--admin-url", scep_lab.admin_url
    return "--data-dir", str(scep_lab.world.folder.path)


def run(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def test_events_are_told_as_text_json_and_xml(desk: tuple[str, str]) -> None:
    text = run("ndes", "events", *desk)
    assert text.exit_code == 0, text.output
    assert "Event ID: 1\n" in text.stdout
    assert "Event ID: 16\n" in text.stdout
    events = json.loads(run("ndes", "events", "--json", *desk).stdout)
    assert [event["event_id"] for event in events][:2] == [1, 16]
    xml = run("ndes", "events", "--xml", *desk).stdout
    judged = subprocess.run(
        [require_peer("xmllint"), "--xpath", "count(//*[local-name()='Event'])", "-"],
        input=xml.encode(),
        capture_output=True,
        check=True,
    )
    assert int(judged.stdout) == len(events)


def test_log_is_w3c_with_its_fields(desk: tuple[str, str]) -> None:
    lines = run("ndes", "log", *desk).stdout.splitlines()
    assert lines[0] == f"#Fields: {' '.join(FIELDS)}"
    rows = json.loads(run("ndes", "log", "--json", *desk).stdout)
    assert [row["sc-status"] for row in rows][:2] == ["200", "500"]
    assert rows[0]["cs-uri-query"] == "operation=GetCACaps"


def test_trace_is_told_as_cmtrace_reads_it(desk: tuple[str, str]) -> None:
    lines = run("ndes", "trace", *desk).stdout.splitlines()
    assert lines
    assert all(line.startswith("<![LOG[") for line in lines)
    told = json.loads(run("ndes", "trace", "--json", *desk).stdout)
    assert any(line["message"] == "event 16 written to the Application log" for line in told)


def test_last_prints_only_so_many(desk: tuple[str, str]) -> None:
    assert len(json.loads(run("ndes", "events", "--json", "--last", "1", *desk).stdout)) == 1


def test_folder_without_log_files_says_what_to_do(tmp_path: Path) -> None:
    data_dir = str(tmp_path / "pki")
    assert run("init", "--data-dir", data_dir).exit_code == 0
    result = run("ndes", "events", "--data-dir", data_dir)
    assert result.exit_code == 2
    assert "--log-files" in result.stderr


def test_ra_certificates_are_listed_with_how_they_would_fare(desk: tuple[str, str]) -> None:
    found = json.loads(run("ra", "list", "--json", *desk).stdout)
    assert [(one["role"], one["status"], one["template"]) for one in found if one["in_use"]] == [
        ("signing", "usable", "EnrollmentAgentOffline"),
        ("encryption", "usable", "CEPEncryption"),
    ]


def test_ra_is_issued_replaced_and_renewed_in_a_folder_and_up_refuses_a_wrong_one(tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    desk = ("--data-dir", str(folder))
    assert run("init", *desk).exit_code == 0
    issued = run("ra", "issue", "encryption", "--out", str(tmp_path / "out"), *desk)
    assert issued.exit_code == 0, issued.output
    certificate, key = tmp_path / "out" / "encryption.crt", tmp_path / "out" / "encryption.key"
    assert key.stat().st_mode & 0o777 == 0o600

    # The encryption certificate where the signing one belongs: listed as wrong, and refused by `up`.
    replaced = run("ra", "replace", "signing", "--certificate", str(certificate), "--key", str(key), *desk)
    assert replaced.exit_code == 0, replaced.output
    assert "not usable" in replaced.stdout
    listed = run("ra", "list", *desk)
    assert listed.exit_code == 1
    assert "wrong-usage" in listed.stdout
    up = run("up", *desk, "--port", "0", "--pki-port", "0", "--admin-port", "0")
    assert up.exit_code == 2
    assert "has no key usage digitalSignature" in up.stderr

    renewed = run("ra", "renew", "all", *desk)
    assert renewed.exit_code == 0, renewed.output
    assert run("ra", "list", *desk).exit_code == 0


def test_recycling_is_for_a_lab_that_runs(scep_lab: ScepLab, tmp_path: Path) -> None:
    assert run("ndes", "recycle", "--admin-url", scep_lab.admin_url).exit_code == 0
    assert scep_lab.world.ndes_logs.events.events()[-1].id == 3
    assert run("init", "--data-dir", str(tmp_path / "pki")).exit_code == 0
    result = run("ndes", "recycle", "--data-dir", str(tmp_path / "pki"))
    assert result.exit_code == 2
    assert "no service runs on this folder" in result.stderr


def test_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    desk = ("--data-dir", str(tmp_path / "pki"))
    assert run("init", *desk).exit_code == 0
    for role in ("signing", "encryption"):
        assert run("ra", "issue", role, "--out", str(tmp_path), *desk).exit_code == 0
    words = ["--certificate", str(tmp_path / "signing.crt"), "--key", str(tmp_path / "encryption.key")]
    result = run("ra", "replace", "signing", *words, *desk)
    assert result.exit_code == 2
    assert "the key is not that of the certificate" in result.stderr
