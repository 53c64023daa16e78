"""``ndes-lab clock``: the time that a lab goes by."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from ._desk import at_the_desk
from ._output import json_option, print_fields, print_json

if TYPE_CHECKING:
    from lab.admin import Desk

_NOT_AN_OPTION = re.compile(r"-\d")


class _ShiftCommand(click.Command):
    """A command whose argument may begin with a minus."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Have what is a minus and a digit taken for an argument."""
        if "--" not in args:
            shifts = [arg for arg in args if _NOT_AN_OPTION.match(arg)]
            args = [arg for arg in args if not _NOT_AN_OPTION.match(arg)]
            args += ["--", *shifts] if shifts else []
        return super().parse_args(ctx, args)


@click.command(cls=_ShiftCommand)
@click.argument("time", required=False, metavar="[+400d|-2h|INSTANT|reset]")
@json_option
@at_the_desk
def clock(desk: Desk, time: str | None, as_json: bool) -> None:
    """Show a running lab's clock, move it, set it (ISO 8601, UTC), or let it tell the machine's time again.

    Units are s, m, h, d, w and y (365 days). CRLs that become due are published at once.
    """
    from pydantic import ValidationError

    from lab.admin.clock import ClockOrder, ShiftOrder

    try:
        if time is None:
            found = desk.clock.show()
        elif time.lower() == "reset":
            found = desk.clock.reset()
        elif time[:1] in ("+", "-"):
            found = desk.clock.shift(ShiftOrder(by=time))
        else:
            found = desk.clock.set(ClockOrder(now=time))
    except ValidationError as error:
        raise click.UsageError(
            f"{time!r} is no shift, expected such as +400d, -2h or +1d12h (s, m, h, d, w, y)"
        ) from error
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    print_fields([("Time", found.now), ("Offset", found.offset)])
