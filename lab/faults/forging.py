"""Replies of parts that the product does not put together: attributes, envelopes, signers, encodings.

Every function takes what a correct reply is made of and returns it with one thing changed. Lives here:
CMS (RFC 5652) written by hand. Does not live here: what is wrong about it and why, which the catalogue says.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from ca import der
from scep_server.protocol import attributes
from scep_server.protocol.contents import encode_certs_only
from scep_server.protocol.identifiers import AlgorithmIdentifier, read_identifier
from scep_server.protocol.messages import PkiStatus
from scep_server.protocol.parts import SignerInfoParts, in_der_order
from scep_server.protocol.signed import ID_DATA, ID_ENVELOPED_DATA

if TYPE_CHECKING:
    from collections.abc import Callable

    from scep_server.protocol.algorithms import DigestAlgorithm
    from scep_server.protocol.messages import SignerCertificate

    from .values import SigningDraft

_KEY_TRANSPORT = der.SEQUENCE
_SEGMENT = 512


# -- what is signed ----------------------------------------------------------------------


def set_attribute(signing: SigningDraft, oid: str, *values: bytes) -> SigningDraft:
    """Return the draft with this attribute in place of any other of its type."""
    kept = (one for one in signing.parts.signer.attributes if one[0] != oid)
    return set_signer_info(signing, attributes=in_der_order([*kept, (oid, b"".join(values))]))


def set_text(signing: SigningDraft, oid: str, text: str) -> SigningDraft:
    """Return the draft with an attribute that has one PrintableString."""
    return set_attribute(signing, oid, der.printable_string(text))


def add_attribute(signing: SigningDraft, oid: str, value: bytes) -> SigningDraft:
    """Return the draft with one more attribute, whether there is one of its type or not."""
    return set_signer_info(signing, attributes=in_der_order([*signing.parts.signer.attributes, (oid, value)]))


def drop_attributes(signing: SigningDraft, *oids: str) -> SigningDraft:
    """Return the draft without attributes of these types; the very same where there are none."""
    kept = tuple(one for one in signing.parts.signer.attributes if one[0] not in oids)
    if len(kept) == len(signing.parts.signer.attributes):
        return signing
    return set_signer_info(signing, attributes=kept)


def set_content(signing: SigningDraft, content: bytes | None) -> SigningDraft:
    """Return the draft with another eContent, and the messageDigest of it."""
    hashed = hashlib.new(signing.digest.hash_name, content or b"", usedforsecurity=False).digest()
    changed = replace(signing, parts=replace(signing.parts, content=content))
    return set_attribute(changed, attributes.MESSAGE_DIGEST, der.octet_string(hashed))


def set_signer_info(signing: SigningDraft, **changes: object) -> SigningDraft:
    """Return the draft with other fields of `SignerInfoParts`."""
    signer = replace(signing.parts.signer, **changes)  # type: ignore[arg-type]
    return replace(signing, parts=replace(signing.parts, signer=signer))


def is_success(signing: SigningDraft) -> bool:
    """Tell whether it is a SUCCESS, with its envelope."""
    return signing.draft.cert_rep.pki_status is PkiStatus.SUCCESS and bool(signing.parts.content)


def plaintext_of(signing: SigningDraft) -> bytes:
    """Return what is in the envelope of a SUCCESS: a certs-only SignedData (RFC 8894 3.4)."""
    return encode_certs_only(signing.draft.cert_rep.certificates, signing.draft.cert_rep.crls)


# -- who signs ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class OddSigner:
    """A `MessageSigner` in the name of a certificate, which signs as ``how`` does."""

    certificate: SignerCertificate
    algorithm_der: bytes
    how: Callable[[bytes, DigestAlgorithm], bytes] = field(repr=False)

    def signature_algorithm(self, digest: DigestAlgorithm) -> bytes:
        """Return the signatureAlgorithm DER for SignerInfo."""
        del digest
        return self.algorithm_der

    def sign(self, data: bytes, digest: DigestAlgorithm) -> bytes:
        """Return the signature over ``data``."""
        return self.how(data, digest)


def signed_by(
    signing: SigningDraft, how: Callable[[bytes, DigestAlgorithm], bytes], algorithm_der: bytes | None = None
) -> SigningDraft:
    """Return the draft, to be signed as ``how`` does, in the name of the same certificate."""
    algorithm = algorithm_der or signing.parts.signer.signature_algorithm_der
    signer = OddSigner(certificate=signing.signer.certificate, algorithm_der=algorithm, how=how)
    return set_signer_info(replace(signing, signer=signer), signature_algorithm_der=algorithm)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerInfosParts(SignerInfoParts):
    """What stands in signerInfos where that is not one usual SignerInfo; ``written`` makes it of that one."""

    written: Callable[[bytes], bytes] = field(repr=False)

    def encode(self, signature: bytes, attributes_content: bytes) -> bytes:
        """Return the content octets of signerInfos."""
        return self.written(SignerInfoParts.encode(self, signature, attributes_content))


def rewrite_signer_info(signing: SigningDraft, written: Callable[[bytes], bytes]) -> SigningDraft:
    """Return the draft whose signerInfos hold what ``written`` makes of the one SignerInfo."""
    usual = signing.parts.signer
    fields = {name: getattr(usual, name) for name in SignerInfoParts.__dataclass_fields__}
    return replace(signing, parts=replace(signing.parts, signer=SignerInfosParts(**fields, written=written)))


# -- envelopes ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """An EnvelopedData (RFC 5652 6.1) in parts; ``recipients`` are encoded RecipientInfos."""

    version: int = 0
    recipients: tuple[bytes, ...]
    content_type_oid: str = ID_DATA
    algorithm_der: bytes
    ciphertext: bytes | None

    @classmethod
    def read(cls, content_info: bytes) -> Self:
        """Return the parts of an envelope of the product's."""
        outer = der.one(content_info)
        outer.oid()
        enveloped = outer.enter(0xA0).enter()
        version = enveloped.integer()
        recipients = tuple(one.raw for one in enveloped.enter(der.SET).elements())
        encrypted = enveloped.enter()
        return cls(
            version=version,
            recipients=recipients,
            content_type_oid=encrypted.oid(),
            algorithm_der=encrypted.element(der.SEQUENCE).raw,
            ciphertext=encrypted.element(0x80).content,
        )

    def encode(self) -> bytes:
        """Return the ContentInfo."""
        content = b"" if self.ciphertext is None else der.implicit(0, self.ciphertext)
        encrypted = der.sequence(der.oid(self.content_type_oid), self.algorithm_der, content)
        return self.around(encrypted)

    def around(self, encrypted_content_info: bytes) -> bytes:
        """Return the ContentInfo with another encryptedContentInfo."""
        recipients = der.tlv(der.SET, *self.recipients)
        enveloped = der.sequence(der.integer(self.version), recipients, encrypted_content_info)
        return der.sequence(der.oid(ID_ENVELOPED_DATA), der.explicit(0, enveloped))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTransportParts:
    """A KeyTransRecipientInfo (RFC 5652 6.2.1) in parts."""

    recipient_id_der: bytes
    algorithm: AlgorithmIdentifier
    encrypted_key: bytes

    @classmethod
    def read(cls, recipient_info: bytes) -> Self | None:
        """Return the parts; None where the recipient is a password."""
        if recipient_info[0] != _KEY_TRANSPORT:
            return None
        reader = der.one(recipient_info)
        reader.integer()
        return cls(
            recipient_id_der=reader.element().raw,
            algorithm=read_identifier(reader, "keyEncryptionAlgorithm"),
            encrypted_key=reader.octets(),
        )

    def encode(self) -> bytes:
        """Return the RecipientInfo."""
        version = 2 if self.recipient_id_der[0] == 0x80 else 0
        return der.sequence(
            der.integer(version),
            self.recipient_id_der,
            self.algorithm.encode(),
            der.octet_string(self.encrypted_key),
        )


