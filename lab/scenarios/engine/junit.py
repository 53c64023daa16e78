"""Results as JUnit XML, in the form that Jenkins, GitLab and others read.

A scenario is a testcase; one that did not come out as it should has a ``failure``, one that could not be
carried out an ``error``. The report is its ``system-out``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from .report import report_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .run import ScenarioResult

_SUITE: Final = "ndes-lab scenarios"


def junit_xml(results: Sequence[ScenarioResult]) -> bytes:
    """Return the document, UTF-8 with its declaration."""
    counts = {
        "tests": str(len(results)),
        "failures": str(sum(not result.passed and not result.trouble for result in results)),
        "errors": str(sum(bool(result.trouble) for result in results)),
        "skipped": "0",
        "time": f"{sum(result.seconds for result in results):.3f}",
    }
    suites = ET.Element("testsuites", {"name": _SUITE, **counts})
    suite = ET.SubElement(suites, "testsuite", {"name": _SUITE, **counts})
    for result in results:
        _add_case(suite, result)
    ET.indent(suites)
    document: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _add_case(suite: ET.Element, result: ScenarioResult) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        classname="lab.scenarios",
        name=result.scenario.name,
        time=f"{result.seconds:.3f}",
    )
    if result.trouble:
        trouble = ET.SubElement(case, "error", message=_text(result.trouble), type=_text(result.verdict))
        trouble.text = _text(result.trouble)
    elif not result.passed:
        findings = [finding for step in result.steps for finding in step.findings if not finding.ok]
        lines = [f"{one.what}: {one.seen}, expected {one.expected}" for one in findings]
        message = f"{result.verdict}: {lines[0]}" if lines else result.verdict
        failure = ET.SubElement(case, "failure", message=_text(message), type=_text(result.verdict))
        failure.text = _text("\n".join(lines))
    output = ET.SubElement(case, "system-out")
    output.text = _text("\n".join(line.text for line in report_of(result)))


def _text(value: str) -> str:
    """Return a text without the characters that XML 1.0 (2.2) has no form for."""
    return "".join(
        character if character in "\t\n\r" or character.isprintable() else "\N{REPLACEMENT CHARACTER}"
        for character in value
    )
