"""Envelopes of replies sealed once more: with other content, another key, another cipher."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from ca import der
from scep_server.protocol.enveloped import seal
from scep_server.protocol.identifiers import AlgorithmIdentifier
from scep_server.protocol.messages import KeyTransportRecipient, PkiStatus

from .forging import Envelope, change_envelope, change_recipient, is_success, plaintext_of, set_content

if TYPE_CHECKING:
    from collections.abc import Callable

    from scep_server.protocol.algorithms import ContentCipher

    from .values import ReplyDraft, SigningDraft


def fresh_octets(signing: SigningDraft, *sizes: int) -> tuple[bytes, ...]:
    """Return as many fresh octets as asked for, made of those that the reply has already."""
    stretched = hashlib.shake_256(signing.draft.cek + signing.draft.iv).digest(sum(sizes))
    return tuple(stretched[sum(sizes[:at]) : sum(sizes[: at + 1])] for at in range(len(sizes)))


def resealed(signing: SigningDraft, plaintext: bytes) -> SigningDraft:
    """Return a SUCCESS with something else in its envelope."""
    draft = signing.draft
    was = draft.cert_rep
    if was.pki_status is not PkiStatus.SUCCESS or was.recipient is None or was.cipher is None:
        return signing
    content = seal(
        plaintext,
        was.recipient,
        was.cipher,
        cek=draft.cek,
        iv=draft.iv,
        password_seed=draft.password_seed,
    )
    return set_content(signing, content)


def with_ciphertext(signing: SigningDraft, ciphertext: bytes) -> SigningDraft:
    """Return a SUCCESS with another ciphertext under the same key."""
    return change_envelope(signing, lambda was: replace(was, ciphertext=ciphertext))


def keyed_anew(signing: SigningDraft, key: bytes) -> Envelope | None:
    """Return the envelope with another key for the client; None where the client has no RSA key."""
    recipient = signing.draft.cert_rep.recipient
    if not isinstance(recipient, KeyTransportRecipient) or not is_success(signing):
        return None
    public_key = load_der_public_key(recipient.certificate.public_key_der)
    if not isinstance(public_key, rsa.RSAPublicKey):
        return None
    encrypted = public_key.encrypt(key, padding.PKCS1v15())
    changed = change_recipient(signing, lambda was: replace(was, encrypted_key=encrypted))
    return Envelope.read(changed.parts.content or b"")


def enciphered(
    signing: SigningDraft,
    oid: str,
    sizes: tuple[int, int],
    encrypt: Callable[[bytes, bytes, bytes], bytes],
    parameters: Callable[[bytes], bytes] = der.octet_string,
) -> SigningDraft:
    """Return a SUCCESS whose content is encrypted with another cipher, of these key and block sizes."""
    key, iv = fresh_octets(signing, *sizes)
    keyed = keyed_anew(signing, key)
    if keyed is None:
        return signing
    return set_content(
        signing,
        replace(
            keyed,
            algorithm_der=AlgorithmIdentifier(oid=oid, parameters_der=parameters(iv)).encode(),
            ciphertext=encrypt(key, iv, plaintext_of(signing)),
        ).encode(),
    )


def with_cipher(draft: ReplyDraft, cipher: ContentCipher) -> ReplyDraft:
    """Return a reply to be enveloped with this cipher; the very same where it is, or has no envelope."""
    was = draft.cert_rep
    if was.cipher is None or was.cipher is cipher:
        return draft
    stretched = hashlib.shake_256(draft.cek + draft.iv).digest(cipher.key_size + cipher.block_size)
    return replace(
        draft,
        cert_rep=replace(was, cipher=cipher),
        cek=stretched[: cipher.key_size],
        iv=stretched[cipher.key_size :],
    )
