"""PasswordRecipientInfo: a content encryption key under a password (RFC 5652 6.2.4, RFC 3211).

For keys that cannot decrypt RFC 8894 3.1 uses the challengePassword so: PBKDF2 makes a key
encryption key of it (RFC 8018 5.2), and PWRI-KEK wraps the content encryption key with that.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ca import der

from .algorithms import ContentCipher, DigestAlgorithm
from .ciphers import transform
from .errors import BadAlgorithm, Undecryptable
from .guards import refusing
from .identifiers import AlgorithmIdentifier, find_cipher, read_identifier

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .algorithms import AlgorithmPolicy

PBKDF2 = "1.2.840.113549.1.5.12"
PWRI_KEK = "1.2.840.113549.1.9.16.3.9"
PBKDF2_ITERATIONS = 10_000
SEED_OCTETS = 48
MAX_SALT_OCTETS = 1024
# Several passwords may be tried; together they may cost this many times one password's maximum.
_TOTAL_FACTOR = 4

_PRFS = {
    "1.2.840.113549.2.7": DigestAlgorithm.SHA_1,
    "1.2.840.113549.2.8": DigestAlgorithm.SHA_224,
    "1.2.840.113549.2.9": DigestAlgorithm.SHA_256,
    "1.2.840.113549.2.10": DigestAlgorithm.SHA_384,
    "1.2.840.113549.2.11": DigestAlgorithm.SHA_512,
}
_HMAC_SHA_256 = "1.2.840.113549.2.9"


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordRecipientInfo:
    """A PasswordRecipientInfo that has been read and let in, not yet tried with any password."""

    salt: bytes
    iterations: int
    prf: DigestAlgorithm
    cipher: ContentCipher
    iv: bytes | None
    encrypted_key: bytes
    maximum_iterations: int

    def find_key(self, passwords: Iterable[bytes], key_size: int) -> tuple[bytes, bytes]:
        """Return the first password that unwraps a key of this size, and that key.

        Raises:
            Undecryptable: none does, within the bound on iterations.

        """
        spent = 0
        for password in passwords:
            spent += self.iterations
            if spent > _TOTAL_FACTOR * self.maximum_iterations:
                break
            key = self._unwrap(password)
            if key is not None and len(key) == key_size:
                return password, key
        raise Undecryptable

    def _unwrap(self, password: bytes) -> bytes | None:
        """Undo the double encryption of RFC 3211 2.3.2; None when the check octets do not fit."""
        block, wrapped = self.cipher.block_size, self.encrypted_key
        if len(wrapped) < 2 * block or len(wrapped) % block or self.iv is None or len(self.iv) != block:
            return None
        kek = hashlib.pbkdf2_hmac(
            self.prf.hash_name, password, self.salt, self.iterations, self.cipher.key_size
        )
        last = transform(self.cipher, kek, wrapped[-2 * block : -block], wrapped[-block:], decrypt=True)
        inner = transform(self.cipher, kek, last, wrapped, decrypt=True)
        plain = transform(self.cipher, kek, self.iv, inner, decrypt=True)
        checks = all(plain[1 + index] ^ plain[4 + index] == 0xFF for index in range(3))
        return plain[4 : 4 + plain[0]] if checks and plain[0] <= len(plain) - 4 else None


def read_password_recipient(reader: der.Reader, policy: AlgorithmPolicy) -> PasswordRecipientInfo:
    """Return a PasswordRecipientInfo from a cursor into its content; nothing is computed.

    Raises:
        ca.der.DerError: not of its shape.
        BadAlgorithm: another derivation or wrapping, or more iterations or salt than the policy takes.

    """
    reader.integer("PasswordRecipientInfo version")
    if reader.peek() != 0xA0:
        raise BadAlgorithm("PasswordRecipientInfo has no keyDerivationAlgorithm (RFC 5652 6.2.4)")
    derivation = read_identifier(reader, "keyDerivationAlgorithm", 0xA0)
    wrapping = read_identifier(reader, "keyEncryptionAlgorithm")
    encrypted_key = reader.octets("encryptedKey")
    if derivation.oid != PBKDF2 or wrapping.oid != PWRI_KEK:
        raise BadAlgorithm(
            f"password based encryption is {derivation.oid} with {wrapping.oid}, "
            "expected PBKDF2 with PWRI-KEK (RFC 3370 4.4)"
        )
    with refusing(BadAlgorithm, "PWRI-KEK parameters (RFC 3211 2.3)"):
        kek = read_identifier(der.Reader(wrapping.parameters_der or b""), "key encryption cipher")
        cipher = find_cipher(kek.oid, policy)
    with refusing(BadAlgorithm, "PBKDF2 parameters (RFC 8018 A.2)"):
        salt, iterations, prf = _read_pbkdf2(derivation, cipher, policy)
    return PasswordRecipientInfo(
        salt=salt,
        iterations=iterations,
        prf=prf,
        cipher=cipher,
        iv=read_iv(kek),
        encrypted_key=encrypted_key,
        maximum_iterations=policy.maximum_pbkdf2_iterations,
    )


def read_iv(identifier: AlgorithmIdentifier) -> bytes | None:
    """Return the initialization vector in a CBC cipher's parameters, None when there is none."""
    parameters = identifier.parameters_der
    if parameters is None or parameters[0] != der.OCTET_STRING:
        return None
    return der.Reader(parameters).octets("initialization vector")


