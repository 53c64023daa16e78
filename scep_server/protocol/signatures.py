"""Public keys and signatures of messages: what is let in, and how it is verified.

PKCS#1 v1.5 under both spellings of its identifier (rsaEncryption, and the digest-specific ones),
RSASSA-PSS, ECDSA and Ed25519. Sizes and exponents are checked before any arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from ca import der, oids

from .algorithms import DigestAlgorithm
from .errors import BadAlgorithm
from .guards import refusing
from .identifiers import AlgorithmIdentifier, PssParameters, find_digest, read_pss_parameters

if TYPE_CHECKING:
    from .algorithms import AlgorithmPolicy

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

ED25519 = "1.3.101.112"
HASHES: dict[DigestAlgorithm, hashes.HashAlgorithm] = {
    DigestAlgorithm.MD5: hashes.MD5(),  # noqa: S303 - to verify only
    DigestAlgorithm.SHA_1: hashes.SHA1(),  # noqa: S303 - deployed clients, plain HTTP (RFC 8894 7.8)
    DigestAlgorithm.SHA_224: hashes.SHA224(),
    DigestAlgorithm.SHA_256: hashes.SHA256(),
    DigestAlgorithm.SHA_384: hashes.SHA384(),
    DigestAlgorithm.SHA_512: hashes.SHA512(),
}
RSA_WITH_DIGEST = {
    DigestAlgorithm.MD5: "1.2.840.113549.1.1.4",
    DigestAlgorithm.SHA_1: "1.2.840.113549.1.1.5",
    DigestAlgorithm.SHA_224: "1.2.840.113549.1.1.14",
    DigestAlgorithm.SHA_256: oids.SHA256_WITH_RSA,
    DigestAlgorithm.SHA_384: "1.2.840.113549.1.1.12",
    DigestAlgorithm.SHA_512: "1.2.840.113549.1.1.13",
}
ECDSA_WITH_DIGEST = {
    DigestAlgorithm.SHA_1: "1.2.840.10045.4.1",
    DigestAlgorithm.SHA_224: "1.2.840.10045.4.3.1",
    DigestAlgorithm.SHA_256: oids.ECDSA_WITH_SHA256,
    DigestAlgorithm.SHA_384: oids.ECDSA_WITH_SHA384,
    DigestAlgorithm.SHA_512: "1.2.840.10045.4.3.4",
}
_RSA_DIGESTS = {oid: digest for digest, oid in RSA_WITH_DIGEST.items()}
_ECDSA_DIGESTS = {oid: digest for digest, oid in ECDSA_WITH_DIGEST.items()}
_RSA_KEYS = (oids.RSA_ENCRYPTION, oids.RSASSA_PSS, oids.RSAES_OAEP)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureAlgorithm:
    """How a SignerInfo is signed: ``kind`` and the digest the signature itself uses."""

    kind: type[rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey]
    digest: DigestAlgorithm
    pss: PssParameters | None = None

    def check_key(self, key: PublicKey) -> None:
        """Raise BadAlgorithm when the signer's key is of another kind than the algorithm."""
        if not isinstance(key, self.kind):
            raise BadAlgorithm("the signature algorithm does not go with the signer's key (RFC 5652 5.3)")

    def verifies(self, key: PublicKey, signature: bytes, data: bytes) -> bool:
        """Tell whether ``signature`` over ``data`` is this key's, which is of the right kind."""
        hash_algorithm = HASHES[self.digest]
        try:
            if isinstance(key, rsa.RSAPublicKey):
                key.verify(signature, data, self._padding(), hash_algorithm)
            elif isinstance(key, ec.EllipticCurvePublicKey):
                key.verify(signature, data, ec.ECDSA(hash_algorithm))
            else:
                key.verify(signature, data)
        except (InvalidSignature, ValueError):
            return False
        except UnsupportedAlgorithm as error:
            raise BadAlgorithm(f"{self.digest.hash_name} signatures cannot be verified here") from error
        return True

    def _padding(self) -> padding.AsymmetricPadding:
        if self.pss is None:
            return padding.PKCS1v15()
        return padding.PSS(padding.MGF1(HASHES[self.pss.mgf_digest]), self.pss.salt_length)


