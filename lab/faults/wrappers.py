"""What stands between a world and its collaborators, and hands every value to the engine on its way."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from lab.world import Wrapping
from scep_server.exchange import HttpReply
from scep_server.protocol.messages import CertificationRequest, MessageType
from scep_server.protocol.parts import sign_parts
from scep_server.protocol.replies import make_reply_parts

from .ca_answers import encode_ca_answer, read_ca_answer
from .circumstances import current
from .leaning import BentAuthority, BentLoading, BentSigner, BentStore
from .values import (
    CaCertificatesAnswer,
    CapabilitiesAnswer,
    EncodedMessage,
    OpenedRequest,
    ReplyDraft,
    SigningDraft,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from ca.authority import CertificateAuthority
    from ca.certificates import CertificateSigner
    from ca.clock import Clock
    from ca.keys import SigningKey
    from ca.records import Store
    from scep_server.app import HttpService
    from scep_server.exchange import HttpExchangeRequest
    from scep_server.ndes.loading import LoadedOnDemand
    from scep_server.protocol.algorithms import AlgorithmPolicy, DigestAlgorithm
    from scep_server.protocol.codec import Codec
    from scep_server.protocol.enveloped import Decryptor
    from scep_server.protocol.messages import (
        CertRep,
        OpenedMessage,
        PkiMessage,
        RequestContent,
        UnverifiedMessage,
    )
    from scep_server.protocol.replies import ReplyForm
    from scep_server.protocol.signers import MessageSigner

    from .engine import FaultEngine

_MESSAGE_TYPES = {str(each.value): each.rfc_name for each in MessageType}


class Bending(Wrapping):
    """The wrappers of one engine."""

    def __init__(self, engine: FaultEngine) -> None:
        self._engine = engine

    def clock(self, clock: Clock) -> Clock:
        """Return a clock that is wrong where a fault, or the request itself, says so."""
        return BentClock(clock, self._engine)

    def codec(self, codec: Codec) -> Codec:
        """Return a codec whose replies are wrong where a fault says so."""
        return BentCodec(codec, self._engine)

    def signer(self, key: SigningKey) -> CertificateSigner | None:
        """Return a signer of certificates that are wrong where a fault says so."""
        return BentSigner(key, self._engine)

    def store(self, store: Store) -> Store:
        """Return a store that fails where a fault says so."""
        return cast("Store", BentStore(store, self._engine))

    def authority(self, authority: CertificateAuthority) -> CertificateAuthority:
        """Return a CA that refuses where a fault says so."""
        return cast("CertificateAuthority", BentAuthority(authority, self._engine))

    def service(self, service: LoadedOnDemand) -> LoadedOnDemand:
        """Return a service whose RA's keys cannot be used where a fault says so."""
        return cast("LoadedOnDemand", BentLoading(service, self._engine))


class BentClock:
    """A clock that differs for single exchanges."""

    def __init__(self, clock: Clock, engine: FaultEngine) -> None:
        self._clock = clock
        self._engine = engine

    def now(self) -> datetime:
        """Return the present instant of the exchange that is being answered, aware, in UTC."""
        now, circumstances = self._clock.now(), current()
        return now if circumstances is None else self._engine.bend(now + circumstances.time_shift)


