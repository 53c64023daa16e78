"""Known failures, each reproduced end to end, explained, cured, and shown to be cured.

Every module here is one scenario of the same name: its docstring is the explanation, its functions set
the stage and apply the cure, and ``SCENARIO`` is all of it. `engine` is what they are written with.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .engine import Scenario

__all__ = ["scenarios"]


def scenarios() -> Mapping[str, Scenario]:
    """Return every scenario by its name, in the order of the names."""
    found = [
        importlib.import_module(f"{__name__}.{module.name}").SCENARIO
        for module in pkgutil.iter_modules(__path__)
        if not module.ispkg
    ]
    return {scenario.name: scenario for scenario in sorted(found, key=lambda scenario: scenario.name)}
