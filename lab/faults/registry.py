"""What a fault is, and the catalogue of all there are.

A fault is one function on one value: correct by default, with exactly one deviation. The type of the
value says where it is installed (`lab.faults.values`, `lab.faults.wrappers`).
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from .limits import BadParameter, OneOf, ParameterValue, Range, Text, limit_of, read_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .limits import Limit
    from .tools import Tools

_Function = TypeVar("_Function", bound="Callable[..., Any]")
_NEAR = 0.6  # of 1: how like an id has to be to be offered


class Seam(Enum):
    """Where a fault sits, outermost first; the value begins its id."""

    WIRE = "wire"
    CAPABILITIES = "capabilities"
    CA_CERTIFICATES = "ca-certificates"
    REPLY = "reply"
    ENCODING = "encoding"
    CERTIFICATE = "certificate"
    PUBLICATION = "publication"
    DEPENDENCY = "dependency"


class ClientMust(Enum):
    """What a conforming client does about a fault.

    REJECT: it does not act on what it got. RETRY: it tries again later and then succeeds. SUCCEED: it is
    to go on as if nothing were wrong. MAY: the standards leave it to the client.
    """

    REJECT = "must reject"
    RETRY = "must retry"
    SUCCEED = "must succeed"
    MAY = "may"


class Step(Enum):
    """What a client has to do to meet a fault."""

    CAPABILITIES = "GetCACaps"
    CA_CERTIFICATES = "GetCACert"
    ENROL = "enrol"
    RENEW = "renew"
    POLL = "poll"
    VERIFY = "verify"  # the issued certificate: CRL, AIA, OCSP


class UnknownFault(LookupError):
    """There is no fault of this id; the text names near ones."""


class Unavailable(RuntimeError):
    """What a fault is made with cannot be had in this lab; the text says what and what to do about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One deviation.

    ``takes`` is the type of the value that ``function`` changes. ``clause`` is what the deviation breaks, or
    what says how a client is to meet it. ``symptom`` is what Windows shows, None where that is not known.
    ``operations`` limits where it is applied; None is everywhere that the value occurs. ``parameters`` are
    those of the function with their defaults, ``limits`` what each of them takes.
    """

    id: str
    seam: Seam
    takes: type
    function: Callable[..., Any] = field(repr=False)
    title: str
    text: str
    clause: str
    client_must: ClientMust
    symptom: str | None
    step: Step
    operations: frozenset[str] | None
    parameters: Mapping[str, ParameterValue]
    limits: Mapping[str, Limit]

    def is_for(self, operation: str | None) -> bool:
        """Tell whether it is applied to exchanges of this operation."""
        return self.operations is None or operation in self.operations

    def apply(self, value: Any, tools: Tools, parameters: Mapping[str, object]) -> Any:
        """Return what becomes of a value; the value itself where this fault has nothing to change."""
        return self.function(value, tools, **{**self.parameters, **parameters})

    def read_parameters(self, given: Mapping[str, object]) -> dict[str, object]:
        """Return parameters, given as texts or values, as the function takes them; raises BadParameter."""
        return {name: self._read(name, value) for name, value in given.items()}

    def _read(self, name: str, value: object) -> object:
        if name not in self.parameters:
            known = ", ".join(self.parameters) or "it has none"
            raise BadParameter(f"{self.id} has no parameter {name[:80]!a}; known: {known}")
        try:
            return read_value(name, value, type(self.parameters[name]), self.limits[name])
        except BadParameter as error:
            raise BadParameter(f"{self.id}: {error}") from error


_FOUND: dict[str, Fault] = {}


def fault(
    *,
    seam: Seam,
    takes: type,
    clause: str,
    client_must: ClientMust,
    step: Step = Step.ENROL,
    operations: Iterable[str] | None = None,
    symptom: str | None = None,
    limits: Mapping[str, Limit] | None = None,
) -> Callable[[_Function], _Function]:
    """Put a function into the catalogue under ``seam::its-name``; its docstring is the report text.

    ``limits`` are what its parameters take: needed for numbers, but for those named after a unit of time.
    """
    declared = limits or {}

    def register(function: _Function) -> _Function:
        name = f"{seam.value}::{function.__name__.replace('_', '-')}"
        text = inspect.getdoc(function)
        if not text or name in _FOUND:
            raise TypeError(f"{name} has no docstring, or is there twice")
        given = inspect.signature(function).parameters.values()
        parameters = {one.name: one.default for one in given if one.kind is inspect.Parameter.KEYWORD_ONLY}
        if unknown := declared.keys() - parameters.keys():
            raise TypeError(f"{name} has limits for parameters that it has not: {unknown}")
        _FOUND[name] = Fault(
            id=name,
            seam=seam,
            takes=takes,
            function=function,
            title=text.partition("\n")[0].rstrip("."),
            text=text,
            clause=clause,
            client_must=client_must,
            symptom=symptom,
            step=step,
            operations=None if operations is None else frozenset(operations),
            parameters=parameters,
            limits={one: limit_of(one, default, declared.get(one)) for one, default in parameters.items()},
        )
        return function

    return register


@functools.cache
def catalogue() -> Mapping[str, Fault]:
    """Return every fault there is, by id, in the order of the seams."""
    from . import catalogue as package

    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    seams = list(Seam)
    return dict(sorted(_FOUND.items(), key=lambda item: (seams.index(item[1].seam), item[0])))


def find(fault_id: str) -> Fault:
    """Return the fault of this id, in any case; raises UnknownFault."""
    known = catalogue()
    found = known.get(fault_id.lower())
    if found is None:
        near = get_close_matches(fault_id.lower(), known, n=3, cutoff=_NEAR)
        hint = f"; near: {', '.join(near)}" if near else ""
        raise UnknownFault(f"there is no fault {fault_id[:80]!r}{hint}; `ndes-lab fault list` has all")
    return found


__all__ = [
    "BadParameter",
    "ClientMust",
    "Fault",
    "OneOf",
    "ParameterValue",
    "Range",
    "Seam",
    "Step",
    "Text",
    "Unavailable",
    "UnknownFault",
    "catalogue",
    "fault",
    "find",
]
