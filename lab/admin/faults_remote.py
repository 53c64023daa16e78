"""The faults of a running lab, over its management listener."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .faults import FaultQuery
from .operations import faults

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.faults.registry import Seam
    from lab.faults.rules import RuleOrder, RuleView

    from .asking import Ask
    from .faults import FaultView, RemovedView


class RemoteFaultDesk:
    """Has ``ask`` perform the operations."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def catalogue(self, seam: Seam | None = None) -> Sequence[FaultView]:
        """Return all faults, or those of a seam."""
        return self._ask(faults.list_faults, query=FaultQuery(seam=seam)).faults

    def show(self, fault_id: str) -> FaultView:
        """Return one fault."""
        return self._ask(faults.show_fault, fault_id=fault_id)

    def rules(self) -> Sequence[RuleView]:
        """Return the rules, oldest first."""
        return self._ask(faults.list_fault_rules).rules

    def add(self, order: RuleOrder) -> RuleView:
        """Set a rule, from the next exchange on."""
        return self._ask(faults.add_fault_rule, body=order)

    def remove(self, rule_id: int) -> RuleView:
        """Remove a rule; return it as it last was."""
        return self._ask(faults.remove_fault_rule, rule_id=rule_id)

    def clear(self) -> RemovedView:
        """Remove all rules."""
        return self._ask(faults.clear_fault_rules)
