"""The OCSP responder (RFC 6960, in the profile of RFC 5019): a question in, a signed answer out.

The status of each certificate is looked up in the store for each question; only a signature over
the same status may be used again, and not for long. Lives here: whose certificates are answered for
and what is said of them. Does not live here: the octets of the messages (`ca.ocsp`), the
responder's certificates (`ca.ocsp_credentials`), HTTP.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeAlias

import structlog

from .errors import CaError
from .keys import UnusableKey
from .ocsp import (
    CertStatus,
    MalformedOcspRequest,
    ResponseData,
    ResponseStatus,
    SingleResponse,
    error_response,
    issuer_identifiers,
    read_request,
    sign_response,
)
from .records import AlreadyExists, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from .certificates import CertificateInfo
    from .clock import Clock
    from .ocsp import CertId, IssuerIdentifier, OcspRequest
    from .ocsp_credentials import CredentialSource, ResponderCredential
    from .records import CertificateRecord, Revocation, Store
    from .settings import OcspSettings

_log = structlog.get_logger(__name__)
_SECOND: Final = timedelta(seconds=1)
_Standing: TypeAlias = "tuple[CertStatus, Revocation | None]"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedIssuer:
    """A CA key whose certificates are answered for, and what answers about them are signed with."""

    certificate: CertificateInfo
    credentials: CredentialSource

    @property
    def key_id(self) -> str:
        """The SubjectKeyIdentifier in hex, under which the store knows what the key issued."""
        return (self.certificate.subject_key_id or b"").hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How long an answer may be kept by anyone (RFC 5019 6)."""

    this_update: datetime
    next_update: datetime
    maximum_age: timedelta  # from now on; ends before next_update


@dataclass(frozen=True, slots=True, kw_only=True)
class OcspAnswer:
    """An OCSPResponse and what those who carry it need to know of it.

    ``freshness`` is None where the answer is for this one asker only: an error, or one with a nonce.
    """

    der: bytes = field(repr=False)
    status: ResponseStatus
    cert_statuses: tuple[CertStatus, ...] = ()
    freshness: Freshness | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signed:
    """An answer as it was signed; it may be given again from ``signed_at`` until ``reusable_until``."""

    der: bytes = field(repr=False)
    cert_statuses: tuple[CertStatus, ...]
    this_update: datetime
    next_update: datetime
    signed_at: datetime
    reusable_until: datetime

    def answer(self, now: datetime, *, shared: bool) -> OcspAnswer:
        freshness = Freshness(
            this_update=self.this_update,
            next_update=self.next_update,
            maximum_age=max(timedelta(0), self.reusable_until - now),
        )
        return OcspAnswer(
            der=self.der,
            status=ResponseStatus.SUCCESSFUL,
            cert_statuses=self.cert_statuses,
            freshness=freshness if shared else None,
        )


