"""SCEP messages: SignedData around an envelope (RFC 8894 3.1), every field of it replaceable."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from . import asn1
from .certificates import read_certificate
from .envelope import DATA, SIGNED_DATA, content_info, issuer_and_serial
from .keys import DIGESTS, RSA, RSA_PSS, Key, digest, pss_parameters

CONTENT_TYPE = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
SIGNING_TIME = "1.2.840.113549.1.9.5"
MESSAGE_TYPE = "2.16.840.1.113733.1.9.2"
PKI_STATUS = "2.16.840.1.113733.1.9.3"
FAIL_INFO = "2.16.840.1.113733.1.9.4"
SENDER_NONCE = "2.16.840.1.113733.1.9.5"
RECIPIENT_NONCE = "2.16.840.1.113733.1.9.6"
TRANSACTION_ID = "2.16.840.1.113733.1.9.7"
FAIL_INFO_TEXT = "1.3.6.1.5.5.7.24.1"
MICROSOFT_ERROR = "1.3.6.1.4.1.311.21.33"  # HRESULT, signed decimal
MICROSOFT_MESSAGE = "1.3.6.1.4.1.311.21.38"

CERT_REP, RENEWAL_REQ, PKCS_REQ, CERT_POLL, GET_CERT, GET_CRL = 3, 17, 19, 20, 21, 22


def attribute(dotted: str, *values: bytes) -> bytes:
    """Return a signed attribute with these values."""
    return asn1.seq(asn1.oid(dotted), asn1.set_of(*values))


def transaction_id_of(key: Key) -> str:
    """Return the transactionID that most clients derive from a key."""
    return hashlib.sha256(key.spki).hexdigest().upper()[:40]


@dataclass(frozen=True, kw_only=True)
class SignerInfo:
    """One SignerInfo; the attributes are (OID, encoded values) pairs in the order they are sent."""

    key: Key
    certificate: bytes
    attributes: Sequence[bytes] | None
    digest: str = "sha256"
    pss: bool = False
    version: int = 1
    sid: bytes | None = None
    signature_algorithm: bytes | None = None
    signature: bytes | Callable[[bytes], bytes] | None = None
    signed_order: str = "as-sent"
    digest_parameters: bytes | None = asn1.NULL
    unsigned: bytes = b""
    content: bytes = b""

    def encode(self) -> bytes:
        """Return the SignerInfo."""
        sid = self.sid or issuer_and_serial(read_certificate(self.certificate))
        attributes = self.attributes
        to_sign = self.content
        if attributes is not None:
            ordered = asn1.sort_set(attributes) if self.signed_order == "sorted" else list(attributes)
            to_sign = asn1.set_of(*ordered)
        if callable(self.signature):
            signature = self.signature(to_sign)
        elif self.signature is not None:
            signature = self.signature
        else:
            signature = self.key.sign(to_sign, self.digest, pss=self.pss)
        return asn1.seq(
            asn1.integer(self.version),
            sid,
            asn1.algorithm(DIGESTS[self.digest], self.digest_parameters),
            b"" if attributes is None else asn1.explicit(0, *attributes),
            self._signature_algorithm(),
            asn1.octets(signature),
            self.unsigned,
        )

    def _signature_algorithm(self) -> bytes:
        if self.signature_algorithm is not None:
            return self.signature_algorithm
        if self.pss:
            return asn1.algorithm(RSA_PSS, pss_parameters(self.digest))
        if self.key.kind in ("rsa", "none"):
            return asn1.algorithm(RSA)
        return self.key.signature_algorithm(self.digest)


@dataclass(frozen=True, kw_only=True)
class PkiMessage:
    """A pkiMessage as a client would send it.

    ``attributes`` maps an attribute OID to its encoded values; ``replaced`` overrides or, with None,
    removes single ones; ``added`` are further whole attributes; ``raw_attributes`` replaces them all.
    ``content`` is the eContent octets (a pkcsPKIEnvelope), None for none; ``content_element`` the whole
    [0] element instead.
    """

    key: Key
    certificate: bytes
    content: bytes | None
    message_type: int | str = PKCS_REQ
    transaction_id: str = ""
    sender_nonce: bytes = field(default_factory=lambda: os.urandom(16))
    digest: str = "sha256"
    pss: bool = False
    content_type: str = DATA
    content_element: bytes | None = None
    message_digest: bytes | None = None
    signing_time: bytes | None = None
    replaced: dict[str, Sequence[bytes] | None] = field(default_factory=dict)
    added: Sequence[bytes] = ()
    raw_attributes: Sequence[bytes] | None = None
    without_attributes: bool = False
    sort_attributes: bool = True
    signed_order: str = "as-sent"
    certificates: Sequence[bytes] | None = None
    certificates_der: bytes | None = None
    crls: bytes = b""
    digest_algorithms: bytes | None = None
    version: int = 1
    signer_version: int = 1
    sid: bytes | None = None
    signature_algorithm: bytes | None = None
    signature: bytes | Callable[[bytes], bytes] | None = None
    digest_parameters: bytes | None = asn1.NULL
    unsigned: bytes = b""
    signer_infos: Sequence[bytes] | None = None
    trailing: bytes = b""
    style: asn1.Style | None = None

    def with_(self, **changes: object) -> PkiMessage:
        """Return a message with other fields."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def attributes(self) -> list[bytes]:
        """Return the signed attributes in the order they are sent."""
        if self.raw_attributes is not None:
            return list(self.raw_attributes)
        own_digest = digest(self.digest, self.content or b"")
        values: dict[str, Sequence[bytes] | None] = {
            CONTENT_TYPE: [asn1.oid(self.content_type)],
            SIGNING_TIME: [self.signing_time] if self.signing_time else None,
            MESSAGE_DIGEST: [asn1.octets(own_digest if self.message_digest is None else self.message_digest)],
            MESSAGE_TYPE: [asn1.string(asn1.PRINTABLE, str(self.message_type))],
            SENDER_NONCE: [asn1.octets(self.sender_nonce)],
            TRANSACTION_ID: [asn1.string(asn1.PRINTABLE, self.transaction_id)],
        }
        values.update(self.replaced)
        attributes = [attribute(dotted, *some) for dotted, some in values.items() if some is not None]
        attributes += self.added
        return asn1.sort_set(attributes) if self.sort_attributes else attributes

    def signer_info(self) -> bytes:
        """Return the SignerInfo."""
        return SignerInfo(
            key=self.key,
            certificate=self.certificate,
            attributes=None if self.without_attributes else self.attributes(),
            digest=self.digest,
            pss=self.pss,
            version=self.signer_version,
            sid=self.sid,
            signature_algorithm=self.signature_algorithm,
            signature=self.signature,
            signed_order=self.signed_order,
            digest_parameters=self.digest_parameters,
            unsigned=self.unsigned,
            content=self.content or b"",
        ).encode()

    def encode(self) -> bytes:
        """Return the message."""
        element = self.content_element
        if element is None:
            element = b"" if self.content is None else asn1.explicit(0, asn1.octets(self.content))
        certificates = self.certificates_der
        if certificates is None:
            some = self.certificates if self.certificates is not None else (self.certificate,)
            certificates = asn1.explicit(0, *some) if some else b""
        digests = self.digest_algorithms
        if digests is None:
            digests = asn1.set_of(asn1.algorithm(DIGESTS[self.digest], self.digest_parameters))
        signers = self.signer_infos if self.signer_infos is not None else (self.signer_info(),)
        signed = asn1.seq(
            asn1.integer(self.version),
            digests,
            asn1.seq(asn1.oid(self.content_type), element),
            certificates,
            self.crls,
            asn1.set_of(*signers),
        )
        der = content_info(SIGNED_DATA, signed)
        return (asn1.restyle(der, self.style) if self.style else der) + self.trailing


def base64_of(message: bytes) -> str:
    """Return the RFC 4648 section 4 form of a message."""
    return base64.b64encode(message).decode()


def degenerate(*certificates: bytes, crls: Sequence[bytes] = ()) -> bytes:
    """Return a certs-only SignedData (RFC 8894 3.4)."""
    return content_info(
        SIGNED_DATA,
        asn1.seq(
            asn1.integer(1),
            asn1.set_of(),
            asn1.seq(asn1.oid(DATA)),
            asn1.explicit(0, *certificates) if certificates else b"",
            asn1.explicit(1, *crls) if crls else b"",
            asn1.set_of(),
        ),
    )
