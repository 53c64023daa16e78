"""`ndes-lab` clock, fault, template, populate, reset and cert issue; and which desk a command finds."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from admin_client import csr
from ca_world import HandClock
from click.testing import CliRunner, Result
from cryptography import x509
from lab_client import client_key

from ca.records import RevocationReason
from lab import ScepLab
from lab.admin.models import REASONS, ReasonName
from lab.commands import main
from lab.faults.registry import catalogue
from lab.faults.values import Doorway

RESET = "wire::reset-within-headers"


@pytest.fixture(scope="module")
def running() -> Iterator[ScepLab]:
    with ScepLab(clock=HandClock()) as scep_lab:
        yield scep_lab


@pytest.fixture
def scep_lab(running: ScepLab) -> ScepLab:
    running.reset()
    return running


def run(scep_lab: ScepLab, *words: str, given: str | None = None) -> Result:
    return CliRunner().invoke(main, [*words, "--admin-url", scep_lab.admin_url], input=given)


def told(done: Result) -> str:
    assert done.exit_code == 0, done.output
    return done.stdout


# -- clock -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ([], "Time    2026-03-01 12:00:00Z\nOffset  +0s\n"),
        (["+1d12h"], "Time    2026-03-03 00:00:00Z\nOffset  +1d12h\n"),
        (["-2h"], "Time    2026-03-01 10:00:00Z\nOffset  -2h\n"),
        (["--", "-2h"], "Time    2026-03-01 10:00:00Z\nOffset  -2h\n"),
        (["2031-05-06T07:08:09Z"], "Time    2031-05-06 07:08:09Z\nOffset  +1891d19h8m9s\n"),
        (["Reset"], "Time    2026-03-01 12:00:00Z\nOffset  +0s\n"),
    ],
)
def test_the_clock_is_shown_moved_set_and_reset(scep_lab: ScepLab, words: list[str], shown: str) -> None:
    done = CliRunner().invoke(main, ["clock", "--admin-url", scep_lab.admin_url, *words])
    assert told(done) == shown


@pytest.mark.parametrize(("time", "says"), [("+4x", "no shift"), ("soon", "no instant"), ("-80y", "1971")])
def test_a_time_that_is_none_is_told(scep_lab: ScepLab, time: str, says: str) -> None:
    done = run(scep_lab, "clock", time)
    assert done.exit_code == 2
    assert says in done.stderr
    assert json.loads(told(run(scep_lab, "clock", "--json")))["offset"] == "+0s"


# -- faults ----------------------------------------------------------------------------


def test_faults_are_listed_by_seam_with_what_a_client_must_do(scep_lab: ScepLab) -> None:
    lines = told(run(scep_lab, "fault", "list")).splitlines()
    seams = [line for line in lines if line and "\t" not in line]
    assert seams[0] == "wire"
    assert "reply" in seams
    (row,) = [line.split("\t") for line in lines if line.startswith(RESET)]
    assert row[1] == "must retry"
    one = told(run(scep_lab, "fault", "list", "--seam", "reply")).splitlines()
    assert one[0] == "reply"
    done = run(scep_lab, "fault", "list", "--seam", "roof")
    assert (done.exit_code, "known: wire" in done.stderr) == (2, True)


def test_a_fault_is_shown_with_the_url_where_it_is_met(scep_lab: ScepLab) -> None:
    text = told(run(scep_lab, "fault", "show", RESET))
    assert f"/fault/{RESET}/scep\n" in text
    assert "RFC 9112 9.6" in text


def silent_port() -> str:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return str(unused.getsockname()[1])


def test_without_a_lab_the_catalogue_is_still_told() -> None:
    nobody = {"NDES_LAB_ADMIN__PORT": silent_port()}
    listed = CliRunner().invoke(main, ["fault", "list", "--json"], env=nobody)
    found = {one["id"]: one["url"] for one in json.loads(told(listed))}
    assert found.keys() == catalogue().keys()
    assert found[RESET] == f"/fault/{RESET}/scep"
    assert found["wire::connection-refused"] is None
    shown = told(CliRunner().invoke(main, ["fault", "show", RESET], env=nobody))
    assert f"/fault/{RESET}/scep\n" in shown
    unknown = CliRunner().invoke(main, ["fault", "show", "wire::nope"], env=nobody)
    assert (unknown.exit_code, "there is no fault 'wire::nope'" in unknown.stderr) == (2, True)


@pytest.mark.parametrize(
    "words", [["list", "--admin-url"], ["show", RESET, "--admin-url"]], ids=["list", "show"]
)
def test_a_lab_that_is_named_and_silent_is_told(words: list[str]) -> None:
    done = CliRunner().invoke(main, ["fault", *words, f"http://127.0.0.1:{silent_port()}"])
    assert (done.exit_code, "no lab answers at" in done.stderr) == (2, True)


def test_rules_need_a_lab() -> None:
    nobody = {"NDES_LAB_ADMIN__PORT": silent_port()}
    done = CliRunner().invoke(main, ["fault", "list", "--rules"], env=nobody)
    assert (done.exit_code, "no lab answers at" in done.stderr) == (2, True)


def test_parameters_of_a_rule_are_shown(scep_lab: ScepLab) -> None:
    fault = next(one for one in catalogue().values() if one.parameters and one.takes is not Doorway)
    name, value = next(iter(fault.parameters.items()))
    done = run(scep_lab, "fault", "set", fault.id, "--parameter", f"{name}={value}")
    columns, row = (line.split("\t") for line in told(done).splitlines())
    assert dict(zip(columns, row, strict=True))["PARAMETERS"] == f"{name}={value}"


def test_a_rule_is_set_listed_and_cleared(scep_lab: ScepLab) -> None:
    done = run(
        scep_lab, "fault", "set", RESET,
        "--match", "operation=PKIOperation", "--match", "message-type=PKCSReq",
        "--times", "2", "--after", "1", "--chance", "0.5", "--seed", "7", "--label", "first tries",
    )  # fmt: skip
    columns, row = (line.split("\t") for line in told(done).splitlines())
    assert dict(zip(columns, row, strict=True)) == {
        "RULE": "1",
        "FAULTS": RESET,
        "MATCH": "operation=PKIOperation, message_type=PKCSReq",
        "AFTER": "1",
        "TIMES": "2",
        "CHANCE": "0.5, seed 7",
        "PARAMETERS": "-",
        "HITS": "0",
        "LEFT": "2",
        "LABEL": "first tries",
    }
    assert f"Always met at {scep_lab.scep_url.removesuffix('/scep')}/fault/{RESET}/scep" in done.stderr
    assert told(run(scep_lab, "fault", "list", "--rules")) == done.stdout
    told(run(scep_lab, "fault", "set", "--sequence", f"{RESET},-"))
    assert told(run(scep_lab, "fault", "clear", "1")) == "1 rule is removed.\n"
    (rule,) = json.loads(told(run(scep_lab, "fault", "list", "--rules", "--json")))
    assert rule["faults"] == [RESET, None]
    told(run(scep_lab, "fault", "set", RESET))
    assert told(run(scep_lab, "fault", "clear")) == "2 rules are removed.\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "expected either fault or sequence"),
        ([RESET, "--match", "foo=1"], "match.foo: no such name; known: operation, message_type,"),
        (["wire::reset-within-header"], "near: wire::reset-within-headers"),
        ([RESET, "--match", "colour"], "expected a name, =, and a value"),
        ([RESET, "--match", "colour=red"], "match.colour"),
        ([RESET, "--match", "path=a", "--match", "path=b"], "names path twice"),
        ([RESET, "--parameter", "speed=3"], "no parameter 'speed'"),
        ([RESET, "--seed", "3"], "without a chance"),
    ],
)
def test_a_rule_that_makes_no_sense_is_told(scep_lab: ScepLab, words: list[str], says: str) -> None:
    done = run(scep_lab, "fault", "set", *words)
    assert done.exit_code == 2
    assert says in " ".join(done.stderr.split())
    assert scep_lab.desk.faults.rules() == ()


# -- templates -------------------------------------------------------------------------


def test_templates_are_listed_shown_and_changed(scep_lab: ScepLab, tmp_path: Path) -> None:
    assert "\nWebServer\tyes\tno\t2 Years\tnone\tDomain Admins" in told(run(scep_lab, "template", "list"))
    assert "Published             no\n" in told(run(scep_lab, "template", "unpublish", "webserver"))
    assert "Changed here          yes\n" in told(run(scep_lab, "template", "show", "webserver"))
    assert "Published             yes\n" in told(run(scep_lab, "template", "publish", "webserver"))
    words = [
        "--enroll",
        "Everyone",
        "--approval",
        "--minimal-key-size",
        "3072",
        "--validity-period",
        "1 Years",
    ]
    changed = json.loads(told(run(scep_lab, "template", "change", "WebServer", *words, "--json")))
    assert (changed["enroll"], changed["manager_approval"]) == (["Everyone"], True)
    assert (changed["minimal_key_size"], changed["validity_period"]) == (3072, "1 Years")
    nobody = told(run(scep_lab, "template", "change", "WebServer", "--nobody-enrolls", "--no-approval"))
    assert "Enroll                -\n" in nobody
    file = tmp_path / "lab.toml"
    file.write_text(
        'display_name = "Lab"\noid = "1.2.3"\nschema_version = 2\nsubject_type = "user"\n'
        '[extensions]\nkey_usage = ["digitalSignature"]\napplication_policies = ["Client Authentication"]\n'
    )
    assert "Name                  Lab\n" in told(run(scep_lab, "template", "put", "Lab", str(file)))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["show", "nope"], "no template 'nope'"),
        (["change", "WebServer"], "nothing is to be changed"),
        (["change", "WebServer", "--enroll", "A", "--nobody-enrolls"], "exclude each other"),
        (["change", "WebServer", "--validity-period", "soon"], "validity_period"),
        (["change", "WebServer", "--validity-period", "1 Days"], "CERTSRV_E_CERT_TYPE_OVERLAP"),
        (["change", "WebServer", "--enroll", "x" * 300], "enroll"),
        (["put", "Lab", "-"], "not TOML"),
    ],
)
def test_a_change_that_makes_no_sense_is_told(scep_lab: ScepLab, words: list[str], says: str) -> None:
    done = run(scep_lab, "template", *words, given="x = [")
    assert done.exit_code == 2
    assert says in " ".join(done.stderr.split())


# -- whole sets, reset, certificates ---------------------------------------------------


@pytest.mark.parametrize("form", ["toml", "json"])
def test_a_set_is_made_from_a_file_and_only_once(scep_lab: ScepLab, tmp_path: Path, form: str) -> None:
    file = tmp_path / "set"
    wanted = {"clock": "+1d", "challenges": [{"password": "sesame", "kind": "static", "label": "a"}]}
    text = 'clock = "+1d"\n[[challenges]]\npassword = "sesame"\nkind = "static"\nlabel = "a"\n'
    file.write_text(text if form == "toml" else json.dumps(wanted))
    assert told(run(scep_lab, "populate", str(file))).splitlines()[1:] == [
        "changed\tclock\t-\t+1d",
        "made\tchallenge\t1\ta",
    ]
    again = json.loads(told(run(scep_lab, "populate", "-", "--json", given=file.read_text())))
    assert (again["changed"], [item["id"] for item in again["items"]]) == (False, [None, 1])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "Invalid JSON"),
        ("x = [", "neither TOML nor JSON"),
        ("x = 1", "x: no such name; known: "),
        ("clock = 1979-05-27", "neither TOML nor JSON"),
        ('[[challenges]]\nlabel = "a"', "challenges.0.password: Field required"),
        ('[[fault_rules]]\nfault = "nope::nope"', "there is no fault 'nope::nope'"),
        ('[[challenges]]\npassword = "canary-password"\nkind = "x"', "challenges.0.kind"),
    ],
)
def test_a_file_that_is_no_set_is_told_without_its_secrets(scep_lab: ScepLab, text: str, says: str) -> None:
    done = run(scep_lab, "populate", "-", given=text)
    assert done.exit_code == 2
    assert says in " ".join(done.stderr.split())
    assert "canary-password" not in done.output
    assert not scep_lab.desk.challenges()


def test_reset_says_what_is_there_again(scep_lab: ScepLab) -> None:
    scep_lab.new_challenge()
    assert "0 of its own challenges" in told(run(scep_lab, "reset"))
    assert json.loads(told(run(scep_lab, "reset", "--json")))["challenges"] == 0


def test_a_certificate_is_issued_for_a_request_or_waits(scep_lab: ScepLab) -> None:
    issued = told(run(scep_lab, "cert", "issue", "-", given=csr()))
    assert x509.load_pem_x509_certificate(issued.encode()).public_key() == client_key(0).public_key()
    told(run(scep_lab, "template", "change", "WebServer", "--enroll", "Everyone", "--approval"))
    waiting = run(scep_lab, "cert", "issue", "-", "--template", "WebServer", given=csr())
    assert (waiting.exit_code, waiting.stdout) == (1, "")
    assert "request approve 1" in waiting.stderr
    refused = run(scep_lab, "cert", "issue", "-", given="no request")
    assert (refused.exit_code, "not a certificate request in PEM" in refused.stderr) == (2, True)


def test_reasons_are_those_of_the_ca() -> None:
    names = [reason.rfc_name for reason in RevocationReason]
    assert sorted(get_args(ReasonName)) == sorted(names) == sorted(REASONS)


# -- which desk ------------------------------------------------------------------------


def test_a_folder_of_the_settings_is_worked_at_where_no_lab_runs(scep_lab: ScepLab, tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    told(CliRunner().invoke(main, ["init", "--data-dir", str(folder)]))
    config = tmp_path / "lab.toml"
    config.write_text(f'[server]\ndata_dir = "{folder}"\n[admin]\nport = 1\n')
    for words, environment in (
        (["--config", str(config)], {}),
        ([], {"NDES_LAB_SERVER__DATA_DIR": str(folder), "NDES_LAB_ADMIN__PORT": "1"}),
    ):
        made = CliRunner().invoke(main, ["challenge", "new", *words], env={**os.environ, **environment})
        assert len(told(made).strip()) == 32
    listed = told(CliRunner().invoke(main, ["challenge", "list", "--data-dir", str(folder)]))
    assert listed.count("usable") == 2
    port = scep_lab.admin_url.rpartition(":")[2]
    config.write_text(f'[server]\ndata_dir = "{folder}"\n[admin]\nport = {port}\n')
    told(CliRunner().invoke(main, ["challenge", "new", "--config", str(config)]))
    assert len(scep_lab.desk.challenges()) == 1
    named = CliRunner().invoke(
        main, ["challenge", "list", "--config", str(config), "--admin-url", "http://127.0.0.1:1"]
    )
    assert (named.exit_code, "no lab answers" in named.stderr) == (2, True)


def test_the_settings_of_a_running_lab_are_shown(scep_lab: ScepLab) -> None:
    rows = json.loads(told(run(scep_lab, "config", "show", "--running", "--section", "pki", "--json")))
    values = {row["name"]: (row["value"], row["origin"]) for row in rows}
    assert values["pki.public_url"] == (scep_lab.pki_url, "lab")
    assert {name.partition(".")[0] for name in values} == {"pki"}


def test_what_a_folder_cannot_do_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    told(CliRunner().invoke(main, ["init", "--data-dir", str(folder)]))
    done = CliRunner().invoke(main, ["clock", "--data-dir", str(folder)])
    assert done.exit_code == 2
    assert "no lab runs on this folder" in done.stderr
