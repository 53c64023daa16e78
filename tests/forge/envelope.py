"""EnvelopedData (RFC 5652 6) with any recipient, cipher, IV, padding and defect."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, CipherAlgorithm, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.serialization import load_der_public_key

from . import asn1
from .certificates import CertificateParts, read_certificate
from .keys import DIGESTS, MGF1, RSA, hash_of

DATA = "1.2.840.113549.1.7.1"
SIGNED_DATA = "1.2.840.113549.1.7.2"
ENVELOPED_DATA = "1.2.840.113549.1.7.3"
ENCRYPTED_DATA = "1.2.840.113549.1.7.6"
DIGESTED_DATA = "1.2.840.113549.1.7.5"
AUTHENTICATED_DATA = "1.2.840.113549.1.9.16.1.2"
COMPRESSED_DATA = "1.2.840.113549.1.9.16.1.9"
AUTH_ENVELOPED_DATA = "1.2.840.113549.1.9.16.1.23"
OAEP = "1.2.840.113549.1.1.7"
PBKDF2 = "1.2.840.113549.1.5.12"
PWRI_KEK = "1.2.840.113549.1.9.16.3.9"

# name: OID, key octets, block octets
CIPHERS = {
    "des": ("1.3.14.3.2.7", 8, 8),
    "3des": ("1.2.840.113549.3.7", 24, 8),
    "aes128": ("2.16.840.1.101.3.4.1.2", 16, 16),
    "aes192": ("2.16.840.1.101.3.4.1.22", 24, 16),
    "aes256": ("2.16.840.1.101.3.4.1.42", 32, 16),
    "rc2": ("1.2.840.113549.3.2", 16, 8),
    "rc4": ("1.2.840.113549.3.4", 16, 1),
    "aes128-gcm": ("2.16.840.1.101.3.4.1.6", 16, 16),
    "unknown": ("1.3.6.1.4.1.99999.1.3", 16, 16),
}


def content_info(dotted: str, content: bytes | None) -> bytes:
    """Return a ContentInfo."""
    return asn1.seq(asn1.oid(dotted), b"" if content is None else asn1.explicit(0, content))


def _algorithm(cipher: str, key: bytes) -> CipherAlgorithm:
    if CIPHERS[cipher][2] == 8:
        return TripleDES((key * 3)[:24])
    return AES(key)


def cbc_encrypt(cipher: str, key: bytes, iv: bytes, padded: bytes) -> bytes:
    """Encrypt whole blocks in CBC mode."""
    encryptor = Cipher(_algorithm(cipher, key), modes.CBC(iv)).encryptor()
    return encryptor.update(padded) + encryptor.finalize()


def cbc_decrypt(cipher: str, key: bytes, iv: bytes, ciphertext: bytes) -> bytes:
    """Decrypt whole blocks in CBC mode, padding left in place."""
    decryptor = Cipher(_algorithm(cipher, key), modes.CBC(iv)).decryptor()
    return decryptor.update(ciphertext) + decryptor.finalize()


def pad(plaintext: bytes, block: int) -> bytes:
    """Pad as RFC 5652 6.3 says."""
    count = block - len(plaintext) % block
    return plaintext + bytes((count,)) * count


# -- recipients ------------------------------------------------------------------------


def oaep_parameters(digest_name: str, mgf_name: str | None = None) -> bytes:
    """Return RSAES-OAEP-params in full."""
    return asn1.seq(
        asn1.explicit(0, asn1.algorithm(DIGESTS[digest_name])),
        asn1.explicit(1, asn1.seq(asn1.oid(MGF1), asn1.algorithm(DIGESTS[mgf_name or digest_name]))),
    )


@dataclass(frozen=True, kw_only=True)
class KeyTransport:
    """A KeyTransRecipientInfo for a certificate; every field can be something else."""

    certificate: bytes
    oaep: str | None = None
    identifier: bytes | None = None
    use_ski: bool = False
    algorithm: bytes | None = None
    encrypted_key: bytes | None = None
    version: int | None = None

    def encode(self, cek: bytes) -> bytes:
        """Return the RecipientInfo."""
        parts = read_certificate(self.certificate)
        identifier = self.identifier or (self._ski(parts) if self.use_ski else issuer_and_serial(parts))
        version = self.version if self.version is not None else (2 if identifier[0] == 0x80 else 0)
        algorithm = self.algorithm
        if algorithm is None:
            algorithm = asn1.algorithm(OAEP, oaep_parameters(self.oaep)) if self.oaep else asn1.algorithm(RSA)
        encrypted = self.encrypted_key if self.encrypted_key is not None else self.transport(cek)
        return asn1.seq(asn1.integer(version), identifier, algorithm, asn1.octets(encrypted))

    def transport(self, cek: bytes) -> bytes:
        """Encrypt a key to the certificate."""
        public = load_der_public_key(read_certificate(self.certificate).spki)
        assert isinstance(public, RSAPublicKey)
        if self.oaep:
            scheme = padding.OAEP(padding.MGF1(hash_of(self.oaep)), hash_of(self.oaep), None)
            return public.encrypt(cek, scheme)
        return public.encrypt(cek, padding.PKCS1v15())

    @staticmethod
    def _ski(parts: CertificateParts) -> bytes:
        _, value = parts.extensions["2.5.29.14"]
        return asn1.implicit(0, asn1.read(value).content)


def issuer_and_serial(parts: CertificateParts) -> bytes:
    """Return the IssuerAndSerialNumber that names a certificate."""
    return asn1.seq(parts.issuer, parts.serial)


@dataclass(frozen=True, kw_only=True)
class Password:
    """A PasswordRecipientInfo: PBKDF2 and PWRI-KEK (RFC 3211)."""

    password: bytes
    iterations: int = 2048
    salt: bytes = b"forged salt 0123"
    cipher: str = "aes128"
    prf: str | None = None
    with_kdf: bool = True
    written_iterations: int | None = None

    def encode(self, cek: bytes) -> bytes:
        """Return the RecipientInfo."""
        key_size = CIPHERS[self.cipher][1]
        kek = hashlib.pbkdf2_hmac(self.prf or "sha1", self.password, self.salt, self.iterations, key_size)
        iv = b"\x17" * CIPHERS[self.cipher][2]
        iterations = self.iterations if self.written_iterations is None else self.written_iterations
        prf = {"sha256": "1.2.840.113549.2.9", None: None}[self.prf]
        kdf = asn1.seq(
            asn1.oid(PBKDF2),
            asn1.seq(asn1.octets(self.salt), asn1.integer(iterations), asn1.algorithm(prf) if prf else b""),
        )
        key_encryption = asn1.algorithm(PWRI_KEK, asn1.algorithm(CIPHERS[self.cipher][0], asn1.octets(iv)))
        return asn1.explicit(
            3,
            asn1.integer(0),
            asn1.tlv(0xA0, asn1.read(kdf).body) if self.with_kdf else b"",
            key_encryption,
            asn1.octets(wrap(cek, self.cipher, kek, iv)),
        )


def wrap(cek: bytes, cipher: str, kek: bytes, iv: bytes) -> bytes:
    """Wrap a key as RFC 3211 2.3.1 says: count, check value, padding, encrypted twice."""
    block = CIPHERS[cipher][2]
    formatted = bytes((len(cek),)) + bytes(octet ^ 0xFF for octet in cek[:3]) + cek
    size = max(2 * block, -(-len(formatted) // block) * block)
    formatted += os.urandom(size - len(formatted))
    once = cbc_encrypt(cipher, kek, iv, formatted)
    return cbc_encrypt(cipher, kek, once[-block:], once)


def unwrap(wrapped: bytes, cipher: str, kek: bytes, iv: bytes) -> bytes:
    """Undo `wrap` (RFC 3211 2.3.2)."""
    block = CIPHERS[cipher][2]
    last_iv = cbc_decrypt(cipher, kek, wrapped[-2 * block : -block], wrapped[-block:])
    outer = cbc_decrypt(cipher, kek, last_iv, wrapped)
    formatted = cbc_decrypt(cipher, kek, iv, outer)
    cek = formatted[4 : 4 + formatted[0]]
    assert bytes(octet ^ 0xFF for octet in cek[:3]) == formatted[1:4], "check value of PWRI-KEK is wrong"
    return cek


# -- the envelope ----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """A pkcsPKIEnvelope, as a ContentInfo.

    ``recipients`` are encoded RecipientInfos or things that encode one. ``padded`` replaces the padded
    plaintext, ``ciphertext`` the encrypted octets, ``encrypted_content`` the whole [0] element (b"" for
    none), ``parameters`` those of the cipher (b"" for none).
    """

    plaintext: bytes = b""
    recipients: Sequence[KeyTransport | Password | bytes] = ()
    cipher: str = "aes128"
    cek: bytes | None = None
    iv: bytes | None = None
    version: int = 0
    content_type: str = DATA
    outer_type: str = ENVELOPED_DATA
    padded: bytes | None = None
    ciphertext: bytes | None = None
    encrypted_content: bytes | None = None
    parameters: bytes | None = None
    originator_info: bytes = b""
    unprotected: bytes = b""

    def with_(self, **changes: object) -> Envelope:
        """Return an envelope with other fields."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def encode(self) -> bytes:
        """Return the ContentInfo."""
        identifier, key_size, block = CIPHERS[self.cipher]
        cek = self.cek if self.cek is not None else os.urandom(key_size)
        iv = self.iv if self.iv is not None else os.urandom(block)
        recipients = [one if isinstance(one, bytes) else one.encode(cek) for one in self.recipients]
        parameters = asn1.octets(iv) if self.parameters is None else self.parameters
        content = self.encrypted_content
        if content is None:
            content = asn1.implicit(0, self._encrypt(cek, iv))
        enveloped = asn1.seq(
            asn1.integer(self.version),
            self.originator_info,
            asn1.set_of(*recipients),
            asn1.seq(asn1.oid(self.content_type), asn1.seq(asn1.oid(identifier), parameters), content),
            self.unprotected,
        )
        return content_info(self.outer_type, enveloped)

    def _encrypt(self, cek: bytes, iv: bytes) -> bytes:
        if self.ciphertext is not None:
            return self.ciphertext
        block = CIPHERS[self.cipher][2]
        padded = self.padded if self.padded is not None else pad(self.plaintext, block)
        if self.cipher in ("rc2", "rc4", "aes128-gcm", "unknown"):
            return os.urandom(len(padded))
        return cbc_encrypt(self.cipher, (cek + bytes(32))[: CIPHERS[self.cipher][1]], iv, padded)
