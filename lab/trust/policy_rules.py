"""What one certificate says of issuance policies (RFC 5280 4.2.1.4, 4.2.1.5, 4.2.1.11, 4.2.1.14).

Lives here: reading it. Does not live here: what a whole chain makes of it (`policies`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

from ca import oids

POLICY_MAPPINGS: Final = "2.5.29.33"
POLICY_CONSTRAINTS: Final = "2.5.29.36"
INHIBIT_ANY_POLICY: Final = "2.5.29.54"


class _Reading(Protocol):
    """Reads the extension of this OID with this function; None where it is absent or invalid."""

    def __call__(self, oid: str, reading: Any, /) -> Any: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRules:
    """What a certificate says; SkipCerts counts are None where the extension is absent."""

    policies: tuple[str, ...] | None = None  # None without certificatePolicies
    mappings: tuple[tuple[str, str], ...] = ()  # issuerDomainPolicy, subjectDomainPolicy
    require_explicit: int | None = None
    inhibit_mapping: int | None = None
    inhibit_any: int | None = None


def policy_rules(read: _Reading) -> PolicyRules:
    """Return the rules of a certificate whose extensions ``read`` reads."""
    require, inhibit = read(POLICY_CONSTRAINTS, _policy_constraints) or (None, None)
    return PolicyRules(
        policies=read(oids.CERTIFICATE_POLICIES, policy_oids),
        mappings=read(POLICY_MAPPINGS, _policy_mappings) or (),
        require_explicit=require,
        inhibit_mapping=inhibit,
        inhibit_any=read(INHIBIT_ANY_POLICY, _inhibit_any_policy),
    )


def policy_oids(value: Any) -> tuple[str, ...]:
    """Return the OIDs of a parsed CertificatePolicies.

    Raises:
        ValueError: there is none, or one twice (RFC 5280 4.2.1.4).

    """
    found = tuple(policy["policy_identifier"].dotted for policy in value)
    if not found or len(set(found)) != len(found):
        raise ValueError("certificatePolicies is empty or repeats a policy (RFC 5280 4.2.1.4)")
    return found


def _policy_constraints(value: Any) -> tuple[int | None, int | None]:
    require, inhibit = value["require_explicit_policy"].native, value["inhibit_policy_mapping"].native
    if require is None and inhibit is None:
        raise ValueError("policyConstraints is empty (RFC 5280 4.2.1.11)")
    return _skip_certs(require), _skip_certs(inhibit)


def _inhibit_any_policy(value: Any) -> int | None:
    return _skip_certs(value.native)


def _skip_certs(value: int | None) -> int | None:
    if value is not None and value < 0:
        raise ValueError("SkipCerts is negative (RFC 5280 4.2.1.11)")
    return value


def _policy_mappings(value: Any) -> tuple[tuple[str, str], ...]:
    return tuple(
        (mapping["issuer_domain_policy"].dotted, mapping["subject_domain_policy"].dotted) for mapping in value
    )
