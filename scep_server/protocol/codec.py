"""The codec as a server is given it: one object, every step of a PKIOperation a method.

Each method is a function of its arguments. The object holds only what is decided once: which
algorithms are let in, and how much BER is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from . import contents, enveloped, signed
from .algorithms import DEFAULT_POLICY
from .ber import DEFAULT_LIMITS, BerLimits
from .parts import sign_parts
from .replies import ReplyForm, make_next_ca_parts, make_reply_parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from .algorithms import AlgorithmPolicy, DigestAlgorithm
    from .enveloped import Decryptor
    from .messages import CertRep, OpenedMessage, PkiMessage, RequestContent, UnverifiedMessage
    from .signers import MessageSigner


class Codec(Protocol):
    """What a server asks of a codec; `ScepCodec` is the one there is."""

    def parse(self, octets: bytes) -> UnverifiedMessage:
        """Read a pkiMessage without trusting it."""

    def verify(self, unverified: UnverifiedMessage, policy: AlgorithmPolicy | None = None) -> PkiMessage:
        """Prove who signed a request."""

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

    def interpret(self, opened: OpenedMessage) -> RequestContent:
        """Read what is asked for."""

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

    def encode_ca_certificates(self, certificates: Sequence[bytes]) -> bytes:
        """Encode a GetCACert response of several certificates."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class ScepCodec:
    """RFC 8894 from the server's side.

    ``policy`` is used where a call brings none of its own (endpoints may differ).
    """

    policy: AlgorithmPolicy = DEFAULT_POLICY
    limits: BerLimits = DEFAULT_LIMITS

    def parse(self, octets: bytes) -> UnverifiedMessage:
        """Return a pkiMessage as read, nothing verified; raises Unanswerable alone."""
        return signed.parse(octets, self.limits)

    def verify(self, unverified: UnverifiedMessage, policy: AlgorithmPolicy | None = None) -> PkiMessage:
        """Return a request whose signature is proved; raises MessageError. A CertRep is no request."""
        return signed.verify(unverified, policy or self.policy)

    def open(
        self,
        message: PkiMessage,
        decryptors: Sequence[Decryptor],
        policy: AlgorithmPolicy | None = None,
        passwords: Iterable[bytes] | None = None,
        *,
        substitute_cek: bytes,
    ) -> OpenedMessage:
        """Return a request with its plaintext; raises MessageError.

        ``substitute_cek`` are 32 fresh random octets; ``passwords`` None switches
        PasswordRecipientInfo off.
        """
        return enveloped.open_envelope(
            message, decryptors, policy or self.policy, passwords, substitute_cek=substitute_cek
        )

    def interpret(self, opened: OpenedMessage) -> RequestContent:
        """Return what an opened request asks for; raises MessageError."""
        return contents.interpret(opened)

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
        """Return a CertRep, encrypted if it is a SUCCESS, then signed.

        ``cek`` and ``iv`` are fresh random octets of the cipher's key and block size, needed for a
        SUCCESS; ``password_seed`` are 48 more for a password recipient.

        Raises:
            BadAlgorithm: the recipient's key takes no envelope (ask `enveloped.can_receive` first).

        """
        parts = make_reply_parts(cert_rep, signer, form, cek=cek, iv=iv, password_seed=password_seed)
        return sign_parts(parts, signer, cert_rep.digest)

    def encode_ca_certificates(self, certificates: Sequence[bytes]) -> bytes:
        """Return a certs-only SignedData for GetCACert, in the given order (RFC 8894 4.2.1.2).

        A lone CA certificate is sent as it is, under another content type (4.2.1.1).
        """
        return contents.encode_certs_only(certificates)

    def encode_next_ca(
        self,
        certificates: Sequence[bytes],
        signer: MessageSigner,
        form: ReplyForm,
        *,
        digest: DigestAlgorithm,
        signing_time: datetime | None = None,
    ) -> bytes:
        """Return a GetNextCACert response signed by the current CA (RFC 8894 4.7.1)."""
        parts = make_next_ca_parts(
            tuple(certificates), signer, form, digest=digest, signing_time=signing_time
        )
        return sign_parts(parts, signer, digest)
