"""The clock of a running lab, over its management listener."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .operations import clock

if TYPE_CHECKING:
    from .asking import Ask
    from .clock import ClockOrder, ClockView, ShiftOrder


class RemoteClockDesk:
    """Has ``ask`` perform the operations."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def show(self) -> ClockView:
        """Return the time."""
        return self._ask(clock.show_clock)

    def set(self, order: ClockOrder) -> ClockView:
        """Set the clock; it runs on from there."""
        return self._ask(clock.set_clock, body=order)

    def shift(self, order: ShiftOrder) -> ClockView:
        """Move the clock from where it is."""
        return self._ask(clock.shift_clock, body=order)

    def reset(self) -> ClockView:
        """Let the clock tell the machine's time again."""
        return self._ask(clock.reset_clock)
