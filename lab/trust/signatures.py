"""Verifying a signature over given octets by an AlgorithmIdentifier and a SubjectPublicKeyInfo.

One function for certificates, CRLs and OCSP answers. RSA PKCS#1 v1.5 and PSS, ECDSA, Ed25519 and
Ed448, with any digest down to MD5: an old signature is judged, not refused as unreadable.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from asn1crypto import algos
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa

_HASHES: Final[dict[str, type[hashes.HashAlgorithm]]] = {
    "md5": hashes.MD5,
    "sha1": hashes.SHA1,
    "sha224": hashes.SHA224,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}


class SignatureVerdict(Enum):
    """How verifying came out. WEAK verifies, with a digest or key that no longer protects."""

    VALID = "valid"
    WEAK = "weak"
    INVALID = "invalid"
    UNSUPPORTED = "unsupported"


def verify_signature(
    *, public_key_der: bytes, algorithm_der: bytes, signature: bytes, data: bytes
) -> SignatureVerdict:
    """Verify ``signature`` over ``data``; raises nothing for any input."""
    try:
        key = serialization.load_der_public_key(public_key_der)
        algorithm = algos.SignedDigestAlgorithm.load(algorithm_der)
        kind = algorithm.signature_algo
        digest = None if kind in {"ed25519", "ed448"} else algorithm.hash_algo
    except (ValueError, TypeError, KeyError, UnsupportedAlgorithm):
        return SignatureVerdict.UNSUPPORTED
    try:
        if not _verify(key, kind, digest, algorithm, signature, data):
            return SignatureVerdict.UNSUPPORTED
    except InvalidSignature:
        return SignatureVerdict.INVALID
    except (ValueError, TypeError, KeyError, UnsupportedAlgorithm):
        return SignatureVerdict.UNSUPPORTED
    weak_key = isinstance(key, rsa.RSAPublicKey) and key.key_size < 1024
    return SignatureVerdict.WEAK if digest == "md5" or weak_key else SignatureVerdict.VALID


def _verify(
    key: object,
    kind: str,
    digest: str | None,
    algorithm: algos.SignedDigestAlgorithm,
    signature: bytes,
    data: bytes,
) -> bool:
    """Verify; False when key and algorithm do not belong together."""
    hash_algorithm = _HASHES[digest]() if digest else None
    if isinstance(key, rsa.RSAPublicKey) and hash_algorithm is not None:
        if kind == "rsassa_pkcs1v15":
            key.verify(signature, data, padding.PKCS1v15(), hash_algorithm)
            return True
        if kind == "rsassa_pss":
            parameters = algorithm["parameters"]
            mgf = padding.MGF1(_HASHES[parameters["mask_gen_algorithm"]["parameters"]["algorithm"].native]())
            salt = parameters["salt_length"].native
            key.verify(signature, data, padding.PSS(mgf=mgf, salt_length=salt), hash_algorithm)
            return True
        return False
    if isinstance(key, ec.EllipticCurvePublicKey) and kind == "ecdsa" and hash_algorithm is not None:
        key.verify(signature, data, ec.ECDSA(hash_algorithm))
        return True
    if (isinstance(key, ed25519.Ed25519PublicKey) and kind == "ed25519") or (
        isinstance(key, ed448.Ed448PublicKey) and kind == "ed448"
    ):
        key.verify(signature, data)
        return True
    return False
