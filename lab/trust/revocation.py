"""Whether a certificate is revoked, by the CRLs at hand.

A CRL counts when its issuer and signature are those of the certificate's issuer, it is current,
covers the certificate (RFC 5280 6.3.3) and has no critical extension we do not know. Anything less
is no answer: it is noted with its reason and the status stays unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING

from lab.hresults import hresult

from .crls import CertificateRevocationList, RevokedCertificate, UnreadableCrl
from .fetch import Retrieval
from .signatures import SignatureVerdict

if TYPE_CHECKING:
    from datetime import datetime

    from lab.hresults import HResult

    from .certificates import X509Certificate
    from .fetch import UrlFetcher


class RevocationVerdict(Enum):
    """What is known. OFFLINE: there is a place to ask and it gave no usable answer."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationResult:
    """The verdict with what it rests on. ``reasons`` say why other CRLs did not count."""

    verdict: RevocationVerdict
    crl: CertificateRevocationList | None = None
    entry: RevokedCertificate | None = None
    retrievals: tuple[Retrieval, ...] = ()
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationSources:
    """Where CRLs come from: those given, and a fetcher for the CDPs if one is wanted."""

    crls: tuple[CertificateRevocationList, ...] = ()
    fetcher: UrlFetcher | None = None


@dataclass(slots=True)
class _Findings:
    usable: list[tuple[CertificateRevocationList, RevokedCertificate | None]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    retrievals: list[Retrieval] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rejection:
    outcome: str  # certutil's word
    reason: str
    error: HResult


def check_revocation(
    certificate: X509Certificate, issuer: X509Certificate, *, sources: RevocationSources, at: datetime
) -> RevocationResult:
    """Return what the CRLs say of ``certificate``, issued by ``issuer``, at the instant ``at``."""
    findings = _Findings()
    for crl in sources.crls:
        if crl.issuer_key == certificate.issuer_key:
            _judge(crl, certificate, issuer, at, findings)
    if sources.fetcher is not None:
        for url in certificate.crl_urls:
            _fetch(url, sources.fetcher, certificate, issuer, at, findings)
    asked = bool(certificate.crl_urls) or bool(findings.reasons)
    return _verdict(findings, asked)


def _verdict(findings: _Findings, asked: bool) -> RevocationResult:
    retrievals, reasons = tuple(findings.retrievals), tuple(findings.reasons)
    for crl, entry in findings.usable:
        if entry is not None:
            return RevocationResult(
                verdict=RevocationVerdict.REVOKED,
                crl=crl,
                entry=entry,
                retrievals=retrievals,
                reasons=reasons,
            )
    if findings.usable:
        newest = max(findings.usable, key=lambda pair: pair[0].this_update)[0]
        return RevocationResult(
            verdict=RevocationVerdict.GOOD, crl=newest, retrievals=retrievals, reasons=reasons
        )
    verdict = RevocationVerdict.OFFLINE if asked else RevocationVerdict.UNKNOWN
    return RevocationResult(verdict=verdict, retrievals=retrievals, reasons=reasons)


def _fetch(
    url: str,
    fetcher: UrlFetcher,
    certificate: X509Certificate,
    issuer: X509Certificate,
    at: datetime,
    findings: _Findings,
) -> None:
    fetched = fetcher.fetch(url)
    if fetched.octets is None:
        findings.reasons.append(f"{url}: {fetched.detail}")
        findings.retrievals.append(
            Retrieval(
                outcome="Failed",
                what="CDP",
                url=url,
                elapsed=fetched.elapsed,
                error=fetched.error,
                detail=fetched.detail,
            )
        )
        return
    try:
        crl = CertificateRevocationList.read(fetched.octets, origin=url)
    except UnreadableCrl as error:
        findings.reasons.append(str(error))
        findings.retrievals.append(
            Retrieval(
                outcome="Failed",
                what="CDP",
                url=url,
                elapsed=fetched.elapsed,
                error=hresult(0x8009310B),
                detail=str(error),
            )
        )
        return
    rejection = _judge(crl, certificate, issuer, at, findings)
    findings.retrievals.append(_retrieval(crl, url, fetched.elapsed, rejection))


def _retrieval(
    crl: CertificateRevocationList, url: str, elapsed: timedelta, rejection: _Rejection | None
) -> Retrieval:
    kind = "Base CRL" if crl.base_number is None else "Delta CRL"
    number = "" if crl.number is None else f" ({_hex(crl.number)})"
    return Retrieval(
        outcome="Verified" if rejection is None else rejection.outcome,
        what=kind + number,
        url=url,
        elapsed=elapsed,
        sha1=crl.sha1,
        error=None if rejection is None else rejection.error,
        detail="" if rejection is None else rejection.reason,
    )


def _hex(number: int) -> str:
    digits = f"{number:x}"
    return digits.zfill(len(digits) + len(digits) % 2)


def _judge(
    crl: CertificateRevocationList,
    certificate: X509Certificate,
    issuer: X509Certificate,
    at: datetime,
    findings: _Findings,
) -> _Rejection | None:
    rejection = _rejection(crl, certificate, issuer, at)
    if rejection is None:
        try:
            findings.usable.append((crl, crl.entry(certificate.serial_number)))
        except UnreadableCrl as error:
            rejection = _Rejection(outcome="Failed", reason=str(error), error=hresult(0x8009310B))
    if rejection is not None:
        findings.reasons.append(f"{crl.origin}: {rejection.reason}")
    return rejection


def _rejection(
    crl: CertificateRevocationList, certificate: X509Certificate, issuer: X509Certificate, at: datetime
) -> _Rejection | None:
    """Return why ``crl`` says nothing of ``certificate``, or None when it does."""
    unavailable = hresult(0x80092012)
    if crl.issuer_key != certificate.issuer_key:
        return _Rejection(
            outcome="Wrong Issuer",
            reason=f"is issued by {crl.issuer}, expected {certificate.issuer} (RFC 5280 6.3.3 b)",
            error=unavailable,
        )
    signature = crl.signature_under(issuer)
    if signature is not SignatureVerdict.VALID:
        return _Rejection(
            outcome="Wrong Issuer",
            reason=f"its signature under the key of {issuer.subject} is {signature.value} (RFC 5280 6.3.3 g)",
            error=hresult(0x80090006),
        )
    if not issuer.allows("crl_sign"):
        return _Rejection(
            outcome="Wrong Issuer",
            reason=f"keyUsage of {issuer.subject} lacks cRLSign (RFC 5280 6.3.3 f)",
            error=unavailable,
        )
    return _untimely(crl, at) or _out_of_scope(crl, certificate)


def _untimely(crl: CertificateRevocationList, at: datetime) -> _Rejection | None:
    if crl.is_current(at):
        return None
    if at < crl.this_update:
        reason = f"thisUpdate is {crl.this_update:%Y-%m-%d %H:%M:%S}Z, later than {at:%Y-%m-%d %H:%M:%S}Z"
        return _Rejection(outcome="Not Yet Valid", reason=reason, error=hresult(0x80092013))
    return _Rejection(
        outcome="Expired",
        reason=f"nextUpdate was {crl.next_update:%Y-%m-%d %H:%M:%S}Z, now is {at:%Y-%m-%d %H:%M:%S}Z",
        error=hresult(0x80092013),
    )


def _out_of_scope(crl: CertificateRevocationList, certificate: X509Certificate) -> _Rejection | None:
    scope = crl.scope
    if crl.base_number is not None:
        reason = "is a delta CRL, which says nothing without its base (RFC 5280 5.2.4)"
    elif crl.unknown_critical:
        reason = f"has critical extension {crl.unknown_critical[0]}, which is not understood (RFC 5280 5.2)"
    elif scope.indirect:
        reason = "is an indirect CRL, which is not supported (RFC 5280 5.2.5)"
    elif scope.only_some_reasons:
        reason = "covers only some reasons (RFC 5280 5.2.5)"
    elif scope.only_attribute_certificates:
        reason = "covers attribute certificates only (RFC 5280 5.2.5)"
    elif scope.only_user_certificates and certificate.acts_as_ca:
        reason = "covers end entity certificates only (RFC 5280 5.2.5)"
    elif scope.only_ca_certificates and not certificate.acts_as_ca:
        reason = "covers CA certificates only (RFC 5280 5.2.5)"
    elif scope.urls and not set(scope.urls) & set(certificate.crl_urls):
        reason = "its distribution point is not one of the certificate's (RFC 5280 6.3.3 b 2 i)"
    else:
        return None
    return _Rejection(outcome="Wrong Issuer", reason=reason, error=hresult(0x80092012))
