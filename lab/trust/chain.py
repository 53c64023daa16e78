"""Building and judging a certificate chain, as CertGetCertificateChain does.

All chains the pool allows are considered within bounds, and the one with the least grave error is
returned; each element carries its own bits and a note per bit. Does not live here: the checks of one
certificate (`checks`), revocation (`revocation`), printing (`render`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from .anchors import TrustAnchors
from .certificates import X509Certificate
from .checks import (
    Finding,
    check_extensions,
    check_issuing,
    check_link,
    check_names,
    check_nesting,
    check_time,
)
from .policies import PolicyVerdict, check_policies
from .pool import IssuerPool
from .revocation import RevocationResult, RevocationSources, RevocationVerdict, check_revocation
from .status import NO_INFO, TrustError, TrustInfo, TrustStatus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from lab.hresults import HResult

    from .fetch import Retrieval, UrlFetcher

_MAXIMUM_DEPTH: Final = 12
_MAXIMUM_PATHS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRules:
    """What a chain must be good for, beyond being one.

    ``usage`` is an extended key usage, ``issuance_policy`` a certificate policy, both OIDs.
    ``distrusted`` certificates spoil a chain they are in (Windows' Disallowed store).
    ``time_nesting`` wants every validity within the issuer's, as Windows once did.
    """

    usage: str | None = None
    issuance_policy: str | None = None
    distrusted: TrustAnchors = TrustAnchors()  # noqa: RUF009 - frozen
    time_nesting: bool = False


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
    issuance_policies: tuple[str, ...] | None = ()  # None: all
    rules: ChainRules = ChainRules()
    known: tuple[X509Certificate, ...] = ()  # every certificate an issuer could be found among

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


def build_chain(
    certificate: X509Certificate,
    *,
    anchors: TrustAnchors,
    at: datetime,
    intermediates: Sequence[X509Certificate] = (),
    revocation: RevocationSources | None = None,
    fetcher: UrlFetcher | None = None,
    usage: str | None = None,
    rules: ChainRules | None = None,
) -> ChainContext:
    """Return the best chain of ``certificate`` and the verdict on it.

    ``fetcher`` follows AIA; ``revocation`` None leaves revocation unlooked at, else every element
    below the anchor is checked (CERT_CHAIN_REVOCATION_CHECK_CHAIN_EXCLUDE_ROOT); ``usage`` is the
    OID of an extended key usage the chain must be good for, ``rules`` that and more.
    """
    chosen = rules or ChainRules(usage=usage)
    pool = IssuerPool(intermediates, anchors, fetcher)
    judge = _Judge(pool=pool, anchors=anchors, at=at, revocation=revocation, rules=chosen)
    return min((judge.judge(path) for path in _paths(certificate, pool, anchors, at)), key=_gravity)


def _gravity(context: ChainContext) -> tuple[int, int]:
    """Order chains: none wrong first, then what an administrator can least help, then the shortest."""
    error = context.status.error
    grave = (
        TrustError.IS_NOT_SIGNATURE_VALID,
        TrustError.IS_PARTIAL_CHAIN | TrustError.IS_CYCLIC,
        TrustError.IS_UNTRUSTED_ROOT,
        TrustError.IS_EXPLICIT_DISTRUST,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judge:
    """What every path of one request is judged by."""

    pool: IssuerPool
    anchors: TrustAnchors
    at: datetime
    revocation: RevocationSources | None
    rules: ChainRules

    def judge(self, path: tuple[X509Certificate, ...]) -> ChainContext:
        below = _below_anchor(path, self.anchors)
        policies = check_policies(below)
        elements = [self._element(path, index, policies) for index in range(len(path))]
        own = Finding()
        self._check_top(path, own)
        usages = _application_policies(path, self.anchors)
        self._check_purpose(usages, policies, own)
        info = TrustInfo.HAS_PREFERRED_ISSUER
        if policies.policies is None or policies.policies:
            info |= TrustInfo.HAS_ISSUANCE_CHAIN_POLICY
        status = TrustStatus(error=own.error, info=info)
        for element in elements:
            status |= TrustStatus(error=element.status.error)
        return ChainContext(
            elements=tuple(elements),
            status=status,
            notes=tuple(own.notes),
            at=self.at,
            anchors_origin=self.anchors.origin,
            revocation_checked=self.revocation is not None,
            application_policies=usages,
            issuance_policies=policies.policies,
            rules=self.rules,
            known=self.pool.certificates,
        )

    def _check_top(self, path: tuple[X509Certificate, ...], own: Finding) -> None:
        top = path[-1]
        if top in self.anchors or top.self_signed:
            return
        own.add(TrustError.IS_PARTIAL_CHAIN, f"the certificate of {top.issuer} is missing")
        if any(issuer in path for issuer in self.pool.issuers(top, self.at)):
            own.add(TrustError.IS_CYCLIC, f"{top.issuer} was itself certified by a CA below it")

    def _check_purpose(self, usages: tuple[str, ...] | None, policies: PolicyVerdict, own: Finding) -> None:
        wanted = self.rules.usage
        if (wanted is not None and usages is not None and wanted not in usages) or usages == ():
            own.add(
                TrustError.IS_NOT_VALID_FOR_USAGE,
                f"the chain is good for {', '.join(usages or ()) or 'no usage'}, expected {wanted or 'any'} "
                "(RFC 5280 4.2.1.12)",
            )
        policy, found = self.rules.issuance_policy, policies.policies
        if policy is not None and found is not None and policy not in found:
            own.add(
                TrustError.IS_NOT_VALID_FOR_USAGE,
                f"the chain has issuance policies {', '.join(found) or '(none)'}, expected {policy} "
                "(RFC 5280 4.2.1.4)",
            )

    def _element(
        self, path: tuple[X509Certificate, ...], index: int, policies: PolicyVerdict
    ) -> ChainElement:
        certificate = path[index]
        issuer = path[index + 1] if index + 1 < len(path) else None
        finding = Finding()
        info = check_link(certificate, issuer, self.anchors, finding)
        check_time(certificate, self.at, finding)
        check_extensions(certificate, finding)
        check_names(path, index, finding)
        info |= _constraints_info(path, index, finding)
        if index:
            check_issuing(path, index, finding)
        if issuer is not None and self.rules.time_nesting:
            check_nesting(certificate, issuer, finding)
        if certificate in self.rules.distrusted:
            finding.add(TrustError.IS_EXPLICIT_DISTRUST, f"it is in {self.rules.distrusted.origin}")
        for place, bit, note in policies.problems:
            if place == index:
                finding.add(bit, note)
        element = ChainElement(
            certificate=certificate,
            status=TrustStatus(error=finding.error, info=info),
            notes=tuple(finding.notes),
            retrievals=self.pool.retrievals.get(certificate.der, ()),
        )
        if (
            self.revocation is None
            or certificate in self.anchors
            or (issuer is None and certificate.self_signed)
        ):
            return element
        return _with_revocation(element, issuer, self.revocation, self.at)


def _below_anchor(path: tuple[X509Certificate, ...], anchors: TrustAnchors) -> tuple[X509Certificate, ...]:
    """Return the path RFC 5280 6.1 processes: without the anchor, or the root that should be one."""
    top = path[-1]
    return path[:-1] if len(path) > 1 and (top in anchors or top.self_signed) else path


def _constraints_info(path: tuple[X509Certificate, ...], index: int, finding: Finding) -> TrustInfo:
    violated = finding.error & (
        TrustError.HAS_EXCLUDED_NAME_CONSTRAINT | TrustError.HAS_NOT_PERMITTED_NAME_CONSTRAINT
    )
    constrained = any(issuer.name_constraints is not None for issuer in path[index + 1 :])
    return TrustInfo.HAS_VALID_NAME_CONSTRAINTS if constrained and not violated else NO_INFO


def _application_policies(path: tuple[X509Certificate, ...], anchors: TrustAnchors) -> tuple[str, ...] | None:
    """Return the usages every element below the anchor allows; None for all."""
    allowed: tuple[str, ...] | None = None
    below = [certificate for certificate in path if certificate not in anchors] or list(path[:1])
    for certificate in below:
        own = certificate.usages
        if own is not None:
            allowed = own if allowed is None else tuple(oid for oid in allowed if oid in own)
    return allowed


def _with_revocation(
    element: ChainElement, issuer: X509Certificate | None, sources: RevocationSources, at: datetime
) -> ChainElement:
    if issuer is None:
        result = RevocationResult(verdict=RevocationVerdict.OFFLINE, reasons=("its issuer is missing",))
    else:
        result = check_revocation(element.certificate, issuer, sources=sources, at=at)
    finding = Finding()
    reasons = "; ".join(result.reasons)
    if result.entry is not None:
        finding.add(
            TrustError.IS_REVOKED,
            f"revoked {result.entry.revoked_at:%Y-%m-%d %H:%M:%S}Z, reason {result.entry.reason}",
        )
    elif result.verdict is RevocationVerdict.OFFLINE:
        finding.add(
            TrustError.REVOCATION_STATUS_UNKNOWN | TrustError.IS_OFFLINE_REVOCATION,
            f"no usable CRL or OCSP answer: {reasons or 'its locations were not asked'}",
        )
    elif result.verdict is RevocationVerdict.UNKNOWN:
        finding.add(
            TrustError.REVOCATION_STATUS_UNKNOWN, "it names no CRL distribution point and no OCSP responder"
        )
    return replace(
        element,
        status=element.status | TrustStatus(error=finding.error),
        notes=element.notes + tuple(finding.notes),
        revocation=result,
    )
