"""Certificates made wrong: the parts of a real one, one of them changed, signed again.

Signed with the key that signed the original, so that the change is the only deviation; or with a key that
nobody knows. The root's key is taken out of its safe for that moment alone, and only by the faults that
change a CA's certificate: a lab whose root is kept elsewhere cannot have those, and is told so. Nothing
of the product signs with it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from ca import der, extensions, oids
from ca.certificates import TbsCertificate, read_certificate, sign_certificate
from ca.folders import FolderError, read_file
from ca.keys import KeyKind, PrivateKey, UnusableKey, generate_key, read_key_file, subject_key_id
from ca.opening import open_issuing_key

from .registry import BadParameter, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ca.extensions import Extension
    from ca.keys import SigningKey
    from lab.world import World

_MD5_WITH_RSA: Final = "1.2.840.113549.1.1.4"
_DAY: Final = timedelta(days=1)


# -- keys --------------------------------------------------------------------------------


@functools.cache
def foreign_key(owner: str, kind: KeyKind = KeyKind.RSA_2048) -> PrivateKey:
    """Return the key of somebody who is no part of any lab; made once a process."""
    del owner
    return generate_key(kind)


@functools.cache
def weak_public_key(bits: int) -> bytes:
    """Return the SubjectPublicKeyInfo of a fresh RSA key of so many bits; the library makes 1024 at least."""
    key = rsa.generate_private_key(65537, bits)
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def issuing_key(lab: World) -> PrivateKey:
    """Return the key of the issuing CA, as the folder has it."""
    return open_issuing_key(lab.folder, lab.pki).key


def root_key(lab: World) -> PrivateKey:
    """Return the key of the offline root.

    Raises:
        Unavailable: it is not in the lab's folder, or its passphrase is not.

    """
    given = lab.pki.root_passphrase
    try:
        passphrase = (
            read_file(lab.folder.root_passphrase).strip()
            if given is None
            else given.get_secret_value().encode()
        )
        return read_key_file(lab.folder.root_key, passphrase)
    except (FolderError, UnusableKey) as error:
        raise Unavailable(
            f"this fault has the root sign a certificate, and the root cannot be opened: {error}; "
            "use a lab that has its root at hand, such as `ndes-lab up --ephemeral`"
        ) from error


@dataclass(frozen=True, slots=True)
class _Borrowed:
    """Somebody's key, as `ca.keys.SigningKey` wants one."""

    key: SigningKey = field(repr=False)

    @property
    def public_key_der(self) -> bytes:
        """The SubjectPublicKeyInfo."""
        return self.key.public_key_der

    @property
    def subject_key_id(self) -> bytes:
        """The key's identifier."""
        return self.key.subject_key_id

    @property
    def signature_algorithm_der(self) -> bytes:
        """The AlgorithmIdentifier of `sign`."""
        return self.key.signature_algorithm_der

    def signature_algorithm(self, hash_name: str) -> bytes:
        """Return the AlgorithmIdentifier of a signature with this digest."""
        return self.key.signature_algorithm(hash_name)

    def sign(self, data: bytes, hash_name: str | None = None) -> bytes:
        """Return the signature over ``data``."""
        return self.key.sign(data, hash_name)


@dataclass(frozen=True, slots=True)
class WithDigest(_Borrowed):
    """A CA's key that signs with another digest: ``sha1``, or ``md5``, for which it has to be RSA."""

    hash_name: str

    @property
    def signature_algorithm_der(self) -> bytes:
        """The AlgorithmIdentifier of `sign`; raises Unavailable where the key has no such signature."""
        if self.hash_name == "md5":
            _sign_md5(self.key, b"")  # or it would turn out too late, with the certificate half made
            return der.sequence(der.oid(_MD5_WITH_RSA), der.null())
        return self.key.signature_algorithm(self.hash_name)

    def sign(self, data: bytes, hash_name: str | None = None) -> bytes:
        """Return the signature over ``data``."""
        name = hash_name or self.hash_name
        return _sign_md5(self.key, data) if name == "md5" else self.key.sign(data, name)


class Scratched(_Borrowed):
    """A key whose signatures have one bit turned."""

    __slots__ = ()

    def sign(self, data: bytes, hash_name: str | None = None) -> bytes:
        """Return a signature over ``data`` that does not verify."""
        signature = self.key.sign(data, hash_name)
        return signature[:-1] + bytes((signature[-1] ^ 0x01,))


