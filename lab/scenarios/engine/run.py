"""Carrying a scenario out: stage, symptom, cure, proof; each step with what was expected and seen."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lab.trust import RevocationVerdict

from .scenario import Scenario, told
from .seen import Ending, Finding, Seen
from .stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ca.clock import Clock

Phase = Literal["stage", "symptom", "cure", "proof"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step that was carried out; ``seen`` is the attempt of symptom and proof."""

    phase: Phase
    text: str
    findings: tuple[Finding, ...] = ()
    seen: Seen | None = None

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return all(finding.ok for finding in self.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioResult:
    """What became of a scenario. ``trouble`` is why it could not be carried out to its end."""

    scenario: Scenario
    steps: tuple[Step, ...]
    seconds: float
    trouble: str = ""

    @property
    def passed(self) -> bool:
        """Whether the failure was reproduced exactly and the cure worked."""
        done = [step.phase for step in self.steps if step.passed]
        return not self.trouble and done == ["stage", "symptom", "cure", "proof"]

    @property
    def verdict(self) -> str:
        """Return in a few words what became of it."""
        if self.trouble:
            return "could not be carried out"
        failed = next((step.phase for step in self.steps if not step.passed), None)
        if failed is None:
            return "reproduced and cured"
        return "failure not reproduced" if failed == "symptom" else "cure did not work"


def run_scenario(
    scenario: Scenario, *, clock: Clock, stopwatch: Callable[[], float] = time.perf_counter
) -> ScenarioResult:
    """Play a scenario in a lab of its own and return what was seen.

    ``clock`` is the time the lab begins with. Nothing that goes wrong is raised: it is in the result.
    """
    begin = stopwatch()
    steps: list[Step] = []
    trouble = ""
    try:
        with Stage(scenario, clock) as stage:
            for step in _steps(scenario, stage):
                steps.append(step)
                if not step.passed:
                    break
    except Exception as error:  # one scenario that is broken must not hide the others
        trouble = f"{type(error).__name__}: {error}"
    return ScenarioResult(scenario=scenario, steps=tuple(steps), seconds=stopwatch() - begin, trouble=trouble)


def _steps(scenario: Scenario, stage: Stage) -> Iterator[Step]:
    scenario.set_the_stage(stage)
    yield Step(phase="stage", text=told(scenario.set_the_stage))
    yield symptom_of(scenario, stage)
    scenario.apply_the_cure(stage)
    yield Step(phase="cure", text=told(scenario.apply_the_cure))
    yield proof_of(scenario, stage)


def symptom_of(scenario: Scenario, stage: Stage) -> Step:
    """Make the attempt and compare it with the failure that is known."""
    seen = scenario.attempt(stage)
    return Step(
        phase="symptom", text=told(scenario.attempt), findings=scenario.failure.compare(seen), seen=seen
    )


def proof_of(scenario: Scenario, stage: Stage) -> Step:
    """Make the same attempt again, and look at the certificate that it brought."""
    seen = scenario.attempt(stage)
    findings = [Finding(what="the attempt succeeds", expected="yes", seen=_yes(seen))]
    if seen.client.ending is Ending.ISSUED:
        findings += _certificate_findings(stage)
    if seen.client.ending.is_success and scenario.also_proves is not None:
        findings += scenario.also_proves(stage, seen)
    return Step(phase="proof", text=told(scenario.attempt), findings=tuple(findings), seen=seen)


def _certificate_findings(stage: Stage) -> Iterator[Finding]:
    """Yield whether the device's certificate chains to the root, and what CRLs and OCSP say."""
    context = stage.device.chain()
    top = context.elements[-1].certificate.subject
    yield Finding(
        what="its certificate chains to",
        expected=stage.lab.root.subject,
        seen=top if context.trusted else f"{top}: {'; '.join(context.explanations)}",
    )
    found = {
        element.revocation.verdict.value for element in context.elements if element.revocation is not None
    }
    yield Finding(
        what="revocation of certificate and issuing CA",
        expected=RevocationVerdict.GOOD.value,
        seen=", ".join(sorted(found)) or "not looked at",
    )


def _yes(seen: Seen) -> str:
    return "yes" if seen.client.ending.is_success else f"no: {seen.client.ending.value}: {seen.client.says}"
