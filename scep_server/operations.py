"""SCEP's operations, from an HTTP request to an HTTP reply.

The straight way: octets, `UnverifiedMessage`, `PkiMessage`, opened message, what it asks for, the
RA's answer, CertRep, octets. From the moment the transactionID can be read every failure is a signed
CertRep under HTTP 200, since clients throw the body of any other status away; below that HTTP answers.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from ca.certificates import read_certificate
from ca.errors import CaError
from ca.pkcs10 import parse_request, verify_request
from ca.records import StoreUnavailable

from .brakes import Brakes
from .ca_certificates import next_ca_response
from .capabilities import capabilities, encode
from .challenge_policy import BookedChallenges
from .decisions import Application, Pend, PendingQuota, Refuse
from .enrolment import Enrolment
from .exchange import HttpReply, Operation
from .faces import Face, make_faces
from .log_context import note, one_request
from .ndes.ladder import Stage, refusal_outcome
from .outcomes import Refusal, outcome_of
from .progress import Progress
from .protocol.enveloped import SUBSTITUTE_CEK_OCTETS
from .protocol.errors import MessageError, Unanswerable
from .protocol.messages import CertificationRequest, IssuerAndSubject, MessageType
from .queries import Archivist, Question
from .registration import Registrar
from .replies import CONTENT_TYPE as PKI_MESSAGE_TYPE
from .signers import SignerJudge
from .transport import (
    BadMessageEncoding,
    BadQuery,
    BodyTooLarge,
    MethodNotAllowed,
    NoNextCaCertificate,
    Router,
    TooManyRequests,
    TransportError,
    UnknownPath,
    UnsupportedEncoding,
    UrlTooLong,
    decode_base64,
    decode_message,
    read_query,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from ca.authority import CertificateAuthority
    from ca.certificates import CertificateInfo
    from ca.challenges import ChallengeBook
    from ca.clock import Clock
    from ca.records import Store

    from .ca_certificates import CaResponse, NextCa
    from .challenge_policy import ChallengePolicy
    from .decisions import Answer
    from .exchange import ExchangeObserver, HttpExchangeRequest
    from .ndes.profiles import BehaviourProfile
    from .outcomes import Outcome
    from .protocol.codec import Codec
    from .protocol.messages import OpenedMessage, PkiMessage, UnverifiedMessage
    from .ra import RegistrationAuthority
    from .settings import EndpointSettings, ScepSettings
    from .transport import Query

_NO_STORE = ("Cache-Control", "no-store")
_PEM_LINE = b"-----"
_MAXIMUM_PASSWORDS = 64  # each costs a key derivation


class ScepService:
    """A SCEP server without its web server.

    ``profile`` is every endpoint's; without it each has the one of its settings. ``challenges`` is asked
    unless ``challenge_policy`` takes its place. ``earlier_issuers`` are former
    certificates of the issuing CA, whose leaves may still renew and poll. ``stopwatch`` measures the
    stages of an exchange and nothing else. Safe to use from several threads.
    """

    def __init__(
        self,
        *,
        settings: ScepSettings,
        authority: CertificateAuthority,
        registration_authority: RegistrationAuthority,
        challenges: ChallengeBook,
        store: Store,
        clock: Clock,
        entropy: Callable[[int], bytes],
        codec: Codec,
        profile: BehaviourProfile | None = None,
        observers: Sequence[ExchangeObserver] = (),
        challenge_policy: ChallengePolicy | None = None,
        earlier_issuers: Sequence[CertificateInfo] = (),
        next_ca: NextCa | None = None,
        stopwatch: Callable[[], float] = time.perf_counter,
    ) -> None:
        policy = challenge_policy or BookedChallenges(challenges)
        issuers = (authority.certificate, *earlier_issuers)
        chain = tuple(read_certificate(octets) for octets in authority.chain)
        self._settings = settings
        self._challenges = challenges
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._codec = codec
        self._observers = tuple(observers)
        self._stopwatch = stopwatch
        self._registration_authority = registration_authority
        self._router = Router(settings.endpoints)
        self._numbers = itertools.count(1)
        judge = SignerJudge(
            issuers=issuers,
            reserved_keys=[
                *(each.public_key_der for each in (*issuers, *chain)),
                *registration_authority.keys,
            ],
        )
        registrar = Registrar(authority=authority, challenge_policy=policy, signer_judge=judge)
        self._enrolment = Enrolment(
            registrar=registrar, authority=authority, challenge_policy=policy, store=store
        )
        self._archivist = Archivist(issuers=issuers, signer_judge=judge)
        self._faces = make_faces(
            settings,
            profile=profile,
            codec=codec,
            registration_authority=registration_authority,
            issuing=authority.certificate,
            chain=chain,
            entropy=entropy,
        )
        self._brakes = Brakes(settings.brakes)
        self._pending_quota = PendingQuota(
            per_endpoint=settings.limits.pending_per_endpoint,
            per_address=settings.brakes.pending_per_address if settings.brakes.enabled else None,
        )
        self._next_ca_response = None if next_ca is None else next_ca_response(codec, next_ca)

    @property
    def maximum_body_octets(self) -> int:
        """The longest body that is read."""
        return self._settings.limits.maximum_body_octets

    def handle(self, request: HttpExchangeRequest) -> HttpReply:
        """Answer one HTTP request, and tell the observers."""
        progress = Progress(
            number=next(self._numbers),
            received_at=self._clock.now(),
            request=request,
            stopwatch=self._stopwatch,
            client_address=self._brakes.client_address(request.remote_address, request.forwarded_for),
        )
        with one_request(client=progress.client_address):
            try:
                reply = self._serve(request, progress)
            except (TransportError, Unanswerable, StoreUnavailable) as error:
                reply = self._answer_below_scep(error, progress)
            exchange = progress.finish(reply)
            for observer in self._observers:
                observer.observe(exchange)
        return reply

    # -- HTTP --------------------------------------------------------------------------

    def _serve(self, request: HttpExchangeRequest, progress: Progress) -> HttpReply:
        limits = self._settings.limits
        if len(request.path) + len(request.query) > limits.maximum_url_octets:
            raise UrlTooLong(f"path and query are longer than {limits.maximum_url_octets} octets")
        name = request.endpoint or self._router.endpoint(request.path)
        if name is None:
            raise UnknownPath("no endpoint has this path")
        progress.endpoint = name
        note(endpoint=name)
        face = self._faces[name]
        if face.profile.brakes:
            self._brakes.admit(progress.client_address, progress.received_at)
        self._check_body(request)
        if request.method not in ("GET", "HEAD", "POST"):
            raise MethodNotAllowed("SCEP is spoken by GET and POST (RFC 8894 4.1)")
        if request.content_encoding.strip().lower() not in ("", "identity"):
            raise UnsupportedEncoding("the body has a Content-Encoding, expected none")
        query = read_query(request.query)
        progress.operation = query.operation
        note(operation=query.operation.value)
        if query.operation is Operation.PKI_OPERATION:
            return self._pki_operation(request, query, face, progress)
        if query.operation is Operation.GET_CA_CAPS:
            return self._capabilities(face)
        if query.operation is Operation.GET_CA_CERT:
            return _ok_response(face.ca_response)
        if not face.profile.next_ca_certificate:
            raise BadQuery("operation GetNextCACert is unknown to this profile (RFC 8894 4.7)")
        if self._next_ca_response is None:
            raise NoNextCaCertificate("there is no next CA certificate (RFC 8894 4.7)")
        return _ok_response(self._next_ca_response)

    def _capabilities(self, face: Face) -> HttpReply:
        offered = capabilities(face.endpoint, face.profile, next_ca=self._next_ca_response is not None)
        body = encode(offered, face.profile.capabilities_line_end)
        return _ok(face.profile.capabilities_content_type, body)

    def _check_body(self, request: HttpExchangeRequest) -> None:
        limit, declared = self._settings.limits.maximum_body_octets, request.declared_length
        if len(request.body) > limit or (declared is not None and declared > limit):
            raise BodyTooLarge(f"the body is longer than {limit} octets")
        if not request.body_complete or (declared is not None and declared < 0):
            raise BadQuery("the body is shorter than its Content-Length, or is not framed (RFC 9112 6)")

    def _answer_below_scep(self, error: Exception, progress: Progress) -> HttpReply:
        """Answer where no CertRep can be addressed, or none should be."""
        face = self._faces.get(progress.endpoint or "")
        outcome = outcome_of(error)
        if face is not None and isinstance(error, Unanswerable):
            outcome = replace(outcome, status=face.profile.unreadable_status)
        elif face is not None and isinstance(error, BadMessageEncoding):
            outcome = replace(outcome, status=face.profile.undecodable_status)
        progress.outcome, progress.detail = outcome, str(error)
        reply = self._http_reply(outcome, face)
        if isinstance(error, TooManyRequests):
            return replace(reply, headers=(*reply.headers, ("Retry-After", str(error.retry_after_seconds))))
        return reply

    def _http_reply(self, outcome: Outcome, face: Face | None) -> HttpReply:
        headers = [_NO_STORE]
        if outcome.status == 405:
            headers.append(("Allow", "GET, POST"))
        if outcome.retry_later and face is not None:
            headers.append(("Retry-After", str(face.profile.retry_after_seconds)))
        return HttpReply(
            status=outcome.status,
            content_type="text/plain",
            body=f"{outcome.text}\n".encode(),
            headers=tuple(headers),
        )

    # -- PKIOperation ------------------------------------------------------------------

    def _pki_operation(
        self, request: HttpExchangeRequest, query: Query, face: Face, progress: Progress
    ) -> HttpReply:
        octets = progress.octets = _message_octets(request, query, face.endpoint)
        unverified = progress.unverified = self._codec.parse(octets)
        note(transaction_id=unverified.transaction_id)
        progress.lap("parse")
        answer = self._answer(unverified, face, progress)
        outcome = _outcome(answer, face, progress)
        progress.answer, progress.outcome = answer, outcome
        progress.detail = progress.detail or _detail(answer)
        progress.lap("decide")
        if outcome.retry_later and face.profile.when_unavailable == "pending":
            answer = Pend(checks=answer.checks)
        elif outcome.status != 200:
            return self._http_reply(outcome, face)
        cert_rep = progress.cert_rep = face.replier.make(
            answer, outcome, unverified, progress.opened, face.endpoint, progress.received_at
        )
        body = face.replier.encode(cert_rep)
        progress.lap("reply")
        return _ok(PKI_MESSAGE_TYPE, body)

    def _answer(self, unverified: UnverifiedMessage, face: Face, progress: Progress) -> Answer:
        """Return the RA's answer to a message, whatever is wrong with it."""
        try:
            opened = self._open(unverified, face.endpoint, progress)
            if isinstance(opened, Refuse):
                return opened
            return self._judge(opened, face, progress)
        except (MessageError, CaError, StoreUnavailable) as error:
            progress.detail = str(error)
            progress.checks.failed(outcome_of(error).name, "RFC 8894 3", str(error))
            return Refuse(cause=error)

    def _open(
        self, unverified: UnverifiedMessage, endpoint: EndpointSettings, progress: Progress
    ) -> OpenedMessage | Refuse:
        """Verify the signature first, and only then decrypt (RFC 8894 3.1)."""
        policy = endpoint.algorithm_policy
        message = progress.message = self._codec.verify(unverified, policy)
        note(message_type=message.message_type.rfc_name)
        progress.checks.passed("signature", "RFC 8894 3.2", f"verifies, {message.digest.hash_name}")
        for warning in message.warnings:
            progress.checks.warned("signature", "RFC 8894 2.9", warning)
        if not _is_timely(message, endpoint, progress):
            return Refuse(cause=Refusal.SIGNING_TIME)
        opened = progress.opened = self._codec.open(
            message,
            self._registration_authority.decryptors(progress.received_at),
            policy,
            self._passwords(message, progress) if endpoint.password_recipients else None,
            substitute_cek=self._entropy(SUBSTITUTE_CEK_OCTETS),
        )
        progress.content = self._codec.interpret(opened)
        progress.checks.passed("envelope", "RFC 8894 3.2.2", f"opened, {opened.cipher.name}")
        for warning in opened.warnings:
            progress.checks.warned("envelope", "RFC 8894 2.9", warning)
        progress.lap("open")
        return opened

    def _passwords(self, message: PkiMessage, progress: Progress) -> Iterator[bytes]:
        """Yield the challenge passwords that are kept sealed; nothing is read until one is asked for.

        First the one that this transaction used up, so that a poll or a repetition can be read; then
        the newest that are still good.
        """
        with self._store.reading() as transaction:
            earlier = transaction.scep_transaction(progress.endpoint or "", message.transaction_id)
            spent = None
            if earlier is not None and earlier.challenge_id is not None:
                spent = transaction.challenge(earlier.challenge_id)
            usable = self._challenges.recoverable(transaction)
        used = None if spent is None else self._challenges.recover(spent)
        if used is not None:
            yield used
        for _, password in list(reversed(usable))[:_MAXIMUM_PASSWORDS]:
            yield password

    def _judge(self, opened: OpenedMessage, face: Face, progress: Progress) -> Answer:
        content = progress.content
        if isinstance(content, CertificationRequest):
            return self._enrol(content, opened, face, progress)
        question = Question(
            endpoint_name=face.name,
            endpoint=face.endpoint,
            opened=opened,
            now=progress.received_at,
            profile=face.profile,
        )
        with self._store.reading() as transaction:
            if content is None or isinstance(content, IssuerAndSubject):
                return self._archivist.poll(transaction, question)
            if opened.message.message_type is MessageType.GET_CERT:
                return self._archivist.get_cert(transaction, question, content)
            return self._archivist.get_crl(transaction, question, content)

    def _enrol(
        self,
        content: CertificationRequest,
        opened: OpenedMessage,
        face: Face,
        progress: Progress,
    ) -> Answer:
        endpoint, slows = face.endpoint, face.profile.brakes
        request = progress.csr = parse_request(content.csr)
        verified = verify_request(
            request,
            allow_sha1=endpoint.sha1 == "accept",
            allow_md5=endpoint.legacy_algorithms == "accept",
        )
        progress.checks.passed("request-signature", "RFC 2986 4.2", "proves possession of the key")
        address, now = progress.client_address, progress.received_at
        decision = self._enrolment.enrol(
            Application(
                endpoint_name=face.name,
                endpoint=endpoint,
                opened=opened,
                request=verified,
                now=now,
                profile=face.profile,
                client_address=address,
                challenges_held=slows and self._brakes.hold_challenges(address, face.name, now),
                pending_quota=self._pending_quota if slows else PendingQuota(),
            )
        )
        if slows and isinstance(decision, Refuse) and decision.cause is Refusal.CHALLENGE_UNKNOWN:
            self._brakes.note_wrong_challenge(address, face.name, now)
        return decision


