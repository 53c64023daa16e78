"""Keys: quick to come by when good, and as bad as a test wants.

`KeyPool` makes RSA-2048 keys out of a stock of primes, because generating each would cost more than
the tests themselves. The keys share primes and are worthless outside a test.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa, x25519

from . import asn1

RSA = "1.2.840.113549.1.1.1"
RSA_PSS = "1.2.840.113549.1.1.10"
DER = serialization.Encoding.DER
MGF1 = "1.2.840.113549.1.1.8"
EC_KEY = "1.2.840.10045.2.1"
ED25519 = "1.3.101.112"

DIGESTS = {
    "md2": "1.2.840.113549.2.2",
    "md5": "1.2.840.113549.2.5",
    "sha1": "1.3.14.3.2.26",
    "sha224": "2.16.840.1.101.3.4.2.4",
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
    "sha512": "2.16.840.1.101.3.4.2.3",
    "sha3-256": "2.16.840.1.101.3.4.2.8",
    "unknown": "1.3.6.1.4.1.99999.1.1",
}
RSA_SIGNATURES = {
    "md2": "1.2.840.113549.1.1.2",
    "md5": "1.2.840.113549.1.1.4",
    "sha1": "1.2.840.113549.1.1.5",
    "sha224": "1.2.840.113549.1.1.14",
    "sha256": "1.2.840.113549.1.1.11",
    "sha384": "1.2.840.113549.1.1.12",
    "sha512": "1.2.840.113549.1.1.13",
    "unknown": "1.3.6.1.4.1.99999.1.2",
}
ECDSA_SIGNATURES = {
    "sha1": "1.2.840.10045.4.1",
    "sha256": "1.2.840.10045.4.3.2",
    "sha384": "1.2.840.10045.4.3.3",
    "sha512": "1.2.840.10045.4.3.4",
}
_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "md5": hashes.MD5,
    "sha1": hashes.SHA1,
    "sha224": hashes.SHA224,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
    "sha3-256": hashes.SHA3_256,
}
Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | dsa.DSAPrivateKey


def hash_of(name: str) -> hashes.HashAlgorithm:
    """Return pyca's object for a digest name."""
    return _HASHES[name]()


def digest(name: str, data: bytes) -> bytes:
    """Return a digest; for names nobody can compute, that of SHA-256."""
    known = {"md5", "sha1", "sha224", "sha256", "sha384", "sha512"}
    return hashlib.new(name if name in known else "sha256", data, usedforsecurity=False).digest()


