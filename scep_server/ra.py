"""The registration authority's keys: one that signs replies, one that opens requests.

They may be one and the same, and may even be the CA's (RFC 8894 2.1.2 has it so); a separate RA keeps
the CA's key away from octets strangers send (RFC 8894 7.2). Retired encryption keys go on opening
requests for a while, because clients keep RA certificates. Does not live here: making these keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ca.extensions import KeyUsage, read_key_usage
from ca.keys import DecryptionFailed, UnusableKey
from ca.oids import KEY_USAGE

from .protocol.algorithms import DigestAlgorithm
from .protocol.certificates import read_certificate, subject_key_identifier
from .protocol.signers import usual_scheme

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from ca.certificates import CertificateInfo

    from .protocol.algorithms import KeyTransport
    from .protocol.enveloped import Decryptor
    from .protocol.messages import SignerCertificate
    from .protocol.signers import MessageSigner


class RaKey(Protocol):
    """A private key as the RA uses it; `ca.keys.PrivateKey` is one."""

    @property
    def public_key_der(self) -> bytes:
        """The SubjectPublicKeyInfo."""

    def sign(self, data: bytes, hash_name: str | None = None) -> bytes:
        """Return the signature over ``data``."""

    def decrypt_pkcs1v15(self, ciphertext: bytes) -> bytes:
        """Return what RSAES-PKCS1-v1_5 carries; raises DecryptionFailed."""

    def decrypt_oaep(self, ciphertext: bytes, *, hash_name: str, mgf_hash_name: str, label: bytes) -> bytes:
        """Return what RSAES-OAEP carries; raises DecryptionFailed."""


class MismatchedKey(ValueError):
    """A certificate and a private key that do not belong together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RaIdentity:
    """A certificate and its private key."""

    certificate: CertificateInfo
    key: RaKey

    def __post_init__(self) -> None:
        if self.certificate.public_key_der != self.key.public_key_der:
            raise MismatchedKey(
                f"the private key is not the one of {self.certificate.subject} "
                f"(serial number {self.certificate.serial_number:x})"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RetiredIdentity:
    """An encryption identity that clients may still hold; good until ``until``."""

    identity: RaIdentity
    until: datetime


class KeyMessageSigner:
    """Signs messages with an identity, as `scep_server.protocol.signers.MessageSigner` wants it.

    RSA signatures are named rsaEncryption: strongSwan 5.9.8 reads no other name in a reply.
    """

    def __init__(self, identity: RaIdentity) -> None:
        self.certificate: SignerCertificate = read_certificate(identity.certificate.der)
        self._key = identity.key
        scheme = usual_scheme(identity.certificate.public_key_der)
        self._algorithms = {
            digest: scheme.identifier(digest) for digest in DigestAlgorithm if not digest.legacy
        }

    def signature_algorithm(self, digest: DigestAlgorithm) -> bytes:
        """Return the signatureAlgorithm DER for SignerInfo."""
        return self._algorithms[digest]

    def sign(self, data: bytes, digest: DigestAlgorithm) -> bytes:
        """Return the signature over ``data``."""
        return self._key.sign(data, digest.hash_name)


class KeyDecryptor:
    """Opens envelopes with an identity, as `scep_server.protocol.enveloped.Decryptor` wants it."""

    def __init__(self, identity: RaIdentity) -> None:
        self.certificate: SignerCertificate = read_certificate(identity.certificate.der)
        self.subject_key_identifier: bytes = subject_key_identifier(self.certificate)
        self._key = identity.key

    def decrypt(self, key_transport: KeyTransport, encrypted_key: bytes) -> bytes:
        """Return the decrypted octets, whatever they are; raise ValueError when there are none."""
        digest = key_transport.oaep_digest
        try:
            if digest is None:
                return self._key.decrypt_pkcs1v15(encrypted_key)
            return self._key.decrypt_oaep(
                encrypted_key,
                hash_name=digest.hash_name,
                mgf_hash_name=(key_transport.oaep_mgf_digest or digest).hash_name,
                label=key_transport.oaep_label,
            )
        except (DecryptionFailed, UnusableKey) as error:
            raise ValueError("the encrypted key does not decrypt") from error


class RegistrationAuthority:
    """The RA: signs every reply, opens every request."""

    def __init__(
        self,
        *,
        signing: RaIdentity,
        encryption: RaIdentity,
        retired: Sequence[RetiredIdentity] = (),
    ) -> None:
        self.signing = signing.certificate
        self.encryption = encryption.certificate
        self.signer: MessageSigner = KeyMessageSigner(signing)
        self._decryptor: Decryptor = KeyDecryptor(encryption)
        self._signing_decryptor: Decryptor | None = None
        if signing.certificate.der != encryption.certificate.der and _may_encipher(signing.certificate):
            self._signing_decryptor = KeyDecryptor(signing)
        self._retired = tuple((each.until, KeyDecryptor(each.identity)) for each in retired)
        self.keys: tuple[bytes, ...] = tuple(
            certificate.public_key_der
            for certificate in (
                signing.certificate,
                encryption.certificate,
                *(each.identity.certificate for each in retired),
            )
        )

    @property
    def certificates(self) -> tuple[CertificateInfo, ...]:
        """The RA's certificates as GetCACert sends them: signing first, as NDES does, each once."""
        if self.signing.der == self.encryption.der:
            return (self.signing,)
        return (self.signing, self.encryption)

    def decryptors(self, now: datetime) -> tuple[Decryptor, ...]:
        """Return the keys that open requests at this instant."""
        also = () if self._signing_decryptor is None else (self._signing_decryptor,)
        return (self._decryptor, *also, *(old for until, old in self._retired if now <= until))

    def expiring(self, now: datetime, within: timedelta) -> tuple[CertificateInfo, ...]:
        """Return the RA certificates that are not valid all of the time from now on (RFC 8894 2.2)."""
        return tuple(
            certificate
            for certificate in self.certificates
            if now < certificate.not_before or now + within > certificate.not_after
        )


def _may_encipher(certificate: CertificateInfo) -> bool:
    """Tell whether a client may take a signing certificate for a recipient (RFC 5280 4.2.1.3)."""
    found = certificate.extension(KEY_USAGE)
    return found is None or KeyUsage.KEY_ENCIPHERMENT in read_key_usage(found.value)
