"""The checks of one certificate in its chain: signature, time, extensions, and whether it may issue.

Each adds bits and notes to a `Finding`. Does not live here: revocation (`revocation`), names
(`constraints`), issuance policies (`policies`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ca import oids

from .certificates import NAME_CONSTRAINTS, UNDERSTOOD_EXTENSIONS
from .constraints import constraint_violations, unsupported_constraints
from .policy_rules import INHIBIT_ANY_POLICY, POLICY_CONSTRAINTS, POLICY_MAPPINGS
from .pool import match_info
from .signatures import SignatureVerdict
from .status import NO_ERROR, TrustError, TrustInfo

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from .anchors import TrustAnchors
    from .certificates import X509Certificate

# The bit that an extension sets whose value cannot be read.
_INVALID: Final = {
    oids.BASIC_CONSTRAINTS: TrustError.INVALID_BASIC_CONSTRAINTS,
    NAME_CONSTRAINTS: TrustError.INVALID_NAME_CONSTRAINTS,
    POLICY_CONSTRAINTS: TrustError.INVALID_POLICY_CONSTRAINTS,
    POLICY_MAPPINGS: TrustError.INVALID_POLICY_CONSTRAINTS,
    INHIBIT_ANY_POLICY: TrustError.INVALID_POLICY_CONSTRAINTS,
}


@dataclass(slots=True)
class Finding:
    """Bits and notes gathered for one element."""

    error: TrustError = NO_ERROR
    notes: list[str] = field(default_factory=list)

    def add(self, bit: TrustError, note: str) -> None:
        """Set a bit, and say why."""
        self.error |= bit
        self.notes.append(note)


def check_link(
    certificate: X509Certificate, issuer: X509Certificate | None, anchors: TrustAnchors, finding: Finding
) -> TrustInfo:
    """Check the signature and say how the issuer was found."""
    if issuer is not None:
        info = match_info(certificate, issuer)
        verdict = certificate.signature_under(issuer)
        if verdict is SignatureVerdict.WEAK:
            finding.add(
                TrustError.HAS_WEAK_SIGNATURE, "its signature uses a digest or key that no longer protects"
            )
        elif verdict is not SignatureVerdict.VALID:
            finding.add(
                TrustError.IS_NOT_SIGNATURE_VALID,
                f"its signature under the key of {issuer.subject} is {verdict.value} (RFC 5280 6.1.3 a 1)",
            )
        return info | TrustInfo.HAS_PREFERRED_ISSUER
    if certificate.self_signed:
        if certificate not in anchors:
            finding.add(TrustError.IS_UNTRUSTED_ROOT, f"it is a root that is not in {anchors.origin}")
        return TrustInfo.HAS_NAME_MATCH_ISSUER | TrustInfo.IS_SELF_SIGNED | TrustInfo.HAS_PREFERRED_ISSUER
    if certificate in anchors:
        return TrustInfo.IS_CA_TRUSTED
    if certificate.self_issued and certificate.signature_under(certificate) is not SignatureVerdict.VALID:
        finding.add(
            TrustError.IS_NOT_SIGNATURE_VALID,
            "its own signature does not verify under its own key (RFC 5280 6.1.3 a 1)",
        )
    return TrustInfo(0)


def check_time(certificate: X509Certificate, at: datetime, finding: Finding) -> None:
    """Check that ``at`` lies within the validity (RFC 5280 6.1.3 a 2)."""
    if at < certificate.not_before:
        finding.add(
            TrustError.IS_NOT_TIME_VALID,
            f"notBefore is {certificate.not_before:%Y-%m-%d %H:%M:%S}Z, now is {at:%Y-%m-%d %H:%M:%S}Z",
        )
    elif at > certificate.not_after:
        finding.add(
            TrustError.IS_NOT_TIME_VALID,
            f"notAfter was {certificate.not_after:%Y-%m-%d %H:%M:%S}Z, now is {at:%Y-%m-%d %H:%M:%S}Z",
        )


def check_nesting(certificate: X509Certificate, issuer: X509Certificate, finding: Finding) -> None:
    """Check that the validity lies within the issuer's: the shell model, which Windows has given up."""
    if certificate.not_before < issuer.not_before or certificate.not_after > issuer.not_after:
        finding.add(
            TrustError.IS_NOT_TIME_NESTED,
            f"it is valid {certificate.not_before:%Y-%m-%d} to {certificate.not_after:%Y-%m-%d}, "
            f"its issuer only {issuer.not_before:%Y-%m-%d} to {issuer.not_after:%Y-%m-%d}",
        )


def check_extensions(certificate: X509Certificate, finding: Finding) -> None:
    """Check that every extension is there once, can be read, and is understood if it is critical."""
    for oid in sorted(certificate.duplicate_extensions):
        finding.add(TrustError.INVALID_EXTENSION, f"extension {oid} is there twice (RFC 5280 4.2)")
    for oid in sorted(certificate.invalid_extensions):
        bit = _INVALID.get(oid, TrustError.INVALID_EXTENSION)
        finding.add(bit, f"the value of extension {oid} cannot be read (RFC 5280 4.2)")
    for text in unsupported_constraints(certificate):
        finding.add(
            TrustError.HAS_NOT_SUPPORTED_NAME_CONSTRAINT,
            f"its nameConstraints hold {text}, which is not supported (RFC 5280 4.2.1.10)",
        )
    for oid in sorted(certificate.critical_extensions - UNDERSTOOD_EXTENSIONS):
        finding.add(
            TrustError.HAS_NOT_SUPPORTED_CRITICAL_EXT,
            f"critical extension {oid} is not understood (RFC 5280 4.2)",
        )


def check_names(path: Sequence[X509Certificate], index: int, finding: Finding) -> None:
    """Check the names of element ``index`` against the constraints of the CAs above it."""
    for bit, note in constraint_violations(path, index):
        finding.add(bit, note)


def check_issuing(path: Sequence[X509Certificate], index: int, finding: Finding) -> None:
    """Check that element ``index`` may have issued the one below it (RFC 5280 6.1.4 k to n)."""
    certificate = path[index]
    if not certificate.acts_as_ca:
        finding.add(
            TrustError.INVALID_BASIC_CONSTRAINTS,
            "it issued a certificate and its basicConstraints do not say cA TRUE (RFC 5280 6.1.4 k)",
        )
    intermediates = sum(not below.self_issued for below in path[1:index])
    if certificate.path_length is not None and intermediates > certificate.path_length:
        finding.add(
            TrustError.INVALID_BASIC_CONSTRAINTS,
            f"{intermediates} CAs are below it, pathLenConstraint allows {certificate.path_length} "
            "(RFC 5280 6.1.4 m)",
        )
    if not certificate.allows("key_cert_sign"):
        finding.add(
            TrustError.IS_NOT_VALID_FOR_USAGE,
            "it issued a certificate and its keyUsage lacks keyCertSign (RFC 5280 6.1.4 n)",
        )