def _read_pbkdf2(
    identifier: AlgorithmIdentifier, cipher: ContentCipher, policy: AlgorithmPolicy
) -> tuple[bytes, int, DigestAlgorithm]:
    reader = der.one(identifier.parameters_der or b"", what="PBKDF2-params")
    salt = reader.octets("salt")
    iterations = reader.integer("iterationCount")
    key_length = reader.integer("keyLength") if reader.peek() == der.INTEGER else cipher.key_size
    prf = DigestAlgorithm.SHA_1 if reader.done else _PRFS.get(read_identifier(reader, "prf").oid)
    reader.finish("PBKDF2-params")
    if not 0 < iterations <= policy.maximum_pbkdf2_iterations:
        raise BadAlgorithm(
            f"PBKDF2 iterations are out of range, expected 1 to {policy.maximum_pbkdf2_iterations}"
        )
    if len(salt) > MAX_SALT_OCTETS or key_length != cipher.key_size or prf is None:
        raise BadAlgorithm("PBKDF2 salt, key length or pseudorandom function is out of range (RFC 8018 A.2)")
    return salt, iterations, prf


def wrap_for_password(password: bytes, cipher: ContentCipher, cek: bytes, seed: bytes) -> bytes:
    """Return a PasswordRecipientInfo as `[3]`, wrapping ``cek`` with ``cipher`` under the password.

    ``seed`` are 48 fresh random octets: salt, initialization vector and padding.
    """
    if len(seed) != SEED_OCTETS:
        raise ValueError(f"the seed has {len(seed)} octets, expected {SEED_OCTETS}")
    block = cipher.block_size
    salt, iv, filler = seed[:16], seed[16 : 16 + block], seed[32:]
    kek = hashlib.pbkdf2_hmac("sha256", password, salt, PBKDF2_ITERATIONS, cipher.key_size)
    plain = bytes((len(cek),)) + bytes(octet ^ 0xFF for octet in cek[:3]) + cek
    plain += filler[: max(-len(plain) % block, 2 * block - len(plain))]
    once = transform(cipher, kek, iv, plain, decrypt=False)
    twice = transform(cipher, kek, once[-block:], once, decrypt=False)
    derivation = der.sequence(
        der.octet_string(salt),
        der.integer(PBKDF2_ITERATIONS),
        AlgorithmIdentifier(oid=_HMAC_SHA_256, parameters_der=der.null()).encode(),
    )
    kek_cipher = AlgorithmIdentifier(oid=cipher.value, parameters_der=der.octet_string(iv))
    wrapping = AlgorithmIdentifier(oid=PWRI_KEK, parameters_der=kek_cipher.encode())
    return der.explicit(
        3,
        der.integer(0),
        der.explicit(0, der.oid(PBKDF2), derivation),
        wrapping.encode(),
        der.octet_string(twice),
    )
