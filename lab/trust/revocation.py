"""Whether a certificate is revoked, by the CRLs and OCSP responders at hand.

A CRL counts when its issuer and signature are those of the certificate's issuer, it is current,
covers the certificate (RFC 5280 6.3.3) and has no critical extension we do not know; the newest delta
CRL that fits completes it, and where none can be had the base stands alone. An OCSP answer that knows
the certificate outweighs the CRLs, as in CryptoAPI. Anything less is no answer: it is noted with its
reason and the status stays unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Final

from lab.hresults import hresult

from .crl_checks import Rejection, mismatch, newest_delta, rejection
from .crls import CertificateRevocationList, RevokedCertificate, UnreadableCrl
from .fetch import Fetched, Retrieval
from .ocsp import (
    REQUEST_MEDIA_TYPE,
    BadOcspAnswer,
    OcspAnswer,
    OcspQuestion,
    OcspStatus,
    read_answer,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from .certificates import X509Certificate
    from .fetch import UrlFetcher

_NONCE_OCTETS: Final = 32  # RFC 9654 2.1


class RevocationVerdict(Enum):
    """What is known. OFFLINE: there is a place to ask and it gave no usable answer."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationResult:
    """The verdict with what it rests on: ``ocsp``, or else ``crl`` completed by ``delta``.

    ``retrievals`` are those of the CDPs, ``delta_retrievals`` those of the freshest CRLs. ``reasons``
    say why other CRLs and answers did not count.
    """

    verdict: RevocationVerdict
    crl: CertificateRevocationList | None = None
    delta: CertificateRevocationList | None = None
    ocsp: OcspAnswer | None = None
    entry: RevokedCertificate | None = None
    retrievals: tuple[Retrieval, ...] = ()
    delta_retrievals: tuple[Retrieval, ...] = ()
    ocsp_retrievals: tuple[Retrieval, ...] = ()
    reasons: tuple[str, ...] = ()
    crls: tuple[CertificateRevocationList, ...] = ()  # every CRL that was looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationSources:
    """Where the status comes from: CRLs given, and a fetcher for CDPs and responders if one is wanted.

    ``entropy`` makes nonces for OCSP; without it none is sent.
    """

    crls: tuple[CertificateRevocationList, ...] = ()
    fetcher: UrlFetcher | None = None
    ocsp: bool = True
    entropy: Callable[[int], bytes] | None = None


def check_revocation(
    certificate: X509Certificate, issuer: X509Certificate, *, sources: RevocationSources, at: datetime
) -> RevocationResult:
    """Return what CRLs and responders say of ``certificate``, issued by ``issuer``, at ``at``."""
    check = _Check(certificate=certificate, issuer=issuer, sources=sources, at=at)
    check.take_crls()
    answer = check.ask_responders() if sources.ocsp and sources.fetcher is not None else None
    by_crl = check.verdict()
    if answer is None or answer.status is OcspStatus.UNKNOWN:
        return replace(by_crl, ocsp=answer)
    revoked = answer.status is OcspStatus.REVOKED
    verdict = RevocationVerdict.REVOKED if revoked else RevocationVerdict.GOOD
    reasons = by_crl.reasons
    if (
        by_crl.verdict in {RevocationVerdict.GOOD, RevocationVerdict.REVOKED}
        and by_crl.verdict is not verdict
    ):
        reasons += (f"the CRL says {by_crl.verdict.value}; the OCSP answer outweighs it",)
    return replace(by_crl, verdict=verdict, ocsp=answer, entry=answer.entry, reasons=reasons)