@dataclass(frozen=True, slots=True)
class Key:
    """A key pair; ``private`` None is a public key that nobody can sign for, but for ``raw``.

    ``raw`` is (modulus, private exponent) of an RSA key that no library would hold.
    """

    spki: bytes
    private: Private | None = None
    raw: tuple[int, int] | None = None

    @property
    def kind(self) -> str:
        """``rsa``, ``ec``, ``ed25519``, ``dsa`` or ``none``."""
        names = ((rsa.RSAPrivateKey, "rsa"), (ec.EllipticCurvePrivateKey, "ec"), (dsa.DSAPrivateKey, "dsa"))
        if self.private is None:
            return "none"
        return next((name for type_, name in names if isinstance(self.private, type_)), "ed25519")

    @property
    def pem(self) -> bytes:
        """The unencrypted PKCS#8 key, for the openssl command."""
        assert self.private is not None
        return self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def identifier(self) -> bytes:
        """SHA-1 of the public key octets (RFC 5280 4.2.1.2, method 1)."""
        return hashlib.sha1(asn1.read(self.spki)[1].content[1:], usedforsecurity=False).digest()

    def sign(self, data: bytes, digest_name: str = "sha256", *, pss: bool = False) -> bytes:
        """Return a signature in the scheme the key has; nonsense of the right size if it has none."""
        private = self.private
        if self.raw is not None:
            modulus, exponent = self.raw
            padded = int.from_bytes(encode_pkcs1(modulus, digest_name, data), "big")
            return pow(padded, exponent, modulus).to_bytes((modulus.bit_length() + 7) // 8, "big")
        if isinstance(private, rsa.RSAPrivateKey):
            if digest_name not in _HASHES:
                digest_name = "sha256"
            scheme = (
                padding.PSS(padding.MGF1(hash_of(digest_name)), padding.PSS.DIGEST_LENGTH)
                if pss
                else padding.PKCS1v15()
            )
            return private.sign(data, scheme, hash_of(digest_name))
        if isinstance(private, ec.EllipticCurvePrivateKey):
            return private.sign(data, ec.ECDSA(hash_of(digest_name)))
        if isinstance(private, dsa.DSAPrivateKey):
            return private.sign(data, hash_of(digest_name))
        if isinstance(private, ed25519.Ed25519PrivateKey):
            return private.sign(data)
        return b"\x5a" * 256

    def signature_algorithm(self, digest_name: str = "sha256") -> bytes:
        """Return the AlgorithmIdentifier a certificate or request signed by this key carries."""
        if self.kind in ("rsa", "none"):
            return asn1.algorithm(RSA_SIGNATURES.get(digest_name, RSA_SIGNATURES["sha256"]))
        if self.kind == "ec":
            return asn1.algorithm(ECDSA_SIGNATURES[digest_name], None)
        if self.kind == "dsa":
            return asn1.algorithm("2.16.840.1.101.3.4.3.2", None)
        return asn1.algorithm(ED25519, None)

    def decrypt(self, encrypted_key: bytes) -> bytes:
        """Undo RSAES-PKCS1-v1_5."""
        assert isinstance(self.private, rsa.RSAPrivateKey)
        return self.private.decrypt(encrypted_key, padding.PKCS1v15())


def of(private: Private) -> Key:
    """Wrap a pyca key."""
    return Key(
        private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
        private,
    )


def rsa_from_primes(p: int, q: int, e: int = 65537) -> Key:
    """Return the RSA key of two primes."""
    d = pow(e, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(e, p * q)
    )
    return of(numbers.private_key(unsafe_skip_rsa_key_validation=True))


def rsa_spki(modulus: int, exponent: int, *, parameters: bytes | None = asn1.NULL) -> bytes:
    """Return a SubjectPublicKeyInfo of any two integers."""
    key = asn1.seq(asn1.integer(modulus), asn1.integer(exponent))
    return asn1.seq(asn1.algorithm(RSA, parameters), asn1.bits(key))


def rsa_public_only(bits: int, exponent: int = 65537) -> Key:
    """Return a public key of ``bits`` bits made of a fixed odd number: nobody has its factors."""
    modulus = int.from_bytes(hashlib.shake_256(b"forge %d" % bits).digest(bits // 8), "big")
    return Key(rsa_spki(modulus | 1 << bits - 1 | 1, exponent))


def encode_pkcs1(modulus: int, digest_name: str, data: bytes) -> bytes:
    """Return EMSA-PKCS1-v1_5 (RFC 8017 9.2) for a modulus."""
    info = asn1.seq(asn1.algorithm(DIGESTS[digest_name]), asn1.octets(digest(digest_name, data)))
    size = (modulus.bit_length() + 7) // 8
    return b"\x00\x01" + b"\xff" * (size - 3 - len(info)) + b"\x00" + info


class ExponentOne:
    """RSA with e = 1, with which everyone can sign: the signature is the padded digest itself."""

    def __init__(self, modulus: int) -> None:
        self.modulus = modulus

    @property
    def key(self) -> Key:
        """The public key."""
        return Key(rsa_spki(self.modulus, 1))

    def sign(self, data: bytes) -> bytes:
        """Return the EMSA-PKCS1-v1_5 encoding, which is its own signature under e = 1."""
        return encode_pkcs1(self.modulus, "sha256", data)


class KeyPool:
    """Keys of every kind, generated once and handed out for the whole session."""

    def __init__(self, primes: int = 90) -> None:
        keys = [rsa.generate_private_key(65537, 2048).private_numbers() for _ in range(primes // 2)]
        self._primes = [prime for numbers in keys for prime in (numbers.p, numbers.q)]
        self._pairs: Iterator[tuple[int, int]] = itertools.combinations(self._primes, 2)

    def fresh(self) -> Key:
        """Return an RSA-2048 key that was not handed out before."""
        p, q = next(self._pairs)
        return rsa_from_primes(p, q)

    @functools.cached_property
    def signer(self) -> Key:
        """The RSA-2048 key most messages are signed with."""
        return self.fresh()

    @functools.cached_property
    def other(self) -> Key:
        """Another RSA-2048 key."""
        return self.fresh()

    @functools.cache  # noqa: B019
    def product(self, count: int) -> Key:
        """Return an RSA key of ``count`` of our 1024-bit primes (RFC 8017 3.1: multi-prime RSA)."""
        primes = self._primes[:count]
        modulus = math.prod(primes)
        exponent = pow(65537, -1, math.prod(prime - 1 for prime in primes))
        return Key(rsa_spki(modulus, 65537), raw=(modulus, exponent))

    @functools.cache  # noqa: B019 - one pool lives as long as the session
    def rsa(self, bits: int, exponent: int = 65537) -> Key:
        """Return the session's RSA key of this size and exponent."""
        if bits < 1024:
            return self._tiny(bits, exponent)
        if exponent in (3, 65537):
            return of(rsa.generate_private_key(exponent, bits))
        raise ValueError(f"no RSA key with exponent {exponent}")

    def _tiny(self, bits: int, exponent: int) -> Key:
        while True:
            p, q = (_prime(bits // 2) for _ in range(2))
            phi = (p - 1) * (q - 1)
            if (p * q).bit_length() == bits and phi % exponent:
                return rsa_from_primes(p, q, exponent)

    def ec(self, curve: ec.EllipticCurve | None = None) -> Key:
        """Return a new EC key, on P-256 unless told otherwise."""
        return of(ec.generate_private_key(curve or ec.SECP256R1()))

    def ed25519(self) -> Key:
        """Return a new Ed25519 key."""
        return of(ed25519.Ed25519PrivateKey.generate())

    def x25519(self) -> Key:
        """Return a new X25519 public key, which cannot sign."""
        public = x25519.X25519PrivateKey.generate().public_key()
        return Key(
            public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        )

    @functools.cached_property
    def dsa(self) -> Key:
        """A DSA-2048 key."""
        return of(dsa.generate_private_key(2048))


def _prime(bits: int) -> int:
    printed = subprocess.run(
        ["openssl", "prime", "-generate", "-bits", str(bits)], capture_output=True, check=True, text=True
    )
    return int(printed.stdout)


def pss_parameters(digest_name: str, salt: int | None = None) -> bytes:
    """Return RSASSA-PSS-params."""
    hash_algorithm = asn1.algorithm(DIGESTS[digest_name])
    size = hash_of(digest_name).digest_size if salt is None else salt
    return asn1.seq(
        asn1.explicit(0, hash_algorithm),
        asn1.explicit(1, asn1.seq(asn1.oid(MGF1), hash_algorithm)),
        asn1.explicit(2, asn1.integer(size)),
    )
