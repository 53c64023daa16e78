"""Certificates: the parts that are about to be signed, signing them, and reading the result.

`TbsCertificate` is the value between template and signature; whoever signs it is a collaborator
(`CertificateSigner`). Subject and key stay octet for octet what the request said.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from . import der, extensions, names, oids
from .extensions import Extension

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from .keys import SigningKey


class BadCertificate(ValueError):
    """The octets are no certificate; the message says where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TbsCertificate:
    """TBSCertificate (RFC 5280 4.1.2) in raw parts; ``version`` is 3 for v3."""

    version: int = 3
    serial_number: int
    signature_algorithm: bytes = field(repr=False)  # AlgorithmIdentifier
    issuer_der: bytes = field(repr=False)
    not_before: datetime
    not_after: datetime
    subject_der: bytes = field(repr=False)
    public_key_der: bytes = field(repr=False)  # SubjectPublicKeyInfo
    extensions: tuple[Extension, ...]

    def encode(self) -> bytes:
        """Return the DER that is signed."""
        return der.sequence(
            der.explicit(0, der.integer(self.version - 1)) if self.version > 1 else b"",
            der.integer(self.serial_number),
            self.signature_algorithm,
            self.issuer_der,
            der.sequence(der.time(self.not_before), der.time(self.not_after)),
            self.subject_der,
            self.public_key_der,
            der.explicit(3, der.sequence(*[extension.der for extension in self.extensions]))
            if self.extensions
            else b"",
        )


class CertificateSigner(Protocol):
    """Turns the parts of a certificate into a certificate."""

    def sign(self, tbs: TbsCertificate) -> bytes:
        """Return the DER certificate."""


class KeySigner:
    """Signs with a key: what every CA does."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key

    def sign(self, tbs: TbsCertificate) -> bytes:
        """Return the DER certificate."""
        return sign_certificate(tbs, self._key)


def sign_certificate(tbs: TbsCertificate, key: SigningKey) -> bytes:
    """Return the certificate of ``tbs`` signed by ``key`` with its default digest (RFC 5280 4.1.1)."""
    encoded = tbs.encode()
    return der.sequence(encoded, key.signature_algorithm_der, der.bit_string(key.sign(encoded)))


def certs_only(certificates: Iterable[bytes]) -> bytes:
    """Return certificates in a CMS message that holds nothing else: a ``.p7c`` (RFC 5652 5, RFC 2797 2.1).

    That is a SignedData of version 1 without content and signers.
    """
    signed_data = der.sequence(
        der.integer(1),
        der.set_of(()),
        der.sequence(der.oid(oids.CMS_DATA)),
        der.retag(0xA0, der.set_of(certificates)),
        der.set_of(()),
    )
    return der.sequence(der.oid(oids.CMS_SIGNED_DATA), der.explicit(0, signed_data))


@dataclass(frozen=True, kw_only=True)
class CertificateInfo:
    """A certificate as read by `read_certificate`."""

    der: bytes = field(repr=False)
    version: int
    serial_number: int
    signature_algorithm: bytes = field(repr=False)  # AlgorithmIdentifier
    issuer_der: bytes = field(repr=False)
    subject_der: bytes = field(repr=False)
    not_before: datetime
    not_after: datetime
    public_key_der: bytes = field(repr=False)  # SubjectPublicKeyInfo
    extensions: tuple[Extension, ...] = field(repr=False)
    signed_octets: bytes = field(repr=False)  # TBSCertificate
    signature: bytes = field(repr=False)

    @cached_property
    def issuer(self) -> str:
        """The issuer as RFC 4514 text."""
        return names.name_text(self.issuer_der)

    @cached_property
    def subject(self) -> str:
        """The subject as RFC 4514 text."""
        return names.name_text(self.subject_der)

    @cached_property
    def sha1(self) -> str:
        """The thumbprint Windows shows: SHA-1 of the certificate, hex."""
        return hashlib.sha1(self.der, usedforsecurity=False).hexdigest()

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the certificate, hex."""
        return hashlib.sha256(self.der).hexdigest()

    @cached_property
    def md5(self) -> str:
        """MD5 of the certificate, hex: the thumbprint that NDES's page shows."""
        return hashlib.md5(self.der, usedforsecurity=False).hexdigest()

    @cached_property
    def public_key_sha256(self) -> str:
        """SHA-256 of the SubjectPublicKeyInfo, hex."""
        return hashlib.sha256(self.public_key_der).hexdigest()

    @property
    def is_self_issued(self) -> bool:
        """Whether issuer and subject are the same name (RFC 5280 3.2)."""
        return names.same_name(self.issuer_der, self.subject_der)

    def extension(self, oid: str) -> Extension | None:
        """Return the extension of this type, if there is one."""
        return extensions.find(self.extensions, oid)

    @cached_property
    def subject_key_id(self) -> bytes | None:
        """The SubjectKeyIdentifier, if there is one; raises BadExtension when it cannot be read."""
        found = self.extension(oids.SUBJECT_KEY_IDENTIFIER)
        return extensions.read_key_identifier(found.oid, found.value) if found else None

    @cached_property
    def authority_key_id(self) -> bytes | None:
        """The key identifier of the AuthorityKeyIdentifier, if any; raises BadExtension."""
        found = self.extension(oids.AUTHORITY_KEY_IDENTIFIER)
        return extensions.read_key_identifier(found.oid, found.value) if found else None

    @cached_property
    def is_ca(self) -> bool:
        """Whether basicConstraints say cA; raises BadExtension when they cannot be read."""
        found = self.extension(oids.BASIC_CONSTRAINTS)
        return extensions.read_basic_constraints(found.value)[0] if found else False

    @property
    def issuer_key_id(self) -> str:
        """The issuing key's SubjectKeyIdentifier in hex as this certificate names it, or ""."""
        return (self.authority_key_id or b"").hex()


