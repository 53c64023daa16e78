"""Publishing by turns: of several publishers of one CA's CRLs, one signs and the others stand by.

Two that sign would do no harm but double the work: numbers come from the database. None that signs lets
the CRL run out; so whoever finds one due asks for the duty, and has it if nobody living does.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ca.clock import Clock

_log = structlog.get_logger(__name__)

# How soon who stands by looks for what the other one has signed, and whether that one still lives.
_STANDBY: Final = timedelta(seconds=5)


class Duty(Protocol):
    """What one publisher has at a time; it is free again when that one dies."""

    def take(self) -> bool:
        """Take the duty if nobody else has it, and tell whether it is ours."""


class PublishingByTurns:
    """Publishes when it is due: on duty what it signs, standing by what another has signed.

    Args:
        duty: who is at work.
        sign: signs and publishes what is due and returns when it is due again.
        publish: publishes what is signed and returns when it is due to be signed again.
        clock: the time of both.

    """

    def __init__(
        self, *, duty: Duty, sign: Callable[[], datetime], publish: Callable[[], datetime], clock: Clock
    ) -> None:
        self._duty = duty
        self._sign = sign
        self._publish = publish
        self._clock = clock
        self._on_duty: bool | None = None

    @property
    def on_duty(self) -> bool:
        """Whether it was on duty when that was last asked."""
        return self._on_duty is True

    def take_up(self) -> bool:
        """Take the duty if nobody else has it, and tell whether it is ours; raises what asking does."""
        found = self._duty.take()
        if found is not self._on_duty:
            self._on_duty = found
            _log.info("on duty: CRLs are signed here" if found else "standing by: another process signs CRLs")
        return found

    def __call__(self) -> datetime:
        """Publish, and return when to come again; raises what signing, publishing and asking do."""
        if self.take_up():
            return self._sign()
        return max(self._publish(), self._clock.now() + _STANDBY)
