"""A scenario, and what became of it, in words: as lines for people and as values for machines.

A line has a style, which a terminal may show and a file need not. Does not live here: XML (`junit`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from .scenario import told

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .run import ScenarioResult, Step
    from .scenario import Scenario

Style = Literal["plain", "title", "heading", "ok", "bad", "quiet"]
_HEADINGS: Final = {"stage": "The stage", "symptom": "The symptom", "cure": "The cure", "proof": "The proof"}
_INDENT: Final = "   "
_INDEX_HEAD: Final = """\
# Scenarios

Known failures, one file each: why it fails (the docstring on top), what is seen in the field and by whom,
how it is brought about in a lab, what exactly is then seen, and the cure.
`ndes-lab scenario show NAME` prints a file's story, `ndes-lab scenario run NAME` plays it,
`ndes-lab scenario run --all --junit FILE` plays them all.

A new one is a new file here: copy the one that is nearest. `engine/` has the words they are written with.
This page is `ndes-lab scenario list --markdown`; a test says when it is out of date.

| scenario | what is wrong | what is seen |
|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One line, or a paragraph that may be folded."""

    text: str
    style: Style = "plain"


def document_of(scenario: Scenario) -> Iterator[Line]:
    """Yield everything that is known of a scenario without playing it."""
    yield Line(f"{scenario.name}: {scenario.title}", "title")
    yield from _why(scenario)
    yield Line("")
    yield Line("In the field", "heading")
    for sighting in scenario.in_the_field:
        yield Line(f"{_INDENT}{sighting.where}:")
        yield Line(f"{_INDENT * 2}{sighting.text}")
        yield Line(f"{_INDENT * 2}[{sighting.source}]", "quiet")
    yield Line("")
    yield Line("In the lab", "heading")
    yield Line(f"{_INDENT}profile: {scenario.profile}")
    yield Line(f"{_INDENT}stage: {told(scenario.set_the_stage)}")
    yield Line(f"{_INDENT}attempt: {told(scenario.attempt)}")
    for what, expected in scenario.failure.lines():
        yield Line(f"{_INDENT * 2}{what}: {expected}")
    yield Line(f"{_INDENT}cure: {told(scenario.apply_the_cure)}")
    yield from _remedies(scenario)


def report_of(result: ScenarioResult) -> Iterator[Line]:
    """Yield the report of a scenario that was played."""
    scenario = result.scenario
    yield Line(f"{scenario.name}: {scenario.title}", "title")
    for step in result.steps:
        yield Line("")
        yield Line(_HEADINGS[step.phase], "heading")
        yield Line(_INDENT + step.text)
        yield from _seen(step)
        if step.phase == "symptom":
            yield from _why(scenario)
        if step.phase == "cure":
            yield from _remedies(scenario)
    yield Line("")
    if result.trouble:
        yield Line(f"stopped by {result.trouble}", "bad")
    yield Line(f"{result.verdict}, {result.seconds:.1f} s", "ok" if result.passed else "bad")


def index_of(scenarios: Iterable[Scenario]) -> str:
    """Return the table of scenarios in Markdown, with links to their files, for the folder they are in."""
    rows = "".join(
        f"| [{one.name}]({one.module.rpartition('.')[2]}.py) | {one.title} | {one.symptom} |\n"
        for one in scenarios
    )
    return f"{_INDEX_HEAD}{rows}"


def _seen(step: Step) -> Iterator[Line]:
    if step.seen is not None:
        yield Line(f"{_INDENT}the client says: {step.seen.client.says}")
        for line in step.seen.server.lines:
            yield Line(f"{_INDENT}the server logs: {line}", "quiet")
    for finding in step.findings:
        if finding.ok:
            yield Line(f"{_INDENT}ok  {finding.what}: {finding.seen}", "ok")
        else:
            yield Line(f"{_INDENT}NOT {finding.what}: {finding.seen}, expected {finding.expected}", "bad")


def _why(scenario: Scenario) -> Iterator[Line]:
    for number, paragraph in enumerate(scenario.explanation.split("\n\n")):
        yield Line("")
        if number == 0:
            yield Line("Why", "heading")
        yield Line(_INDENT + " ".join(paragraph.split()))


def _remedies(scenario: Scenario) -> Iterator[Line]:
    yield Line(f"{_INDENT}at a running lab:")
    for command in scenario.at_the_lab:
        yield Line(f"{_INDENT * 2}{command}")
    yield Line(f"{_INDENT}on Windows:")
    for advice in scenario.on_windows:
        yield Line(f"{_INDENT * 2}{advice}")


# -- for machines ----------------------------------------------------------------------


def scenario_json(scenario: Scenario) -> dict[str, Any]:
    """Return a scenario's document as values."""
    return {
        "name": scenario.name,
        "title": scenario.title,
        "symptom": scenario.symptom,
        "explanation": scenario.explanation,
        "in_the_field": [
            {"where": one.where, "text": one.text, "source": one.source} for one in scenario.in_the_field
        ],
        "profile": scenario.profile,
        "stage": told(scenario.set_the_stage),
        "attempt": told(scenario.attempt),
        "failure": dict(scenario.failure.lines()),
        "cure": told(scenario.apply_the_cure),
        "at_the_lab": list(scenario.at_the_lab),
        "on_windows": list(scenario.on_windows),
    }


def result_json(result: ScenarioResult) -> dict[str, Any]:
    """Return what became of a scenario as values."""
    return {
        "name": result.scenario.name,
        "title": result.scenario.title,
        "passed": result.passed,
        "verdict": result.verdict,
        "seconds": round(result.seconds, 3),
        "trouble": result.trouble or None,
        "steps": [_step_json(step) for step in result.steps],
    }


def _step_json(step: Step) -> dict[str, Any]:
    document: dict[str, Any] = {
        "phase": step.phase,
        "text": step.text,
        "passed": step.passed,
        "findings": [
            {"what": one.what, "expected": one.expected, "seen": one.seen, "ok": one.ok}
            for one in step.findings
        ],
    }
    if step.seen is not None:
        document["client"] = step.seen.client.says
        document["server"] = list(step.seen.server.lines)
        document["pki_view"] = list(step.seen.pki_view)
    return document
