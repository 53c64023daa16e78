"""The lab's own SCEP client: strict, and a value in and a value out for each step (RFC 8894).

Lives here: the order of things. Clock, entropy and sleeping are handed in, so that a test polls for
days in no time. Does not live here: files (`state`), words for people (`outcomes`), the command line.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import rsa

from lab.hresults import hresult
from lab.trust import (
    CertificateRevocationList,
    UnreadableCertificate,
    UnreadableCrl,
    X509Certificate,
)
from lab.trust.signatures import SignatureVerdict
from scep_server.protocol.algorithms import AlgorithmPolicy
from scep_server.protocol.certificates import read_certificate, subject_key_identifier
from scep_server.protocol.client import ClientCodec, ClientRequest, Reply, ReplyError
from scep_server.protocol.enveloped import KeyDecryptor
from scep_server.protocol.messages import (
    IssuerAndSerial,
    IssuerAndSubject,
    KeyTransportRecipient,
    MessageType,
    PasswordRecipient,
    PkiStatus,
)
from scep_server.protocol.requests import (
    RANDOM_OCTETS,
    RequestForm,
    make_self_signed,
    public_key_der,
    transaction_id_for,
)
from scep_server.protocol.signers import KeySigner

from .ca_certificates import authenticate, content_type_warnings, read_ca_certificates
from .capabilities import Capabilities, Preferences, choose
from .checks import check_issued
from .errors import HttpRefused, InvalidOrder, ReplyRejected, Unreachable, UntrustedCa
from .orders import Enrolment, Identity, Order, Patience
from .outcomes import Issued, Outcome, Pending, Refused, refusal
from .requests import build_request, encode_names, generate_key, parse_subject
from .transport import PKI_MESSAGE, expect_ok, retry_after

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ca.clock import Clock
    from lab.http_exchange import HttpReply
    from scep_server.protocol.messages import Recipient

    from .ca_certificates import CaTrust, TrustedCa
    from .capabilities import Algorithms
    from .requests import ClientKey
    from .transport import Transport

STRICT_POLICY: Final = AlgorithmPolicy(legacy="refuse")
LENIENT_POLICY: Final = AlgorithmPolicy(legacy="accept")
_TRY_AGAIN: Final = frozenset({429, 502, 503, 504})
_LASTING: Final = frozenset({0x80072F8F, 0x80072F0C})  # a server whose TLS is wrong stays so
_CODES: Final = {
    "signature": 0x80090006,
    "signer": 0x8009200E,
    "algorithm": 0x80090008,
    "attributes": 0x80091006,
    "envelope": 0x8009200C,
    "certificate": 0x80092004,
    "message": 0x8009310B,
    "content": 0x8009310B,
}


class ScepClient:
    """One client of one server.

    ``entropy`` returns that many random octets; ``sleep`` waits. Capabilities and CA certificates are
    asked for once, when they are first needed.
    """

    def __init__(
        self,
        transport: Transport,
        trust: CaTrust,
        *,
        clock: Clock,
        entropy: Callable[[int], bytes],
        sleep: Callable[[timedelta], None],
        preferences: Preferences | None = None,
        policy: AlgorithmPolicy = STRICT_POLICY,
        patience: Patience | None = None,
        ca_identifier: str | None = None,
    ) -> None:
        self._transport = transport
        self._trust = trust
        self._clock = clock
        self._entropy = entropy
        self._sleep = sleep
        self._preferences = preferences or Preferences()
        self._policy = policy
        self._patience = patience or Patience()
        self._ca_identifier = ca_identifier

    # -- getting to know the server ------------------------------------------------------

    @cached_property
    def capabilities(self) -> Capabilities:
        """Ask GetCACaps; an HTTP error or an empty answer means none (RFC 8894 3.5.2).

        A server that is busy or away has said nothing about what it can do: that is no answer.
        """
        reply = self._query("GetCACaps")
        return Capabilities.parse(reply.body) if reply.ok else Capabilities()

    @cached_property
    def algorithms(self) -> Algorithms:
        """Return what requests are made with."""
        return choose(self.capabilities, self._preferences)

    @cached_property
    def _ca_reply(self) -> HttpReply:
        return expect_ok(self._query("GetCACert"), "GetCACert")

    @cached_property
    def offered_certificates(self) -> tuple[X509Certificate, ...]:
        """Ask GetCACert and return what came, not authenticated."""
        return read_ca_certificates(self._ca_reply)

    @cached_property
    def authority(self) -> TrustedCa:
        """Return the CA certificates once they are authenticated (RFC 8894 2.2); raises UntrustedCa."""
        return authenticate(self.offered_certificates, self._trust, self._clock.now())

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return what is odd about the server so far, and no reason to stop."""
        odd = content_type_warnings(self._ca_reply, self.offered_certificates)
        return (*self.algorithms.warnings, *odd, *self.authority.warnings)

    # -- enrolling -----------------------------------------------------------------------

    def prepare(self, order: Order) -> Enrolment:
        """Return the request for ``order``, ready to be kept and sent.

        Raises:
            ClientError: the CA cannot be used, or the order cannot be put into a request.

        """
        signer = order.renewal_of or self._self_signed(order.key, order.subject_der)
        message_type = self._message_type(order)
        csr = build_request(
            order.key,
            order.subject_der,
            alternative_names=order.alternative_names,
            challenge_password=order.challenge_password,
            digest=self.algorithms.digest,
        )
        if order.renewal_of is None:
            transaction_id = transaction_id_for(public_key_der(order.key))
        else:
            transaction_id = self._entropy(16).hex().upper()  # the same key may be renewed many times
        request = self._codec(signer, order.challenge_password).encode(
            message_type, csr, transaction_id=transaction_id, random=self._entropy(RANDOM_OCTETS)
        )
        return Enrolment(
            request=request,
            key=order.key,
            subject_der=order.subject_der,
            names_der=encode_names(order.alternative_names),
            signer=signer,
            challenge_password=order.challenge_password,
        )

    def submit(self, enrolment: Enrolment) -> Outcome:
        """Send the request, again with the same octets if the answer is lost, and judge the reply."""
        return self._outcome(enrolment, enrolment.request, polls=0)

    def poll(self, enrolment: Enrolment, *, polls: int = 0) -> Outcome:
        """Ask once what became of a pending request (RFC 8894 3.3.3)."""
        names = IssuerAndSubject(
            issuer_der=self.authority.issuer.subject_der, subject_der=enrolment.subject_der
        )
        request = self._codec(enrolment.signer, enrolment.challenge_password).cert_poll(
            names,
            transaction_id=enrolment.transaction_id,
            random=self._entropy(RANDOM_OCTETS),
            public_key_der=public_key_der(enrolment.key),
        )
        return self._outcome(enrolment, request, polls=polls + 1)

    def wait(
        self, enrolment: Enrolment, pending: Pending, progress: Callable[[Pending], None] = lambda _: None
    ) -> Outcome:
        """Poll until the request is decided, or as often as `Patience` allows."""
        outcome: Outcome = pending
        for _ in range(self._patience.polls):
            if not isinstance(outcome, Pending):
                break
            progress(outcome)
            self._sleep(self._patience.poll_interval)
            outcome = self.poll(enrolment, polls=outcome.polls)
        return outcome

    def enrol(self, order: Order) -> Outcome:
        """Prepare, submit and wait."""
        enrolment = self.prepare(order)
        outcome = self.submit(enrolment)
        return self.wait(enrolment, outcome) if isinstance(outcome, Pending) else outcome

    # -- asking for what exists ----------------------------------------------------------

    def get_cert(self, serial_number: int, signer: Identity | None = None) -> X509Certificate | Refused:
        """Ask for a certificate of this CA by its serial number (RFC 8894 3.3.4)."""
        wanted = IssuerAndSerial(issuer_der=self.authority.issuer.subject_der, serial_number=serial_number)
        reply = self._ask(MessageType.GET_CERT, wanted, signer)
        if isinstance(reply, Refused):
            return reply
        return _read_certificate(reply)

    def get_crl(
        self, certificate: X509Certificate | None = None, signer: Identity | None = None
    ) -> CertificateRevocationList | Refused:
        """Ask for the CRL that would list ``certificate``, by default one of this CA (RFC 8894 3.3.4)."""
        issuer = self.authority.issuer
        wanted = IssuerAndSerial(
            issuer_der=certificate.issuer_der if certificate else issuer.subject_der,
            serial_number=certificate.serial_number if certificate else issuer.serial_number,
        )
        reply = self._ask(MessageType.GET_CRL, wanted, signer)
        if isinstance(reply, Refused):
            return reply
        try:
            crl = CertificateRevocationList.read(reply.crls[0], origin="GetCRL")
        except UnreadableCrl as error:
            raise ReplyRejected("content", str(error), 0x8009310B) from error
        if not any(crl.signature_under(ca) is SignatureVerdict.VALID for ca in self.authority.issuers):
            raise ReplyRejected(
                "signature", f"the CRL of {crl.issuer} is not signed by the CA (RFC 5280 5.1.1.3)", 0x80090006
            )
        return crl

    def get_next_ca(self) -> tuple[X509Certificate, ...]:
        """Ask for the next CA certificates, signed by the current CA's key (RFC 8894 4.7.1)."""
        reply = expect_ok(self._query("GetNextCACert"), "GetNextCACert")
        codec = ClientCodec(
            signer=_signer(self._stranger()),
            recipient=PasswordRecipient(password=b""),
            trusted=tuple(issuer.der for issuer in self.authority.issuers),
            policy=self._policy,
        )
        try:
            return tuple(X509Certificate.read(octets) for octets in codec.decode_next_ca(reply.body))
        except ReplyError as error:
            raise _rejected(error, reply) from error
        except UnreadableCertificate as error:
            raise ReplyRejected("content", str(error), 0x8009310B) from error

    # -- the steps -----------------------------------------------------------------------

    def _query(self, operation: str) -> HttpReply:
        """Ask; the answer may have any status but those that say: later."""

        def ask() -> HttpReply:
            reply = self._transport.query(operation, self._ca_identifier)
            return expect_ok(reply, operation) if reply.status in _TRY_AGAIN else reply

        return self._persistently(ask)

    def _message_type(self, order: Order) -> MessageType:
        if order.message_type is not None:
            return order.message_type
        renewing = order.renewal_of is not None and self.capabilities.has("Renewal")
        return MessageType.RENEWAL_REQ if renewing else MessageType.PKCS_REQ

    def _self_signed(self, key: ClientKey, subject_der: bytes) -> Identity:
        now = self._clock.now()
        certificate = make_self_signed(
            key,
            subject_der,
            serial_number=int.from_bytes(self._entropy(16), "big") >> 1 | 1,
            not_before=now - timedelta(days=1),
            not_after=now + timedelta(days=7),
        )
        return Identity(certificate=certificate, key=key)

    def _stranger(self) -> Identity:
        """Return a throw-away identity for questions that anybody may ask."""
        return self._self_signed(generate_key("rsa-2048"), parse_subject("CN=SCEP client"))

    def _codec(self, signer: Identity, challenge_password: str | None) -> ClientCodec:
        passwords = (challenge_password.encode(),) if challenge_password else ()
        decryptors: tuple[KeyDecryptor, ...] = ()
        if isinstance(signer.key, rsa.RSAPrivateKey):
            decryptors = (
                KeyDecryptor(
                    certificate=signer.certificate,
                    subject_key_identifier=subject_key_identifier(signer.certificate),
                    key=signer.key,
                ),
            )
        algorithms = self.algorithms
        return ClientCodec(
            signer=_signer(signer),
            recipient=self._recipient(signer, passwords),
            trusted=tuple(certificate.der for certificate in self.authority.signers),
            decryptors=decryptors,
            passwords=passwords,
            form=RequestForm(
                digest=algorithms.digest, cipher=algorithms.cipher, signing_time=self._clock.now()
            ),
            policy=self._policy,
        )

    def _recipient(self, signer: Identity, passwords: Sequence[bytes]) -> Recipient:
        """Return whom to envelope for: a key that cannot decrypt takes the password (RFC 8894 3.1)."""
        if not isinstance(signer.key, rsa.RSAPrivateKey):
            if not passwords:
                raise InvalidOrder(
                    "an EC key cannot decrypt the reply: it takes a challenge password instead (RFC 8894 3.1)"
                )
            return PasswordRecipient(password=passwords[0])
        authority = self.authority
        if authority.encryption is None:
            raise authority.encryption_problem or UntrustedCa("nobody to envelope for")
        return KeyTransportRecipient(
            certificate=read_certificate(authority.encryption.der),
            key_transport=self.algorithms.key_transport,
        )

    def _ask(
        self, message_type: MessageType, wanted: IssuerAndSerial, signer: Identity | None
    ) -> Reply | Refused:
        identity = signer or self._stranger()
        codec = self._codec(identity, None)
        request = codec.encode(
            message_type,
            wanted,
            transaction_id=self._entropy(16).hex().upper(),
            random=self._entropy(RANDOM_OCTETS),
        )
        reply = self._exchange(codec, request)
        if reply.pki_status is PkiStatus.FAILURE:
            return refusal(reply, request.transaction_id)
        if reply.pki_status is PkiStatus.PENDING:
            raise ReplyRejected(
                "pki-status",
                f"{message_type.rfc_name} was answered PENDING, expected SUCCESS or FAILURE (RFC 8894 4.5)",
                0x8007000D,
            )
        return reply

    def _outcome(self, enrolment: Enrolment, request: ClientRequest, *, polls: int) -> Outcome:
        codec = self._codec(enrolment.signer, enrolment.challenge_password)
        reply = self._exchange(codec, request)
        if reply.pki_status is PkiStatus.FAILURE:
            return refusal(reply, request.transaction_id)
        if reply.pki_status is PkiStatus.PENDING:
            return Pending(transaction_id=request.transaction_id, polls=polls, warnings=reply.warnings)
        certificate = _read_certificate(reply)
        chain, warnings = check_issued(
            certificate,
            self.authority,
            subject_der=enrolment.subject_der,
            names_der=enrolment.names_der,
            at=self._clock.now(),
        )
        return Issued(
            transaction_id=request.transaction_id,
            certificate=certificate,
            chain=chain,
            warnings=(*reply.warnings, *warnings),
        )

    def _exchange(self, codec: ClientCodec, request: ClientRequest) -> Reply:
        reply = self._send(request.octets)
        try:
            return codec.decode_reply(reply.body, request, substitute_cek=self._entropy(32))
        except ReplyError as error:
            raise _rejected(error, reply) from error

    def _send(self, octets: bytes) -> HttpReply:
        """Send, and send the same octets again when no answer came or the server is away."""
        return self._persistently(lambda: self._transport.send(octets, post=self.algorithms.post))

    def _persistently(self, ask: Callable[[], HttpReply]) -> HttpReply:
        """Ask, and ask again as `Patience` has it while no answer comes or the server says: later."""
        pause = self._patience.pause
        for _ in range(max(1, self._patience.attempts) - 1):
            wait = pause
            try:
                return ask()
            except Unreachable as error:
                if error.hresult.code in _LASTING:
                    raise
            except HttpRefused as error:
                if error.status not in _TRY_AGAIN:
                    raise
                wait = max(pause, retry_after(error.retry_after, self._clock.now()))
                if wait > max(pause, self._patience.longest_pause):
                    raise
            self._sleep(wait)
            pause *= 2
        return ask()


def _signer(identity: Identity) -> KeySigner:
    return KeySigner(certificate=identity.certificate, key=identity.key)


def _read_certificate(reply: Reply) -> X509Certificate:
    try:
        return X509Certificate.read(reply.certificate or b"")
    except UnreadableCertificate as error:
        raise ReplyRejected("certificate", str(error), 0x8009310B) from error


def _rejected(error: ReplyError, reply: HttpReply) -> ReplyRejected:
    text = str(error)
    if error.check == "message" and reply.media_type != PKI_MESSAGE:
        text += f"; the answer is {reply.describe()}, expected {PKI_MESSAGE} (RFC 8894 4.3.1)"
    return ReplyRejected(error.check, text, hresult(_CODES.get(error.check, 0x80091006)).code)
