"""Faults of the pkcsPKIEnvelope: to whom, how, and what is in it. The CertRep around it is validly signed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.decrepit.ciphers.algorithms import RC2
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_der_public_key

from ca import der
from lab.faults.forging import (
    Envelope,
    change_envelope,
    change_recipient,
    is_success,
    plaintext_of,
    segments,
    set_content,
)
from lab.faults.registry import ClientMust, OneOf, Range, Seam, fault
from lab.faults.sealing import (
    enciphered,
    fresh_octets,
    keyed_anew,
    resealed,
    with_cipher,
    with_ciphertext,
)
from lab.faults.strangers import recipient_certificate, stranger_key
from lab.faults.values import ReplyDraft, SigningDraft
from scep_server.protocol import ciphers
from scep_server.protocol.algorithms import OAEP_SHA1, OAEP_SHA256, ContentCipher
from scep_server.protocol.certificates import subject_key_identifier
from scep_server.protocol.enveloped import seal
from scep_server.protocol.identifiers import AlgorithmIdentifier
from scep_server.protocol.messages import KeyTransportRecipient
from scep_server.protocol.signed import ID_SIGNED_DATA

if TYPE_CHECKING:
    from lab.faults.forging import KeyTransportParts
    from lab.faults.tools import Tools

_NO_DECRYPT_CERT: Final = "CRYPT_E_NO_DECRYPT_CERT 0x8009200C (windows-client.md section 1.3)"
_AUTH_ENVELOPED_DATA: Final = "1.2.840.113549.1.9.16.1.23"  # RFC 5083
_AES_128_GCM: Final = "2.16.840.1.101.3.4.1.6"  # RFC 5084
_RC2_CBC: Final = "1.2.840.113549.3.2"
_RC2_128: Final = 58  # rc2ParameterVersion of 128 effective bits (RFC 2268 6)
_UNKNOWN_CIPHER: Final = "1.3.6.1.4.1.99999.8894.3"


# -- to whom -----------------------------------------------------------------------------


@fault(
    seam=Seam.ENCODING,
    takes=SigningDraft,
    clause="RFC 8894 3.2.2",
    client_must=ClientMust.REJECT,
    symptom=_NO_DECRYPT_CERT,
)
def enveloped_for_another_key(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The envelope names the client as recipient, and its key is encrypted to somebody else's."""

    def changed(recipient: KeyTransportParts) -> KeyTransportParts:
        key = stranger_key().public_key()
        return replace(recipient, encrypted_key=key.encrypt(signing.draft.cek, padding.PKCS1v15()))

    return change_recipient(signing, changed)


