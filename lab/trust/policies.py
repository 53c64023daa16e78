"""Issuance policies along a chain (RFC 5280 6.1.2 to 6.1.5), told in Windows' bits.

The valid policy tree is kept as what it is asked for: which policies of the next certificate are
still good. Does not live here: extended key usages, which Windows calls application policies.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .status import TrustError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .certificates import X509Certificate
    from .policy_rules import PolicyRules

ANY_POLICY: Final = "2.5.29.32.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyVerdict:
    """The issuance policies the end certificate is good for, and what is wrong by element index."""

    policies: tuple[str, ...] | None  # None: all
    problems: tuple[tuple[int, TrustError, str], ...] = ()


@dataclass(slots=True)
class _State:
    explicit: int
    mapping: int
    inhibit_any: int
    valid: frozenset[str] = frozenset({ANY_POLICY})
    problems: list[tuple[int, TrustError, str]] = field(default_factory=list)


def check_policies(path: Sequence[X509Certificate]) -> PolicyVerdict:
    """Return the verdict on ``path``, end certificate first, without the anchor."""
    state = _State(explicit=len(path) + 1, mapping=len(path) + 1, inhibit_any=len(path) + 1)
    for index in range(len(path) - 1, -1, -1):
        certificate = path[index]
        _take_policies(state, certificate, last=index == 0)
        if index:
            _prepare_next(state, certificate, index)
    rules = path[0].policy if path else None
    state.explicit = max(state.explicit - 1, 0)
    if rules is not None and rules.require_explicit == 0:
        state.explicit = 0
    if path and state.explicit == 0 and not state.valid:
        state.problems.append(
            (
                0,
                TrustError.NO_ISSUANCE_CHAIN_POLICY,
                "no issuance policy is left and one is required (RFC 5280 6.1.5 g)",
            )
        )
    policies = None if ANY_POLICY in state.valid else tuple(sorted(state.valid))
    return PolicyVerdict(policies=policies, problems=tuple(state.problems))


def _take_policies(state: _State, certificate: X509Certificate, *, last: bool) -> None:
    """RFC 5280 6.1.3 d and e."""
    own = certificate.policy.policies
    if own is None:
        state.valid = frozenset()
        return
    kept = {policy for policy in own if policy != ANY_POLICY and _is_valid(policy, state.valid)}
    if ANY_POLICY in own and (state.inhibit_any > 0 or (not last and certificate.self_issued)):
        kept |= state.valid
    state.valid = frozenset(kept)


def _is_valid(policy: str, valid: frozenset[str]) -> bool:
    return policy in valid or ANY_POLICY in valid


def _prepare_next(state: _State, certificate: X509Certificate, index: int) -> None:
    """RFC 5280 6.1.4 a, b, h, i and j."""
    rules = certificate.policy
    if rules.mappings:
        _map(state, rules, index)
    if not certificate.self_issued:
        state.explicit = max(state.explicit - 1, 0)
        state.mapping = max(state.mapping - 1, 0)
        state.inhibit_any = max(state.inhibit_any - 1, 0)
    state.explicit = min(state.explicit, _or(rules.require_explicit, state.explicit))
    state.mapping = min(state.mapping, _or(rules.inhibit_mapping, state.mapping))
    state.inhibit_any = min(state.inhibit_any, _or(rules.inhibit_any, state.inhibit_any))


def _map(state: _State, rules: PolicyRules, index: int) -> None:
    if any(ANY_POLICY in pair for pair in rules.mappings):
        state.problems.append(
            (
                index,
                TrustError.INVALID_POLICY_CONSTRAINTS,
                "it maps to or from anyPolicy (RFC 5280 6.1.4 a)",
            )
        )
        return
    mapped = {issuer for issuer, _ in rules.mappings}
    if state.mapping == 0:
        state.problems.append(
            (
                index,
                TrustError.INVALID_POLICY_CONSTRAINTS,
                "it maps policies, which a CA above inhibits (RFC 5280 4.2.1.11)",
            )
        )
        state.valid -= mapped
        return
    reached = {subject for issuer, subject in rules.mappings if _is_valid(issuer, state.valid)}
    state.valid = (state.valid - mapped) | reached


def _or(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value
