"""Where the evidence for each fault is registered."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faults.stand import Side

Look = Callable[["Side"], bool]
_FOUND: dict[str, Look] = {}


def shows(fault_id: str) -> Callable[[Look], Look]:
    """Register a look that tells whether the deviation is there: at the faulty side, not at the clean one.

    It goes by raw octets or by what openssl says, never by a decoder of ours.
    """

    def register(look: Look) -> Look:
        assert fault_id not in _FOUND, f"{fault_id} is shown twice"
        _FOUND[fault_id] = look
        return look

    return register


@functools.cache
def evidence() -> Mapping[str, Look]:
    """Return the evidence for every fault, by id."""
    package = importlib.import_module("faults")
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.startswith("evidence_"):
            importlib.import_module(f"faults.{module.name}")
    return _FOUND