def find_signature_algorithm(
    identifier: AlgorithmIdentifier, digest: DigestAlgorithm, policy: AlgorithmPolicy
) -> SignatureAlgorithm:
    """Return the algorithm of a SignerInfo whose digestAlgorithm is ``digest``.

    rsaEncryption (RFC 3370 3.2) and id-ecPublicKey name no digest and take the SignerInfo's; the
    others bring their own.

    Raises:
        BadAlgorithm: unknown, unusable parameters, or a digest that the policy refuses.

    """
    oid = identifier.oid
    if oid == oids.RSA_ENCRYPTION:
        return SignatureAlgorithm(kind=rsa.RSAPublicKey, digest=digest)
    if oid in _RSA_DIGESTS:
        found = find_digest(_RSA_DIGESTS[oid].value, policy)
        return SignatureAlgorithm(kind=rsa.RSAPublicKey, digest=found)
    if oid == oids.RSASSA_PSS:
        pss = read_pss_parameters(identifier)
        if pss.digest is not digest:
            raise BadAlgorithm("RSASSA-PSS uses another hash than digestAlgorithm (RFC 4056 3)")
        return SignatureAlgorithm(kind=rsa.RSAPublicKey, digest=digest, pss=pss)
    if oid in _ECDSA_DIGESTS:
        found = find_digest(_ECDSA_DIGESTS[oid].value, policy)
        return SignatureAlgorithm(kind=ec.EllipticCurvePublicKey, digest=found)
    if oid == oids.EC_PUBLIC_KEY:
        return SignatureAlgorithm(kind=ec.EllipticCurvePublicKey, digest=digest)
    if oid == ED25519:
        return SignatureAlgorithm(kind=ed25519.Ed25519PublicKey, digest=digest)
    raise BadAlgorithm(f"signature algorithm {oid} is not known here, expected RSA, ECDSA or Ed25519")


def load_public_key(public_key_der: bytes, policy: AlgorithmPolicy) -> PublicKey:
    """Return the key of a subjectPublicKeyInfo if the policy lets it in.

    Raises:
        BadAlgorithm: unreadable, another kind, too small, too large, or an exponent of no use.

    """
    with refusing(BadAlgorithm, "the signer's public key"):
        _check_rsa_size(public_key_der, policy)
        try:
            key = load_der_public_key(public_key_der)
        except UnsupportedAlgorithm as error:
            raise BadAlgorithm("the signer's public key is of a kind that is not known here") from error
        if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size < 256:
            raise BadAlgorithm(f"the signer's EC key has {key.curve.key_size} bits, expected at least 256")
        if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
            raise BadAlgorithm("the signer's public key is neither RSA nor EC nor Ed25519")
        return key


def is_rsa(public_key_der: bytes) -> bool:
    """Tell whether a subjectPublicKeyInfo holds an RSA key, to which a CEK can be sent (RFC 8894 3.1)."""
    try:
        info = der.one(public_key_der, what="subjectPublicKeyInfo")
        return info.enter(what="algorithm").oid() in _RSA_KEYS
    except der.DerError:
        return False


def _check_rsa_size(public_key_der: bytes, policy: AlgorithmPolicy) -> None:
    """Refuse an RSA key whose use would cost too much or prove nothing, before any arithmetic."""
    info = der.one(public_key_der, what="subjectPublicKeyInfo")
    if info.enter(what="algorithm").oid() not in _RSA_KEYS:
        return
    key = der.one(info.bits("subjectPublicKey"), what="RSAPublicKey")
    modulus = key.element(der.INTEGER, "modulus").content
    exponent = key.element(der.INTEGER, "publicExponent").content
    if not modulus or not exponent or modulus[0] & 0x80 or exponent[0] & 0x80 or not modulus[-1] & 1:
        raise BadAlgorithm("the signer's RSA modulus is even, or a number is not positive (RFC 8017 3.1)")
    bits = int.from_bytes(modulus[:8], "big").bit_length() + 8 * max(0, len(modulus) - 8)
    if not policy.minimum_signer_rsa_bits <= bits <= policy.maximum_rsa_bits:
        raise BadAlgorithm(
            f"the signer's RSA key has {bits} bits, expected {policy.minimum_signer_rsa_bits} "
            f"to {policy.maximum_rsa_bits}"
        )
    if len(exponent) > 9 or not exponent[-1] & 1 or exponent == b"\x01":
        raise BadAlgorithm("the signer's RSA exponent is even, 1, or above 2^64 (RFC 8017 3.1)")
