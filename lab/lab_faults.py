"""A lab's faults, as tests set them: by id, for a block or until the lab is reset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from .faults.registry import BadParameter, find
from .faults.rules import Match, RuleOrder
from .faults.values import Doorway

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from .faults.engine import FaultEngine
    from .faults.registry import Fault, ParameterValue
    from .faults.rules import RuleView


class SetFault:
    """One rule that was set; as a context manager it is removed at the end of the block.

    ``hits`` and ``left`` can be read afterwards, too.
    """

    def __init__(self, engine: FaultEngine, view: RuleView) -> None:
        self._engine = engine
        self._view = view

    @property
    def view(self) -> RuleView:
        """The rule as it stands, or stood when it was removed."""
        self._view = self._engine.rule(self._view.id) or self._view
        return self._view

    @property
    def hits(self) -> int:
        """How many exchanges it was applied to."""
        return self.view.hits

    @property
    def left(self) -> int | None:
        """How many more it will be applied to; None without an end."""
        return self.view.left

    def remove(self) -> None:
        """Apply it no longer; harmless when repeated."""
        self._engine.remove(self.view.id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()


class LabFaults:
    """Sets, lists and removes the faults of one lab; ``scep_url_of`` returns where one is met by SCEP."""

    def __init__(self, engine: FaultEngine, *, scep_url_of: Callable[..., str]) -> None:
        self._engine = engine
        self._scep_url_of = scep_url_of

    def set(
        self,
        fault: str | Sequence[str | None],
        *,
        times: int | None = None,
        after: int = 0,
        match: Mapping[str, str] | None = None,
        chance: float | None = None,
        seed: int | None = None,
        **parameters: ParameterValue,
    ) -> SetFault:
        """Apply a fault to every exchange that it can be applied to, from now on.

        Args:
            fault: its id, or a sequence of ids that are applied in turn; None leaves an exchange alone.
            times: to so many exchanges; None: until it is removed.
            after: so many exchanges are left alone at first.
            match: only to some, by ``operation``, ``message_type``, ``transaction_id``, ``subject``,
                ``client_address``, ``user_agent``, ``endpoint`` or ``path``, with ``*`` and ``?``.
            chance: with this probability.
            seed: makes the chance repeat itself.
            parameters: the fault's own, see the catalogue.

        Raises:
            UnknownFault: there is no fault of this id; near ones are named.
            BadParameter: the fault has no such parameter, or it takes no such value; or no rule can be about
                it, because it comes before HTTP and has a URL of its own.
            pydantic.ValidationError: anything else makes no sense.

        """
        named = [fault] if isinstance(fault, str) else list(fault)
        for one in named:
            if one is not None:
                _ruled(one).read_parameters(parameters)
        order = RuleOrder(
            fault=fault if isinstance(fault, str) else None,
            sequence=() if isinstance(fault, str) else tuple(fault),
            match=Match.model_validate(dict(match or {})),
            times=times,
            after=after,
            chance=chance,
            seed=seed,
            parameters=parameters,
        )
        return SetFault(self._engine, self._engine.add(order))

    def rules(self) -> tuple[RuleView, ...]:
        """Return what is set, oldest first."""
        return self._engine.rules()

    def clear(self) -> int:
        """Remove all; return how many there were."""
        return self._engine.clear()

    def url(self, fault_id: str, **parameters: ParameterValue) -> str:
        """Return the SCEP URL under which a fault is always met, by nobody else.

        Faults of what is published are met where the certificate that is issued there leads.

        The parameter ``operation`` limits it to one operation. What comes before HTTP has a listener of its
        own, opened now.

        Raises:
            UnknownFault, BadParameter: as `set`.
            ListenerError: no port can be opened.

        """
        return self._scep_url_of(fault_id, **parameters)


def _ruled(fault_id: str) -> Fault:
    """Return a fault that a rule can be about."""
    found = find(fault_id)
    if found.takes is Doorway:
        raise BadParameter(
            f"{found.id} comes before HTTP, where no rule chooses whom it meets; have the client use "
            f"scep_lab.fault_url({found.id!r}), where it is always met"
        )
    return found
