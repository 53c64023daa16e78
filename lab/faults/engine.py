"""Deciding which fault is applied to which exchange, and applying it.

The wrappers around a lab's collaborators hand every value to `FaultEngine.bend` on its way; outside of
an exchange, and where nothing is set, it comes back as it was.
"""

from __future__ import annotations

import random  # noqa: TID251 - seeded, and the seed is told
import re
import threading
from collections import OrderedDict
from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from lab.recorded import AppliedFault

from .circumstances import Circumstances, Pinned, current
from .registry import BadParameter, Unavailable, UnknownFault, find
from .rules import RuleOrder, RuleView
from .tools import Tools
from .vocabulary import OPERATIONS, must_be_known

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lab.world import World
    from scep_server.exchange import Exchange

    from .registry import Fault

_Value = TypeVar("_Value")
PREFIX = "/fault/"
_SLASH = re.compile("%2F", re.IGNORECASE)  # the one that servers leave: a path is decoded between slashes
OPERATION = "operation"
"""The parameter that every fault's URL takes: of which operation alone it is met there."""
_REMEMBERED = 10_000


@dataclass(slots=True, kw_only=True)
class _Rule:
    id: int
    order: RuleOrder
    faults: tuple[Fault | None, ...]
    seed: int | None
    chance: random.Random
    seen: int = 0  # exchanges that it would have changed, or did
    hits: int = 0
    takes: frozenset[type] = field(default_factory=frozenset)

    def times(self) -> int | None:
        """How many turns there are after those left alone at first."""
        if self.order.times is None and self.order.sequence:
            return len(self.faults)
        return self.order.times

    def fault_of(self, turn: int) -> Fault | None:
        return self.faults[turn % len(self.faults)]

    def view(self) -> RuleView:
        times = self.times()
        return RuleView(
            id=self.id,
            faults=tuple(None if one is None else one.id for one in self.faults),
            match=self.order.match,
            after=self.order.after,
            times=self.order.times,
            chance=self.order.chance,
            seed=self.seed,
            parameters=self.order.parameters,
            label=self.order.label,
            hits=self.hits,
            left=None if times is None else max(times - max(self.seen - self.order.after, 0), 0),
        )


