"""What a scenario is, as values: a known failure, how it looks, why it comes, and what cures it.

A scenario's file holds the story: its docstring is the explanation, the docstrings of its functions say
what they do. Does not live here: carrying it out (`run`), words for people (`report`, `document`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .attempts import enrol
from .seen import Failure, Finding, Seen

if TYPE_CHECKING:
    from scep_server.ndes.profiles import ProfileName

    from .stage import Stage

Act = Callable[["Stage"], None]
Attempt = Callable[["Stage"], Seen]
Proof = Callable[["Stage", Seen], Iterable[Finding]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Something that is read in the field: where, what it says, and who has published it."""

    where: str
    text: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A known failure that can be reproduced, with its cure.

    Args:
        module: ``__name__`` of its file, whose last part is the scenario's name.
        document: ``__doc__`` of its file: a headline, a blank line, and the explanation.
        symptom: what somebody sees, on one line, for the list.
        in_the_field: what is known of the same failure with Windows devices and a real NDES.
        failure: how the attempt must end while the stage is set.
        set_the_stage: brings the failure about, by means that the lab offers.
        apply_the_cure: takes its cause away.
        at_the_lab: what to type to do so at a running lab.
        on_windows: what to do on a real device, NDES or CA.
        attempt: what is tried before and after the cure.
        also_proves: what must be true besides, once the second attempt has succeeded.
        profile: behaviour profile of the lab's NDES.
        settings: further settings of the lab by section, as in its TOML file.

    """

    module: str
    document: str | None
    symptom: str
    in_the_field: tuple[Sighting, ...]
    failure: Failure
    set_the_stage: Act
    apply_the_cure: Act
    at_the_lab: tuple[str, ...]
    on_windows: tuple[str, ...]
    attempt: Attempt = enrol
    also_proves: Proof | None = None
    profile: ProfileName = "ndes-2019"
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return the name by which it is asked for."""
        return self.module.rpartition(".")[2].replace("_", "-")

    @property
    def title(self) -> str:
        """Return the headline."""
        return inspect.cleandoc(self.document or "").partition("\n")[0].rstrip(".")

    @property
    def explanation(self) -> str:
        """Return why it fails, in paragraphs."""
        return inspect.cleandoc(self.document or "").partition("\n")[2].strip()


def told(function: Callable[..., object]) -> str:
    """Return what a function of a scenario says it does, on one line."""
    return " ".join((inspect.getdoc(function) or "").split())
