"""The algorithms SCEP messages use, and which of them are let in.

An enum per role; a member carries its OID, the word GetCACaps uses for it where there is one, and
how strong it is. `AlgorithmPolicy` is the decision which of the weak ones are let in: single DES and
MD5 are never emitted whatever it says (RFC 8894 2.9).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal, Self

from ca import oids


class DigestAlgorithm(Enum):
    """A digest: value is its OID, ``capability`` the GetCACaps keyword (RFC 8894 3.5.2)."""

    capability: str | None
    hash_name: str
    legacy: bool

    def __new__(cls, oid: str, hash_name: str, capability: str | None, legacy: bool) -> Self:
        member = object.__new__(cls)
        member._value_ = oid
        member.hash_name = hash_name
        member.capability = capability
        member.legacy = legacy
        return member

    MD5 = "1.2.840.113549.2.5", "md5", None, True
    SHA_1 = "1.3.14.3.2.26", "sha1", "SHA-1", False
    SHA_224 = "2.16.840.1.101.3.4.2.4", "sha224", None, False
    SHA_256 = "2.16.840.1.101.3.4.2.1", "sha256", "SHA-256", False
    SHA_384 = "2.16.840.1.101.3.4.2.2", "sha384", "SHA-384", False
    SHA_512 = "2.16.840.1.101.3.4.2.3", "sha512", "SHA-512", False


class ContentCipher(Enum):
    """A content encryption algorithm in CBC mode: value is its OID; key and block sizes in octets."""

    key_size: int
    block_size: int
    capability: str | None
    legacy: bool

    def __new__(cls, oid: str, key_size: int, block_size: int, capability: str | None, legacy: bool) -> Self:
        member = object.__new__(cls)
        member._value_ = oid
        member.key_size = key_size
        member.block_size = block_size
        member.capability = capability
        member.legacy = legacy
        return member

    DES_CBC = "1.3.14.3.2.7", 8, 8, None, True
    DES_EDE3_CBC = "1.2.840.113549.3.7", 24, 8, "DES3", False
    AES_128_CBC = "2.16.840.1.101.3.4.1.2", 16, 16, "AES", False
    AES_192_CBC = "2.16.840.1.101.3.4.1.22", 24, 16, "AES", False
    AES_256_CBC = "2.16.840.1.101.3.4.1.42", 32, 16, "AES", False


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTransport:
    """How a content encryption key is carried under an RSA key.

    ``oaep_digest`` None means RSAES-PKCS1-v1_5. OAEP with every default is written with an empty
    parameter SEQUENCE, as Windows does.
    """

    oaep_digest: DigestAlgorithm | None = None
    oaep_mgf_digest: DigestAlgorithm | None = None
    oaep_label: bytes = b""

    @property
    def oid(self) -> str:
        """Return the keyEncryptionAlgorithm OID."""
        return oids.RSA_ENCRYPTION if self.oaep_digest is None else oids.RSAES_OAEP


PKCS1_V15 = KeyTransport()
OAEP_SHA1 = KeyTransport(oaep_digest=DigestAlgorithm.SHA_1, oaep_mgf_digest=DigestAlgorithm.SHA_1)
OAEP_SHA256 = KeyTransport(oaep_digest=DigestAlgorithm.SHA_256, oaep_mgf_digest=DigestAlgorithm.SHA_256)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlgorithmPolicy:
    """Which algorithms and keys are let in.

    ``legacy`` decides on single DES and MD5 in requests: "accept" lets them in with a warning
    (deployed clients send nothing else), "refuse" answers badAlg as RFC 8894 2.9 has it.
    """

    legacy: Literal["accept", "refuse"] = "accept"
    sha1: Literal["accept", "refuse"] = "accept"
    triple_des: Literal["accept", "refuse"] = "accept"
    minimum_signer_rsa_bits: int = 1024
    maximum_rsa_bits: int = 8192
    maximum_pbkdf2_iterations: int = 1_000_000


DEFAULT_POLICY = AlgorithmPolicy()
