"""Every scenario: its failure appears, exactly, and its cure takes it away; and neither by accident."""

from __future__ import annotations

import gc
import json
import shlex
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result
from peers import require_peer

from lab.commands import main
from lab.scenarios import scenarios
from lab.scenarios.engine import Ending, Finding, Scenario
from lab.scenarios.engine.report import report_of
from lab.scenarios.engine.run import ScenarioResult, Step, proof_of, run_scenario, symptom_of
from lab.scenarios.engine.stage import Stage

ALL = scenarios()


class StandingClock:
    def now(self) -> datetime:
        return datetime(2031, 5, 5, 12, tzinfo=UTC)


def play(scenario: Scenario) -> ScenarioResult:
    return run_scenario(scenario, clock=StandingClock())


def nothing(_: Stage) -> None:
    """Nothing is done."""


@pytest.mark.parametrize("scenario", ALL.values(), ids=list(ALL))
def test_failure_comes_with_the_stage_and_stays_until_the_cure(scenario: Scenario) -> None:
    with Stage(scenario, StandingClock()) as stage:
        stage.must_succeed(stage.device.enrol())  # some attempts use the certificate that one has
        before = scenario.attempt(stage)
        assert before.client.ending.is_success, before.client.says

        scenario.set_the_stage(stage)
        symptom = symptom_of(scenario, stage)
        assert symptom.passed, wrong(symptom)

        again = proof_of(scenario, stage)
        assert not again.passed
        assert ending(again) is ending(symptom) is scenario.failure.ending

        scenario.apply_the_cure(stage)
        proof = proof_of(scenario, stage)
        assert proof.passed, wrong(proof)


def wrong(step: Step) -> list[Finding]:
    return [finding for finding in step.findings if not finding.ok]


def ending(step: Step) -> Ending | None:
    return None if step.seen is None else step.seen.client.ending


TYPED = (
    "ca-down",
    "crl-expired",
    "crl-missing",
    "crl-stops-issuing",
    "password-cache-full",
    "pending-approval",
    "permission-missing",
    "ra-certificates-expired",
    "ra-expired-unnoticed",
    "ra-of-old-ca",
    "ra-without-eku",
    "template-unpublished",
)
"""Scenarios whose whole cure is typed at the running lab."""


@pytest.mark.parametrize("name", TYPED)
def test_cure_works_as_it_is_typed_at_the_running_lab(name: str) -> None:
    scenario = ALL[name]
    with Stage(scenario, StandingClock()) as stage:
        scenario.set_the_stage(stage)
        assert symptom_of(scenario, stage).passed
        for line in scenario.at_the_lab:
            program, *words = shlex.split(line)
            assert program == "ndes-lab"
            done = CliRunner().invoke(main, words, env={"NDES_LAB_ADMIN_URL": stage.lab.running.admin_url})
            finds = words[-1:] in (["health"], ["list"])  # they end with 1 when something is wrong
            assert done.exit_code <= finds, done.output
        proof = proof_of(scenario, stage)
    assert proof.passed, wrong(proof)


@pytest.mark.parametrize(
    "name", ["challenge-wrong", "http-404-pkiclient", "server-timeout", "crl-unreachable"]
)
def test_leaves_no_thread_and_no_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    threads = set(threading.enumerate())
    assert play(ALL[name]).passed
    gc.collect()  # an unclosed socket or database would warn here, and warnings are errors
    assert set(threading.enumerate()) == threads
    assert list(tmp_path.iterdir()) == []


# -- what becomes of a scenario is told ------------------------------------------------

USED = ALL["challenge-used"]


def test_tells_each_step_of_one_that_comes_out() -> None:
    result = play(USED)
    assert (result.passed, result.verdict, result.trouble) == (True, "reproduced and cured", "")
    assert [step.phase for step in result.steps] == ["stage", "symptom", "cure", "proof"]
    assert all(step.text for step in result.steps)
    assert "event 29 (Error)" in "\n".join(line.text for line in report_of(result))


def test_tells_of_a_cure_that_does_not_work() -> None:
    result = play(replace(USED, apply_the_cure=nothing))
    assert (result.passed, result.verdict) == (False, "cure did not work")
    (finding,) = wrong(result.steps[-1])
    assert finding.what == "the attempt succeeds"
    assert finding.seen.startswith("no: refused by the server")


def test_tells_of_a_failure_that_does_not_appear_and_does_not_go_on() -> None:
    result = play(replace(USED, set_the_stage=nothing))
    assert (result.passed, result.verdict) == (False, "failure not reproduced")
    assert [step.phase for step in result.steps] == ["stage", "symptom"]


@pytest.mark.parametrize(
    "change", [{"refused_by": "challenge-unknown"}, {"events": (28,)}, {"hresult": 0x80070057}, {"iis": None}]
)
def test_tells_of_a_failure_that_is_not_exactly_as_expected(change: dict[str, object]) -> None:
    result = play(replace(USED, failure=replace(USED.failure, **change)))  # type: ignore[arg-type]
    assert result.verdict == "failure not reproduced"
    assert len(wrong(result.steps[-1])) == 1


