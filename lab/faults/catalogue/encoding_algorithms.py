"""Faults of the algorithms that a reply is signed with, and of how SignedData names them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ca import der
from ca.opening import open_registration_keys
from lab.faults.forging import set_content, set_signer_info, signed_by
from lab.faults.registry import ClientMust, Range, Seam, fault
from lab.faults.values import ReplyDraft, SigningDraft
from scep_server.protocol.algorithms import DigestAlgorithm
from scep_server.protocol.identifiers import digest_identifier
from scep_server.protocol.signers import SignatureScheme, sign_with

if TYPE_CHECKING:
    from lab.faults.tools import Tools


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 8894 2.9", client_must=ClientMust.REJECT)
def digest_md5(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The reply is digested and signed with MD5.

    SCEP's mandatory digest before RFC 8894, which forbids it: collisions of MD5 take seconds. strongSwan
    5.9.8 takes it.
    """
    key = _ra_key(signing, tools)
    if key is None:
        return signing
    algorithm = digest_identifier(DigestAlgorithm.MD5)
    changed = set_signer_info(signing, digest_algorithm_der=algorithm)
    changed = replace(
        changed, digest=DigestAlgorithm.MD5, parts=replace(changed.parts, digest_algorithms=(algorithm,))
    )
    changed = set_content(changed, signing.parts.content)
    return signed_by(
        changed, lambda data, digest: sign_with(key, data, digest, SignatureScheme.RSA_ENCRYPTION)
    )


@fault(seam=Seam.ENCODING, takes=ReplyDraft, clause="RFC 8894 2.9, 7.8", client_must=ClientMust.MAY)
def digest_sha1(draft: ReplyDraft, tools: Tools) -> ReplyDraft:
    """The reply is digested and signed with SHA-1, although the request was with something better.

    NDES does. Every client that was measured takes it; hosts with a crypto policy, such as RHEL 9, do not.
    """
    if draft.cert_rep.digest is DigestAlgorithm.SHA_1:
        return draft
    return replace(draft, cert_rep=replace(draft.cert_rep, digest=DigestAlgorithm.SHA_1))


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 4056 3", client_must=ClientMust.MAY)
def signature_pss(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The reply is signed with RSASSA-PSS.

    RFC 8894 does not speak of it. strongSwan 5.9.8 signs requests so where it is told to, and does not read
    it in a reply.
    """
    key = _ra_key(signing, tools)
    if key is None:
        return signing
    scheme = SignatureScheme.RSA_PSS
    return signed_by(
        signing,
        lambda data, digest: sign_with(key, data, digest, scheme),
        scheme.identifier(signing.digest),
    )


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 3370 3.2", client_must=ClientMust.MAY)
def signature_named_with_digest(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The signatureAlgorithm is sha256WithRSAEncryption, not rsaEncryption.

    The signature is the same, and both names are in use. strongSwan 5.9.8 reads rsaEncryption alone.
    """
    if _ra_key(signing, tools) is None:
        return signing
    identifier = SignatureScheme.RSA_WITH_DIGEST.identifier(signing.digest)
    return set_signer_info(signing, signature_algorithm_der=identifier)


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 5754 2", client_must=ClientMust.SUCCEED)
def digest_parameters_absent(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The digestAlgorithm has no parameters, where most write NULL.

    Both have to be read. micromdm's server and old Cisco firmware leave them out.
    """
    identifier = der.sequence(der.oid(signing.digest.value))
    changed = set_signer_info(signing, digest_algorithm_der=identifier)
    return replace(changed, parts=replace(changed.parts, digest_algorithms=(identifier,)))


@fault(seam=Seam.ENCODING, takes=SigningDraft, clause="RFC 5652 5.1", client_must=ClientMust.MAY)
def digest_algorithms_empty(signing: SigningDraft, tools: Tools) -> SigningDraft:
    """The digestAlgorithms of SignedData are an empty SET, and SignerInfo names one.

    The set is for readers in one pass; they may refuse a digest that is not in it. OpenSSL does.
    """
    return replace(signing, parts=replace(signing.parts, digest_algorithms=()))


@fault(
    seam=Seam.ENCODING,
    takes=SigningDraft,
    clause="RFC 5652 5.1",
    client_must=ClientMust.MAY,
    limits={"value": Range(0, 2_147_483_647)},
)
def signed_data_version(signing: SigningDraft, tools: Tools, *, value: int = 99) -> SigningDraft:
    """The version of SignedData is a number that does not exist.

    Most readers pass over it.
    """
    return replace(signing, parts=replace(signing.parts, version=value))


@fault(
    seam=Seam.ENCODING,
    takes=SigningDraft,
    clause="RFC 5652 5.3",
    client_must=ClientMust.MAY,
    limits={"value": Range(0, 2_147_483_647)},
)
def signer_info_version(signing: SigningDraft, tools: Tools, *, value: int = 99) -> SigningDraft:
    """The version of SignerInfo is a number that does not exist.

    Most readers pass over it.
    """
    return set_signer_info(signing, version=value)


def _ra_key(signing: SigningDraft, tools: Tools) -> rsa.RSAPrivateKey | None:
    """Return the RSA key of the RA that signs; None where it is of another kind, or not at hand."""
    pair = open_registration_keys(tools.lab.folder, tools.lab.pki).signing
    if pair.certificate.der != signing.signer.certificate.der:
        return None
    key = load_pem_private_key(pair.key.plain_pem(), None, unsafe_skip_rsa_key_validation=True)
    return key if isinstance(key, rsa.RSAPrivateKey) else None
