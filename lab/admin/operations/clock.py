"""The lab's clock."""

from __future__ import annotations

from lab.admin.clock import ClockOrder, ClockView, ShiftOrder
from lab.admin.desk import DeskRefused
from lab.admin.operation import AdminContext, Resource

resource = Resource(
    "clock",
    "The one clock that the whole lab goes by. When it is moved, CRLs that are due are published at once.",
)


@resource.get("/api/v1/clock", errors=(DeskRefused,))
def show_clock(context: AdminContext) -> ClockView:
    """Tell the time, and how far it is from the machine's."""
    return context.desk.clock.show()


@resource.put("/api/v1/clock", errors=(DeskRefused,), example={"offset": "+400d"})
def set_clock(context: AdminContext, body: ClockOrder) -> ClockView:
    """Set the clock to an instant, or to a distance from the machine's; it runs on from there."""
    return context.desk.clock.set(body)


@resource.post("/api/v1/clock/shift", errors=(DeskRefused,), example={"by": "-2h"})
def shift_clock(context: AdminContext, body: ShiftOrder) -> ClockView:
    """Move the clock from where it is."""
    return context.desk.clock.shift(body)


@resource.delete("/api/v1/clock", errors=(DeskRefused,))
def reset_clock(context: AdminContext) -> ClockView:
    """Let the clock tell the machine's time again."""
    return context.desk.clock.reset()
