"""Faults of the signature: who signs, and over what."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ca import der
from lab.faults.forging import (
    drop_attributes,
    is_success,
    rewrite_signer_info,
    set_attribute,
    set_signer_info,
    signed_by,
)
from lab.faults.minting import issuing_key
from lab.faults.registry import ClientMust, Seam, fault
from lab.faults.strangers import double_of, recipient_certificate, stranger_key
from lab.faults.values import ReplyDraft, SigningDraft
from scep_server.protocol import attributes
from scep_server.protocol.algorithms import DigestAlgorithm
from scep_server.protocol.certificates import subject_key_identifier
from scep_server.protocol.parts import encode_attribute
from scep_server.protocol.signed import ID_ENVELOPED_DATA
from scep_server.protocol.signers import KeySigner, SignatureScheme, sign_with
from scep_server.ra import KeyMessageSigner, RaIdentity

if TYPE_CHECKING:
    from lab.faults.tools import Tools
    from scep_server.protocol.signers import MessageSigner

_BAD_SIGNATURE: Final = "NTE_BAD_SIGNATURE 0x80090006 (windows-client.md section 1.3)"

_OF_CMS: Final = (attributes.CONTENT_TYPE, attributes.MESSAGE_DIGEST, attributes.SIGNING_TIME)


# -- who signs ---------------------------------------------------------------------------


@fault(
    seam=Seam.ENCODING,
    takes=SigningDraft,
    clause="RFC 5652 5.6",
    client_must=ClientMust.REJECT,
    symptom=_BAD_SIGNATURE,
)
def bad_signature(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """One bit of the signature is wrong."""
    signer = signing.signer

    def scratched(data: bytes, digest: DigestAlgorithm) -> bytes:
        signature = signer.sign(data, digest)
        return signature[:-1] + bytes((signature[-1] ^ 1,))

    return signed_by(signing, scratched)


@fault(
    seam=Seam.ENCODING,
    takes=SigningDraft,
    clause="RFC 5652 5.6",
    client_must=ClientMust.REJECT,
    symptom=_BAD_SIGNATURE,
)
def wrong_signer(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """Another key has signed than the one of the certificate that SignerInfo names.

    A server whose RA certificate was renewed and whose key was not, or the other way round.
    """
    return signed_by(
        signing,
        lambda data, digest: sign_with(stranger_key(), data, digest, SignatureScheme.RSA_ENCRYPTION),
    )


@fault(seam=Seam.ENCODING, takes=ReplyDraft, clause="RFC 5652 5.1", client_must=ClientMust.SUCCEED)
def signer_not_included(draft: ReplyDraft, tools: Tools) -> ReplyDraft:
    """The reply has no certificates: the client has to know the signer's from GetCACert.

    NDES answers so, and every client that was measured goes on.
    """
    if not draft.form.certificates:
        return draft
    return replace(draft, form=replace(draft.form, certificates=()))


@fault(seam=Seam.ENCODING, takes=ReplyDraft, clause="RFC 8894 3.2", client_must=ClientMust.MAY)
def signed_by_the_ca(draft: ReplyDraft, tools: Tools) -> ReplyDraft:
    """The CA itself has signed the reply, although an RA's certificate is published.

    strongSwan, certmonger and scepclient take it; sscep and jscep refuse it.
    """
    lab = tools.lab
    identity = RaIdentity(certificate=lab.authority.certificate, key=issuing_key(lab))
    return _signed_by(draft, KeyMessageSigner(identity))


@fault(seam=Seam.ENCODING, takes=ReplyDraft, clause="RFC 8894 3.2", client_must=ClientMust.REJECT)
def signed_by_a_foreign_ra(draft: ReplyDraft, tools: Tools) -> ReplyDraft:
    """An RA has signed whose certificate has the right names and serial number, and another key.

    The certificate is in the reply, and the signature verifies with it. It is not one of GetCACert: whoever
    trusts what comes with a reply trusts anybody.
    """
    return _signed_by(
        draft, KeySigner(certificate=double_of(draft.signer.certificate.der), key=stranger_key())
    )


@fault(seam=Seam.ENCODING, takes=ReplyDraft, clause="RFC 8894 3.2", client_must=ClientMust.REJECT)
def signed_by_a_stranger(draft: ReplyDraft, tools: Tools) -> ReplyDraft:
    """Somebody has signed who is neither CA nor RA, with a self-signed certificate.

    The certificate is in the reply, and the signature verifies with it.
    """
    return _signed_by(draft, KeySigner(certificate=recipient_certificate(), key=stranger_key()))


def _signed_by(draft: ReplyDraft, signer: MessageSigner) -> ReplyDraft:
    included = (signer.certificate.der,) if draft.form.certificates else ()
    return replace(draft, signer=signer, form=replace(draft.form, certificates=included))


@fault(seam=Seam.ENCODING, takes=ReplyDraft, clause="RFC 5652 5.1", client_must=ClientMust.SUCCEED)
def more_certificates(draft: ReplyDraft, tools: Tools) -> ReplyDraft:
    """The reply has the root's and the CA's certificate before the signer's.

    There may be more certificates than are needed, in any order: SignerInfo says which one signs.
    """
    lab = tools.lab
    more = (lab.root.der, lab.authority.certificate.der, *draft.form.certificates)
    return replace(draft, form=replace(draft.form, certificates=more))


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 5652 5.3", client_must=ClientMust.SUCCEED)
def signer_by_key_identifier(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """SignerInfo names the signer by subjectKeyIdentifier, not by issuer and serial number.

    Both forms have to be read. strongSwan 5.9.8 and scepclient 2.1.0 read the other alone.
    """
    identifier = der.implicit(0, subject_key_identifier(signing.signer.certificate))
    changed = set_signer_info(signing, version=3, signer_id_der=identifier)
    return replace(changed, parts=replace(changed.parts, version=3))


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 8894 3.2", client_must=ClientMust.REJECT)
def no_signer(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The reply has no SignerInfo: nobody has signed it, and it has no attributes."""
    return rewrite_signer_info(signing, lambda _: b"")


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 8894 3.2", client_must=ClientMust.MAY)
def two_signers(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The reply has two SignerInfos with the same attributes: the RA's and the CA's.

    Both verify. CMS allows it, SCEP has one; a reader has to choose whose attributes count.
    """
    lab = tools.lab
    second = KeyMessageSigner(RaIdentity(certificate=lab.authority.certificate, key=issuing_key(lab)))
    parts = replace(
        signing.parts.signer,
        signer_id_der=der.sequence(second.certificate.issuer_der, second.certificate.serial_der),
        signature_algorithm_der=second.signature_algorithm(signing.digest),
    )
    signature = second.sign(signing.parts.attributes_to_be_signed(), signing.digest)
    also = parts.encode(signature, parts.attributes_content())
    certificates = signing.parts.certificates and (*signing.parts.certificates, second.certificate.der)
    changed = replace(signing, parts=replace(signing.parts, certificates=certificates))
    return rewrite_signer_info(changed, lambda usual: usual + also)


# -- what is signed ----------------------------------------------------------------------


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 5652 11.2", client_must=ClientMust.REJECT)
def message_digest_wrong(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The messageDigest attribute is not the digest of the content; the signature over it is good.

    Whoever verifies the signature and does not compare the digest takes any content.
    """
    size = len(dict(signing.parts.signer.attributes)[attributes.MESSAGE_DIGEST]) - 2
    return set_attribute(signing, attributes.MESSAGE_DIGEST, der.octet_string(bytes(size)))


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 5652 11.2", client_must=ClientMust.REJECT)
def content_altered(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """One bit of the envelope was changed after it had been signed."""
    content = signing.parts.content
    if not content or not is_success(signing):
        return signing
    return replace(signing, parts=replace(signing.parts, content=content[:-1] + bytes((content[-1] ^ 1,))))


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 5652 11.2", client_must=ClientMust.REJECT)
def message_digest_missing(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The reply has no messageDigest attribute: nothing ties the content to the signature."""
    return drop_attributes(signing, attributes.MESSAGE_DIGEST)


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 5652 5.3, 11.1", client_must=ClientMust.REJECT)
def content_type_missing(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The reply has no contentType attribute.

    Old OpenXPKI and libscep. `openssl cms -verify` says "attribute error" and jscep fails; strongSwan,
    certmonger, scepclient and sscep go on.
    """
    return drop_attributes(signing, attributes.CONTENT_TYPE)


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 5652 11.1", client_must=ClientMust.REJECT)
def content_type_wrong(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The contentType attribute says envelopedData, and eContentType says data."""
    return set_attribute(signing, attributes.CONTENT_TYPE, der.oid(ID_ENVELOPED_DATA))


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 8894 3.2", client_must=ClientMust.MAY)
def content_is_enveloped_data(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """Both eContentType and the contentType attribute say envelopedData, where SCEP has data.

    XiPKI writes requests so. scepclient 2.1.0 takes it, strongSwan 5.9.8 falls over it.
    """
    if not is_success(signing):
        return signing
    changed = set_attribute(signing, attributes.CONTENT_TYPE, der.oid(ID_ENVELOPED_DATA))
    return replace(changed, parts=replace(changed.parts, content_type_oid=ID_ENVELOPED_DATA))


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 8894 3.2, 3.2.1", client_must=ClientMust.REJECT)
def signed_attributes_missing(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The reply has no signed attributes at all; the signature is over the content, and good.

    So there is neither transactionID nor pkiStatus, only an envelope with a certificate.
    """
    signer, content = signing.signer, signing.parts.content or b""

    def without(usual: bytes) -> bytes:
        return der.sequence(*(one.raw for one in der.one(usual).elements() if one.tag != 0xA0))

    bare = signed_by(signing, lambda _, digest: signer.sign(content, digest))
    return rewrite_signer_info(bare, without)


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 8894 3.2.1", client_must=ClientMust.REJECT)
def attributes_not_signed(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The attributes of SCEP are among the unsigned attributes, where anybody may change them.

    Only the attributes of CMS are signed, and the signature is good. Whoever looks for pkiStatus and
    transactionID in both places takes what an attacker has put there.
    """
    whole = signing.parts.signer.attributes
    of_cms = tuple(one for one in whole if one[0] in _OF_CMS)
    rest = b"".join(encode_attribute(*one) for one in whole if one not in of_cms)

    def with_unsigned(usual: bytes) -> bytes:
        return der.sequence(*(one.raw for one in der.one(usual).elements()), der.explicit(1, rest))

    return rewrite_signer_info(set_signer_info(signing, attributes=of_cms), with_unsigned)


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 5652 5.4", client_must=ClientMust.REJECT)
def signature_over_content(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The signature is over the content, although there are signed attributes.

    Nothing protects the attributes then: anybody may change pkiStatus.
    """
    signer, content = signing.signer, signing.parts.content or b""
    return signed_by(signing, lambda _, digest: signer.sign(content, digest))


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 8894 3.2", client_must=ClientMust.REJECT)
def detached_content(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The signature is detached: a SUCCESS is signed over an envelope that is not in it."""
    if not is_success(signing):
        return signing
    return replace(signing, parts=replace(signing.parts, content=None))


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 5652 5.3", client_must=ClientMust.MAY)
def attributes_unsorted(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The signed attributes are not in DER's order, and are signed in the order in which they are sent.

    .NET and Bouncy Castle write so. scepclient and jscep refuse it; strongSwan, certmonger and sscep go on.
    """
    return set_signer_info(signing, attributes=signing.parts.signer.attributes[::-1])


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 5652 5.4", client_must=ClientMust.MAY)
def attributes_unsorted_signed_sorted(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The signed attributes are not sent in DER's order, and are signed in that order.

    Whoever verifies over the octets as they came, as OpenSSL and strongSwan do, gets another digest.
    """
    signer = signing.signer
    in_order = signing.parts.attributes_to_be_signed()
    changed = set_signer_info(signing, attributes=signing.parts.signer.attributes[::-1])
    return signed_by(changed, lambda _, digest: signer.sign(in_order, digest))
