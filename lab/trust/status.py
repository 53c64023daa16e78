"""CERT_TRUST bits and the HRESULT that the base chain policy makes of them.

Names and values are those of wincrypt.h. Lives here: the bits and their meaning. Does not live
here: who sets them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import Final

from lab.hresults import HResult, hresult


class TrustError(IntFlag):
    """``dwErrorStatus``: the reasons not to trust."""

    IS_NOT_TIME_VALID = 0x1
    IS_NOT_TIME_NESTED = 0x2
    IS_REVOKED = 0x4
    IS_NOT_SIGNATURE_VALID = 0x8
    IS_NOT_VALID_FOR_USAGE = 0x10
    IS_UNTRUSTED_ROOT = 0x20
    REVOCATION_STATUS_UNKNOWN = 0x40
    IS_CYCLIC = 0x80
    INVALID_EXTENSION = 0x100
    INVALID_POLICY_CONSTRAINTS = 0x200
    INVALID_BASIC_CONSTRAINTS = 0x400
    INVALID_NAME_CONSTRAINTS = 0x800
    HAS_NOT_SUPPORTED_NAME_CONSTRAINT = 0x1000
    HAS_NOT_DEFINED_NAME_CONSTRAINT = 0x2000
    HAS_NOT_PERMITTED_NAME_CONSTRAINT = 0x4000
    HAS_EXCLUDED_NAME_CONSTRAINT = 0x8000
    IS_PARTIAL_CHAIN = 0x10000
    CTL_IS_NOT_TIME_VALID = 0x20000
    CTL_IS_NOT_SIGNATURE_VALID = 0x40000
    CTL_IS_NOT_VALID_FOR_USAGE = 0x80000
    HAS_WEAK_SIGNATURE = 0x100000
    IS_OFFLINE_REVOCATION = 0x1000000
    NO_ISSUANCE_CHAIN_POLICY = 0x2000000
    IS_EXPLICIT_DISTRUST = 0x4000000
    HAS_NOT_SUPPORTED_CRITICAL_EXT = 0x8000000


class TrustInfo(IntFlag):
    """``dwInfoStatus``: how the chain was put together."""

    HAS_EXACT_MATCH_ISSUER = 0x1
    HAS_KEY_MATCH_ISSUER = 0x2
    HAS_NAME_MATCH_ISSUER = 0x4
    IS_SELF_SIGNED = 0x8
    AUTO_UPDATE_CA_REVOCATION = 0x10
    AUTO_UPDATE_END_REVOCATION = 0x20
    NO_OCSP_FAILOVER_TO_CRL = 0x40
    IS_KEY_ROLLOVER = 0x80
    HAS_PREFERRED_ISSUER = 0x100
    HAS_ISSUANCE_CHAIN_POLICY = 0x200
    HAS_VALID_NAME_CONSTRAINTS = 0x400
    IS_PEER_TRUSTED = 0x800
    HAS_CRL_VALIDITY_EXTENDED = 0x1000
    IS_FROM_EXCLUSIVE_TRUST_STORE = 0x2000
    IS_CA_TRUSTED = 0x4000
    HAS_AUTO_UPDATE_WEAK_SIGNATURE = 0x8000
    IS_COMPLEX_CHAIN = 0x10000
    HAS_ALLOW_WEAK_SIGNATURE = 0x20000
    SSL_HANDSHAKE_OCSP = 0x40000
    SSL_TIME_VALID_OCSP = 0x80000
    SSL_RECONNECT_OCSP = 0x100000


NO_ERROR: Final = TrustError(0)
NO_INFO: Final = TrustInfo(0)

# The base chain policy names one reason; the first that applies counts.
_POLICY_ORDER: Final = (
    (TrustError.IS_NOT_SIGNATURE_VALID, 0x80096004),
    (TrustError.IS_UNTRUSTED_ROOT, 0x800B0109),
    (TrustError.IS_PARTIAL_CHAIN | TrustError.IS_CYCLIC, 0x800B010A),
    (TrustError.IS_EXPLICIT_DISTRUST, 0x800B0111),
    (TrustError.IS_REVOKED, 0x80092010),
    (TrustError.IS_NOT_TIME_VALID, 0x800B0101),
    (TrustError.IS_NOT_TIME_NESTED, 0x800B0102),
    (TrustError.INVALID_BASIC_CONSTRAINTS, 0x80096019),
    (TrustError.HAS_NOT_SUPPORTED_CRITICAL_EXT | TrustError.INVALID_EXTENSION, 0x800B0105),
    (
        TrustError.INVALID_NAME_CONSTRAINTS
        | TrustError.HAS_NOT_SUPPORTED_NAME_CONSTRAINT
        | TrustError.HAS_NOT_DEFINED_NAME_CONSTRAINT
        | TrustError.HAS_NOT_PERMITTED_NAME_CONSTRAINT
        | TrustError.HAS_EXCLUDED_NAME_CONSTRAINT,
        0x800B0114,
    ),
    (TrustError.INVALID_POLICY_CONSTRAINTS | TrustError.NO_ISSUANCE_CHAIN_POLICY, 0x800B0113),
    (TrustError.IS_NOT_VALID_FOR_USAGE, 0x800B0110),
    (TrustError.HAS_WEAK_SIGNATURE, 0x80096004),
    (TrustError.IS_OFFLINE_REVOCATION, 0x80092013),
    (TrustError.REVOCATION_STATUS_UNKNOWN, 0x80092012),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustStatus:
    """Error and info bits of an element or of a whole chain (CERT_TRUST_STATUS)."""

    error: TrustError = NO_ERROR
    info: TrustInfo = NO_INFO

    def __or__(self, other: TrustStatus) -> TrustStatus:
        """Return the bits of both."""
        return TrustStatus(error=self.error | other.error, info=self.info | other.info)

    @property
    def verdict(self) -> HResult:
        """Return the HRESULT of CERT_CHAIN_POLICY_BASE; code 0 when no error bit is set."""
        for bits, code in _POLICY_ORDER:
            if self.error & bits:
                return hresult(code)
        return hresult(0 if not self.error else 0x800B010A)


def bit_names(status: TrustError | TrustInfo) -> list[tuple[str, int]]:
    """Return every set bit as (``CERT_TRUST_...``, value), lowest first; ``CTL`` bits alike."""
    return [(f"CERT_TRUST_{bit.name}", bit.value) for bit in type(status) if bit in status]


NEVER_SET: Final = {
    TrustError.HAS_NOT_DEFINED_NAME_CONSTRAINT: "only Windows XP set it for a name form that no constraint "
    "speaks of; RFC 5280 4.2.1.10 leaves such a name free",
    TrustError.CTL_IS_NOT_TIME_VALID: "there are no certificate trust lists here",
    TrustError.CTL_IS_NOT_SIGNATURE_VALID: "there are no certificate trust lists here",
    TrustError.CTL_IS_NOT_VALID_FOR_USAGE: "there are no certificate trust lists here",
}
"""The error bits that no chain here gets, and why."""
