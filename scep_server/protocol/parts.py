"""A SignedData in parts, between the values of a message and its octets.

The steps are pure and apart: parts are made, the attributes in them are signed, parts and signature
are encoded. Whoever changes a part before the signature gets a message that is validly signed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ca import der

from . import attributes
from .identifiers import digest_identifier
from .signed import ID_DATA, ID_SIGNED_DATA

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from .algorithms import DigestAlgorithm
    from .signers import MessageSigner

Attribute = tuple[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerInfoParts:
    """A SignerInfo without its signature (RFC 5652 5.3).

    ``signer_id_der`` is the encoded SignerIdentifier. ``attributes`` are (OID, DER of the one value)
    in the order in which they are signed and sent.
    """

    version: int = 1
    signer_id_der: bytes
    digest_algorithm_der: bytes
    attributes: tuple[Attribute, ...]
    signature_algorithm_der: bytes

    def attributes_content(self) -> bytes:
        """Return the content octets of the SET of attributes."""
        return b"".join(encode_attribute(oid, value) for oid, value in self.attributes)

    def encode(self, signature: bytes, attributes_content: bytes) -> bytes:
        """Return the SignerInfo with ``signature`` and the content octets of its attributes."""
        return der.sequence(
            der.integer(self.version),
            self.signer_id_der,
            self.digest_algorithm_der,
            der.explicit(0, attributes_content),
            self.signature_algorithm_der,
            der.octet_string(signature),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedDataParts:
    """A SignedData with one signer (RFC 5652 5.1), still unsigned.

    ``content`` None omits eContent; ``certificates`` and ``crls`` are sent in their order.
    """

    version: int = 1
    digest_algorithms: tuple[bytes, ...]
    content_type_oid: str = ID_DATA
    content: bytes | None
    certificates: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()
    signer: SignerInfoParts

    def attributes_to_be_signed(self) -> bytes:
        """Return what the signature is over: the attributes as a SET (RFC 5652 5.4)."""
        return der.tlv(der.SET, self.signer.attributes_content())

    def encode(self, signature: bytes, attributes_content: bytes | None = None) -> bytes:
        """Return the ContentInfo with ``signature``; ``attributes_content`` if it is at hand already."""
        if attributes_content is None:
            attributes_content = self.signer.attributes_content()
        content = b"" if self.content is None else der.explicit(0, der.octet_string(self.content))
        signed = der.sequence(
            der.integer(self.version),
            der.tlv(der.SET, *self.digest_algorithms),
            der.sequence(der.oid(self.content_type_oid), content),
            der.explicit(0, *self.certificates) if self.certificates else b"",
            der.explicit(1, *self.crls) if self.crls else b"",
            der.tlv(der.SET, self.signer.encode(signature, attributes_content)),
        )
        return der.sequence(der.oid(ID_SIGNED_DATA), der.explicit(0, signed))


def encode_attribute(oid: str, value: bytes) -> bytes:
    """Return an Attribute with its one value (RFC 5652 5.3)."""
    return der.sequence(der.oid(oid), der.tlv(der.SET, value))


def in_der_order(found: Iterable[Attribute]) -> tuple[Attribute, ...]:
    """Return attributes in the order of their encodings: scepclient and jscep insist on it."""
    return tuple(sorted(found, key=lambda attribute: encode_attribute(*attribute)))


def make_parts(
    content: bytes | None,
    signer: MessageSigner,
    *,
    digest: DigestAlgorithm,
    attributes_of_message: Iterable[Attribute],
    certificates: tuple[bytes, ...],
    signing_time: datetime | None = None,
) -> SignedDataParts:
    """Return the parts of a message by ``signer`` over ``content``.

    contentType and messageDigest are added, signingTime if there is one; all are put in DER's order.

    Raises:
        ValueError: a digest that is never emitted (RFC 8894 2.9).

    """
    if digest.legacy:
        raise ValueError(f"{digest.hash_name} is never emitted (RFC 8894 2.9)")
    hashed = hashlib.new(digest.hash_name, content or b"", usedforsecurity=False).digest()
    found = [
        (attributes.CONTENT_TYPE, der.oid(ID_DATA)),
        (attributes.MESSAGE_DIGEST, der.octet_string(hashed)),
        *attributes_of_message,
    ]
    if signing_time is not None:
        found.append((attributes.SIGNING_TIME, der.time(signing_time)))
    certificate = signer.certificate
    return SignedDataParts(
        digest_algorithms=(digest_identifier(digest),),
        content=content,
        certificates=certificates,
        signer=SignerInfoParts(
            signer_id_der=der.sequence(certificate.issuer_der, certificate.serial_der),
            digest_algorithm_der=digest_identifier(digest),
            attributes=in_der_order(found),
            signature_algorithm_der=signer.signature_algorithm(digest),
        ),
    )


def sign_parts(parts: SignedDataParts, signer: MessageSigner, digest: DigestAlgorithm) -> bytes:
    """Return the signed ContentInfo."""
    attributes_content = parts.signer.attributes_content()
    return parts.encode(signer.sign(der.tlv(der.SET, attributes_content), digest), attributes_content)
