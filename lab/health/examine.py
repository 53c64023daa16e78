"""Looking at a PKI: every location is fetched over HTTP, and what comes back is verified.

Does not live here: what is looked at (`subjects`) and what the words mean (`report`).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from lab.trust import (
    CertificateRevocationList,
    RevocationSources,
    RevocationVerdict,
    UnreadableCertificate,
    UnreadableCrl,
    X509Certificate,
    read_certificates,
)
from lab.trust.ocsp import REQUEST_MEDIA_TYPE, BadOcspAnswer, OcspQuestion, OcspStatus, read_answer
from lab.trust.revocation import check_revocation
from lab.trust.signatures import SignatureVerdict

from .report import HealthReport, HealthRow, RowKind, State, time_states, word_of
from .subjects import issued_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from lab.trust import UrlFetcher
    from lab.trust.fetch import Fetched
    from lab.trust.ocsp import OcspAnswer

    from .subjects import AuthoritySubject, PkiSubjects, RaSubject

_AT_ONCE: Final = 8
_NONCE_OCTETS: Final = 32
_SIGNED: Final = frozenset({SignatureVerdict.VALID, SignatureVerdict.WEAK})


def examine(
    subjects: PkiSubjects,
    *,
    fetcher: UrlFetcher,
    at: datetime,
    entropy: Callable[[int], bytes] | None = None,
) -> HealthReport:
    """Return how everything is at the instant ``at``; ``entropy`` makes nonces for OCSP."""
    authorities = [
        one for one in subjects.authorities if not (one.superseded and one.certificate.not_after < at)
    ]
    urls = [url for one in authorities for url in (*one.aia_urls, *one.crl_urls)]
    with ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="health") as pool:
        list(pool.map(fetcher.fetch, dict.fromkeys(urls)))  # the answers are remembered by the fetcher
    rows: list[HealthRow] = []
    for authority in authorities:
        rows += _Look(authority=authority, fetcher=fetcher, at=at, entropy=entropy).rows()
    for subject in subjects.ra:
        issuer = _issuer_of(subject, authorities)
        rows.append(_Look(authority=issuer, fetcher=fetcher, at=at, entropy=None).ra_certificate(subject))
    return HealthReport(checked_at=at, rows=tuple(rows))


def _issuer_of(subject: RaSubject, authorities: Sequence[AuthoritySubject]) -> AuthoritySubject:
    """Return the CA whose key signed an RA certificate; the newest where none did."""
    own = subject.certificate
    fitting = [one for one in authorities if own is not None and issued_by(own, one.certificate)]
    return (fitting or list(authorities))[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """One CA being looked at."""

    authority: AuthoritySubject
    fetcher: UrlFetcher
    at: datetime
    entropy: Callable[[int], bytes] | None

    def rows(self) -> Iterator[HealthRow]:
        yield self._certificate()
        for number, url in enumerate(self.authority.aia_urls, 1):
            yield self._aia(f"AIA Location #{number}", url)
        bases: list[CertificateRevocationList] = []
        for number, url in enumerate(self.authority.crl_urls, 1):
            yield self._crl(f"CDP Location #{number}", url, bases)
        freshest = dict.fromkeys(url for base in bases for url in base.freshest_urls)
        for one in self.authority.issued:
            freshest |= dict.fromkeys(one.freshest_crl_urls)
        freshest |= dict.fromkeys(self.authority.more_delta_urls)
        for number, url in enumerate(freshest, 1):
            yield self._delta(f"DeltaCRL Location #{number}", url, bases)
        for number, url in enumerate(self.authority.ocsp_urls, 1):
            yield from self._ocsp(number, url)

    # -- certificates ------------------------------------------------------------------

    def _certificate(self) -> HealthRow:
        certificate, issuer = self.authority.certificate, self.authority.issuer
        return self._certificate_row("CA Certificate", "ca", certificate, issuer or certificate)

    def ra_certificate(self, subject: RaSubject) -> HealthRow:
        """Return the row of an RA certificate that this CA issued."""
        name = f"RA Certificate ({subject.role})"
        if subject.certificate is None:
            return self._row(name, "ra", (State.MISSING,), subject.problem)
        return self._certificate_row(name, "ra", subject.certificate, self.authority.certificate)

    def _certificate_row(
        self,
        name: str,
        kind: RowKind,
        certificate: X509Certificate,
        issuer: X509Certificate,
        **more: Any,
    ) -> HealthRow:
        states = list(time_states(certificate.not_before, certificate.not_after, self.at))
        if certificate.issuer_key != issuer.subject_key:
            states.append(State.INVALID_ISSUER)
        elif certificate.signature_under(issuer) not in _SIGNED:
            states.append(State.INVALID_SIGNATURE)
        elif certificate.der != issuer.der and not certificate.ocsp_no_check:
            sources = RevocationSources(fetcher=self.fetcher, ocsp=False)
            result = check_revocation(certificate, issuer, sources=sources, at=self.at)
            states += [State.REVOKED] if result.verdict is RevocationVerdict.REVOKED else []
        return self._row(name, kind, tuple(states), **_certificate_facts(certificate), **more)

    def _aia(self, name: str, url: str) -> HealthRow:
        fetched = self.fetcher.fetch(url)
        if fetched.octets is None:
            return self._failed(name, "aia", fetched)
        try:
            found = read_certificates(fetched.octets)
        except UnreadableCertificate as error:
            return self._row(name, "aia", (State.UNREADABLE,), str(error), url=url)
        wanted = self.authority.certificate
        fitting = [one for one in found if one.der == wanted.der] or [
            one
            for one in found
            if one.public_key_der == wanted.public_key_der and one.subject_key == wanted.subject_key
        ]
        seconds = fetched.elapsed.total_seconds()
        if not fitting:
            return self._row(
                name,
                "aia",
                (State.INVALID_CERTIFICATE,),
                f"it is the certificate of {found[0].subject}",
                url=url,
                seconds=seconds,
                **_certificate_facts(found[0]),
            )
        issuer = self.authority.issuer or wanted
        return self._certificate_row(name, "aia", fitting[0], issuer, url=url, seconds=seconds)

    # -- CRLs --------------------------------------------------------------------------

    def _crl(self, name: str, url: str, bases: list[CertificateRevocationList]) -> HealthRow:
        crl = self._fetch_crl(name, "cdp", url)
        if isinstance(crl, HealthRow):
            return crl
        states = self._crl_states(crl)
        if crl.base_number is not None:
            states.append(State.INVALID_CRL_TYPE)
        if not any(not state.is_warning for state in states):
            bases.append(crl)
        return self._crl_row(name, "cdp", url, crl, states)

    def _delta(self, name: str, url: str, bases: list[CertificateRevocationList]) -> HealthRow:
        crl = self._fetch_crl(name, "delta", url)
        if isinstance(crl, HealthRow):
            return crl
        states = self._crl_states(crl)
        if crl.base_number is None:
            states.append(State.INVALID_CRL_TYPE)
        elif not crl.delta_indicator_critical:
            states.append(State.NON_CRITICAL_DELTA_INDICATOR)
        newest = max((base.number or 0 for base in bases), default=None)
        if crl.base_number is not None and newest is not None:
            if crl.base_number > newest:
                states.append(State.INVALID_BASE)
            elif (crl.number or 0) < newest:
                states.append(State.STALE_DELTA)
        return self._crl_row(name, "delta", url, crl, states)

    def _fetch_crl(self, name: str, kind: RowKind, url: str) -> CertificateRevocationList | HealthRow:
        fetched = self.fetcher.fetch(url)
        if fetched.octets is None:
            return self._failed(name, kind, fetched)
        try:
            return CertificateRevocationList.read(fetched.octets, origin=url)
        except UnreadableCrl as error:
            return self._row(name, kind, (State.UNREADABLE,), str(error), url=url)

    def _crl_states(self, crl: CertificateRevocationList) -> list[State]:
        states = list(time_states(crl.this_update, crl.next_update, self.at))
        if crl.issuer_key != self.authority.certificate.subject_key:
            states.append(State.INVALID_ISSUER)
        elif crl.signature_under(self.authority.certificate) not in _SIGNED:
            states.append(State.INVALID_SIGNATURE)
        overdue = crl.next_publish is not None and crl.next_publish < self.at
        if overdue and State.EXPIRED not in states:
            states.append(State.SCHEDULE_EXPIRED)
        return states

    def _crl_row(
        self, name: str, kind: RowKind, url: str, crl: CertificateRevocationList, states: list[State]
    ) -> HealthRow:
        detail = "" if crl.base_number is None else f"completes base CRL {crl.base_number} and later"
        return self._row(
            name,
            kind,
            tuple(states),
            detail,
            url=url,
            seconds=self.fetcher.fetch(url).elapsed.total_seconds(),
            issuer=crl.issuer,
            number=crl.number,
            begins=crl.this_update,
            ends=crl.next_update,
            next_publish=crl.next_publish,
        )

    # -- OCSP --------------------------------------------------------------------------

    def _ocsp(self, number: int, url: str) -> Iterator[HealthRow]:
        name = f"OCSP Location #{number}"
        own = self.authority.certificate
        issued = next((one for one in self.authority.issued if issued_by(one, own)), None)
        # A CA that has issued nothing yet is asked about a certificate that does not exist.
        asked = issued or replace(own, issuer=own.subject, issuer_der=own.subject_der, serial_number=1)
        nonce = None if self.entropy is None else self.entropy(_NONCE_OCTETS)
        question = OcspQuestion(certificate=asked, issuer=own, nonce=nonce)
        fetched = self.fetcher.post(url, question.encode(), REQUEST_MEDIA_TYPE)
        if fetched.octets is None:
            yield self._failed(name, "ocsp", fetched)
            return
        try:
            answer = read_answer(
                fetched.octets, question, at=self.at, responder_revoked=self._responder_revoked
            )
        except BadOcspAnswer as error:
            state = State.EXPIRED if error.outcome == "Expired" else State.INVALID_RESPONSE
            yield self._row(name, "ocsp", (state,), str(error), url=url)
            return
        yield self._answer_row(name, url, fetched, issued, answer)
        if answer.responder.der != own.der:
            yield self._certificate_row(
                f"OCSP Responder Certificate #{number}",
                "ocsp-responder",
                answer.responder,
                own,
                url=url,
            )

    def _answer_row(
        self, name: str, url: str, fetched: Fetched, asked: X509Certificate | None, answer: OcspAnswer
    ) -> HealthRow:
        states = time_states(answer.this_update, answer.next_update, self.at)
        if answer.status is OcspStatus.UNKNOWN and asked is not None:
            states += (State.UNKNOWN_CERTIFICATE,)
        return self._row(
            name,
            "ocsp",
            states,
            f"says {answer.status.value} of {'nothing issued' if asked is None else asked.subject}",
            url=url,
            seconds=fetched.elapsed.total_seconds(),
            issuer=answer.responder.subject,
            begins=answer.this_update,
            ends=answer.next_update,
        )

    def _responder_revoked(self, responder: X509Certificate) -> str:
        sources = RevocationSources(fetcher=self.fetcher, ocsp=False)
        result = check_revocation(responder, self.authority.certificate, sources=sources, at=self.at)
        return "it is revoked" if result.verdict is RevocationVerdict.REVOKED else ""

    # -- rows --------------------------------------------------------------------------

    def _failed(self, name: str, kind: RowKind, fetched: Fetched) -> HealthRow:
        error = "" if fetched.error is None else f" ({fetched.error.name} 0x{fetched.error.code:08x})"
        return self._row(name, kind, (State.FAILED_TO_DOWNLOAD,), f"{fetched.detail}{error}", url=fetched.url)

    def _row(
        self, name: str, kind: RowKind, states: tuple[State, ...], detail: str = "", **more: Any
    ) -> HealthRow:
        return HealthRow(
            authority=self.authority.name,
            name=name,
            kind=kind,
            status=word_of(states),
            states=states,
            detail=detail,
            **more,
        )


def _certificate_facts(certificate: X509Certificate) -> dict[str, Any]:
    return {
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "serial_number": f"{certificate.serial_number:x}",
        "begins": certificate.not_before,
        "ends": certificate.not_after,
    }
