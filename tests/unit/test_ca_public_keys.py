"""Public keys: weak and absurd ones are refused before any library calculates with them."""

from __future__ import annotations

import hashlib
import math

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa, x25519
from forge import asn1
from forge import keys as forged

from ca.errors import BadPublicKey, BadRequestAlgorithm, CaError, KeyLength
from ca.public_keys import KeyAlgorithm, read_public_key

GOOD = rsa.generate_private_key(65537, 2048)
MODULUS = GOOD.public_key().public_numbers().n


def spki(key: object) -> bytes:
    return key.public_bytes(  # type: ignore[attr-defined,no-any-return]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@pytest.mark.parametrize(("bits", "exponent"), [(1024, 65537), (2048, 3), (3072, 65537)])
def test_good_rsa_keys_are_measured(bits: int, exponent: int) -> None:
    key = rsa.generate_private_key(exponent, bits).public_key()  # type: ignore[arg-type]
    info = read_public_key(spki(key))
    assert (info.algorithm, info.bits) == (KeyAlgorithm.RSA, bits)
    assert info.sha256 == hashlib.sha256(spki(key)).hexdigest()
    assert info.key_id == x509.SubjectKeyIdentifier.from_public_key(key).digest


@pytest.mark.parametrize("exponent", [-1, 0, 1, 2, 4, 65536, 2**64 + 1, 2**2047 + 1])
def test_bad_exponents_are_refused(exponent: int) -> None:
    with pytest.raises(BadPublicKey, match="exponent"):
        read_public_key(forged.rsa_spki(MODULUS, exponent))


@pytest.mark.parametrize("factor", [2, 3, 17, 997])
def test_small_factors_are_found(factor: int) -> None:
    with pytest.raises(BadPublicKey, match="small factor"):
        read_public_key(forged.rsa_spki(MODULUS * factor, 65537))


@pytest.mark.parametrize("modulus", [0, -MODULUS], ids=["zero", "negative"])
def test_a_modulus_that_is_not_positive_is_refused(modulus: int) -> None:
    with pytest.raises(BadPublicKey, match="not positive"):
        read_public_key(forged.rsa_spki(modulus, 65537))


def test_the_roca_pattern_is_found() -> None:
    # A modulus of the flawed generator: both primes are 65537^a mod M plus a multiple of M, and M is
    # the product of the first primes (CCS 2017, "The Return of Coppersmith's Attack", 2.1).
    primorial = math.prod(p for p in range(2, 710) if all(p % q for q in range(2, math.isqrt(p) + 1)))
    modulus = (pow(65537, 1234, primorial) + 5 * primorial) * (pow(65537, 777, primorial) + 7 * primorial)
    with pytest.raises(BadPublicKey, match="ROCA"):
        read_public_key(forged.rsa_spki(modulus, 65537))
    assert read_public_key(forged.rsa_spki(MODULUS, 65537)).bits == 2048


def test_a_huge_modulus_is_refused_by_its_size_alone() -> None:
    for bits in (8200, 16384, 1_000_000):
        with pytest.raises(KeyLength, match="8192"):
            read_public_key(forged.rsa_spki(1 << bits | 1, 65537))


@pytest.mark.parametrize(
    ("curve", "algorithm"),
    [
        (ec.SECP256R1(), KeyAlgorithm.ECDSA_P256),
        (ec.SECP384R1(), KeyAlgorithm.ECDSA_P384),
        (ec.SECP521R1(), KeyAlgorithm.ECDSA_P521),
    ],
)
def test_named_curves_are_known(curve: ec.EllipticCurve, algorithm: KeyAlgorithm) -> None:
    key = ec.generate_private_key(curve).public_key()
    info = read_public_key(spki(key))
    assert (info.algorithm, info.bits) == (algorithm, curve.key_size)
    assert spki(info.load()) == spki(key)


@pytest.mark.parametrize(
    "key",
    [
        x25519.X25519PrivateKey.generate().public_key(),
        ed448.Ed448PrivateKey.generate().public_key(),
        ec.generate_private_key(ec.SECP256K1()).public_key(),
        dsa.generate_private_key(2048).public_key(),
    ],
    ids=lambda key: type(key).__name__,
)
def test_keys_that_cannot_sign_or_are_unknown_are_refused(key: object) -> None:
    with pytest.raises(BadRequestAlgorithm):
        read_public_key(spki(key))


def test_explicit_curves_and_points_off_the_curve_are_refused() -> None:
    with pytest.raises(BadPublicKey, match="explicit"):
        read_public_key(
            asn1.seq(asn1.algorithm(forged.EC_KEY, asn1.seq(asn1.integer(1))), asn1.bits(b"\4" * 65))
        )
    curve = asn1.algorithm(forged.EC_KEY, asn1.oid("1.2.840.10045.3.1.7"))
    for point in (b"", b"\x00", b"\x04" * 64, b"\x05" + b"\x01" * 64):
        with pytest.raises(BadPublicKey, match="no point"):
            read_public_key(asn1.seq(curve, asn1.bits(point)))
    with pytest.raises(BadPublicKey, match="cannot be used"):
        read_public_key(asn1.seq(curve, asn1.bits(b"\x04" + b"\x01" * 64))).load()


def test_every_cut_of_a_key_is_a_refusal() -> None:
    whole = spki(GOOD.public_key())
    for end in range(len(whole)):
        with pytest.raises(CaError):
            read_public_key(whole[:end])
