"""Who signs a message: the collaborator a codec is given, and one on a key in memory."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from ca import der, oids

from .algorithms import DigestAlgorithm
from .identifiers import AlgorithmIdentifier, PssParameters
from .signatures import ECDSA_WITH_DIGEST, ED25519, HASHES, RSA_WITH_DIGEST, is_rsa

if TYPE_CHECKING:
    from .messages import SignerCertificate

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class SignatureScheme(Enum):
    """How a SignerInfo names and makes its signature.

    ``RSA_ENCRYPTION`` is PKCS#1 v1.5 under the identifier that names no digest (RFC 3370 3.2): of the
    ways to sign with RSA the only one that strongSwan 5.9.8 reads in a reply.
    """

    RSA_ENCRYPTION = "rsaEncryption"
    RSA_WITH_DIGEST = "sha*WithRSAEncryption"
    RSA_PSS = "rsassaPss"
    ECDSA = "ecdsa-with-SHA*"
    ED25519 = "Ed25519"

    def identifier(self, digest: DigestAlgorithm) -> bytes:
        """Return the signatureAlgorithm DER; raises KeyError for a digest the scheme has no OID for."""
        if self is SignatureScheme.RSA_ENCRYPTION:
            return AlgorithmIdentifier(oid=oids.RSA_ENCRYPTION, parameters_der=der.null()).encode()
        if self is SignatureScheme.RSA_WITH_DIGEST:
            return AlgorithmIdentifier(oid=RSA_WITH_DIGEST[digest], parameters_der=der.null()).encode()
        if self is SignatureScheme.RSA_PSS:
            parameters = _pss_parameters(digest).encode()
            return AlgorithmIdentifier(oid=oids.RSASSA_PSS, parameters_der=parameters).encode()
        if self is SignatureScheme.ECDSA:
            return AlgorithmIdentifier(oid=ECDSA_WITH_DIGEST[digest]).encode()
        return AlgorithmIdentifier(oid=ED25519).encode()


def usual_scheme(public_key_der: bytes) -> SignatureScheme:
    """Return the scheme that every peer reads for a key of this kind.

    Raises:
        ca.der.DerError: not a subjectPublicKeyInfo.

    """
    if is_rsa(public_key_der):
        return SignatureScheme.RSA_ENCRYPTION
    info = der.one(public_key_der, what="subjectPublicKeyInfo")
    oid = info.enter(what="algorithm").oid()
    return SignatureScheme.ED25519 if oid == ED25519 else SignatureScheme.ECDSA


class MessageSigner(Protocol):
    """Signs messages in the name of a certificate."""

    @property
    def certificate(self) -> SignerCertificate:
        """The certificate that SignerInfo names."""

    def signature_algorithm(self, digest: DigestAlgorithm) -> bytes:
        """Return the signatureAlgorithm DER for SignerInfo."""

    def sign(self, data: bytes, digest: DigestAlgorithm) -> bytes:
        """Return the signature over ``data``, which is hashed here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySigner:
    """A `MessageSigner` on a private key in memory; ``scheme`` None is the usual one for the key."""

    certificate: SignerCertificate
    key: PrivateKey
    scheme: SignatureScheme | None = None

    def signature_algorithm(self, digest: DigestAlgorithm) -> bytes:
        """Return the signatureAlgorithm DER for SignerInfo."""
        return self._scheme().identifier(digest)

    def sign(self, data: bytes, digest: DigestAlgorithm) -> bytes:
        """Return the signature over ``data``."""
        return sign_with(self.key, data, digest, self._scheme())

    def _scheme(self) -> SignatureScheme:
        return self.scheme or usual_scheme(self.certificate.public_key_der)


def sign_with(key: PrivateKey, data: bytes, digest: DigestAlgorithm, scheme: SignatureScheme) -> bytes:
    """Return a signature; ECDSA is deterministic (RFC 6979), so that equal inputs yield equal octets."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(data, ec.ECDSA(HASHES[digest], deterministic_signing=True))
    if scheme is SignatureScheme.RSA_PSS:
        pss = _pss_parameters(digest)
        return key.sign(data, padding.PSS(padding.MGF1(HASHES[digest]), pss.salt_length), HASHES[digest])
    return key.sign(data, padding.PKCS1v15(), HASHES[digest])


def _pss_parameters(digest: DigestAlgorithm) -> PssParameters:
    """Return the parameters of RFC 4055 3.1: MGF1 with the same hash, salt as long as the hash."""
    return PssParameters(digest=digest, mgf_digest=digest, salt_length=HASHES[digest].digest_size)
