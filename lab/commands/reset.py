"""``ndes-lab reset``: a lab as it was when it had just started."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ._desk import at_the_desk
from ._output import json_option, print_json

if TYPE_CHECKING:
    from lab.admin import Desk


@click.command()
@json_option
@at_the_desk
def reset(desk: Desk, as_json: bool) -> None:
    """Make a running lab as it was when it had just started: same keys and URLs, no memory since.

    Only an ephemeral lab is reset; one that keeps its data refuses.
    """
    found = desk.lab.reset()
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        click.echo(
            f"The lab is as it was at its start, with {found.certificates} of its own certificates "
            f"and {found.challenges} of its own challenges."
        )
