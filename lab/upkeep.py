"""What a running lab does by itself: publish when it is due, and look at the PKI's health."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from ca.records import StoreUnavailable
from crl_publisher import PublishingByTurns, Republisher

from .lab_health import LabHealth

if TYPE_CHECKING:
    from datetime import datetime

    from crl_publisher import PublisherState

    from .world import World


class Upkeep:
    """The threads of one ``world``; not to be started again. ``user_agent`` is as for `LabHealth`."""

    def __init__(self, world: World, *, user_agent: str) -> None:
        publishing = self._publishing = world.publishing
        self._turns = PublishingByTurns(
            duty=world.store.publishing,
            sign=publishing.publish_due,
            publish=publishing.publish_signed,
            clock=world.clock,
        )
        self._turns.take_up()
        self._republisher = Republisher(
            publish=self._turns,
            due=publishing.next_publication,
            clock=world.clock,
            retry=world.settings.publisher.retry,
        )
        self.health = LabHealth(world, lambda: self.publisher_state, user_agent=user_agent)
        self._undo = contextlib.ExitStack()

    def start(self) -> None:
        """Begin."""
        self._republisher.start()
        self._undo.callback(self._republisher.stop)
        self.health.start()
        self._undo.callback(self.health.stop)

    def stop(self) -> None:
        """End what was started; what is under way is finished first."""
        self._undo.close()

    @property
    def publisher_state(self) -> PublisherState:
        """How publication goes."""
        return replace(self._republisher.state, on_duty=self._turns.on_duty)

    def reschedule(self, due: datetime) -> None:
        """Take note that somebody has just published, and that it is due again at ``due``."""
        self._republisher.reschedule(due)

    def look_at_the_clock(self) -> None:
        """Look at the clock: it has been set."""
        due = None
        with contextlib.suppress(StoreUnavailable):  # who publishes will say so
            due = self._publishing.next_publication()
        self._republisher.look(due)
        self.health.look_soon()
