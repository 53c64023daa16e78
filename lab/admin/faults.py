"""What can be done about faults at the desk of a running lab: models, and the desk as a protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Protocol, Self

from pydantic import Field

from lab.faults.registry import ClientMust, ParameterValue, Seam, Step
from lab.faults.rules import RuleOrder, RuleView

from .models import ApiModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.faults.registry import Fault

FaultId = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        description="Id of a fault, in any case",
        examples=["wire::reset-within-headers"],
    ),
]


class FaultQuery(ApiModel):
    """Which faults to list."""

    seam: Seam | None = Field(default=None, description="Only those that sit there")


class FaultView(ApiModel):
    """A fault: one deviation, what breaks it, and what a conforming client does about it."""

    id: str
    seam: Seam
    title: str
    text: str = Field(description="What it does and why, for reports")
    clause: str = Field(description="What it breaks, or what says how a client is to meet it")
    client_must: ClientMust
    symptom: str | None = Field(description="What Windows shows, where that is known")
    step: Step = Field(description="What a client does to meet it")
    operations: tuple[str, ...] | None = Field(description="Where it is applied; none: wherever it can be")
    parameters: dict[str, ParameterValue] = Field(description="Its parameters with their defaults")
    limits: dict[str, str] = Field(description="What each of them may be, in words")
    url: str | None = Field(
        description="Where a client that enrols always meets it; none where the lab serves no such URLs, and "
        "in lists where the fault has a port of its own, which is opened when the fault is shown"
    )

    @classmethod
    def of(cls, fault: Fault, url: str | None) -> Self:
        """Return the view of a fault."""
        return cls(
            id=fault.id,
            seam=fault.seam,
            title=fault.title,
            text=fault.text,
            clause=fault.clause,
            client_must=fault.client_must,
            symptom=fault.symptom,
            step=fault.step,
            operations=None if fault.operations is None else tuple(sorted(fault.operations)),
            parameters=dict(fault.parameters),
            limits={name: str(limit) for name, limit in fault.limits.items()},
            url=url,
        )


class FaultList(ApiModel):
    """Faults, by seam, outermost first."""

    faults: tuple[FaultView, ...]


class RuleList(ApiModel):
    """Rules, oldest first."""

    rules: tuple[RuleView, ...]


class RemovedView(ApiModel):
    """How many were removed."""

    removed: int


class FaultDesk(Protocol):
    """The desk; every method raises leaves of `DeskError`."""

    def catalogue(self, seam: Seam | None = None) -> Sequence[FaultView]:
        """Return all faults, or those of a seam."""

    def show(self, fault_id: str) -> FaultView:
        """Return one fault."""

    def rules(self) -> Sequence[RuleView]:
        """Return the rules, oldest first."""

    def add(self, order: RuleOrder) -> RuleView:
        """Set a rule, from the next exchange on."""

    def remove(self, rule_id: int) -> RuleView:
        """Remove a rule; return it as it last was."""

    def clear(self) -> RemovedView:
        """Remove all rules."""
