"""The faults of a lab in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.faults.engine import path_of
from lab.faults.registry import UnknownFault, catalogue, find
from lab.faults.values import Doorway
from lab.listeners import ListenerError

from .controls import required
from .desk import DeskUnavailable, NotFound
from .faults import FaultView, RemovedView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.faults.engine import FaultEngine
    from lab.faults.registry import Fault, Seam
    from lab.faults.rules import RuleOrder, RuleView
    from lab.world import World

    from .controls import Controls


class CatalogueFaults:
    """The catalogue where no lab runs; URLs are paths at the SCEP listener of any."""

    def catalogue(self, seam: Seam | None = None) -> Sequence[FaultView]:
        """Return all faults, or those of a seam."""
        wanted = (fault for fault in catalogue().values() if seam in (None, fault.seam))
        return [FaultView.of(fault, self._listed_url(fault)) for fault in wanted]

    def show(self, fault_id: str) -> FaultView:
        """Return one fault."""
        try:
            found = find(fault_id)
        except UnknownFault as error:
            raise NotFound(str(error)) from error
        return FaultView.of(found, self._url(found))

    def _url(self, fault: Fault) -> str | None:
        return None if fault.takes is Doorway else path_of(fault.id, "/scep")

    def _listed_url(self, fault: Fault) -> str | None:
        return self._url(fault)


class LocalFaultDesk(CatalogueFaults):
    """Works on a running lab directly; without ``controls`` none runs, and there is only the catalogue."""

    def __init__(self, world: World, controls: Controls | None) -> None:
        self._world = world
        self._controls = controls

    def rules(self) -> Sequence[RuleView]:
        """Return the rules, oldest first."""
        return self._engine.rules()

    def add(self, order: RuleOrder) -> RuleView:
        """Set a rule, from the next exchange on."""
        return self._engine.add(order)

    def remove(self, rule_id: int) -> RuleView:
        """Remove a rule; return it as it last was."""
        found = self._engine.rule(rule_id)
        if found is None or not self._engine.remove(rule_id):
            raise NotFound(f"there is no fault rule {rule_id}")
        return found

    def clear(self) -> RemovedView:
        """Remove all rules."""
        return RemovedView(removed=self._engine.clear())

    @property
    def _engine(self) -> FaultEngine:
        return required(self._controls).faults

    def _url(self, fault: Fault) -> str | None:
        """Return where a client that enrols always meets a fault, opening its own address if it has one."""
        if self._controls is None or not self._world.settings.faults.urls:
            return None
        try:
            return self._controls.fault_url(fault.id)
        except ListenerError as error:
            raise DeskUnavailable(f"no address can be opened for {fault.id}: {error}") from error

    def _listed_url(self, fault: Fault) -> str | None:
        """Return the same, but None where a port would have to be opened."""
        return None if fault.takes is Doorway else self._url(fault)