def read_certificate(octets: bytes) -> CertificateInfo:
    """Read a DER certificate of version 1 to 3.

    Raises:
        BadCertificate: it cannot be read.

    """
    try:
        return _read(octets)
    except (der.DerError, extensions.BadExtension) as error:
        raise BadCertificate(f"the certificate cannot be read: {error}") from error


def _read(octets: bytes) -> CertificateInfo:
    certificate = der.one(octets, what="Certificate")
    tbs = certificate.element(der.SEQUENCE, "TBSCertificate")
    algorithm = certificate.element(der.SEQUENCE, "signatureAlgorithm").raw
    signature = certificate.bits("signatureValue")
    certificate.finish("Certificate")

    reader = tbs.reader()
    explicit_version = reader.optional(0xA0)
    version = explicit_version.reader().integer("version") + 1 if explicit_version else 1
    serial_number = reader.integer("serialNumber")
    reader.element(der.SEQUENCE, "signature")
    issuer = reader.element(der.SEQUENCE, "issuer").raw
    validity = reader.enter(what="validity")
    not_before = der.read_time(validity.element(what="notBefore"), "notBefore")
    not_after = der.read_time(validity.element(what="notAfter"), "notAfter")
    subject = reader.element(der.SEQUENCE, "subject").raw
    public_key = reader.element(der.SEQUENCE, "subjectPublicKeyInfo").raw
    for unique_id in (0x81, 0x82, 0xA1, 0xA2):
        reader.optional(unique_id)
    found: tuple[Extension, ...] = ()
    if wrapped := reader.optional(0xA3):
        found = extensions.read_extensions(der.one(wrapped.content, what="Extensions"))
    reader.finish("TBSCertificate")
    return CertificateInfo(
        der=octets,
        version=version,
        serial_number=serial_number,
        signature_algorithm=algorithm,
        issuer_der=issuer,
        subject_der=subject,
        not_before=not_before,
        not_after=not_after,
        public_key_der=public_key,
        extensions=found,
        signed_octets=tbs.raw,
        signature=signature,
    )
