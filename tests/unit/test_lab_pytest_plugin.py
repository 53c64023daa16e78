"""The pytest plugin in runs of its own: fixtures, isolation, what a failed test shows, and what it costs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from lab_client import client_of, enrolled, order

from lab import ScepLab
from lab.journal import Journal
from lab.lab_faults import LabFaults
from lab.trust_files import TrustedRoot

Run = Callable[..., str]
HEAVY = ("alembic", "asn1crypto", "cheroot", "cryptography", "flask", "pydantic", "sqlalchemy", "structlog")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run pytest over a module with this text, and return what it said; it must count as ``outcomes``."""

    def run(text: str, outcomes: str, *options: str) -> str:
        (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
        (tmp_path / "test_it.py").write_text(text)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "lab.pytest_plugin", "-p", "no:cacheprovider", *options],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert f" {outcomes} in " in done.stdout.splitlines()[-1], done.stdout + done.stderr
        return done.stdout

    return run


# -- the fixtures, in this run ---------------------------------------------------------


def test_each_fixture_is_a_part_of_the_tests_lab(
    scep_lab: ScepLab,
    scep_url: str,
    scep_challenge: str,
    scep_root: TrustedRoot,
    scep_faults: LabFaults,
    scep_journal: Journal,
) -> None:
    client_of(scep_lab, url=scep_url).enrol(order(challenge=scep_challenge))
    assert scep_journal[-1].verdict.accepted
    assert scep_root.der == scep_lab.world.root.der
    scep_faults.set("reply::wrong-recipient-nonce")
    assert len(scep_lab.faults.rules()) == 1


def test_a_test_finds_nothing_of_the_one_before(scep_lab: ScepLab, scep_journal: Journal) -> None:
    assert len(scep_journal) == 0
    assert scep_lab.faults.rules() == ()
    assert scep_lab.certificates(template="SCEP-Client-Auth") == []


@pytest.mark.scep_lab(profile="ndes-2019", settings={"pki": {"issuing_common_name": "Marked"}})
def test_the_marker_says_what_the_lab_differs_in(scep_lab: ScepLab) -> None:
    assert scep_lab.world.settings.scep.profile == "ndes-2019"
    assert "Marked" in scep_lab.world.authority.certificate.subject


class TestOverridden:
    @pytest.fixture
    def scep_lab_settings(self) -> dict[str, object]:
        return {"pki": {"issuing_common_name": "Overridden", "clock_skew_minutes": 3}}

    def test_settings_can_be_overridden(self, scep_lab: ScepLab) -> None:
        assert "Overridden" in scep_lab.world.authority.certificate.subject

    @pytest.mark.scep_lab(settings={"pki": {"issuing_common_name": "Both"}})
    def test_the_marker_is_laid_over_them(self, scep_lab: ScepLab) -> None:
        assert "CN=Both" in scep_lab.world.authority.certificate.subject
        assert scep_lab.world.pki.clock_skew_minutes == 3


def test_the_same_settings_are_the_same_lab_and_others_another(make_scep_lab, scep_lab: ScepLab) -> None:
    enrolled(scep_lab)
    assert make_scep_lab() is make_scep_lab({}) is scep_lab
    assert len(scep_lab.certificates(template="SCEP-Client-Auth")) == 1
    other = make_scep_lab({"challenges": {"validity_minutes": 7}})
    assert other is not scep_lab
    assert other.scep_url != scep_lab.scep_url


# -- runs of their own -----------------------------------------------------------------

CLIENT = """
import os
import urllib.request

def ask(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read()
"""


def test_a_process_starts_a_lab_once_and_stops_it_at_the_end(run: Run) -> None:
    said = run(
        CLIENT
        + """
import pytest

urls = set()

@pytest.mark.parametrize("number", range(3))
def test_url(scep_lab, number):
    urls.add(scep_lab.scep_url)
    scep_lab.new_challenge()
    assert [one.id for one in scep_lab.desk.challenges()] == [1]
    assert len(urls) == 1
    print("folder", scep_lab.root_pem_path.parent)
""",
        "3 passed",
        "-s",
    )
    folders = {line.partition("folder ")[2] for line in said.splitlines() if "folder " in line}
    assert len(folders) == 1
    assert not Path(folders.pop()).exists()


def test_each_xdist_worker_has_a_lab_of_its_own(run: Run) -> None:
    text = """
import pytest

@pytest.mark.parametrize("number", range(8))
def test_alone(scep_lab, number, worker_id):
    scep_lab.new_challenge(label=worker_id)
    assert [one.label for one in scep_lab.desk.challenges()] == [worker_id]
"""
    run(text, "8 passed", "-n", "2")


def test_a_failed_test_shows_what_the_lab_was_asked_and_answered(run: Run) -> None:
    said = run(
        CLIENT
        + """
def test_fails(scep_lab, scep_challenge):
    ask(scep_lab.scep_url + "?operation=GetCACaps")
    try:
        with scep_lab.fault("wire::overloaded"):
            ask(scep_lab.scep_url + "?operation=GetCACaps")
    except OSError:
        pass
    try:
        ask(scep_lab.scep_url + "?operation=PKIOperation&message=AAAA")
    finally:
        print("challenge", scep_challenge)
""",
        "1 failed",
        "-s",
    )
    challenge = said.partition("challenge ")[2].split()[0]
    section = said.partition("SCEP journal")[2]
    assert "3 exchanges" in section
    assert "->  HTTP 503  [fault wire::overloaded]" in section
    assert "GetCACaps  ->  HTTP 200" in section
    assert "PKIOperation  ->  HTTP 400  refused by" in section
    assert challenge not in section


def test_a_test_that_passes_and_one_without_a_lab_show_nothing(run: Run) -> None:
    text = """
def test_passes(scep_lab):
    pass

def test_fails_without_a_lab():
    assert False
"""
    assert "SCEP journal" not in run(text, "1 failed, 1 passed")


@pytest.mark.parametrize("marker", ["profil='modern'", "'modern'"])
def test_a_marker_that_says_something_else_is_refused(run: Run, marker: str) -> None:
    text = f"""
import pytest

@pytest.mark.scep_lab({marker})
def test_it(scep_lab):
    pass
"""
    assert "the marker is scep_lab(settings=None, profile=None)" in run(text, "1 error")


def test_a_marker_with_settings_that_are_none_is_told_in_one_sentence(run: Run) -> None:
    text = """
import pytest

@pytest.mark.scep_lab(profile="nonsense")
def test_it(scep_lab):
    pass
"""
    told = run(text, "1 error")
    assert "UnusableSettings: scep.profile: found 'nonsense', expected 'modern', 'ndes-2012r2' or" in told
    assert "errors.pydantic.dev" not in told


def test_the_plugin_is_not_loaded_twice(run: Run) -> None:
    run("def test_it(scep_url): pass", "1 passed", "-p", "lab.pytest_plugin", "--strict-markers")


def test_importing_the_plugin_imports_nothing_heavy() -> None:
    code = f"import lab.pytest_plugin, sys; print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
