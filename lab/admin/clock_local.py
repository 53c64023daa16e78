"""The clock of a lab in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from ca.errors import CaError
from ca.records import StoreUnavailable
from crl_publisher import PublicationRefused
from lab.lab_clock import BadTime, read_shift

from .clock import ClockView
from .controls import required
from .desk import Invalid

if TYPE_CHECKING:
    from lab.lab_clock import LabClock
    from lab.world import World

    from .clock import ClockOrder, ShiftOrder
    from .controls import Controls

_log = structlog.get_logger(__name__)


class LocalClockDesk:
    """Works on a running lab directly; without ``controls`` none runs."""

    def __init__(self, world: World, controls: Controls | None) -> None:
        self._world = world
        self._controls = controls

    def show(self) -> ClockView:
        """Return the time."""
        clock = self._clock
        return ClockView.of(clock.now(), clock.offset)

    def set(self, order: ClockOrder) -> ClockView:
        """Set the clock; it runs on from there."""
        try:
            set_clock(self._clock, order)
        except BadTime as error:
            raise Invalid(str(error)) from error
        return self._moved()

    def shift(self, order: ShiftOrder) -> ClockView:
        """Move the clock from where it is."""
        try:
            self._clock.shift(order.by)
        except BadTime as error:
            raise Invalid(str(error)) from error
        return self._moved()

    def reset(self) -> ClockView:
        """Let the clock tell the machine's time again."""
        self._clock.reset()
        return self._moved()

    @property
    def _clock(self) -> LabClock:
        return required(self._controls).lab_clock

    def _moved(self) -> ClockView:
        follow_clock(self._world)
        return self.show()


def set_clock(clock: LabClock, order: ClockOrder) -> None:
    """Set a clock as ordered; raises BadTime."""
    if order.now is not None:
        clock.set(order.now)
    elif order.offset is not None:
        clock.shift(read_shift(order.offset) - clock.offset)


def follow_clock(world: World) -> None:
    """Publish what is due by a clock that was set, before anybody is told the new time."""
    try:
        world.publishing.publish_due()
    except (CaError, PublicationRefused, StoreUnavailable, OSError) as error:
        _log.warning("the clock was set, and no CRL could be published", reason=str(error))