class FaultEngine:
    """The rules of one lab. Safe to use from several threads.

    ``entropy`` returns that many random octets and is asked for seeds alone.
    """

    def __init__(self, *, entropy: Callable[[int], bytes]) -> None:
        self._entropy = entropy
        self._lock = threading.Lock()
        self._rules: dict[int, _Rule] = {}
        self._next_id = 1
        self._applied: OrderedDict[tuple[object, str], tuple[int, dict[str, bytes]]] = OrderedDict()
        self._world: World | None = None
        self._stopping = threading.Event()

    def attach(self, world: World) -> None:
        """Tell the engine which world it is in: faults borrow its keys and certificates."""
        self._world = world

    @property
    def world(self) -> World | None:
        """The world that the faults are in, once there is one."""
        return self._world

    def stop(self) -> None:
        """End all waiting: the lab stops."""
        self._stopping.set()

    def interrupt(self) -> None:
        """End the waiting that is under way."""
        waiting, self._stopping = self._stopping, threading.Event()
        waiting.set()

    def wait(self, seconds: float, ending: threading.Event | None = None) -> bool:
        """Wait, at most until ``ending`` or else the lab stops; tell whether it does."""
        return (ending or self._stopping).wait(max(seconds, 0))

    def interruption(self) -> threading.Event:
        """Return what is set once the waiting of exchanges that began before is to end."""
        return self._stopping

    # -- rules -------------------------------------------------------------------------

    def add(self, order: RuleOrder) -> RuleView:
        """Set a rule, from the next exchange on."""
        seed = order.seed
        if order.chance is not None and seed is None:
            seed = int.from_bytes(self._entropy(4), "big")
        faults = order.faults
        with self._lock:
            rule = _Rule(
                id=self._next_id,
                order=order,
                faults=faults,
                seed=seed,
                chance=random.Random(seed),
                takes=frozenset(one.takes for one in faults if one is not None),
            )
            self._next_id += 1
            self._rules = {**self._rules, rule.id: rule}
        return rule.view()

    def rules(self) -> tuple[RuleView, ...]:
        """Return the rules, oldest first."""
        return tuple(rule.view() for rule in self._rules.values())

    def rule(self, rule_id: int) -> RuleView | None:
        """Return one rule, or None where it is gone."""
        found = self._rules.get(rule_id)
        return None if found is None else found.view()

    def remove(self, rule_id: int) -> bool:
        """Remove a rule; tell whether it was there."""
        with self._lock:
            found = rule_id in self._rules
            self._rules = {key: rule for key, rule in self._rules.items() if key != rule_id}
        return found

    def clear(self) -> int:
        """Remove all rules; return how many there were. Ids begin anew."""
        with self._lock:
            removed, self._rules = len(self._rules), {}
            self._next_id = 1
            self._applied.clear()
        return removed

    # -- exchanges ---------------------------------------------------------------------

    def pinned(self, path: str) -> tuple[Pinned | None, str]:
        """Return the fault that a path asks for, and the path without it.

        Raises:
            UnknownFault, BadParameter: the path names no fault, or one with another parameter.

        """
        if not path.lower().startswith(PREFIX):
            return None, path
        named, slash, rest = path[len(PREFIX) :].partition("/")
        if (slash + rest).lower().startswith(PREFIX):
            raise UnknownFault(
                f"{PREFIX} stands twice in the path: a URL asks for one fault, rules for several"
            )
        name, *given = named.split(";")
        found = find(name)
        parameters: dict[str, object] = {}
        for pair in given:
            key, _, value = pair.partition("=")
            parameters[key] = _SLASH.sub("/", value)
        operation = parameters.pop(OPERATION, None)
        if operation is not None:
            must_be_known(OPERATION, str(operation), OPERATIONS)
        prefix = path[: len(PREFIX) + len(named)]
        pinned = Pinned(
            fault=found,
            parameters=found.read_parameters(parameters),
            prefix=prefix,
            operation=None if operation is None else str(operation).lower(),
        )
        return pinned, slash + rest

    def concerns(self, taken: type) -> bool:
        """Tell whether the current exchange may meet a fault that takes values of this type.

        For those to whom making such a value is work. What they are told True of may still come back from
        `bend` as it was.
        """
        circumstances = current()
        if circumstances is None:
            return False
        if circumstances.pinned is not None:
            return circumstances.pinned.fault.takes is taken
        return any(taken in rule.takes for rule in self._rules.values())

    def bend(self, value: _Value) -> _Value:
        """Return what the faults of the current exchange make of a value."""
        circumstances = current()
        if circumstances is None:
            return value
        pinned = circumstances.pinned
        if pinned is not None:
            if pinned.fault.takes is not type(value) or not pinned.is_for(circumstances.operation):
                return value
            return self._apply(pinned.fault, pinned.parameters, value, circumstances, None)
        for rule in self._rules.values():
            if type(value) in rule.takes and rule.order.match.matches(circumstances):
                value = self._by_rule(rule, value, circumstances)
        return value

    def observe(self, exchange: Exchange) -> None:
        """Take note of what the SCEP service knows of the current exchange."""
        circumstances = current()
        if circumstances is not None:
            circumstances.exchange = exchange

    # -- applying ----------------------------------------------------------------------

    def _by_rule(self, rule: _Rule, value: _Value, circumstances: Circumstances) -> _Value:
        if rule.id not in circumstances.decided and not self._decide(rule, circumstances):
            return value
        chosen = circumstances.decided[rule.id]
        if chosen is None or chosen.takes is not type(value):
            return value
        first = rule.id not in circumstances.hit
        if first:
            circumstances.hit.add(rule.id)
            self._count(rule, circumstances, hits=1)
        bent = self._apply(chosen, rule.order.parameters, value, circumstances, rule.id)
        if bent is value and first:  # nothing to change here: another exchange gets this turn
            circumstances.hit.discard(rule.id)
            del circumstances.decided[rule.id]
            self._count(rule, circumstances, hits=-1, seen=-1)
        return bent

    def _decide(self, rule: _Rule, circumstances: Circumstances) -> bool:
        """Choose what this exchange gets of a rule; return False where it is not decided yet."""
        with self._lock:
            turn, times = rule.seen - rule.order.after, rule.times()
            chosen = rule.fault_of(turn) if turn >= 0 else None
            if times is not None and turn >= times:
                chosen = None
            elif chosen is not None and not chosen.is_for(circumstances.operation):
                return False
            else:
                if not circumstances.is_own:
                    rule.seen += 1
                if chosen is not None and rule.order.chance is not None:
                    chance = copy(rule.chance) if circumstances.is_own else rule.chance
                    chosen = chosen if chance.random() < rule.order.chance else None
            circumstances.decided[rule.id] = chosen
        return True

    def _count(self, rule: _Rule, circumstances: Circumstances, *, hits: int = 0, seen: int = 0) -> None:
        if circumstances.is_own:
            return
        with self._lock:
            rule.hits += hits
            rule.seen += seen

    def _apply(
        self,
        chosen: Fault,
        parameters: Mapping[str, object],
        value: _Value,
        circumstances: Circumstances,
        rule_id: int | None,
    ) -> _Value:
        if not chosen.is_for(circumstances.operation):
            return value
        key = (rule_id or chosen.id, circumstances.transaction_id or circumstances.client_address)
        nth, memory = self._applied.get(key, (0, {}))
        memory = dict(memory)
        tools = Tools(
            world=self._world,
            circumstances=circumstances,
            nth=nth,
            memory=memory,
            wait=lambda seconds: self.wait(seconds, circumstances.ending),
        )
        read = chosen.read_parameters(parameters)
        noted = AppliedFault(fault_id=chosen.id, rule_id=rule_id, parameters=read)
        already = noted in circumstances.applied  # as where a clock is read again and again
        if not already:
            circumstances.applied.append(noted)  # before: a fault may leave by an exception
        try:
            bent: _Value = chosen.apply(value, tools, read)
        except (Unavailable, BadParameter) as error:
            status = 501 if isinstance(error, Unavailable) else 404  # 404 as for parameters of the wrong type
            circumstances.unavailable = status, f"{chosen.id}: {error}"
            reason = "fault-unavailable" if isinstance(error, Unavailable) else "fault-parameter"
            circumstances.refusal = reason, circumstances.unavailable[1]
            bent = value
        if bent is value:
            if not already:
                circumstances.applied.remove(noted)
            return value
        if circumstances.is_own:
            return bent
        with self._lock:
            counted, _ = self._applied.pop(key, (0, memory))
            self._applied[key] = (counted + 1, memory)
            while len(self._applied) > _REMEMBERED:
                self._applied.popitem(last=False)
        return bent


def path_of(fault_id: str, path: str = "", **parameters: object) -> str:
    """Return the path under which a fault is always applied; raises UnknownFault, BadParameter.

    Texts are percent-encoded in it.
    """
    found = find(fault_id)
    found.read_parameters({name: value for name, value in parameters.items() if name != OPERATION})
    if OPERATION in parameters:
        must_be_known(OPERATION, str(parameters[OPERATION]), OPERATIONS)
    given = "".join(f";{name}={quote(str(value), safe='')}" for name, value in parameters.items())
    return f"{PREFIX}{found.id}{given}{path}"


__all__ = ["PREFIX", "BadParameter", "FaultEngine", "UnknownFault", "path_of"]
