"""Whether one CRL speaks for one certificate, and whether a delta CRL completes a base CRL.

RFC 5280 5.2.4 and 6.3.3. Does not live here: fetching, and the verdict on the certificate
(`revocation`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.hresults import hresult

from .signatures import SignatureVerdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from lab.hresults import HResult

    from .certificates import X509Certificate
    from .crls import CertificateRevocationList


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Why a CRL does not count; ``outcome`` is certutil's word."""

    outcome: str
    reason: str
    error: HResult


def rejection(
    crl: CertificateRevocationList, certificate: X509Certificate, issuer: X509Certificate, at: datetime
) -> Rejection | None:
    """Return why ``crl`` says nothing of ``certificate``, issued by ``issuer``; None when it does."""
    unavailable = hresult(0x80092012)
    if crl.issuer_key != certificate.issuer_key:
        return Rejection(
            outcome="Wrong Issuer",
            reason=f"is issued by {crl.issuer}, expected {certificate.issuer} (RFC 5280 6.3.3 b)",
            error=unavailable,
        )
    signature = crl.signature_under(issuer)
    if signature is not SignatureVerdict.VALID:
        return Rejection(
            outcome="Wrong Issuer",
            reason=f"its signature under the key of {issuer.subject} is {signature.value} (RFC 5280 6.3.3 g)",
            error=hresult(0x80090006),
        )
    if not issuer.allows("crl_sign"):
        return Rejection(
            outcome="Wrong Issuer",
            reason=f"keyUsage of {issuer.subject} lacks cRLSign (RFC 5280 6.3.3 f)",
            error=unavailable,
        )
    return _untimely(crl, at) or _out_of_scope(crl, certificate)


def _untimely(crl: CertificateRevocationList, at: datetime) -> Rejection | None:
    if crl.is_current(at):
        return None
    if at < crl.this_update:
        reason = f"thisUpdate is {crl.this_update:%Y-%m-%d %H:%M:%S}Z, later than {at:%Y-%m-%d %H:%M:%S}Z"
        return Rejection(outcome="Not Yet Valid", reason=reason, error=hresult(0x80092013))
    return Rejection(
        outcome="Expired",
        reason=f"nextUpdate was {crl.next_update:%Y-%m-%d %H:%M:%S}Z, now is {at:%Y-%m-%d %H:%M:%S}Z",
        error=hresult(0x80092013),
    )


def _out_of_scope(crl: CertificateRevocationList, certificate: X509Certificate) -> Rejection | None:
    scope = crl.scope
    if crl.base_number is not None and not crl.delta_indicator_critical:
        reason = "has a delta CRL indicator that is not critical (RFC 5280 5.2.4)"
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
    return Rejection(outcome="Wrong Issuer", reason=reason, error=hresult(0x80092012))


def mismatch(base: CertificateRevocationList, delta: CertificateRevocationList) -> str:
    """Return why ``delta`` does not complete ``base`` (RFC 5280 5.2.4); nothing when it does."""
    if delta.base_number is None:
        return "is no delta CRL"
    if delta.scope != base.scope or delta.authority_key_id != base.authority_key_id:
        return "is of another scope or key than its base (RFC 5280 5.2.4 a, b)"
    if delta.number is None or base.number is None:
        return "cannot be compared with its base: there is no CRL number (RFC 5280 5.2.3)"
    if base.number < delta.base_number:
        return f"completes base CRL {delta.base_number:x} and later, the base is {base.number:x} (5.2.4 c 1)"
    if delta.number < base.number:
        return f"has number {delta.number:x}, older than its base {base.number:x} (5.2.4 c 2)"
    return ""


def newest_delta(
    base: CertificateRevocationList, deltas: Sequence[CertificateRevocationList]
) -> CertificateRevocationList | None:
    """Return the newest of ``deltas`` that completes ``base``."""
    fitting = [delta for delta in deltas if not mismatch(base, delta)]
    return max(fitting, key=lambda delta: delta.number or 0, default=None)