@fault(
    seam=Seam.ENCODING,
    takes=ReplyDraft,
    clause="RFC 8894 3.2.2",
    client_must=ClientMust.REJECT,
    symptom=_NO_DECRYPT_CERT,
)
def enveloped_for_another_recipient(draft: ReplyDraft, tools: Tools) -> ReplyDraft:
    """The envelope is made out to another certificate than the one that signed the request."""
    recipient = draft.cert_rep.recipient
    if not isinstance(recipient, KeyTransportRecipient):
        return draft
    other = replace(recipient, certificate=recipient_certificate())
    return replace(draft, cert_rep=replace(draft.cert_rep, recipient=other))


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 5652 6.1", client_must=ClientMust.SUCCEED)
def other_recipient_first(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The envelope has two recipientInfos: somebody else's, and then the client's.

    smallstep's server envelopes to every certificate of the request. A client looks for its own; strongSwan
    5.9.8 looks at the first alone.
    """
    recipient = signing.draft.cert_rep.recipient
    if not isinstance(recipient, KeyTransportRecipient) or not is_success(signing):
        return signing
    cipher = signing.draft.cert_rep.cipher or ContentCipher.AES_128_CBC
    other = replace(recipient, certificate=recipient_certificate())
    for_other = seal(b"", other, cipher, cek=signing.draft.cek, iv=signing.draft.iv)
    first = Envelope.read(for_other).recipients
    return change_envelope(signing, lambda was: replace(was, recipients=(*first, *was.recipients)))


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 5652 6.2.1", client_must=ClientMust.MAY)
def recipient_by_key_identifier(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The recipientInfo names the client by subjectKeyIdentifier, not by issuer and serial number.

    A certificate without that extension goes by the SHA-1 digest of its key.
    """
    recipient = signing.draft.cert_rep.recipient
    if not isinstance(recipient, KeyTransportRecipient):
        return signing
    identifier = der.implicit(0, subject_key_identifier(recipient.certificate))
    changed = change_recipient(signing, lambda was: replace(was, recipient_id_der=identifier))
    return change_envelope(changed, lambda was: replace(was, version=2))


# -- the key -----------------------------------------------------------------------------


@fault(
    seam=Seam.ENCODING,
    takes=ReplyDraft,
    clause="RFC 8894 3.2.2",
    client_must=ClientMust.MAY,
    limits={"digest": OneOf(("sha1", "sha256"))},
)
def key_transport_oaep(draft: ReplyDraft, tools: Tools, *, digest: str = "sha1") -> ReplyDraft:
    """The envelope's key is carried by RSAES-OAEP, although the request had PKCS#1 v1.5.

    NDES has been seen to answer so. sscep, strongSwan 5.9.8 and scepclient 2.1.0 cannot read it. ``digest``
    is sha1 or sha256.
    """
    recipient = draft.cert_rep.recipient
    if not isinstance(recipient, KeyTransportRecipient) or recipient.key_transport.oaep_digest is not None:
        return draft
    key_transport = OAEP_SHA256 if digest == "sha256" else OAEP_SHA1
    other = replace(recipient, key_transport=key_transport)
    return replace(draft, cert_rep=replace(draft.cert_rep, recipient=other))


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 5652 6.2.1", client_must=ClientMust.REJECT)
def encrypted_key_altered(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """One bit of the encrypted key is wrong: it decrypts to nothing, or to something else."""

    def changed(recipient: KeyTransportParts) -> KeyTransportParts:
        octets = recipient.encrypted_key
        return replace(recipient, encrypted_key=octets[:-1] + bytes((octets[-1] ^ 1,)))

    return change_recipient(signing, changed)


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 5652 6.3", client_must=ClientMust.REJECT)
def content_key_too_short(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The key in the envelope is an octet shorter than the cipher's.

    It comes out of the decryption in good order, and fits no cipher.
    """
    recipient = signing.draft.cert_rep.recipient
    if not isinstance(recipient, KeyTransportRecipient):
        return signing
    key = load_der_public_key(recipient.certificate.public_key_der)
    if not isinstance(key, rsa.RSAPublicKey):
        return signing
    encrypted = key.encrypt(signing.draft.cek[:-1], padding.PKCS1v15())
    return change_recipient(signing, lambda was: replace(was, encrypted_key=encrypted))


# -- the cipher --------------------------------------------------------------------------


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 5652 6.3", client_must=ClientMust.REJECT)
def padding_corrupted(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The padding of the content ends in a zero octet, which no padding does.

    A client says no more than that it cannot open the envelope, whatever was wrong in it. strongSwan 5.9.8
    and scepclient 2.1.0 do not look at the padding.
    """
    cipher = signing.draft.cert_rep.cipher
    if cipher is None:
        return signing
    plain = plaintext_of(signing)
    blocks = plain + bytes(cipher.block_size - len(plain) % cipher.block_size)
    key, iv = signing.draft.cek, signing.draft.iv
    return with_ciphertext(signing, ciphers.transform(cipher, key, iv, blocks, decrypt=False))


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 5652 6.3", client_must=ClientMust.REJECT)
def ciphertext_cut_off(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The last octet of the ciphertext is missing: it is no longer made of whole blocks.

    scepclient 2.1.0 falls over it.
    """
    return change_envelope(
        signing, lambda was: replace(was, ciphertext=was.ciphertext and was.ciphertext[:-1])
    )


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 5652 6.1", client_must=ClientMust.REJECT)
def ciphertext_missing(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The envelope has no encryptedContent: a key for nothing."""
    return change_envelope(signing, lambda was: replace(was, ciphertext=None))


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 3565 4.1", client_must=ClientMust.REJECT)
def iv_missing(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The parameters of the cipher are NULL: there is no initialization vector."""
    cipher = signing.draft.cert_rep.cipher
    if cipher is None:
        return signing
    algorithm = AlgorithmIdentifier(oid=cipher.value, parameters_der=der.null()).encode()
    return change_envelope(signing, lambda was: replace(was, algorithm_der=algorithm))


@fault(
    seam=Seam.ENCODING,
    takes=SigningDraft,
    clause="RFC 8894 2.9",
    client_must=ClientMust.REJECT,
    symptom="Windows refuses DES (windows-client.md section 7)",
)
def content_in_des(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The content is encrypted with single DES.

    SCEP's mandatory cipher before RFC 8894, which forbids it: the key has 56 bits. strongSwan 5.9.8 and
    scepclient 2.1.0 take it.
    """
    return enciphered(
        signing,
        ContentCipher.DES_CBC.value,
        (8, 8),
        lambda key, iv, plain: ciphers.encrypt(ContentCipher.DES_CBC, key, iv, plain),
    )


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 8894 2.9", client_must=ClientMust.MAY)
def content_in_rc2(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The content is encrypted with RC2 of 128 bits.

    What S/MIME libraries of the nineties fall back to. Nobody has to read it.
    """

    def encrypt(key: bytes, iv: bytes, plain: bytes) -> bytes:
        missing = 8 - len(plain) % 8
        runner = Cipher(RC2(key), modes.CBC(iv)).encryptor()
        return runner.update(plain + bytes((missing,)) * missing) + runner.finalize()

    return enciphered(
        signing,
        _RC2_CBC,
        (16, 8),
        encrypt,
        lambda iv: der.sequence(der.integer(_RC2_128), der.octet_string(iv)),
    )


@fault(seam=Seam.ENCODING, takes=ReplyDraft, clause="RFC 8894 2.9, 3.5.2", client_must=ClientMust.MAY)
def content_in_triple_des(draft: ReplyDraft, tools: Tools) -> ReplyDraft:
    """The content is encrypted with triple DES, although the request was with AES.

    NDES of Windows Server 2012 R2 may answer so. Clients may read it; the clients that were measured do.
    """
    return with_cipher(draft, ContentCipher.DES_EDE3_CBC)


@fault(seam=Seam.ENCODING, takes=ReplyDraft, clause="RFC 8894 2.9, 3.5.2", client_must=ClientMust.MAY)
def content_in_aes_256(draft: ReplyDraft, tools: Tools) -> ReplyDraft:
    """The content is encrypted with AES-256, although the request was with another cipher.

    Only AES-128 has to be read; the clients that were measured read it.
    """
    return with_cipher(draft, ContentCipher.AES_256_CBC)


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 8894 3.2.2; RFC 5083", client_must=ClientMust.MAY)
def content_in_aes_gcm(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The envelope is an AuthEnvelopedData with AES-128-GCM, where SCEP has EnvelopedData.

    Better, and not SCEP: no client has to read it.
    """
    if not is_success(signing):
        return signing
    key, nonce = fresh_octets(signing, 16, 12)
    keyed = keyed_anew(signing, key)
    sealed = AESGCM(key).encrypt(nonce, plaintext_of(signing), None)
    parameters = der.sequence(der.octet_string(nonce), der.integer(16))
    algorithm = AlgorithmIdentifier(oid=_AES_128_GCM, parameters_der=parameters).encode()
    if keyed is None:
        return signing
    inner = der.sequence(der.oid("1.2.840.113549.1.7.1"), algorithm, der.implicit(0, sealed[:-16]))
    enveloped = der.sequence(
        der.integer(0), der.tlv(der.SET, *keyed.recipients), inner, der.octet_string(sealed[-16:])
    )
    return set_content(signing, der.sequence(der.oid(_AUTH_ENVELOPED_DATA), der.explicit(0, enveloped)))


@fault(
    seam=Seam.ENCODING,
    takes=SigningDraft,
    clause="RFC 8894 2.9",
    client_must=ClientMust.REJECT,
    symptom="CRYPT_E_UNKNOWN_ALGO 0x80091002 (windows-client.md section 1.3)",
)
def content_cipher_unknown(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The cipher of the content is one that nobody knows."""
    algorithm = AlgorithmIdentifier(
        oid=_UNKNOWN_CIPHER, parameters_der=der.octet_string(signing.draft.iv)
    ).encode()
    return change_envelope(signing, lambda was: replace(was, algorithm_der=algorithm))


# -- the structure -----------------------------------------------------------------------


@fault(
    seam=Seam.ENCODING,
    takes=SigningDraft,
    clause="RFC 5652 6.1",
    client_must=ClientMust.MAY,
    limits={"value": Range(0, 2_147_483_647)},
)
def enveloped_data_version(signing: SigningDraft, tools: Tools, *, value: int = 99) -> SigningDraft:
    """The version of EnvelopedData is a number that does not exist.

    Most readers pass over it.
    """
    return change_envelope(signing, lambda was: replace(was, version=value))


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 8894 3.2.2", client_must=ClientMust.MAY)
def encrypted_content_called_signed_data(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The content type of the encrypted content is signedData, where SCEP has data.

    True to what is in it, and to CMS; not to SCEP.
    """
    return change_envelope(signing, lambda was: replace(was, content_type_oid=ID_SIGNED_DATA))


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 5652 2", client_must=ClientMust.SUCCEED)
def encrypted_content_in_segments(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The encryptedContent is constructed, of several OCTET STRINGs; all lengths are definite.

    BER, which CMS allows. Servers and clients in Go write so; strongSwan 5.9.8 cannot read it.
    """
    if not is_success(signing):
        return signing
    was = Envelope.read(signing.parts.content or b"")
    constructed = der.tlv(0xA0, segments(was.ciphertext or b""))
    return set_content(
        signing, was.around(der.sequence(der.oid(was.content_type_oid), was.algorithm_der, constructed))
    )


# -- what is in it -----------------------------------------------------------------------


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 8894 3.3.2.1", client_must=ClientMust.REJECT)
def csr_in_envelope(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The envelope holds the PKCS#10 that the client has sent, not a certificate."""
    csr = tools.circumstances.csr
    return signing if csr is None else resealed(signing, csr)


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 8894 3.3.2.1, 3.4", client_must=ClientMust.REJECT)
def bare_certificate_in_envelope(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The envelope holds the certificate as it is, with no certs-only SignedData around it."""
    certificates = signing.draft.cert_rep.certificates
    return resealed(signing, certificates[0]) if certificates else signing


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 5652 3", client_must=ClientMust.REJECT)
def content_info_missing_in_envelope(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The envelope holds the certs-only SignedData without the ContentInfo around it."""
    inner = der.one(plaintext_of(signing))
    inner.oid()
    return resealed(signing, inner.element().content)


@fault(
    seam=Seam.ENCODING,
    takes=SigningDraft,
    clause="RFC 5652 3",
    client_must=ClientMust.MAY,
    limits={"octets": Range(1, 100_000)},
)
def trailing_octets_in_envelope(signing: SigningDraft, tools: Tools, *, octets: int = 16) -> SigningDraft:
    """There are octets in the envelope behind the certs-only SignedData.

    A server that pads what it encrypts on its own account, and then once more.
    """
    return resealed(signing, plaintext_of(signing) + bytes(octets))


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 8894 3.2.2", client_must=ClientMust.REJECT)
def not_enveloped(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The certs-only SignedData is signed, and not encrypted: it stands where the envelope should.

    Anybody on the way reads whose certificate it is.
    """
    return set_content(signing, plaintext_of(signing)) if is_success(signing) else signing
