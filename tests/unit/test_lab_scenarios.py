"""The catalogue of scenarios and what is said of them, without playing any."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import click
import pytest
from click.testing import CliRunner, Result

import lab.scenarios
from lab.commands import main
from lab.hresults import hresult
from lab.scenarios import scenarios
from lab.scenarios.engine import ClientSaw, Ending, Failure, Finding, Scenario, Seen
from lab.scenarios.engine.field import event_32
from lab.scenarios.engine.junit import junit_xml
from lab.scenarios.engine.report import document_of, report_of, result_json, scenario_json
from lab.scenarios.engine.run import ScenarioResult, Step
from lab.scenarios.engine.scenario import told
from lab.scenarios.engine.seen import ServerLogged
from lab.scenarios.engine.staged_lab import merged
from lab.settings import LabSettings
from scep_server.protocol.messages import FailInfo

ALL = scenarios()
FOLDER = Path(lab.scenarios.__file__).parent
each = pytest.mark.parametrize("scenario", ALL.values(), ids=list(ALL))

WANTED = {
    "challenge wrong": "challenge-wrong",
    "challenge expired": "challenge-expired",
    "challenge used": "challenge-used",
    "challenge missing": "challenge-missing",
    "cache full": "password-cache-full",
    "wrong string type": "challenge-string-type",
    "untrusted root": "untrusted-root",
    "missing intermediate": "missing-intermediate",
    "wrong thumbprint": "wrong-thumbprint",
    "RA certificates expired": "ra-certificates-expired",
    "RA certificates without EKU": "ra-without-eku",
    "RA certificates of the old CA after CA renewal": "ra-of-old-ca",
    "template unpublished": "template-unpublished",
    "permission missing": "permission-missing",
    "key too small": "key-too-small",
    "CRL missing": "crl-missing",
    "CRL expired": "crl-expired",
    "CRL unreachable": "crl-unreachable",
    "server unreachable": "server-unreachable",
    "name unknown": "server-name-unknown",
    "timeout": "server-timeout",
    "404 without /pkiclient.exe": "http-404-pkiclient",
    "403": "http-403",
    "500": "http-500-impersonation",
    "503": "http-503-pool-stopped",
    "clock behind": "clock-behind",
    "certificate expired and renewed at its renewal threshold": "certificate-expired",
    "pending approval": "pending-approval",
    "lost reply and repeat": "lost-reply",
}


# -- the catalogue ---------------------------------------------------------------------


@pytest.mark.parametrize("name", WANTED.values(), ids=list(WANTED))
def test_every_failure_that_was_asked_for_has_its_scenario(name: str) -> None:
    assert name in ALL


def test_every_file_is_one_scenario_under_its_own_name() -> None:
    files = {path.stem.replace("_", "-") for path in FOLDER.glob("[!_]*.py")}
    assert files == set(ALL)
    assert list(ALL) == sorted(ALL)


@each
def test_document_says_what_fails_why_and_who_has_seen_it(scenario: Scenario) -> None:
    assert scenario.title
    assert len(scenario.title) < 80
    assert len(scenario.explanation.split()) > 30
    assert scenario.in_the_field
    assert all(sighting.where and sighting.text and sighting.source for sighting in scenario.in_the_field)
    for function in (scenario.set_the_stage, scenario.apply_the_cure, scenario.attempt):
        assert told(function).endswith(".")
    assert scenario.at_the_lab
    assert scenario.on_windows
    LabSettings.model_validate(merged({"scep": {"profile": scenario.profile}}, scenario.settings))


@each
def test_symptom_on_one_line_is_the_one_that_is_measured(scenario: Scenario) -> None:
    symptom, failure = scenario.symptom, scenario.failure
    found = {int(code, 16) for code in re.findall(r"\b0x[0-9A-F]{8}\b", symptom)}
    if failure.hresult is not None:
        assert failure.hresult in found
    events = re.search(r"NDES events? ([\d and]+)", symptom)
    assert (
        set(map(int, re.findall(r"\d+", events[1]))) == set(failure.events) if events else not failure.events
    )
    for status in re.findall(r"HTTP (\d{3})", symptom):
        assert int(status) == failure.http_status
    for triple in re.findall(r"IIS log (\d+ \d+ \d+)", symptom):
        assert triple == failure.iis
    if failure.fail_info is not None:
        assert failure.fail_info.rfc_name in symptom
    assert failure.hresult is None or "Unknown" not in hresult(failure.hresult).text


@each
def test_cure_names_only_commands_options_and_settings_that_exist(scenario: Scenario) -> None:
    for line in scenario.at_the_lab:
        if line.startswith("ndes-lab "):
            _require_command(line)
        elif line.startswith("lab.toml: "):
            LabSettings.model_validate(tomllib.loads(line.removeprefix("lab.toml: ").replace("; ", "\n")))
        else:
            assert line.startswith("curl "), line


def _require_command(line: str) -> None:
    words = re.split(r"\s+[#>|]", line)[0].split()[1:]
    command: click.Command = main
    while isinstance(command, click.Group):
        name = words.pop(0)
        following = command.get_command(click.Context(command), name)
        assert following is not None, f"{line}: no command {name}"
        command = following
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known, line


def test_sightings_with_a_number_of_winhttp_show_it_as_windows_does() -> None:
    assert event_32(0x80072EE7).text.endswith("Result: (Unknown Win32 Error code: 0x80072ee7).")
    assert event_32(0x80091007).text.endswith("Result: (The hash value is not correct.).")


# -- comparing -------------------------------------------------------------------------

REFUSAL = Failure(
    ending=Ending.REFUSED,
    hresult=0x80070490,
    fail_info=FailInfo.BAD_MESSAGE_CHECK,
    http_status=200,
    refused_by="challenge-spent",
    events=(29,),
    iis="200 0 0",
)
SEEN = Seen(
    client=ClientSaw(
        ending=Ending.REFUSED,
        says="refused",
        hresult=0x80070490,
        fail_info=FailInfo.BAD_MESSAGE_CHECK,
        http_status=200,
    ),
    server=ServerLogged(refused_by="challenge-spent", events=(29,), iis="200 0 0", lines=("a line",)),
)


def test_what_is_as_expected_compares_well_and_nothing_is_left_unsaid() -> None:
    findings = REFUSAL.compare(SEEN)
    assert all(finding.ok for finding in findings)
    assert len(findings) == 7
    assert [(finding.what, finding.seen) for finding in findings] == REFUSAL.lines()


@pytest.mark.parametrize(
    "seen",
    [
        replace(SEEN, client=replace(SEEN.client, ending=Ending.PENDING)),
        replace(SEEN, client=replace(SEEN.client, hresult=None)),
        replace(SEEN, client=replace(SEEN.client, fail_info=FailInfo.BAD_REQUEST)),
        replace(SEEN, client=replace(SEEN.client, http_status=500)),
        replace(SEEN, client=replace(SEEN.client, check="envelope")),
        replace(SEEN, server=replace(SEEN.server, refused_by=None)),
        replace(SEEN, server=replace(SEEN.server, events=(29, 31))),
        replace(SEEN, server=replace(SEEN.server, iis="200 0 64")),
        replace(SEEN, pki_view=("CDP Location #1: Expired",)),
    ],
)
def test_each_thing_that_is_otherwise_is_found(seen: Seen) -> None:
    assert [finding.ok for finding in REFUSAL.compare(seen)].count(False) == 1


# -- words -----------------------------------------------------------------------------

USED = ALL["challenge-used"]
STAGE = Step(phase="stage", text="A device has enrolled.")
SYMPTOM = Step(phase="symptom", text="The device enrols.", findings=REFUSAL.compare(SEEN), seen=SEEN)
CURE = Step(phase="cure", text="A new password.")
PROOF = Step(
    phase="proof", text="The device enrols.", findings=(Finding(what="it works", expected="y", seen="y"),)
)
GOOD = ScenarioResult(scenario=USED, steps=(STAGE, SYMPTOM, CURE, PROOF), seconds=0.5)
UNCURED = replace(
    GOOD,
    steps=(STAGE, SYMPTOM, CURE, replace(PROOF, findings=(Finding(what="w", expected="y", seen="n\x07"),))),
)
STUMBLED = ScenarioResult(
    scenario=USED, steps=(STAGE,), seconds=0.1, trouble="OSError: \x00 no port & <none>"
)


def test_report_tells_the_whole_story_in_order() -> None:
    text = "\n".join(line.text for line in report_of(GOOD))
    places = [
        text.index(part)
        for part in (
            "challenge-used: ",
            "The stage",
            "The symptom",
            "the client says: refused",
            "the server logs: a line",
            "ok  HRESULT at the client: 0x80070490 ERROR_NOT_FOUND",
            "Why",
            "The cure",
            "ndes-lab challenge new",
            "mscep_admin",
            "The proof",
            "reproduced and cured, 0.5 s",
        )
    ]
    assert places == sorted(places)


def test_report_shows_what_was_expected_and_what_was_seen_instead() -> None:
    lines = {line.text.strip(): line.style for line in report_of(UNCURED)}
    assert lines["NOT w: n\x07, expected y"] == "bad"
    assert lines["cure did not work, 0.5 s"] == "bad"
    assert {line.text: line.style for line in report_of(STUMBLED)}["stopped by " + STUMBLED.trouble] == "bad"


@each
def test_document_for_people_and_for_machines_says_the_same(scenario: Scenario) -> None:
    text = "\n".join(line.text for line in document_of(scenario))
    document = scenario_json(scenario)
    for part in (document["name"], document["stage"], document["cure"], *document["on_windows"]):
        assert part in text
    for sighting in document["in_the_field"]:
        assert sighting["text"] in text
    assert set(document["failure"].items()) == set(scenario.failure.lines())


def test_result_for_machines_has_every_step_and_finding() -> None:
    document = result_json(UNCURED)
    assert (document["passed"], document["verdict"]) == (False, "cure did not work")
    assert [step["phase"] for step in document["steps"]] == ["stage", "symptom", "cure", "proof"]
    assert document["steps"][1]["server"] == ["a line"]
    assert document["steps"][3]["findings"] == [{"what": "w", "expected": "y", "seen": "n\x07", "ok": False}]


# -- JUnit -----------------------------------------------------------------------------


def test_junit_counts_and_tells_failures_from_errors() -> None:
    root = ET.fromstring(junit_xml([GOOD, UNCURED, STUMBLED]))
    (suite,) = root.findall("testsuite")
    for element in (root, suite):
        counts = [element.get(name) for name in ("tests", "failures", "errors", "skipped", "time")]
        assert counts == ["3", "1", "1", "0", "1.100"]
    good, uncured, stumbled = suite.findall("testcase")
    assert [good.find(kind) for kind in ("failure", "error")] == [None, None]
    assert (good.get("name"), good.get("time")) == ("challenge-used", "0.500")
    failure, error = uncured.find("failure"), stumbled.find("error")
    assert failure is not None
    assert failure.get("message") == "cure did not work: w: n\N{REPLACEMENT CHARACTER}, expected y"
    assert failure.text == "w: n\N{REPLACEMENT CHARACTER}, expected y"
    assert error is not None
    assert error.text == "OSError: \N{REPLACEMENT CHARACTER} no port & <none>"
    assert uncured.find("error") is None
    assert stumbled.find("failure") is None
    output = uncured.find("system-out")
    assert output is not None
    assert "The symptom" in (output.text or "")


def test_junit_of_nothing_is_a_suite_without_cases() -> None:
    (suite,) = ET.fromstring(junit_xml([])).findall("testsuite")
    assert suite.get("tests") == "0"
    assert list(suite) == []


# -- the command line, without playing any ---------------------------------------------


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["scenario", *arguments])


def test_list_has_every_scenario_on_a_line() -> None:
    header, *lines = run("list").stdout.splitlines()
    assert header == "NAME\tWHAT IS WRONG\tSYMPTOM"
    assert [line.split("\t")[0] for line in lines] == list(ALL)
    assert [one["name"] for one in json.loads(run("list", "--json").stdout)] == list(ALL)


def test_page_beside_the_files_is_up_to_date() -> None:
    assert run("list", "--markdown").stdout == (FOLDER / "README.md").read_text()


def test_show_prints_the_document() -> None:
    done = run("show", "crl-missing")
    assert done.exit_code == 0
    assert done.stdout.startswith("crl-missing: The CRL is missing\n")
    assert "0x80092013 CRYPT_E_REVOCATION_OFFLINE" in done.stdout
    assert json.loads(run("show", "crl-missing", "--json").stdout) == scenario_json(ALL["crl-missing"])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("show", "crl-mising"), "there is no scenario 'crl-mising'; did you mean crl-missing"),
        (("run", "zzzz"), "there is no scenario 'zzzz'; `ndes-lab scenario list` has all"),
        (("run",), "name the scenarios to run, or give --all"),
        (("run", "--all", "crl-missing"), "name the scenarios to run, or give --all"),
        (("run", "crl-missing", "--junit", "/no/such/folder/file.xml"), "No such file"),
        (("list", "--json", "--markdown"), "exclude each other"),
    ],
)
def test_mistakes_are_told_in_a_sentence_before_anything_runs(
    arguments: tuple[str, ...], complaint: str
) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert complaint in " ".join(done.stderr.split())
    assert done.stdout == ""
