"""Where the evidence for each fault is registered."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from faults.stand import Side

Look = Callable[["Side"], bool]
Transport = Literal["auto", "get", "post"]
_FOUND: dict[str, Look] = {}
_TRANSPORTS: dict[str, Transport] = {}


def shows(fault_id: str, *, transport: Transport = "auto") -> Callable[[Look], Look]:
    """Register a look that tells whether the deviation is there: at the faulty side, not at the clean one.

    It goes by raw octets or by what openssl says, never by a decoder of ours. ``transport`` is by which
    method a client meets the fault.
    """

    def register(look: Look) -> Look:
        assert fault_id not in _FOUND, f"{fault_id} is shown twice"
        _FOUND[fault_id] = look
        _TRANSPORTS[fault_id] = transport
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


def transport_of(fault_id: str) -> Transport:
    """Return by which method a client sends its messages to meet a fault."""
    return _TRANSPORTS.get(fault_id, "auto") if evidence() else "auto"
