"""From the RA's answer to a CertRep, and to octets.

A reply is digested, enciphered and keyed as its request was, where that may be emitted: clients read
what they write (Cisco IOS refuses a SHA-256 reply to a SHA-1 request). MD5 and single DES are never
emitted (RFC 8894 2.9). The nonce is fresh in every reply, repeated ones included.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ca import der

from .decisions import DeliverCrl, Grant, Pend, Refuse
from .ndes.ladder import ISSUED, TAKEN_UNDER_SUBMISSION
from .protocol.algorithms import OAEP_SHA1, PKCS1_V15, ContentCipher, DigestAlgorithm
from .protocol.messages import CertRep, KeyTransportRecipient, PasswordRecipient, PkiStatus
from .protocol.replies import ReplyForm

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from .decisions import Answer
    from .ndes.profiles import BehaviourProfile
    from .outcomes import Outcome
    from .protocol.algorithms import KeyTransport
    from .protocol.codec import Codec
    from .protocol.messages import OpenedMessage, Recipient, UnverifiedMessage
    from .ra import RegistrationAuthority
    from .settings import EndpointSettings

CONTENT_TYPE = "application/x-pki-message"

NONCE_OCTETS = 16
_LONGEST_NONCE = 64
_PASSWORD_SEED_OCTETS = 48
_DIGESTS = {digest.value: digest for digest in DigestAlgorithm}
# Microsoft's signed attributes of a reply: szOID_ENROLL_SCEP_ERROR, szOID_ENROLL_SCEP_SERVER_MESSAGE
_SCEP_ERROR = "1.3.6.1.4.1.311.21.33"
_SCEP_SERVER_MESSAGE = "1.3.6.1.4.1.311.21.38"
_DIGEST_WORDS = {
    "sha1": DigestAlgorithm.SHA_1,
    "sha256": DigestAlgorithm.SHA_256,
    "sha384": DigestAlgorithm.SHA_384,
    "sha512": DigestAlgorithm.SHA_512,
}
_CIPHER_WORDS = {
    "des3": ContentCipher.DES_EDE3_CBC,
    "aes128": ContentCipher.AES_128_CBC,
    "aes192": ContentCipher.AES_192_CBC,
    "aes256": ContentCipher.AES_256_CBC,
}
_KEY_TRANSPORT_WORDS: dict[str, KeyTransport] = {"pkcs1v15": PKCS1_V15, "oaep": OAEP_SHA1}


class Replier:
    """Makes replies in the name of the RA."""

    def __init__(
        self,
        *,
        codec: Codec,
        registration_authority: RegistrationAuthority,
        profile: BehaviourProfile,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._codec = codec
        self._signer = registration_authority.signer
        self._profile = profile
        self._entropy = entropy
        self._form = ReplyForm(
            certificates=(registration_authority.signing.der,) if profile.include_signer else (),
            empty_content=profile.empty_content,
        )

    def make(
        self,
        answer: Answer,
        outcome: Outcome,
        unverified: UnverifiedMessage,
        opened: OpenedMessage | None,
        endpoint: EndpointSettings,
        now: datetime,
    ) -> CertRep:
        """Return the CertRep of an answer (RFC 8894 3.3.2); ``opened`` is there for every SUCCESS.

        ``outcome`` is how the answer looks under the profile.
        """
        status, recipient = _status_and_recipient(answer)
        certificates, crls = _content(answer)
        failed = status is PkiStatus.FAILURE
        nonce = unverified.sender_nonce
        return CertRep(
            transaction_id=unverified.transaction_id,
            pki_status=status,
            sender_nonce=self._entropy(NONCE_OCTETS),
            recipient_nonce=nonce if nonce and len(nonce) <= _LONGEST_NONCE else None,
            fail_info=outcome.fail_info if failed else None,
            fail_info_text=outcome.text if failed and self._profile.fail_info_text else None,
            certificates=certificates,
            crls=crls,
            recipient=self._choose_recipient(recipient),
            cipher=self._choose_cipher(opened) if recipient else None,
            digest=self._choose_digest(unverified, endpoint),
            signing_time=now.replace(microsecond=0) if self._profile.signing_time else None,
            extra_attributes=self._microsoft_attributes(status, outcome),
        )

    def encode(self, cert_rep: CertRep) -> bytes:
        """Return the octets of a CertRep, enciphered and signed."""
        cek = iv = seed = b""
        if cert_rep.cipher is not None:
            cek, iv = self._entropy(cert_rep.cipher.key_size), self._entropy(cert_rep.cipher.block_size)
        if isinstance(cert_rep.recipient, PasswordRecipient):
            seed = self._entropy(_PASSWORD_SEED_OCTETS)
        return self._codec.encode_reply(
            cert_rep, self._signer, self._form, cek=cek, iv=iv, password_seed=seed
        )

    def _choose_digest(self, unverified: UnverifiedMessage, endpoint: EndpointSettings) -> DigestAlgorithm:
        if self._profile.reply_digest != "mirror":
            return _DIGEST_WORDS[self._profile.reply_digest]
        digest = _DIGESTS.get(unverified.digest_oid)
        if digest is None or digest.legacy:
            return _DIGEST_WORDS[self._profile.default_digest]
        if digest is DigestAlgorithm.SHA_1 and endpoint.sha1 == "refuse":
            return _DIGEST_WORDS[self._profile.default_digest]
        return digest

    def _choose_cipher(self, opened: OpenedMessage | None) -> ContentCipher:
        """Return the request's cipher; the policy has let it in, but single DES is never emitted."""
        if self._profile.reply_cipher != "mirror":
            return _CIPHER_WORDS[self._profile.reply_cipher]
        if opened is None or opened.cipher.legacy:
            return _CIPHER_WORDS[self._profile.default_cipher]
        return opened.cipher

    def _choose_recipient(self, recipient: Recipient | None) -> Recipient | None:
        """Return the recipient with the key transport of the profile; a password has none."""
        word = self._profile.reply_key_transport
        if word == "mirror" or not isinstance(recipient, KeyTransportRecipient):
            return recipient
        return replace(recipient, key_transport=_KEY_TRANSPORT_WORDS[word])

    def _microsoft_attributes(self, status: PkiStatus, outcome: Outcome) -> tuple[tuple[str, bytes], ...]:
        if not self._profile.microsoft_attributes:
            return ()
        if status is PkiStatus.SUCCESS:
            return ((_SCEP_SERVER_MESSAGE, der.utf8_string(ISSUED)),)
        if status is PkiStatus.PENDING:
            pending = (_SCEP_SERVER_MESSAGE, der.utf8_string(TAKEN_UNDER_SUBMISSION))
            return (pending,) if self._profile.pending_message else ()
        signed = outcome.hresult - (1 << 32) if outcome.hresult >> 31 else outcome.hresult
        attributes = [(_SCEP_ERROR, der.printable_string(str(signed)))]
        if outcome.server_message:
            attributes.append((_SCEP_SERVER_MESSAGE, der.utf8_string(outcome.server_message)))
        return tuple(attributes)


def _status_and_recipient(answer: Answer) -> tuple[PkiStatus, Recipient | None]:
    if isinstance(answer, Refuse):
        return PkiStatus.FAILURE, None
    if isinstance(answer, Pend):
        return PkiStatus.PENDING, None
    return PkiStatus.SUCCESS, answer.recipient


def _content(answer: Answer) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Return certificates and CRLs of a reply: the issued certificate alone (RFC 8894 3.3.2.1).

    The chain is left out: scepclient installs whatever comes first, and sscep reads 16 KiB at most.
    """
    if isinstance(answer, DeliverCrl):
        return (), (answer.crl.der,)
    if isinstance(answer, Grant) and answer.certificate is not None:
        return (answer.certificate.der,), ()
    return (), ()