def _sign_md5(key: SigningKey, data: bytes) -> bytes:
    if not isinstance(key, PrivateKey) or not key.kind.is_rsa:
        raise Unavailable("MD5 signs with RSA keys alone, and the key of this lab's CA is none")
    loaded = serialization.load_pem_private_key(key.plain_pem(), None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(loaded, rsa.RSAPrivateKey):
        raise Unavailable("the key of this lab's CA is no RSA key")
    try:
        return loaded.sign(data, padding.PKCS1v15(), hashes.MD5())  # noqa: S303 - the fault
    except UnsupportedAlgorithm as error:
        raise Unavailable(f"MD5 cannot be had on this machine: {error}") from error


# -- certificates ------------------------------------------------------------------------


def parts_of(octets: bytes) -> TbsCertificate:
    """Return what was signed of a certificate, to be changed and signed again."""
    found = read_certificate(octets)
    return TbsCertificate(
        version=found.version,
        serial_number=found.serial_number,
        signature_algorithm=found.signature_algorithm,
        issuer_der=found.issuer_der,
        not_before=found.not_before,
        not_after=found.not_after,
        subject_der=found.subject_der,
        public_key_der=found.public_key_der,
        extensions=found.extensions,
    )


def signed(tbs: TbsCertificate, key: SigningKey) -> bytes:
    """Return the certificate, which names the algorithm that ``key`` signs it with."""
    return sign_certificate(replace(tbs, signature_algorithm=key.signature_algorithm_der), key)


def altered(octets: bytes, key: SigningKey, change: Callable[[TbsCertificate], TbsCertificate]) -> bytes:
    """Return a certificate with its parts changed, signed with ``key``."""
    return signed(change(parts_of(octets)), key)


def with_extension(tbs: TbsCertificate, extension: Extension) -> TbsCertificate:
    """Return the parts with this extension, in the place of the one of its type if there is one."""
    if extensions.find(tbs.extensions, extension.oid) is None:
        return replace(tbs, extensions=(*tbs.extensions, extension))
    changed = (extension if one.oid == extension.oid else one for one in tbs.extensions)
    return replace(tbs, extensions=tuple(changed))


def without_extensions(tbs: TbsCertificate, *dotted: str) -> TbsCertificate:
    """Return the parts without the extensions of these types; the very same where there are none."""
    kept = tuple(one for one in tbs.extensions if one.oid not in dotted)
    return tbs if len(kept) == len(tbs.extensions) else replace(tbs, extensions=kept)


def with_key(tbs: TbsCertificate, public_key_der: bytes) -> TbsCertificate:
    """Return the parts for another public key, its identifier included."""
    tbs = replace(tbs, public_key_der=public_key_der)
    if extensions.find(tbs.extensions, oids.SUBJECT_KEY_IDENTIFIER) is None:
        return tbs
    return with_extension(tbs, extensions.subject_key_identifier(subject_key_id(public_key_der)))


def with_issuer(tbs: TbsCertificate, issuer_der: bytes, key: SigningKey) -> TbsCertificate:
    """Return the parts as issued by another CA, its key's identifier included."""
    tbs = replace(tbs, issuer_der=issuer_der)
    return with_extension(tbs, extensions.authority_key_identifier(key.subject_key_id))


def purpose_of(dotted: str) -> Extension:
    """Return an extKeyUsage of one purpose; raises BadParameter where it is no OID."""
    try:
        return extensions.extended_key_usage((dotted,))
    except der.DerError as error:
        raise BadParameter(f"purpose: {error}") from error


def ended(tbs: TbsCertificate, now: datetime, days: int) -> TbsCertificate:
    """Return the parts with a validity as long as it was that ended at midnight ``days`` days ago."""
    not_after = _midnight(now) - days * _DAY
    return replace(tbs, not_before=not_after - (tbs.not_after - tbs.not_before), not_after=not_after)


def not_begun(tbs: TbsCertificate, now: datetime, days: int) -> TbsCertificate:
    """Return the parts with a validity as long as it was that begins at midnight in ``days`` days."""
    not_before = _midnight(now) + (days + 1) * _DAY
    return replace(tbs, not_before=not_before, not_after=not_before + (tbs.not_after - tbs.not_before))


def _midnight(now: datetime) -> datetime:
    """Return the beginning of the day: whoever asks twice gets the same certificate."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0)
