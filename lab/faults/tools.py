"""What a fault may use besides the value it changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.world import World

    from .circumstances import Circumstances


class NoWorld(RuntimeError):
    """A fault wants keys or certificates, and the engine was told of no world."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """The lab that the fault is in, and the exchange.

    ``nth`` is how often this fault has been applied before: in the same transaction, or where that is not
    known, to the same client. ``wait`` makes the exchange take that many seconds longer, less where the lab
    is stopped. ``memory`` is what the fault has noted where ``nth`` counts; it is kept if the fault is
    applied.
    """

    world: World | None
    circumstances: Circumstances
    nth: int = 0
    memory: dict[str, bytes] = field(default_factory=dict, repr=False)
    wait: Callable[[float], object] = field(repr=False)

    @property
    def lab(self) -> World:
        """The world; raises NoWorld."""
        if self.world is None:
            raise NoWorld("this fault needs a lab's keys and certificates")
        return self.world
