"""The pytest plugin: a lab for tests, started once in a process and as new in every test.

Loaded by each pytest run of an environment that ndes-lab is installed in, and so it imports nothing of
it before a test asks for a lab. Lives here: fixtures, the marker, and what a failed test shows. Does not
live here: anything that works without pytest (`lab.scep_lab`, `lab.assertions`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from ca.clock import Clock
    from scep_server.ndes.profiles import ProfileName

    from .journal import Journal, JournalEntry
    from .lab_faults import LabFaults
    from .scep_lab import ScepLab
    from .trust_files import TrustedRoot

_MARKER = (
    "scep_lab(settings=None, profile=None): what the test's lab differs in: settings by section, "
    "and the behaviour profile"
)
_SHOWN = 50


class MakeScepLab(Protocol):
    """What the fixture ``make_scep_lab`` is."""

    def __call__(
        self,
        settings: Mapping[str, Any] | None = None,
        *,
        profile: ProfileName | None = None,
        clock: Clock | None = None,
    ) -> ScepLab:
        """Return the lab with these settings, as new in each test that asks for it; as `ScepLab`."""


class _Labs:
    """The labs of this process: each is started once, and reset when a test first asks for it."""

    def __init__(self) -> None:
        self._started: dict[tuple[str, str | None, Clock | None], ScepLab] = {}
        self.of_this_test: list[ScepLab] = []

    def __call__(
        self,
        settings: Mapping[str, Any] | None = None,
        *,
        profile: ProfileName | None = None,
        clock: Clock | None = None,
    ) -> ScepLab:
        from .scep_lab import ScepLab

        key = (json.dumps(settings or {}, sort_keys=True, default=str), profile, clock)
        found = self._started.get(key)
        if found is None:
            found = self._started[key] = ScepLab(settings, profile=profile, clock=clock).start()
        elif found not in self.of_this_test:
            found.reset()
        if found not in self.of_this_test:
            self.of_this_test.append(found)
        return found

    def stop(self) -> None:
        while self._started:
            self._started.popitem()[1].stop()
        self.of_this_test.clear()


_LABS = pytest.StashKey[_Labs]()


# -- pytest's hooks --------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    """Announce the marker."""
    config.addinivalue_line("markers", _MARKER)
    config.stash[_LABS] = _Labs()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin a test: no lab is its own yet."""
    item.config.stash[_LABS].of_this_test.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failed test what its labs were asked and what they answered."""
    report = yield
    if report.failed:
        for scep_lab in item.config.stash[_LABS].of_this_test:
            report.sections.append(("SCEP journal", _told(scep_lab)))
    return report


# -- fixtures --------------------------------------------------------------------------


@pytest.fixture(scope="session")
def make_scep_lab(request: pytest.FixtureRequest) -> Iterator[MakeScepLab]:
    """Return a lab with the settings given: the same one, as new, in every test that gives the same."""
    labs = request.config.stash[_LABS]
    yield labs
    labs.stop()


@pytest.fixture(scope="session")
def scep_lab_settings() -> Mapping[str, Any]:
    """Return the settings of ``scep_lab``, by section; override it in a conftest.py, a module or a class."""
    return {}


@pytest.fixture
def scep_lab(
    request: pytest.FixtureRequest, make_scep_lab: MakeScepLab, scep_lab_settings: Mapping[str, Any]
) -> ScepLab:
    """Return a lab as new, with ``scep_lab_settings`` and what the marker ``scep_lab`` says."""
    marker = request.node.get_closest_marker("scep_lab")
    wanted = {} if marker is None else dict(marker.kwargs)
    settings = _merged(scep_lab_settings, wanted.pop("settings", None) or {})
    profile = wanted.pop("profile", None)
    if wanted or (marker is not None and marker.args):
        raise pytest.UsageError(f"the marker is {_MARKER.partition(':')[0]}, found {marker}")
    return make_scep_lab(settings, profile=profile)


@pytest.fixture
def scep_url(scep_lab: ScepLab) -> str:
    """Return where SCEP clients enrol."""
    return scep_lab.scep_url


@pytest.fixture
def scep_challenge(scep_lab: ScepLab) -> str:
    """Return a new challenge password, good for one certificate."""
    return scep_lab.new_challenge()


@pytest.fixture
def scep_root(scep_lab: ScepLab) -> TrustedRoot:
    """Return the root in every form that clients want."""
    return scep_lab.root


@pytest.fixture
def scep_faults(scep_lab: ScepLab) -> LabFaults:
    """Return how faults are set."""
    return scep_lab.faults


@pytest.fixture
def scep_journal(scep_lab: ScepLab) -> Journal:
    """Return every exchange of the test, the newest last."""
    return scep_lab.journal


def _merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with the sections of ``more`` laid over it, table by table."""
    merged = dict(base)
    for name, value in more.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = _merged(merged[name], value) if both else value
    return merged


# -- what a failed test shows ----------------------------------------------------------


def _told(scep_lab: ScepLab) -> str:
    entries = list(scep_lab.journal)
    lines = [f"{scep_lab.scep_url}: {len(entries)} exchanges"]
    if len(entries) > _SHOWN:
        lines[0] += f", the last {_SHOWN}"
    for entry in entries[-_SHOWN:]:
        lines += _lines(entry)
    return "\n".join(map(_printable, lines))


def _lines(entry: JournalEntry) -> Iterator[str]:
    """Yield what was asked and answered in one line, and each check that failed in another."""
    verdict = entry.verdict
    parts = [f"{entry.number:3}", entry.what, entry.subject, "->", verdict.word]
    if verdict.refused_by is not None:
        parts.append(f"refused by {verdict.refused_by}: {verdict.detail}")
    parts += [f"[fault {applied.fault_id}]" for applied in entry.faults]
    yield "  ".join(filter(None, parts))
    for check in entry.checks:
        if check.verdict.value == "failed":
            yield f"       {check.name}: found {check.found or 'nothing'}, expected {check.expected}"


def _printable(line: str) -> str:
    """Return a line that does nothing to a terminal: names come from clients."""
    return "".join(character if character.isprintable() else "?" for character in line)
