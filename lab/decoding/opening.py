"""Opening an envelope with a key or password that the user hands in, to look inside.

A tool for people: it says which step failed, which a server never may (RFC 3218).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from asn1crypto import algos, core
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from .words import oid_text

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

_AES: Final = {"2.16.840.1.101.3.4.1.2": 16, "2.16.840.1.101.3.4.1.22": 24, "2.16.840.1.101.3.4.1.42": 32}
_DES: Final = {"1.2.840.113549.3.7": 24, "1.3.14.3.2.7": 8}
_MAXIMUM_ITERATIONS: Final = 10_000_000
_HASHES: Final[dict[str, type[hashes.HashAlgorithm]]] = {
    "sha1": hashes.SHA1,
    "sha224": hashes.SHA224,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}


class CannotOpen(Exception):
    """The envelope stays closed; the text says at which step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvelopeKeys:
    """What the user hands in: private keys, and a challenge password for password recipients."""

    private_keys: tuple[RSAPrivateKey, ...] = ()
    password: bytes | None = field(default=None, repr=False)

    def __bool__(self) -> bool:
        return bool(self.private_keys) or self.password is not None


def open_enveloped_data(enveloped: Any, keys: EnvelopeKeys) -> tuple[bytes, str]:
    """Return the plaintext of an EnvelopedData and by which recipient it was opened.

    Raises:
        CannotOpen: no recipient fits, or a step fails.

    """
    info = enveloped["encrypted_content_info"]
    ciphertext = info["encrypted_content"].native
    if ciphertext is None:
        raise CannotOpen("encryptedContent is absent")
    failures: list[str] = []
    for number, recipient in enumerate(enveloped["recipient_infos"]):
        for describe, content_key in _content_keys(recipient, keys, failures):
            try:
                plaintext = _decrypt_content(info["content_encryption_algorithm"], content_key, ciphertext)
            except (CannotOpen, ValueError) as error:
                failures.append(f"recipient {number}: {error}")
                continue
            return plaintext, f"recipient {number}, {describe}"
    raise CannotOpen("; ".join(failures) or "no recipient is one these keys can open")


def _content_keys(recipient: Any, keys: EnvelopeKeys, failures: list[str]) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    if recipient.name == "ktri":
        for key in keys.private_keys:
            try:
                found.append(("opened with the key", _unwrap_rsa(recipient.chosen, key)))
            except (CannotOpen, ValueError, TypeError, KeyError, UnsupportedAlgorithm) as error:
                failures.append(f"the key does not open it: {error}")
    elif recipient.name == "pwri" and keys.password is not None:
        try:
            found.append(("opened with the password", _unwrap_password(recipient.chosen, keys.password)))
        except (CannotOpen, ValueError, TypeError, KeyError) as error:
            failures.append(f"the password does not open it: {error}")
    return found


def _unwrap_rsa(recipient: Any, key: RSAPrivateKey) -> bytes:
    identifier = recipient["key_encryption_algorithm"]
    dotted = identifier["algorithm"].dotted
    encrypted = recipient["encrypted_key"].native
    if dotted == "1.2.840.113549.1.1.1":
        return key.decrypt(encrypted, padding.PKCS1v15())
    if dotted != "1.2.840.113549.1.1.7":
        raise CannotOpen(f"key transport {oid_text(dotted)} is not supported")
    parameters = algos.RSAESOAEPParams.load(identifier["parameters"].dump())
    digest = _HASHES[parameters["hash_algorithm"]["algorithm"].native]()
    mgf = _HASHES[parameters["mask_gen_algorithm"]["parameters"]["algorithm"].native]()
    label = parameters["p_source_algorithm"]["parameters"].native or None
    return key.decrypt(encrypted, padding.OAEP(mgf=padding.MGF1(mgf), algorithm=digest, label=label))


def _unwrap_password(recipient: Any, password: bytes) -> bytes:
    """Unwrap per RFC 3211 2.3.2: decrypt twice, then check length and check value."""
    derivation = recipient["key_derivation_algorithm"]
    identifier = recipient["key_encryption_algorithm"]
    if identifier["algorithm"].dotted != "1.2.840.113549.1.9.16.3.9":
        raise CannotOpen(f"key encryption {oid_text(identifier['algorithm'].dotted)} is not PWRI-KEK")
    inner = algos.EncryptionAlgorithm.load(identifier["parameters"].dump())
    dotted = inner["algorithm"].dotted
    size = _AES.get(dotted) or _DES.get(dotted)
    if size is None:
        raise CannotOpen(f"cipher {oid_text(dotted)} is not supported")
    parameters = derivation["parameters"]
    if parameters["iteration_count"].native > _MAXIMUM_ITERATIONS:
        raise CannotOpen(f"PBKDF2 asks for more than {_MAXIMUM_ITERATIONS} iterations")
    kek = PBKDF2HMAC(
        algorithm=_HASHES[parameters["prf"]["algorithm"].native](),
        length=size,
        salt=parameters["salt"].native,
        iterations=parameters["iteration_count"].native,
    ).derive(password)
    wrapped = recipient["encrypted_key"].native
    vector = core.OctetString.load(inner["parameters"].dump()).native
    block = len(vector)
    last = _cbc(dotted, kek, wrapped[-2 * block : -block], wrapped[-block:])
    first = _cbc(dotted, kek, last, wrapped[:-block])
    plain = _cbc(dotted, kek, vector, first + last)
    length, check = plain[0], plain[1:4]
    if len(plain) < 4 + length or bytes(octet ^ 0xFF for octet in check) != plain[4:7]:
        raise CannotOpen("the check value of the wrapped key is wrong (RFC 3211 2.3.2)")
    return plain[4 : 4 + length]


def _decrypt_content(identifier: Any, key: bytes, ciphertext: bytes) -> bytes:
    dotted = identifier["algorithm"].dotted
    size = _AES.get(dotted) or _DES.get(dotted)
    if size is None:
        raise CannotOpen(f"cipher {oid_text(dotted)} is not supported")
    if len(key) != size:
        raise CannotOpen(f"the unwrapped key has {len(key)} octets, {oid_text(dotted)} takes {size}")
    vector = core.OctetString.load(identifier["parameters"].dump()).native
    padded = _cbc(dotted, key, vector, ciphertext)
    count = padded[-1] if padded else 0
    if not 0 < count <= len(vector) or padded[-count:] != bytes([count]) * count:
        raise CannotOpen("the padding of the content is wrong (RFC 5652 6.3): another key was used")
    return padded[:-count]


def _cbc(dotted: str, key: bytes, vector: bytes, data: bytes) -> bytes:
    cipher = algorithms.AES(key) if dotted in _AES else TripleDES(key * 3 if len(key) == 8 else key)
    decryptor = Cipher(cipher, modes.CBC(vector)).decryptor()
    return decryptor.update(data) + decryptor.finalize()