class OcspResponder:
    """Answers for one CA under all of its keys.

    Args:
        issuers: the CA's keys; `serve` replaces them, as after a renewal.
        store: what the CA issued and revoked.
        clock: the time that answers speak of.
        settings: how long answers last.
        clock_skew: how far thisUpdate is back-dated, for clients whose clocks are behind.

    Safe to use from several threads.

    """

    def __init__(
        self,
        *,
        issuers: Iterable[ServedIssuer],
        store: Store,
        clock: Clock,
        settings: OcspSettings,
        clock_skew: timedelta,
    ) -> None:
        self._store = store
        self._clock = clock
        self._validity = settings.validity.about()
        self._reuse = settings.reuse.about()
        self._clock_skew = clock_skew
        self._signed = _SignedAnswers(settings.remembered_answers if self._reuse else 0)
        self._trouble = ""
        self.serve(issuers)

    def serve(self, issuers: Iterable[ServedIssuer]) -> None:
        """Answer for these CA keys from now on; of several certificates of one key the first counts."""
        found: dict[IssuerIdentifier, ServedIssuer] = {}
        for issuer in issuers:
            for identifier in issuer_identifiers(issuer.certificate):
                found.setdefault(identifier, issuer)
        self._issuers = found

    def answer(self, octets: bytes) -> OcspAnswer:
        """Answer an OCSPRequest; what keeps from answering is an answer too (RFC 6960 2.3)."""
        try:
            request = read_request(octets)
        except MalformedOcspRequest as error:
            _log.debug("OCSP request refused", reason=str(error))
            return _error(ResponseStatus.MALFORMED_REQUEST)
        try:
            answer = self._answer(request)
        except StoreUnavailable as error:
            return self._cannot(ResponseStatus.TRY_LATER, error)
        except (CaError, UnusableKey, AlreadyExists) as error:
            return self._cannot(ResponseStatus.INTERNAL_ERROR, error)
        if self._trouble:
            self._trouble = ""
            _log.info("OCSP answers again")
        return answer

    def _answer(self, request: OcspRequest) -> OcspAnswer:
        issuers = [self._issuers.get(cert_id.issuer) for cert_id in request.cert_ids]
        served = next((issuer for issuer in issuers if issuer is not None), None)
        if served is None:  # RFC 5019 2.2.3; RFC 6960 2.3
            return _error(ResponseStatus.UNAUTHORIZED)
        credential = served.credentials.current()
        now = self._clock.now().replace(microsecond=0)  # before looking: what is found held at this instant
        standings = self._look_up(request.cert_ids, issuers)
        if request.nonce is not None or len(request.cert_ids) > 1:
            signed = self._sign(request, standings, credential, now)
            return signed.answer(now, shared=request.nonce is None)
        key = _Question(request.cert_ids[0].der, standings[0], credential.certificate.der)
        signed_before = self._signed.find(key, now)
        if signed_before is not None:
            return signed_before.answer(now, shared=True)
        signed = self._sign(request, standings, credential, now)
        self._signed.remember(key, signed)
        return signed.answer(now, shared=True)

    def _look_up(self, cert_ids: Sequence[CertId], issuers: Sequence[ServedIssuer | None]) -> list[_Standing]:
        """Return how each certificate stands; one never issued, or not by this CA, is unknown."""
        with self._store.reading() as transaction:
            found = [
                None
                if issuer is None
                else transaction.certificate_by_serial(issuer.key_id, cert_id.serial_number)
                for cert_id, issuer in zip(cert_ids, issuers, strict=True)
            ]
        return [_standing(record) for record in found]

    def _sign(
        self,
        request: OcspRequest,
        standings: Sequence[_Standing],
        credential: ResponderCredential,
        now: datetime,
    ) -> _Signed:
        next_update = min(now + self._validity, credential.certificate.not_after)
        responses = [
            SingleResponse(
                cert_id=cert_id,
                status=status,
                revocation=revocation,
                this_update=self._this_update(revocation, now),
                next_update=next_update,
            )
            for cert_id, (status, revocation) in zip(request.cert_ids, standings, strict=True)
        ]
        data = ResponseData.by(
            credential.certificate, produced_at=now, responses=responses, nonce=request.nonce
        )
        return _Signed(
            der=sign_response(data, credential.key, (credential.certificate.der,)),
            cert_statuses=tuple(status for status, _ in standings),
            this_update=max(response.this_update for response in responses),
            next_update=next_update,
            signed_at=now,
            reusable_until=min(now + self._reuse, next_update - _SECOND),
        )

    def _this_update(self, revocation: Revocation | None, now: datetime) -> datetime:
        """Return thisUpdate: back-dated, yet never to when a revoked certificate was not revoked."""
        back_dated = now - self._clock_skew
        if revocation is None:
            return back_dated
        return min(now, max(back_dated, revocation.revoked_at.replace(microsecond=0)))

    def _cannot(self, status: ResponseStatus, error: Exception) -> OcspAnswer:
        """Log why, once until something else happens, and return the answer that says so."""
        reason = str(error)
        if reason != self._trouble:
            self._trouble = reason
            _log.error("OCSP cannot answer", status=status.name, reason=reason)
        return _error(status)


def _standing(record: CertificateRecord | None) -> _Standing:
    if record is None:
        return CertStatus.UNKNOWN, None
    return CertStatus.REVOKED if record.revocation else CertStatus.GOOD, record.revocation


def _error(status: ResponseStatus) -> OcspAnswer:
    return OcspAnswer(der=error_response(status), status=status)


# -- answers that are given again ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Question:
    """What must be the same for a signature to be used again."""

    cert_id: bytes
    standing: _Standing
    responder: bytes


class _SignedAnswers:
    """At most so many signed answers, the least recently used of which goes first."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._answers: OrderedDict[_Question, _Signed] = OrderedDict()
        self._using = threading.Lock()

    def find(self, question: _Question, now: datetime) -> _Signed | None:
        """Return the answer, if it may be given now; the clock may have been put back since."""
        with self._using:
            found = self._answers.get(question)
            if found is None:
                return None
            if not found.signed_at <= now < found.reusable_until:
                del self._answers[question]
                return None
            self._answers.move_to_end(question)
            return found

    def remember(self, question: _Question, answer: _Signed) -> None:
        """Keep an answer to give it again."""
        if not self._maximum:
            return
        with self._using:
            self._answers[question] = answer
            self._answers.move_to_end(question)
            while len(self._answers) > self._maximum:
                self._answers.popitem(last=False)
