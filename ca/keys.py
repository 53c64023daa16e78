"""Private keys: made, kept encrypted in files, and used to sign and decrypt.

Lives here: every use of a private key. Does not live here: what is signed and why, and
who may ask for it. Nobody outside this module sees the library's own key objects.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from . import der, oids

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType


class KeyKind(Enum):
    """What kind of key pair; the value is its name in settings."""

    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
    ECDSA_P256 = "ecdsa-p256"
    ECDSA_P384 = "ecdsa-p384"

    @property
    def is_rsa(self) -> bool:
        """Whether the key is RSA, and so can decrypt."""
        return self in _RSA_BITS


_RSA_BITS: Final = {KeyKind.RSA_2048: 2048, KeyKind.RSA_3072: 3072, KeyKind.RSA_4096: 4096}
_CURVES: Final[dict[KeyKind, ec.EllipticCurve]] = {
    KeyKind.ECDSA_P256: ec.SECP256R1(),
    KeyKind.ECDSA_P384: ec.SECP384R1(),
}
_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "sha1": hashes.SHA1(),  # noqa: S303 - replies to SHA-1 requests (RFC 8894 3.5.2), never certificates
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
# RFC 8017 A.2.4 and RFC 5758 3.2; RSA with NULL parameters, ECDSA without any.
_RSA_SIGNATURES: Final = {
    "sha1": "1.2.840.113549.1.1.5",
    "sha224": "1.2.840.113549.1.1.14",
    "sha256": oids.SHA256_WITH_RSA,
    "sha384": "1.2.840.113549.1.1.12",
    "sha512": "1.2.840.113549.1.1.13",
}
_ECDSA_SIGNATURES: Final = {
    "sha1": "1.2.840.10045.4.1",
    "sha224": "1.2.840.10045.4.3.1",
    "sha256": oids.ECDSA_WITH_SHA256,
    "sha384": oids.ECDSA_WITH_SHA384,
    "sha512": "1.2.840.10045.4.3.4",
}
_PKCS1V15: Final = padding.PKCS1v15()


class UnusableKey(Exception):
    """A key, or the file it should be in, cannot be used for this; the text says why, never a secret."""


class DecryptionFailed(Exception):
    """The octets are nothing this key can decrypt. Says no more: the reason would be an oracle."""


class SigningKey(Protocol):
    """What those who only sign need of a key."""

    @property
    def public_key_der(self) -> bytes:
        """The SubjectPublicKeyInfo (RFC 5280 4.1.2.7)."""

    @property
    def subject_key_id(self) -> bytes:
        """SHA-1 of the subjectPublicKey bits (RFC 5280 4.2.1.2, method 1)."""

    @property
    def signature_algorithm_der(self) -> bytes:
        """The AlgorithmIdentifier of `sign` with its default digest."""

    def signature_algorithm(self, hash_name: str) -> bytes:
        """Return the AlgorithmIdentifier of `sign` with this digest."""

    def sign(self, data: bytes, hash_name: str | None = None) -> bytes:
        """Return the signature over ``data``."""


class PrivateKey:
    """An RSA or ECDSA key pair; made by `generate_key`, `generate_keys` or `read_key_file`.

    Safe to use from several threads at once. Its text and its errors hold nothing secret.
    """

    __slots__ = ("_key", "kind", "public_key_der", "signature_algorithm_der", "subject_key_id")

    kind: KeyKind
    public_key_der: bytes  # SubjectPublicKeyInfo
    subject_key_id: bytes
    signature_algorithm_der: bytes  # of `sign` without a hash_name

    def __init__(self, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self.kind = _kind_of(key)
        self.public_key_der = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.subject_key_id = subject_key_id(self.public_key_der)
        self.signature_algorithm_der = self.signature_algorithm(self._default_hash)

    def __repr__(self) -> str:
        return f"<PrivateKey {self.kind.value} {self.subject_key_id.hex()}>"

    @property
    def _default_hash(self) -> str:
        """A digest as strong as the key: SHA-384 for P-384 (RFC 5480 4), SHA-256 for all others."""
        return "sha384" if self.kind is KeyKind.ECDSA_P384 else "sha256"

    def signature_algorithm(self, hash_name: str) -> bytes:
        """Return the AlgorithmIdentifier of a signature with this digest.

        Raises:
            UnusableKey: no such digest to sign with.

        """
        table = _RSA_SIGNATURES if self.kind.is_rsa else _ECDSA_SIGNATURES
        if hash_name not in table:
            raise UnusableKey(f"cannot sign with digest {hash_name!r}, expected one of {', '.join(table)}")
        parameters = (der.null(),) if self.kind.is_rsa else ()
        return der.sequence(der.oid(table[hash_name]), *parameters)

    def sign(self, data: bytes, hash_name: str | None = None) -> bytes:
        """Return the signature over ``data``: PKCS#1 v1.5 for RSA, a DER Ecdsa-Sig-Value for ECDSA.

        Raises:
            UnusableKey: no such digest to sign with.

        """
        name = hash_name or self._default_hash
        if name not in _HASHES:
            raise UnusableKey(f"cannot sign with digest {name!r}, expected one of {', '.join(_HASHES)}")
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(data, _PKCS1V15, _HASHES[name])
        return self._key.sign(data, ec.ECDSA(_HASHES[name]))

    def decrypt_pkcs1v15(self, ciphertext: bytes) -> bytes:
        """Return what RSAES-PKCS1-v1_5 (RFC 8017 7.2) carries.

        Bad padding gives pseudo-random octets of some length, not an error (implicit rejection):
        whoever asks goes on with them as if nothing had happened.

        Raises:
            DecryptionFailed: wrong length, a value beyond the modulus, or no RSA key.

        """
        return self._decrypt(ciphertext, _PKCS1V15)

    def decrypt_oaep(self, ciphertext: bytes, *, hash_name: str, mgf_hash_name: str, label: bytes) -> bytes:
        """Return what RSAES-OAEP (RFC 8017 7.1) carries.

        Raises:
            DecryptionFailed: it does not decrypt, or no RSA key.
            UnusableKey: no such digest.

        """
        if hash_name not in _HASHES or mgf_hash_name not in _HASHES:
            raise UnusableKey(f"OAEP with digests {hash_name!r} and {mgf_hash_name!r} is not supported")
        mgf = padding.MGF1(_HASHES[mgf_hash_name])
        return self._decrypt(ciphertext, padding.OAEP(mgf, _HASHES[hash_name], label or None))

    def _decrypt(self, ciphertext: bytes, scheme: padding.AsymmetricPadding) -> bytes:
        if not isinstance(self._key, rsa.RSAPrivateKey):
            raise DecryptionFailed(f"an {self.kind.value} key does not decrypt")
        try:
            return self._key.decrypt(ciphertext, scheme)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise DecryptionFailed("the octets do not decrypt") from error

    def encrypted_pem(self, passphrase: bytes) -> bytes:
        """Return an EncryptedPrivateKeyInfo (PKCS#8, PBES2: PBKDF2 and AES-256-CBC) as PEM.

        The library derives with 2048 iterations, so the passphrase should be a generated one.
        """
        return self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(passphrase),
        )

    def plain_pem(self) -> bytes:
        """Return a PrivateKeyInfo (PKCS#8) as PEM, not encrypted: for its owner's hands only."""
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @classmethod
    def from_pem(cls, pem: bytes, passphrase: bytes | None) -> Self:
        """Return the key of a PKCS#8 (or traditional) PEM; ``passphrase`` None for a plain one.

        Raises:
            UnusableKey: no key, a wrong or missing passphrase, or a kind of key that is not ours.

        """
        try:
            # The library's own check of an RSA key takes 80 ms; a signature that verifies takes one.
            key = serialization.load_pem_private_key(pem, passphrase, unsafe_skip_rsa_key_validation=True)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise UnusableKey(f"no private key that opens with this passphrase: {error}") from error
        if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            raise UnusableKey(f"found {type(key).__name__}, expected an RSA or ECDSA private key")
        if isinstance(key, rsa.RSAPrivateKey):
            _prove(key)
        return cls(key)


def _prove(key: rsa.RSAPrivateKey) -> None:
    """Raise UnusableKey unless what the key signs verifies with its public half: its numbers belong."""
    signed = b"Do the numbers of this key belong together?"
    try:
        signature = key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
        key.public_key().verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError) as error:
        raise UnusableKey("the numbers of the RSA key do not belong together") from error


def _kind_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> KeyKind:
    if isinstance(key, rsa.RSAPrivateKey):
        found = f"RSA of {key.key_size} bits"
        kinds = {kind for kind, bits in _RSA_BITS.items() if bits == key.key_size}
    else:
        found = f"ECDSA on {key.curve.name}"
        kinds = {kind for kind, curve in _CURVES.items() if curve.name == key.curve.name}
    if not kinds:
        raise UnusableKey(f"found {found}, expected one of {', '.join(kind.value for kind in KeyKind)}")
    return kinds.pop()


def subject_key_id(public_key_der: bytes) -> bytes:
    """Return SHA-1 of the subjectPublicKey bits of a SubjectPublicKeyInfo (RFC 5280 4.2.1.2, method 1).

    Raises:
        ca.der.DerError: not a SubjectPublicKeyInfo.

    """
    reader = der.one(public_key_der, what="SubjectPublicKeyInfo")
    reader.element(der.SEQUENCE, "algorithm")
    return hashlib.sha1(reader.bits("subjectPublicKey"), usedforsecurity=False).digest()


def generate_key(kind: KeyKind) -> PrivateKey:
    """Return a new key pair from the library's own generator; RSA with exponent 65537."""
    if kind in _CURVES:
        return PrivateKey(ec.generate_private_key(_CURVES[kind]))
    return PrivateKey(rsa.generate_private_key(65537, _RSA_BITS[kind]))


def generate_keys(kinds: Sequence[KeyKind]) -> list[PrivateKey]:
    """Return a new key pair for each kind, made side by side: RSA takes long and uses one core each."""
    with ThreadPoolExecutor(max_workers=max(1, len(kinds))) as pool:
        return list(pool.map(generate_key, kinds))


class KeysAhead:
    """New key pairs of these kinds, being made in the background from now on.

    As a context manager: nothing is left running afterwards. Called for the same kinds it returns these
    pairs, once; for others, or again, it makes new ones.
    """

    def __init__(self, kinds: Sequence[KeyKind]) -> None:
        self._pool = ThreadPoolExecutor(max_workers=max(1, len(kinds)))
        self._kinds = tuple(kinds)
        self._pairs = [self._pool.submit(generate_key, kind) for kind in kinds]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def __call__(self, kinds: Sequence[KeyKind]) -> list[PrivateKey]:
        """Return a key pair for each kind, waiting for those that are not made yet."""
        pairs, self._pairs = self._pairs, []
        if not pairs or tuple(kinds) != self._kinds:
            return generate_keys(kinds)
        return [pair.result() for pair in pairs]


def write_key_file(path: Path, key: PrivateKey, passphrase: bytes, *, replace: bool = False) -> None:
    """Write the key, encrypted, to a file of mode 0600: all of it or nothing, also after a power cut.

    Raises:
        FileExistsError: the file is there and ``replace`` is not given.
        ValueError: the passphrase is empty.
        OSError: the file cannot be written.

    """
    if not passphrase:
        raise ValueError("the passphrase of a key file is empty")
    if path.exists() and not replace:
        raise FileExistsError(f"{path} exists: a key is not overwritten unasked")
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(key.encrypted_pem(passphrase))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # a folder cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_key_file(path: Path, passphrase: bytes) -> PrivateKey:
    """Return the key in an encrypted PKCS#8 file.

    Raises:
        UnusableKey: the file cannot be read, or holds no key that this passphrase opens.

    """
    try:
        pem = path.read_bytes()
    except OSError as error:
        raise UnusableKey(f"key file {path} cannot be read: {error.strerror}") from error
    try:
        return PrivateKey.from_pem(pem, passphrase)
    except UnusableKey as error:
        raise UnusableKey(f"key file {path}: {error}") from error
