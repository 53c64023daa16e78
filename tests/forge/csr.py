"""PKCS#10 requests with any version, attribute, extension, key and signature (RFC 2986)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from . import asn1
from .certificates import common_name
from .keys import Key

CHALLENGE_PASSWORD = "1.2.840.113549.1.9.7"
EXTENSION_REQUEST = "1.2.840.113549.1.9.14"
MICROSOFT_EXTENSION_REQUEST = "1.3.6.1.4.1.311.2.1.14"
VERISIGN_EXTENSION_REQUEST = "2.16.840.1.113733.1.9.8"
FRIENDLY_NAME = "1.2.840.113549.1.9.20"


def attribute(dotted: str, *values: bytes) -> bytes:
    """Return an Attribute with the values in this order."""
    return asn1.seq(asn1.oid(dotted), asn1.set_of(*values))


def challenge_attribute(password: str | bytes, tag: int = asn1.UTF8) -> bytes:
    """Return challengePassword in any string type."""
    value = asn1.string(tag, password) if isinstance(password, str) else asn1.tlv(tag, password)
    return attribute(CHALLENGE_PASSWORD, value)


def extension_request(*extensions: bytes, dotted: str = EXTENSION_REQUEST) -> bytes:
    """Return an extensionRequest attribute."""
    return attribute(dotted, asn1.seq(*extensions))


@dataclass(frozen=True, kw_only=True)
class CsrForge:
    """A certification request.

    ``attributes`` are written as they are; ``challenge`` and ``extensions`` become two more in front
    of them. ``attributes_der`` replaces the whole [0] element, b"" leaves it out.
    """

    key: Key
    subject: bytes = field(default_factory=lambda: common_name("forged device"))
    version: int = 0
    challenge: str | bytes | None = None
    challenge_tag: int = asn1.PRINTABLE
    extensions: Sequence[bytes] = ()
    attributes: Sequence[bytes] = ()
    attributes_der: bytes | None = None
    spki: bytes | None = None
    digest: str = "sha256"
    signature_algorithm: bytes | None = None
    signing_key: Key | None = None
    signature: bytes | None = None
    trailing: bytes = b""

    def with_(self, **changes: object) -> CsrForge:
        """Return a request with other fields."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def information(self) -> bytes:
        """Return the CertificationRequestInfo."""
        attributes = list(self.attributes)
        if self.extensions:
            attributes.insert(0, extension_request(*self.extensions))
        if self.challenge is not None:
            attributes.insert(0, challenge_attribute(self.challenge, self.challenge_tag))
        block = self.attributes_der
        if block is None:
            block = asn1.explicit(0, *asn1.sort_set(attributes))
        return asn1.seq(asn1.integer(self.version), self.subject, self.spki or self.key.spki, block)

    def encode(self) -> bytes:
        """Return the request."""
        signer = self.signing_key or self.key
        information = self.information()
        signature = self.signature if self.signature is not None else signer.sign(information, self.digest)
        algorithm = self.signature_algorithm or signer.signature_algorithm(self.digest)
        return asn1.seq(information, algorithm, asn1.bits(signature)) + self.trailing