class BentCodec:
    """A codec that tells the circumstances what it reads, and lets faults at what it writes."""

    def __init__(self, codec: Codec, engine: FaultEngine) -> None:
        self._codec = codec
        self._engine = engine

    def parse(self, octets: bytes) -> UnverifiedMessage:
        """Read a pkiMessage without trusting it."""
        unverified = self._codec.parse(octets)
        circumstances = current()
        if circumstances is not None:
            circumstances.transaction_id = unverified.transaction_id
            found = unverified.message_type or ""
            circumstances.message_type = _MESSAGE_TYPES.get(found, found)
        return unverified

    def verify(self, unverified: UnverifiedMessage, policy: AlgorithmPolicy | None = None) -> PkiMessage:
        """Prove who signed a request."""
        return self._codec.verify(unverified, policy)

    def open(
        self,
        message: PkiMessage,
        decryptors: Sequence[Decryptor],
        policy: AlgorithmPolicy | None = None,
        passwords: Iterable[bytes] | None = None,
        *,
        substitute_cek: bytes,
    ) -> OpenedMessage:
        """Decrypt a request."""
        return self._codec.open(message, decryptors, policy, passwords, substitute_cek=substitute_cek)

    def interpret(self, opened: OpenedMessage) -> RequestContent:
        """Read what is asked for."""
        content = self._codec.interpret(opened)
        circumstances = current()
        if circumstances is None:
            return content
        if isinstance(content, CertificationRequest):
            circumstances.csr = content.csr
        request = self._engine.bend(OpenedRequest(message=opened, content=content))
        if request.refusal is not None:
            circumstances.finish = request.finish
            raise request.refusal
        return request.content

    def encode_reply(
        self,
        cert_rep: CertRep,
        signer: MessageSigner,
        form: ReplyForm,
        *,
        cek: bytes = b"",
        iv: bytes = b"",
        password_seed: bytes = b"",
    ) -> bytes:
        """Encrypt and sign a reply."""
        bend, circumstances = self._engine.bend, current()
        draft = bend(
            ReplyDraft(
                cert_rep=bend(cert_rep), signer=signer, form=form, cek=cek, iv=iv, password_seed=password_seed
            )
        )
        parts = make_reply_parts(
            draft.cert_rep,
            draft.signer,
            draft.form,
            cek=draft.cek,
            iv=draft.iv,
            password_seed=draft.password_seed,
        )
        signing = SigningDraft(parts=parts, signer=draft.signer, digest=draft.cert_rep.digest, draft=draft)
        if circumstances is not None and circumstances.finish is not None:
            signing = circumstances.finish(signing)
        signing = bend(signing)
        octets = sign_parts(signing.parts, signing.signer, signing.digest)
        return bend(EncodedMessage(octets, signing)).octets

    def encode_ca_certificates(self, certificates: Sequence[bytes]) -> bytes:
        """Encode a GetCACert response of several certificates."""
        return self._codec.encode_ca_certificates(certificates)

    def encode_next_ca(
        self,
        certificates: Sequence[bytes],
        signer: MessageSigner,
        form: ReplyForm,
        *,
        digest: DigestAlgorithm,
        signing_time: datetime | None = None,
    ) -> bytes:
        """Encode and sign a GetNextCACert response."""
        return self._codec.encode_next_ca(
            certificates, signer, form, digest=digest, signing_time=signing_time
        )


class BentService:
    """A SCEP service whose GetCACaps and GetCACert answers faults may change."""

    def __init__(self, service: HttpService, engine: FaultEngine) -> None:
        self._service = service
        self._engine = engine

    @property
    def maximum_body_octets(self) -> int:
        """The longest body that is read."""
        return self._service.maximum_body_octets

    def handle(self, request: HttpExchangeRequest) -> HttpReply:
        """Answer one request."""
        reply = self._service.handle(request)
        circumstances = current()
        if circumstances is None or reply.status != 200 or circumstances.endpoint is None:
            return reply
        if circumstances.operation == "GetCACaps":
            capabilities = CapabilitiesAnswer(body=reply.body, content_type=reply.content_type)
            bent = self._engine.bend(capabilities)
            return replace(reply, body=bent.body, content_type=bent.content_type)
        if circumstances.operation == "GetCACert" and self._engine.concerns(CaCertificatesAnswer):
            offered = read_ca_answer(reply.body)
            chosen = self._engine.bend(offered)
            if chosen is not offered:
                body, content_type = encode_ca_answer(chosen)
                return replace(reply, body=body, content_type=content_type)
        return reply