def change_envelope(signing: SigningDraft, change: Callable[[Envelope], Envelope]) -> SigningDraft:
    """Return a SUCCESS with its envelope changed, validly signed; anything else as it was."""
    if not is_success(signing):
        return signing
    envelope = Envelope.read(signing.parts.content or b"")
    changed = change(envelope)
    return signing if changed is envelope else set_content(signing, changed.encode())


def change_recipient(
    signing: SigningDraft, change: Callable[[KeyTransportParts], KeyTransportParts]
) -> SigningDraft:
    """Return a SUCCESS whose one recipientInfo is changed; for a password, as it was."""

    def changed(envelope: Envelope) -> Envelope:
        recipient = KeyTransportParts.read(envelope.recipients[0])
        return envelope if recipient is None else replace(envelope, recipients=(change(recipient).encode(),))

    return change_envelope(signing, changed)


# -- octets ------------------------------------------------------------------------------


def indefinite(tag: int, *contents: bytes) -> bytes:
    """Return a constructed element of indefinite length (X.690 8.1.3.6)."""
    return bytes((tag | 0x20, 0x80)) + b"".join(contents) + b"\x00\x00"


def padded(tag: int, *contents: bytes) -> bytes:
    """Return an element whose length has a zero octet more than it needs (X.690 8.1.3.5, not DER)."""
    content = b"".join(contents)
    size = len(content).to_bytes((len(content).bit_length() + 7) // 8 or 1, "big")
    return bytes((tag, 0x81 + len(size), 0)) + size + content


def segments(octets: bytes) -> bytes:
    """Return the octets as several OCTET STRINGs, the segments of a constructed one (X.690 8.7.3)."""
    return b"".join(
        der.octet_string(octets[start : start + _SEGMENT]) for start in range(0, len(octets), _SEGMENT)
    )


def rewrite_message(
    message: bytes,
    wrap: Callable[..., bytes],
    content: Callable[[bytes], bytes] = der.octet_string,
) -> bytes:
    """Return a signed message with its outer elements written by ``wrap(tag, *contents)``.

    These are ContentInfo, SignedData, encapContentInfo, signerInfos and what is around them; attributes
    and certificates stay DER. ``content`` writes eContent.
    """
    outer = der.one(message)
    content_type = outer.element().raw
    members = list(outer.enter(0xA0).enter().elements())
    encapsulated = der.Reader(members[2].content)
    econtent_type, explicit = encapsulated.element().raw, encapsulated.optional(0xA0)
    inner = b"" if explicit is None else wrap(0xA0, content(explicit.reader().octets()))
    signers = (wrap(der.SEQUENCE, one.content) for one in members[-1].reader().elements())
    rewritten = [
        *(one.raw for one in members[:2]),
        wrap(der.SEQUENCE, econtent_type, inner),
        *(one.raw for one in members[3:-1]),
        wrap(der.SET, *signers),
    ]
    return wrap(der.SEQUENCE, content_type, wrap(0xA0, wrap(der.SEQUENCE, *rewritten)))


def content_of(message: bytes) -> bytes:
    """Return the octets of eContent of a signed message, empty where there are none."""
    outer = der.one(message)
    outer.oid()
    members = list(outer.enter(0xA0).enter().elements())
    encapsulated = members[2].reader()
    encapsulated.oid()
    explicit = encapsulated.optional(0xA0)
    return b"" if explicit is None else explicit.reader().octets()


def nested(levels: int) -> bytes:
    """Return SEQUENCEs inside each other, so many."""
    encoding = b""
    for _ in range(levels):
        encoding = der.sequence(encoding)
    return encoding
