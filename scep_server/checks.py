"""A check and its verdict: what the RA looked at, what it found, and by which clause.

Every decision lists the checks it made, in order, so that whoever reads it sees why.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


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
