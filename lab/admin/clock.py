"""What can be done about a running lab's clock: models, and the desk as a protocol."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Protocol, Self

from pydantic import Field, model_validator

from .models import ApiModel

if TYPE_CHECKING:
    from datetime import timedelta

Shift = Annotated[
    str,
    Field(
        max_length=100,
        pattern=r"^[+-](\d{1,7}[smhdwy])+$",
        description="A duration with its sign, such as +400d or -1d12h; s, m, h, d, w or y (365 days)",
        examples=["+400d"],
    ),
]


class ClockOrder(ApiModel):
    """Where the clock is to be set: to an instant, or to a distance from the machine's clock."""

    now: Annotated[str, Field(max_length=40)] | None = Field(
        default=None, description="An instant in ISO 8601, UTC unless it says otherwise"
    )
    offset: Shift | None = None

    @model_validator(mode="after")
    def _must_be_one(self) -> Self:
        if (self.now is None) == (self.offset is None):
            raise ValueError("expected either now or offset")
        return self


class ShiftOrder(ApiModel):
    """How far the clock is to be moved from where it is."""

    by: Shift


class ClockView(ApiModel):
    """The clock: what time it is, and how far that is from the machine's."""

    now: datetime
    offset: str
    offset_seconds: float

    @classmethod
    def of(cls, now: datetime, offset: timedelta) -> Self:
        """Return the view of a clock."""
        return cls(now=now, offset=shift_text(offset), offset_seconds=offset.total_seconds())


class ClockDesk(Protocol):
    """The desk; every method raises leaves of `DeskError`. CRLs that become due are published at once."""

    def show(self) -> ClockView:
        """Return the time."""

    def set(self, order: ClockOrder) -> ClockView:
        """Set the clock; it runs on from there."""

    def shift(self, order: ShiftOrder) -> ClockView:
        """Move the clock from where it is."""

    def reset(self) -> ClockView:
        """Let the clock tell the machine's time again."""


def shift_text(offset: timedelta) -> str:
    """Return a duration as `Shift` has it, to the second: ``+400d``, ``-1d2h``, ``+0s``."""
    sign, left = ("-", -offset) if offset.total_seconds() < 0 else ("+", offset)
    seconds = round(left.total_seconds())
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return sign + ("".join(parts) or "0s")
