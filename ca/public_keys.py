"""Public keys as they come in: what kind and size they are, and whether they are fit to certify.

Reads SubjectPublicKeyInfo octet by octet, so that an absurd key is refused before any library
calculates with it. Does not live here: which kinds and sizes a template takes (`ca.templates`), and
private keys (`ca.keys`).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from . import der, oids
from .errors import BadPublicKey, BadRequestAlgorithm, KeyLength

VerifyingKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

MAXIMUM_RSA_BITS: Final = 8192
_ED25519: Final = "1.3.101.112"


class KeyAlgorithm(Enum):
    """What kind of public key; the value is the word AD CS templates use."""

    RSA = "RSA"
    ECDSA_P256 = "ECDSA_P256"
    ECDSA_P384 = "ECDSA_P384"
    ECDSA_P521 = "ECDSA_P521"
    ED25519 = "Ed25519"


_CURVES: Final = {
    "1.2.840.10045.3.1.7": (KeyAlgorithm.ECDSA_P256, 256),
    "1.3.132.0.34": (KeyAlgorithm.ECDSA_P384, 384),
    "1.3.132.0.35": (KeyAlgorithm.ECDSA_P521, 521),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKeyInfo:
    """What is known of a public key that passed `read_public_key`."""

    der: bytes  # SubjectPublicKeyInfo
    algorithm: KeyAlgorithm
    bits: int
    sha256: str  # of the SubjectPublicKeyInfo, hex
    key_id: bytes  # SHA-1 of the subjectPublicKey bits (RFC 5280 4.2.1.2, method 1)

    def load(self) -> VerifyingKey:
        """Return the library's key.

        Raises:
            BadPublicKey: the numbers make no key: a point that is not on its curve, for example.

        """
        try:
            key = serialization.load_der_public_key(self.der)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise BadPublicKey(f"the {self.algorithm.value} public key cannot be used: {error}") from error
        if not isinstance(key, VerifyingKey):  # the algorithm was read above; this narrows the type
            raise BadPublicKey(f"the public key is {type(key).__name__}, expected {self.algorithm.value}")
        return key


def read_public_key(spki: bytes) -> PublicKeyInfo:
    """Return what kind of key a SubjectPublicKeyInfo holds, if it is fit to certify.

    Raises:
        BadPublicKey: unreadable, or weak: bad exponent, small factors, the ROCA pattern, explicit
            curve parameters.
        BadRequestAlgorithm: a kind of key that cannot sign, or that this CA does not know.
        KeyLength: an RSA modulus beyond 8192 bits.

    """
    try:
        reader = der.one(spki, what="SubjectPublicKeyInfo")
        algorithm = reader.enter(what="public key algorithm")
        dotted = algorithm.oid("public key algorithm")
        key = reader.bits("subjectPublicKey")
        reader.finish("SubjectPublicKeyInfo")
        kind, bits = _kind_and_bits(dotted, algorithm, key)
    except der.DerError as error:
        raise BadPublicKey(f"the public key cannot be read: {error}") from error
    return PublicKeyInfo(
        der=spki,
        algorithm=kind,
        bits=bits,
        sha256=hashlib.sha256(spki).hexdigest(),
        key_id=hashlib.sha1(key, usedforsecurity=False).digest(),
    )


def _kind_and_bits(dotted: str, parameters: der.Reader, key: bytes) -> tuple[KeyAlgorithm, int]:
    if dotted == oids.RSA_ENCRYPTION:
        return KeyAlgorithm.RSA, _rsa_bits(key)
    if dotted == oids.EC_PUBLIC_KEY:
        return _curve(parameters, key)
    if dotted == _ED25519:
        if len(key) != 32:
            raise BadPublicKey(f"Ed25519 public key has {len(key)} octets, expected 32 (RFC 8410 4)")
        return KeyAlgorithm.ED25519, 256
    raise BadRequestAlgorithm(f"public key algorithm {dotted} is not one this CA certifies")


def _rsa_bits(key: bytes) -> int:
    numbers = der.one(key, what="RSAPublicKey")
    modulus_octets = numbers.element(der.INTEGER, "modulus").content
    exponent = numbers.integer("publicExponent")
    numbers.finish("RSAPublicKey")
    if len(modulus_octets) > MAXIMUM_RSA_BITS // 8 + 1:
        raise KeyLength(f"RSA modulus has {len(modulus_octets)} octets, expected at most 8192 bits")
    modulus = int.from_bytes(modulus_octets, "big", signed=True)
    if modulus <= 0:
        raise BadPublicKey("RSA modulus is not positive (RFC 8017 3.1)")
    if exponent < 3 or exponent % 2 == 0 or exponent >= 2**64:
        raise BadPublicKey("RSA exponent is not an odd number from 3 to 2^64 (RFC 8017 3.1)")
    if math.gcd(modulus, _SMALL_PRIMES) != 1:
        raise BadPublicKey("RSA modulus has a small factor")
    if _has_roca_pattern(modulus):
        raise BadPublicKey("RSA modulus has the pattern of CVE-2017-15361 (ROCA)")
    return modulus.bit_length()


def _curve(parameters: der.Reader, key: bytes) -> tuple[KeyAlgorithm, int]:
    tag, content, _ = parameters.element(what="EC parameters")
    if tag != der.OBJECT_IDENTIFIER:
        raise BadPublicKey("EC key has no named curve; explicit parameters are not accepted (RFC 5480 2.1.1)")
    curve = der.dotted_oid(content)
    if curve not in _CURVES:
        raise BadRequestAlgorithm(f"curve {curve} is not one this CA certifies: P-256, P-384, P-521")
    kind, bits = _CURVES[curve]
    size = (bits + 7) // 8
    if not (key[:1] == b"\x04" and len(key) == 1 + 2 * size) and not (
        key[:1] in (b"\x02", b"\x03") and len(key) == 1 + size
    ):
        raise BadPublicKey(f"EC point of {len(key)} octets is no point of {kind.value} (RFC 5480 2.2)")
    return kind, bits


def _primes_below(limit: int) -> list[int]:
    sieve = bytearray([1]) * limit
    sieve[:2] = b"\0\0"
    for number in range(2, math.isqrt(limit) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, limit, number)))
    return [number for number in range(limit) if sieve[number]]


_SMALL_PRIMES: Final = math.prod(_primes_below(1000))


def _powers(base: int, modulus: int) -> frozenset[int]:
    found: set[int] = set()
    value = 1
    while value not in found:
        found.add(value)
        value = value * base % modulus
    return frozenset(found)


# Moduli of the flawed generator are powers of 65537 modulo every small prime ("The Return of
# Coppersmith's Attack", CCS 2017, 3); only primes where that says something are kept.
_ROCA_RESIDUES: Final = {
    prime: residues
    for prime in _primes_below(168)
    if prime > 2 and len(residues := _powers(65537 % prime, prime)) < prime - 1
}
_ROCA_PRODUCT: Final = math.prod(_ROCA_RESIDUES)


def _has_roca_pattern(modulus: int) -> bool:
    rest = modulus % _ROCA_PRODUCT
    return all(rest % prime in residues for prime, residues in _ROCA_RESIDUES.items())
