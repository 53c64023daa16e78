"""Build worlds, break them, enrol against them, report: the only package that knows all others.

`ScepLab` is the whole of it for a test: ``with ScepLab() as scep_lab: ...``. It is loaded when it
is first asked for, so that a command or a plugin that needs less pays for less.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .scep_lab import ScepLab

__all__ = ["ScepLab"]


def __getattr__(name: str) -> object:
    if name != "ScepLab":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .scep_lab import ScepLab

    return ScepLab
