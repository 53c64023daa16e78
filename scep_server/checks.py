"""A check and its verdict: what the RA looked at, what it found, and by which clause.

Every decision lists the checks it made, in order, so that whoever reads it sees why.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Verdict(Enum):
    """How a check came out."""

    PASSED = "passed"
    WARNED = "warned"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check: ``name`` is a stable kebab-case id such as ``challenge`` or ``signer-revoked``.

    ``found`` and ``expected`` are for people and never hold a secret.
    """

    name: str
    verdict: Verdict
    clause: str
    found: str = ""
    expected: str = ""


class CheckList:
    """Collects checks while a decision is being made; one per decision, in one thread."""

    __slots__ = ("_made",)

    def __init__(self) -> None:
        self._made: list[Check] = []

    def add(self, name: str, verdict: Verdict, clause: str, found: str = "", expected: str = "") -> None:
        """Note a check."""
        self._made.append(Check(name=name, verdict=verdict, clause=clause, found=found, expected=expected))

    def passed(self, name: str, clause: str, found: str = "") -> None:
        """Note a check that came out well."""
        self.add(name, Verdict.PASSED, clause, found)

    def skipped(self, name: str, clause: str, why: str) -> None:
        """Note a check that was not made, and why."""
        self.add(name, Verdict.SKIPPED, clause, why)

    def warned(self, name: str, clause: str, found: str, expected: str = "") -> None:
        """Note something tolerated."""
        self.add(name, Verdict.WARNED, clause, found, expected)

    def failed(self, name: str, clause: str, found: str, expected: str = "") -> None:
        """Note the check that decides against the request."""
        self.add(name, Verdict.FAILED, clause, found, expected)

    def extend(self, checks: Iterable[Check]) -> None:
        """Note checks that were made elsewhere."""
        self._made.extend(checks)

    def made(self) -> tuple[Check, ...]:
        """Return the checks so far, in order."""
        return tuple(self._made)