@dataclass(slots=True, kw_only=True)
class _Check:
    """One certificate being looked up."""

    certificate: X509Certificate
    issuer: X509Certificate
    sources: RevocationSources
    at: datetime
    bases: list[CertificateRevocationList] = field(default_factory=list)
    deltas: list[CertificateRevocationList] = field(default_factory=list)
    seen: list[CertificateRevocationList] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    retrievals: list[Retrieval] = field(default_factory=list)
    delta_retrievals: list[Retrieval] = field(default_factory=list)
    ocsp_retrievals: list[Retrieval] = field(default_factory=list)

    # -- CRLs --------------------------------------------------------------------------

    def take_crls(self) -> None:
        """Judge the CRLs given, fetch those of the CDPs, and the delta CRLs these point at."""
        for crl in self.sources.crls:
            if crl.issuer_key == self.certificate.issuer_key:
                self._judge(crl)
        fetcher = self.sources.fetcher
        if fetcher is None:
            return
        for url in self.certificate.crl_urls:
            self.retrievals.append(self._fetch(url, fetcher, delta=False))
        freshest = [
            *self.certificate.freshest_crl_urls,
            *(url for crl in self.bases for url in crl.freshest_urls),
        ]
        for url in dict.fromkeys(freshest):
            self.delta_retrievals.append(self._fetch(url, fetcher, delta=True))

    def _fetch(self, url: str, fetcher: UrlFetcher, *, delta: bool) -> Retrieval:
        fetched = fetcher.fetch(url)
        if fetched.octets is None:
            self.reasons.append(f"{url}: {fetched.detail}")
            return _failed("CDP", fetched)
        try:
            crl = CertificateRevocationList.read(fetched.octets, origin=url)
        except UnreadableCrl as error:
            self.reasons.append(str(error))
            return _failed("CDP", replace(fetched, error=hresult(0x8009310B), detail=str(error)))
        found = self._judge(crl, delta=delta)
        number = "" if crl.number is None else f" ({_hex(crl.number)})"
        return Retrieval(
            outcome="Verified" if found is None else found.outcome,
            what=("Base CRL" if crl.base_number is None else "Delta CRL") + number,
            url=url,
            elapsed=fetched.elapsed,
            sha1=crl.sha1,
            error=None if found is None else found.error,
            detail="" if found is None else found.reason,
        )

    def _judge(self, crl: CertificateRevocationList, *, delta: bool | None = None) -> Rejection | None:
        """Sort a CRL under bases or deltas; return why it is neither."""
        self.seen.append(crl)
        found = rejection(crl, self.certificate, self.issuer, self.at)
        if found is None and delta is not None and delta != (crl.base_number is not None):
            found = _wrong_kind(crl)
        if found is not None:
            self.reasons.append(f"{crl.origin}: {found.reason}")
        elif crl.base_number is None:
            self.bases.append(crl)
        else:
            self.deltas.append(crl)
        return found

    def verdict(self) -> RevocationResult:
        """Return what the CRLs say; of those of one scope the newest counts."""
        newest: dict[object, CertificateRevocationList] = {}
        for base in self.bases:
            known = newest.setdefault(base.scope, base)
            if (base.number or 0, base.this_update) > (known.number or 0, known.this_update):
                newest[base.scope] = base
        self._note_idle_deltas(list(newest.values()))
        answers = [answer for base in newest.values() if (answer := self._look_up(base)) is not None]
        revoked = [answer for answer in answers if answer.entry is not None]
        if answers:
            found = (revoked or sorted(answers, key=_age, reverse=True))[0]
        else:
            asked = bool(self.reasons or self.certificate.crl_urls or self.certificate.ocsp_urls)
            verdict = RevocationVerdict.OFFLINE if asked else RevocationVerdict.UNKNOWN
            found = RevocationResult(verdict=verdict)
        return replace(
            found,
            retrievals=tuple(self.retrievals),
            delta_retrievals=tuple(self.delta_retrievals),
            ocsp_retrievals=tuple(self.ocsp_retrievals),
            reasons=tuple(self.reasons),
            crls=tuple(self.seen),
        )

    def _note_idle_deltas(self, bases: list[CertificateRevocationList]) -> None:
        for delta in self.deltas:
            why = [mismatch(base, delta) for base in bases] or ["has no base CRL (RFC 5280 5.2.4)"]
            if all(why):
                self.reasons.append(f"{delta.origin}: {why[0]}")

    def _look_up(self, base: CertificateRevocationList) -> RevocationResult | None:
        delta = newest_delta(base, self.deltas)
        serial_number = self.certificate.serial_number
        try:
            entry = base.entry(serial_number)
            changed = None if delta is None else delta.entry(serial_number)
        except UnreadableCrl as error:
            self.reasons.append(f"{base.origin}: {error}")
            return None
        if changed is not None:
            entry = None if changed.reason == "removeFromCRL" else changed
        verdict = RevocationVerdict.GOOD if entry is None else RevocationVerdict.REVOKED
        return RevocationResult(verdict=verdict, crl=base, delta=delta, entry=entry)

    # -- OCSP --------------------------------------------------------------------------

    def ask_responders(self) -> OcspAnswer | None:
        """Return the first answer that can be used; every responder is asked, for the report."""
        answers = [self._ask(url) for url in self.certificate.ocsp_urls]
        usable = [answer for answer in answers if answer is not None]
        known = [answer for answer in usable if answer.status is not OcspStatus.UNKNOWN]
        return next(iter(known or usable), None)

    def _ask(self, url: str) -> OcspAnswer | None:
        fetcher, entropy = self.sources.fetcher, self.sources.entropy
        if fetcher is None:
            return None
        nonce = None if entropy is None else entropy(_NONCE_OCTETS)
        question = OcspQuestion(certificate=self.certificate, issuer=self.issuer, nonce=nonce)
        fetched = fetcher.post(url, question.encode(), REQUEST_MEDIA_TYPE)
        if fetched.octets is None:
            self.reasons.append(f"{url}: {fetched.detail}")
            self.ocsp_retrievals.append(_failed("OCSP", fetched))
            return None
        try:
            answer = read_answer(
                fetched.octets, question, at=self.at, responder_revoked=self._responder_revoked
            )
        except BadOcspAnswer as error:
            self.reasons.append(f"{url}: {error}")
            failed = replace(fetched, error=hresult(0x80092012), detail=str(error))
            self.ocsp_retrievals.append(_failed("OCSP", failed, error.outcome))
            return None
        if answer.status is OcspStatus.UNKNOWN:
            self.reasons.append(f"{url}: the responder does not know the certificate")
        self.ocsp_retrievals.append(
            Retrieval(outcome="Verified", what="OCSP", url=url, elapsed=fetched.elapsed, sha1=answer.sha1)
        )
        return answer

    def _responder_revoked(self, responder: X509Certificate) -> str:
        """Return why a responder without id-pkix-ocsp-nocheck is not relied on (RFC 6960 4.2.2.2.1)."""
        result = check_revocation(
            responder, self.issuer, sources=replace(self.sources, ocsp=False), at=self.at
        )
        if result.verdict is RevocationVerdict.REVOKED:
            return "it is revoked"
        return "; ".join(result.reasons) if result.verdict is RevocationVerdict.OFFLINE else ""


def _age(answer: RevocationResult) -> float:
    return 0.0 if answer.crl is None else answer.crl.this_update.timestamp()


def _wrong_kind(crl: CertificateRevocationList) -> Rejection:
    found = "base" if crl.base_number is None else "delta"
    return Rejection(
        outcome="Wrong Issuer",
        reason=f"is a {found} CRL where the other kind belongs (RFC 5280 5.2.4)",
        error=hresult(0x80092012),
    )


def _failed(what: str, fetched: Fetched, outcome: str = "Failed") -> Retrieval:
    return Retrieval(
        outcome=outcome,
        what=what,
        url=fetched.url,
        elapsed=fetched.elapsed,
        error=fetched.error,
        detail=fetched.detail,
    )


def _hex(number: int) -> str:
    digits = f"{number:x}"
    return digits.zfill(len(digits) + len(digits) % 2)