def _message_octets(request: HttpExchangeRequest, query: Query, endpoint: EndpointSettings) -> bytes:
    """Return the pkiMessage of a GET or POST (RFC 8894 4.1); the body of a POST wins."""
    if request.method == "HEAD":
        raise MethodNotAllowed("a PKIOperation by HEAD would be answered to nobody")
    if request.method == "GET":
        return decode_message(query.message)
    if not request.body:
        raise BadQuery("the body is empty, expected a pkiMessage (RFC 8894 4.1)")
    if endpoint.accept_base64_body and request.body[:1] != b"\x30":
        lines = [line for line in request.body.splitlines() if not line.startswith(_PEM_LINE)]
        return decode_base64(b"".join(lines))
    return request.body


def _is_timely(message: PkiMessage, endpoint: EndpointSettings, progress: Progress) -> bool:
    """Compare signingTime with our clock where a tolerance is set (RFC 8894 3.2.1.4 badTime)."""
    signed_at, minutes = message.unverified.signing_time, endpoint.maximum_clock_skew_minutes
    if minutes is None or signed_at is None:
        return True
    now: datetime = progress.received_at
    if abs(now - signed_at) <= timedelta(minutes=minutes):
        progress.checks.passed("signing-time", "RFC 8894 3.2.1.4", f"{signed_at:%Y-%m-%d %H:%M:%SZ}")
        return True
    progress.checks.failed(
        "signing-time",
        "RFC 8894 3.2.1.4",
        f"{signed_at:%Y-%m-%d %H:%M:%SZ}",
        f"within {minutes} minutes of {now:%Y-%m-%d %H:%M:%SZ}",
    )
    return False


def _outcome(answer: Answer, face: Face, progress: Progress) -> Outcome:
    """Return how an answer looks from outside, under the profile of its endpoint."""
    if not isinstance(answer, Refuse):
        return answer.outcome
    stage = Stage.OPENED
    if progress.message is None:
        stage = Stage.READ
    elif progress.opened is None:
        stage = Stage.VERIFIED
    return refusal_outcome(answer.cause, stage, face.profile, template=answer.template)


def _detail(answer: Answer) -> str:
    """Return why an answer is a refusal, in the words of the check that decided."""
    if not isinstance(answer, Refuse):
        return ""
    if isinstance(answer.cause, Exception):
        return str(answer.cause)
    last = answer.checks[-1] if answer.checks else None
    return f"{last.name}: found {last.found}, expected {last.expected}" if last else answer.refused_by


def _ok(content_type: str, body: bytes) -> HttpReply:
    return HttpReply(status=200, content_type=content_type, body=body, headers=(_NO_STORE,))


def _ok_response(response: CaResponse) -> HttpReply:
    return _ok(response.content_type, response.body)