def test_tells_of_a_certificate_that_was_issued_and_cannot_be_used() -> None:
    def cure(stage: Stage) -> None:
        """A new password is given, and the CRL taken away."""
        USED.apply_the_cure(stage)
        stage.lab.published_file(stage.lab.world.authority.locations.crl_file).unlink()

    result = play(replace(USED, apply_the_cure=cure, settings={"pki": {"ocsp": {"enabled": False}}}))
    assert result.verdict == "cure did not work"
    assert {finding.what for finding in wrong(result.steps[-1])} == {
        "its certificate chains to",
        "revocation of certificate and issuing CA",
    }


def test_tells_of_something_else_that_is_not_proved() -> None:
    def two(_: Stage, __: object) -> Iterator[Finding]:
        yield Finding(what="certificates", expected="1", seen="2")

    result = play(replace(USED, also_proves=two))
    assert (result.passed, result.verdict) == (False, "cure did not work")


def test_tells_what_kept_a_scenario_from_being_carried_out() -> None:
    def stumble(stage: Stage) -> None:
        """The stage falls down."""
        stage.device.password = None
        stage.must_succeed(stage.device.enrol())

    result = play(replace(USED, set_the_stage=stumble))
    assert (result.passed, result.verdict) == (False, "could not be carried out")
    assert result.trouble.startswith("StageNotSet: refused by the server")
    assert result.steps == ()


def test_settings_that_are_none_keep_only_that_scenario_from_being_carried_out() -> None:
    result = play(replace(USED, settings={"scep": {"no-such-setting": 1}}))
    assert result.verdict == "could not be carried out"
    assert "no-such-setting" in result.trouble


# -- the command line ------------------------------------------------------------------

PAIR = ("challenge-used", "challenge-wrong")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["scenario", "run", *arguments])


@pytest.fixture
def uncured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalogue of two, of which the first has a cure that does nothing."""
    broken = {**{name: ALL[name] for name in PAIR}, PAIR[0]: replace(USED, apply_the_cure=nothing)}
    monkeypatch.setattr("lab.scenarios.scenarios", lambda: broken)


def test_one_scenario_gets_a_report() -> None:
    done = run("challenge-wrong")
    assert (done.exit_code, done.stderr) == (0, "")
    for part in ("The stage", "NDES", "event 29 (Error)", "ndes-lab challenge new", "reproduced and cured"):
        assert part in done.stdout


def test_several_get_a_table_and_a_file_that_ci_reads(tmp_path: Path) -> None:
    file = tmp_path / "junit.xml"
    done = run(*PAIR, "--junit", str(file))
    assert done.exit_code == 0
    header, first, second, last = done.stdout.splitlines()
    assert header == "NAME\tRESULT\tSECONDS\tSYMPTOM"
    assert [line.split("\t")[:2] for line in (first, second)] == [
        [name, "reproduced and cured"] for name in PAIR
    ]
    assert last == "2 of 2 reproduced and cured"
    cases = ET.parse(file).getroot().findall("testsuite/testcase")
    assert [case.get("name") for case in cases] == list(PAIR)
    assert all(float(case.get("time") or 0) > 0 for case in cases)


@pytest.mark.usefixtures("uncured")
def test_all_of_them_run_and_one_that_is_not_cured_is_a_finding(tmp_path: Path) -> None:
    file = tmp_path / "junit.xml"
    done = run("--all", "--junit", str(file))
    assert done.exit_code == 1
    assert "challenge-used\tcure did not work\t" in done.stdout
    assert "NOT the attempt succeeds: no: refused by the server" in done.stdout
    assert done.stdout.endswith("1 of 2 reproduced and cured\n")
    root = ET.parse(file).getroot()
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("2", "1", "0")
    (failure,) = root.findall("testsuite/testcase/failure")
    assert (failure.get("message") or "").startswith("cure did not work: the attempt succeeds: no: refused")


@pytest.mark.usefixtures("uncured")
def test_machines_get_the_same_results_and_status() -> None:
    done = run("--all", "--json")
    assert done.exit_code == 1
    used, wrong = json.loads(done.stdout)
    assert (used["name"], used["passed"], used["verdict"]) == ("challenge-used", False, "cure did not work")
    assert (wrong["name"], wrong["passed"]) == ("challenge-wrong", True)
    assert [step["phase"] for step in wrong["steps"]] == ["stage", "symptom", "cure", "proof"]
    assert wrong["steps"][1]["client"].startswith("refused: badMessageCheck (1)")
    assert any("event 29" in line for line in wrong["steps"][1]["server"])


@pytest.mark.interop
def test_xmllint_reads_the_junit_file(tmp_path: Path) -> None:
    xmllint = require_peer("xmllint")
    file = tmp_path / "junit.xml"
    assert run("challenge-wrong", "--junit", str(file)).exit_code == 0
    query = ("--xpath", "string(/testsuites/testsuite/testcase/@name)")
    done = subprocess.run([xmllint, *query, file], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "challenge-wrong"
