"""Building and judging a certificate chain, as CertGetCertificateChain does.

All chains the pool allows are considered within bounds, and the one with the least grave error is
returned; each element carries its own bits and a note per bit. Does not live here: revocation
(`revocation`), printing (`render`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from ca import oids

from .certificates import UNDERSTOOD_EXTENSIONS, X509Certificate
from .pool import IssuerPool, match_info
from .revocation import RevocationResult, RevocationSources, RevocationVerdict, check_revocation
from .signatures import SignatureVerdict
from .status import NO_ERROR, TrustError, TrustInfo, TrustStatus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from lab.hresults import HResult

    from .anchors import TrustAnchors
    from .fetch import Retrieval, UrlFetcher

_MAXIMUM_DEPTH: Final = 12
_MAXIMUM_PATHS: Final = 64
_NAME_CONSTRAINTS: Final = "2.5.29.30"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainElement:
    """One certificate of a chain with its bits; ``notes`` say in words why each error bit is set."""

    certificate: X509Certificate
    status: TrustStatus
    notes: tuple[str, ...] = ()
    revocation: RevocationResult | None = None  # None: not looked at
    retrievals: tuple[Retrieval, ...] = ()  # AIA


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainContext:
    """A judged chain, end entity first. ``status`` holds every element's bits and the chain's own."""

    elements: tuple[ChainElement, ...]
    status: TrustStatus
    notes: tuple[str, ...]
    at: datetime
    anchors_origin: str
    revocation_checked: bool
    application_policies: tuple[str, ...] | None  # None: all

    @property
    def trusted(self) -> bool:
        """Whether no error bit is set."""
        return not self.status.error

    @property
    def hresult(self) -> HResult:
        """Return what CERT_CHAIN_POLICY_BASE makes of the bits."""
        return self.status.verdict

    @property
    def explanations(self) -> tuple[str, ...]:
        """Return every note, each with the certificate it is about."""
        return self.notes + tuple(
            f"{element.certificate.subject}: {note}" for element in self.elements for note in element.notes
        )


@dataclass(slots=True)
class _Finding:
    """Bits and notes gathered for one element."""

    error: TrustError = NO_ERROR
    notes: list[str] = field(default_factory=list)

    def add(self, bit: TrustError, note: str) -> None:
        self.error |= bit
        self.notes.append(note)


def build_chain(
    certificate: X509Certificate,
    *,
    anchors: TrustAnchors,
    at: datetime,
    intermediates: Sequence[X509Certificate] = (),
    revocation: RevocationSources | None = None,
    fetcher: UrlFetcher | None = None,
    usage: str | None = None,
) -> ChainContext:
    """Return the best chain of ``certificate`` and the verdict on it.

    ``fetcher`` follows AIA; ``revocation`` None leaves revocation unlooked at, else every element
    below the anchor is checked (CERT_CHAIN_REVOCATION_CHECK_CHAIN_EXCLUDE_ROOT); ``usage`` is the
    OID of an extended key usage the chain must be good for.
    """
    pool = IssuerPool(intermediates, anchors, fetcher)
    paths = _paths(certificate, pool, anchors, at)
    judged = [_judge(path, pool, anchors, at, revocation, usage) for path in paths]
    return min(judged, key=_gravity)


def _gravity(context: ChainContext) -> tuple[int, int]:
    """Order chains: none wrong first, then what an administrator can least help, then the shortest."""
    error = context.status.error
    grave = (
        TrustError.IS_NOT_SIGNATURE_VALID,
        TrustError.IS_PARTIAL_CHAIN | TrustError.IS_CYCLIC,
        TrustError.IS_UNTRUSTED_ROOT,
        TrustError.IS_REVOKED,
        TrustError.IS_NOT_TIME_VALID,
    )
    weight = sum(1 << (len(grave) + 1 - place) for place, bits in enumerate(grave) if error & bits)
    return (weight + bool(error), len(context.elements))


def _paths(
    certificate: X509Certificate, pool: IssuerPool, anchors: TrustAnchors, at: datetime
) -> list[tuple[X509Certificate, ...]]:
    """Return every path upwards within bounds, each ended by an anchor, a root, or a missing issuer."""
    finished: list[tuple[X509Certificate, ...]] = []
    open_paths: list[tuple[X509Certificate, ...]] = [(certificate,)]
    while open_paths and len(finished) < _MAXIMUM_PATHS:
        path = open_paths.pop()
        top = path[-1]
        ended = top in anchors or top.self_signed or len(path) >= _MAXIMUM_DEPTH
        above = [] if ended else [issuer for issuer in pool.issuers(top, at) if issuer not in path]
        if above:
            open_paths += [(*path, issuer) for issuer in reversed(above[:8])]
        else:
            finished.append(path)
    return finished


def _judge(
    path: tuple[X509Certificate, ...],
    pool: IssuerPool,
    anchors: TrustAnchors,
    at: datetime,
    revocation: RevocationSources | None,
    usage: str | None,
) -> ChainContext:
    elements = [
        _element(path, index, anchors, at, revocation, pool.retrievals.get(path[index].der, ()))
        for index in range(len(path))
    ]
    own = _Finding()
    top = path[-1]
    if top not in anchors and not top.self_signed:
        own.add(TrustError.IS_PARTIAL_CHAIN, f"the certificate of {top.issuer} is missing")
    policies = _application_policies(path, anchors)
    if (usage is not None and policies is not None and usage not in policies) or policies == ():
        own.add(
            TrustError.IS_NOT_VALID_FOR_USAGE,
            f"the chain is good for {', '.join(policies or ()) or 'no usage'}, expected {usage or 'any'} "
            "(RFC 5280 4.2.1.12)",
        )
    status = TrustStatus(error=own.error, info=TrustInfo.HAS_PREFERRED_ISSUER)
    for element in elements:
        status |= TrustStatus(error=element.status.error)
    return ChainContext(
        elements=tuple(elements),
        status=status,
        notes=tuple(own.notes),
        at=at,
        anchors_origin=anchors.origin,
        revocation_checked=revocation is not None,
        application_policies=policies,
    )


def _application_policies(path: tuple[X509Certificate, ...], anchors: TrustAnchors) -> tuple[str, ...] | None:
    """Return the usages every element below the anchor allows; None for all."""
    allowed: tuple[str, ...] | None = None
    below = [certificate for certificate in path if certificate not in anchors] or list(path[:1])
    for certificate in below:
        own = certificate.extended_key_usage
        if own is None or oids.ANY_EXTENDED_KEY_USAGE in own:
            continue
        allowed = own if allowed is None else tuple(oid for oid in allowed if oid in own)
    return allowed


def _element(
    path: tuple[X509Certificate, ...],
    index: int,
    anchors: TrustAnchors,
    at: datetime,
    revocation: RevocationSources | None,
    retrievals: tuple[Retrieval, ...],
) -> ChainElement:
    certificate = path[index]
    issuer = path[index + 1] if index + 1 < len(path) else None
    finding = _Finding()
    info = _link(certificate, issuer, anchors, finding)
    _check_time(certificate, at, finding)
    _check_extensions(certificate, finding)
    if index:
        _check_issuing(path, index, finding)
    element = ChainElement(
        certificate=certificate,
        status=TrustStatus(error=finding.error, info=info),
        notes=tuple(finding.notes),
        retrievals=retrievals,
    )
    if revocation is None or certificate in anchors or (issuer is None and certificate.self_signed):
        return element
    return _with_revocation(element, issuer, revocation, at)


def _link(
    certificate: X509Certificate, issuer: X509Certificate | None, anchors: TrustAnchors, finding: _Finding
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


def _check_time(certificate: X509Certificate, at: datetime, finding: _Finding) -> None:
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


def _check_extensions(certificate: X509Certificate, finding: _Finding) -> None:
    for oid in sorted(certificate.duplicate_extensions):
        finding.add(TrustError.INVALID_EXTENSION, f"extension {oid} is there twice (RFC 5280 4.2)")
    if certificate.has_name_constraints:
        finding.add(
            TrustError.HAS_NOT_SUPPORTED_NAME_CONSTRAINT,
            "nameConstraints is there, which this engine does not evaluate (RFC 5280 4.2.1.10)",
        )
    for oid in sorted(certificate.critical_extensions - UNDERSTOOD_EXTENSIONS - {_NAME_CONSTRAINTS}):
        finding.add(
            TrustError.HAS_NOT_SUPPORTED_CRITICAL_EXT,
            f"critical extension {oid} is not understood (RFC 5280 4.2)",
        )


def _check_issuing(path: tuple[X509Certificate, ...], index: int, finding: _Finding) -> None:
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


def _with_revocation(
    element: ChainElement, issuer: X509Certificate | None, sources: RevocationSources, at: datetime
) -> ChainElement:
    if issuer is None:
        result = RevocationResult(verdict=RevocationVerdict.OFFLINE, reasons=("its issuer is missing",))
    else:
        result = check_revocation(element.certificate, issuer, sources=sources, at=at)
    finding = _Finding()
    reasons = "; ".join(result.reasons)
    if result.entry is not None:
        finding.add(
            TrustError.IS_REVOKED,
            f"revoked {result.entry.revoked_at:%Y-%m-%d %H:%M:%S}Z, reason {result.entry.reason}",
        )
    elif result.verdict is RevocationVerdict.OFFLINE:
        finding.add(
            TrustError.REVOCATION_STATUS_UNKNOWN | TrustError.IS_OFFLINE_REVOCATION,
            f"no usable CRL: {reasons or 'its CDP was not asked'}",
        )
    elif result.verdict is RevocationVerdict.UNKNOWN:
        finding.add(TrustError.REVOCATION_STATUS_UNKNOWN, "it names no CRL distribution point")
    return replace(
        element,
        status=element.status | TrustStatus(error=finding.error),
        notes=element.notes + tuple(finding.notes),
        revocation=result,
    )
