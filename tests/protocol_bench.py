"""What the tests of the codec share: an RA, a device, and forged requests between them.

Requests come from `forge`, which shares no code with the codec.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from forge import asn1
from forge.certificates import CertificateForge, common_name, extension, key_usage
from forge.csr import CsrForge
from forge.envelope import Envelope, KeyTransport
from forge.keys import Key, KeyPool
from forge.message import PkiMessage

from scep_server.protocol.certificates import read_certificate, subject_key_identifier
from scep_server.protocol.codec import ScepCodec
from scep_server.protocol.enveloped import KeyDecryptor
from scep_server.protocol.messages import CertRep, OpenedMessage, PkiStatus, RequestContent
from scep_server.protocol.replies import ReplyForm
from scep_server.protocol.signers import KeySigner

CODEC = ScepCodec()
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SUBSTITUTE = bytes(range(32))
CHALLENGE = "0F1E2D3C4B5A6978"


def decryptor_for(key: Key, certificate: bytes) -> KeyDecryptor:
    """Return the decryptor on a forged RSA key."""
    assert isinstance(key.private, rsa.RSAPrivateKey)
    parsed = read_certificate(certificate)
    return KeyDecryptor(
        certificate=parsed, subject_key_identifier=subject_key_identifier(parsed), key=key.private
    )


class ProtocolBench:
    """An RA with one certificate, and a device with a self-signed one."""

    def __init__(self) -> None:
        self.keys = KeyPool(20)
        self.ra_key, self.device_key = self.keys.fresh(), self.keys.fresh()
        identifier = extension("2.5.29.14", asn1.octets(self.ra_key.identifier))
        self.ra_certificate = CertificateForge(
            key=self.ra_key,
            subject=common_name("RA"),
            serial=0x1234567890,
            extensions=[key_usage(0, 2), identifier],
        ).encode()
        self.device_certificate = CertificateForge(key=self.device_key).encode()
        self.csr = CsrForge(key=self.device_key, challenge=CHALLENGE).encode()
        self.decryptor = decryptor_for(self.ra_key, self.ra_certificate)
        private = self.ra_key.private
        assert isinstance(private, rsa.RSAPrivateKey)
        self.signer = KeySigner(certificate=read_certificate(self.ra_certificate), key=private)
        self.form = ReplyForm(certificates=(self.ra_certificate,))

    def envelope(self, **fields: Any) -> Envelope:
        """Return an envelope for the RA around the device's CSR."""
        fields.setdefault("plaintext", self.csr)
        fields.setdefault("recipients", [KeyTransport(certificate=self.ra_certificate)])
        return Envelope(**fields)

    def message(self, **fields: Any) -> PkiMessage:
        """Return a PKCSReq by the device."""
        fields.setdefault("key", self.device_key)
        fields.setdefault("certificate", self.device_certificate)
        if "content" not in fields:
            fields["content"] = self.envelope().encode()
        fields.setdefault("transaction_id", "F00D")
        return PkiMessage(**fields)

    def open(self, octets: bytes, codec: ScepCodec = CODEC, **options: Any) -> OpenedMessage:
        """Parse, verify and open a request at the RA."""
        return codec.open(
            codec.verify(codec.parse(octets)), [self.decryptor], substitute_cek=SUBSTITUTE, **options
        )

    def receive(self, octets: bytes, codec: ScepCodec = CODEC, **options: Any) -> RequestContent:
        """Take a request all the way to what it asks for."""
        return codec.interpret(self.open(octets, codec, **options))

    def reply(self, opened: OpenedMessage, **fields: Any) -> CertRep:
        """Return a SUCCESS to an opened request, carrying the device's certificate."""
        success = CertRep(
            transaction_id=opened.message.transaction_id,
            pki_status=PkiStatus.SUCCESS,
            sender_nonce=b"\x55" * 16,
            recipient_nonce=opened.message.sender_nonce,
            certificates=(self.device_certificate,),
            recipient=opened.recipient,
            cipher=opened.cipher,
            digest=opened.message.digest,
            signing_time=NOW,
        )
        return replace(success, **fields)


@cache
def protocol_bench() -> ProtocolBench:
    """Return the bench of this run: its keys take a second to make."""
    return ProtocolBench()
