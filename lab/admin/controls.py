"""What a desk moves of a running lab, besides its world."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .desk import DeskRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.faults.engine import FaultEngine
    from lab.lab_clock import LabClock


class Controls(Protocol):
    """A running lab, as far as its desk needs it."""

    @property
    def lab_clock(self) -> LabClock:
        """The clock that everything goes by."""

    @property
    def faults(self) -> FaultEngine:
        """Who decides which fault is met."""

    @property
    def origins(self) -> Mapping[str, str]:
        """Where the settings that are no defaults came from, by dotted name."""

    @property
    def scep_base_url(self) -> str:
        """Scheme, host and port of the SCEP listener."""

    def fault_url(self, fault_id: str) -> str:
        """Return where a fault is always met, opening that address if it has one of its own."""

    def reset(self) -> None:
        """Make the lab as it was when it had just started."""


def required(controls: Controls | None) -> Controls:
    """Return the controls; raises DeskRefused where no lab runs."""
    if controls is None:
        raise DeskRefused("no lab runs on this folder; name the running lab instead")
    return controls
