"""OCSP (RFC 6960): requests read, responses written. Pure: who is revoked and who signs are given.

Lives here: the two messages and the identifiers in them. Does not live here: which certificates are
revoked (the store), the responder's certificate and its renewal (`ca.ocsp_responder`), and HTTP.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from . import der
from .certificates import CertificateInfo
from .records import Revocation, RevocationReason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from .keys import SigningKey

MAXIMUM_REQUEST_OCTETS: Final = 10_000
MAXIMUM_CERT_IDS: Final = 20
MAXIMUM_NONCE_OCTETS: Final = 128  # RFC 9654 2.1: responders take up to 128, of at least 1
_BASIC_RESPONSE: Final = der.oid("1.3.6.1.5.5.7.48.1.1")
_NONCE: Final = "1.3.6.1.5.5.7.48.1.2"
_HASHES: Final = {
    "1.3.14.3.2.26": "sha1",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}


# hashAlgorithm, issuerNameHash and issuerKeyHash of a CertID: all that tells one issuer from another.
IssuerIdentifier: TypeAlias = tuple[str, bytes, bytes]


def issuer_identifiers(issuer: CertificateInfo) -> frozenset[IssuerIdentifier]:
    """Return how a CertID may name ``issuer``: once for each digest that is known here."""
    key_bits = _key_bits(issuer.public_key_der)
    return frozenset(
        (oid, hashlib.new(name, issuer.subject_der).digest(), hashlib.new(name, key_bits).digest())
        for oid, name in _HASHES.items()
    )


def _key_bits(public_key_der: bytes) -> bytes:
    """Return the subjectPublicKey bits, of which RFC 6960 4.1.1 and 4.2.1 want digests."""
    key = der.one(public_key_der, what="SubjectPublicKeyInfo")
    key.element(der.SEQUENCE, "algorithm")
    return key.bits("subjectPublicKey")


@lru_cache(maxsize=16)
def _key_hash(public_key_der: bytes) -> bytes:
    """Return the KeyHash that names a responder (RFC 6960 4.2.1)."""
    return hashlib.sha1(_key_bits(public_key_der), usedforsecurity=False).digest()


class ResponseStatus(Enum):
    """OCSPResponseStatus (RFC 6960 4.2.1)."""

    SUCCESSFUL = 0
    MALFORMED_REQUEST = 1
    INTERNAL_ERROR = 2
    TRY_LATER = 3
    SIG_REQUIRED = 5
    UNAUTHORIZED = 6


class MalformedOcspRequest(ValueError):
    """The octets are no OCSPRequest this responder can answer; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertId:
    """Whom a question is about (RFC 6960 4.1.1); ``der`` is repeated octet for octet in the answer."""

    der: bytes = field(repr=False)
    hash_oid: str
    issuer_name_hash: bytes
    issuer_key_hash: bytes
    serial_number: int

    def names_issuer(self, issuer: CertificateInfo) -> bool:
        """Whether both hashes are those of ``issuer``; False for a digest that is not known here."""
        return self.issuer in issuer_identifiers(issuer)

    @property
    def issuer(self) -> IssuerIdentifier:
        """The part that names the issuer."""
        return self.hash_oid, self.issuer_name_hash, self.issuer_key_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class OcspRequest:
    """A question about one or more certificates. ``nonce`` is the value of the nonce extension."""

    cert_ids: tuple[CertId, ...]
    nonce: bytes | None


class CertStatus(Enum):
    """CertStatus (RFC 6960 2.2)."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleResponse:
    """The answer about one certificate."""

    cert_id: CertId
    status: CertStatus
    this_update: datetime
    next_update: datetime
    revocation: Revocation | None = None

    def __post_init__(self) -> None:
        if (self.status is CertStatus.REVOKED) != (self.revocation is not None):
            raise ValueError("a revocation is there if and only if the status is revoked (RFC 6960 4.2.1)")

    def encode(self) -> bytes:
        """Return the SingleResponse, DER."""
        if self.revocation is not None:
            reason = self.revocation.reason
            status = der.explicit(
                1,
                der.generalized_time(self.revocation.revoked_at),
                b""
                if reason is RevocationReason.UNSPECIFIED
                else der.explicit(0, der.tlv(der.ENUMERATED, bytes((reason.value,)))),
            )
        else:
            status = der.implicit(0 if self.status is CertStatus.GOOD else 2)
        return der.sequence(
            self.cert_id.der,
            status,
            der.generalized_time(self.this_update),
            der.explicit(0, der.generalized_time(self.next_update)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseData:
    """What a responder signs (RFC 6960 4.2.1), named by the SHA-1 of its key."""

    responder_key_hash: bytes
    produced_at: datetime
    responses: tuple[SingleResponse, ...]
    nonce: bytes | None = None

    @classmethod
    def by(
        cls,
        responder: CertificateInfo,
        *,
        produced_at: datetime,
        responses: Sequence[SingleResponse],
        nonce: bytes | None,
    ) -> Self:
        """Return the data with ``responder`` as its author."""
        return cls(
            responder_key_hash=_key_hash(responder.public_key_der),
            produced_at=produced_at,
            responses=tuple(responses),
            nonce=nonce,
        )

    def encode(self) -> bytes:
        """Return the ResponseData, DER."""
        extensions = b""
        if self.nonce is not None:
            nonce = der.sequence(der.oid(_NONCE), der.octet_string(der.octet_string(self.nonce)))
            extensions = der.explicit(1, der.sequence(nonce))
        return der.sequence(
            der.explicit(2, der.octet_string(self.responder_key_hash)),
            der.generalized_time(self.produced_at),
            der.sequence(*[response.encode() for response in self.responses]),
            extensions,
        )


def sign_response(data: ResponseData, key: SigningKey, certificates: Sequence[bytes]) -> bytes:
    """Return the successful OCSPResponse of ``data`` with the responder's certificates in it."""
    encoded = data.encode()
    basic = der.sequence(
        encoded,
        key.signature_algorithm_der,
        der.bit_string(key.sign(encoded)),
        der.explicit(0, der.sequence(*certificates)) if certificates else b"",
    )
    return der.sequence(
        der.tlv(der.ENUMERATED, bytes((ResponseStatus.SUCCESSFUL.value,))),
        der.explicit(0, der.sequence(_BASIC_RESPONSE, der.octet_string(basic))),
    )


def error_response(status: ResponseStatus) -> bytes:
    """Return an unsigned OCSPResponse that says ``status`` alone (RFC 6960 2.3).

    Raises:
        ValueError: ``status`` is successful, which needs an answer.

    """
    if status is ResponseStatus.SUCCESSFUL:
        raise ValueError("a successful OCSPResponse needs responseBytes (RFC 6960 4.2.1)")
    return der.sequence(der.tlv(der.ENUMERATED, bytes((status.value,))))


def read_request(octets: bytes) -> OcspRequest:
    """Read an OCSPRequest. Its signature and requestorName are not looked at (RFC 6960 4.1.2).

    Raises:
        MalformedOcspRequest: it cannot be read, asks for nothing or too much, or has a critical
            extension other than the nonce.

    """
    if len(octets) > MAXIMUM_REQUEST_OCTETS:
        raise MalformedOcspRequest(
            f"the request has {len(octets)} octets, expected at most {MAXIMUM_REQUEST_OCTETS}"
        )
    try:
        return _read(octets)
    except der.DerError as error:
        raise MalformedOcspRequest(f"the OCSPRequest cannot be read: {error} (RFC 6960 4.1.1)") from error


def _read(octets: bytes) -> OcspRequest:
    request = der.one(octets, what="OCSPRequest")
    tbs = request.enter(what="TBSRequest")
    request.optional(0xA0)  # optionalSignature
    request.finish("OCSPRequest")
    version = tbs.optional(0xA0)
    if version is not None and version.reader().integer("version") != 0:
        raise MalformedOcspRequest("the version is not v1 (RFC 6960 4.1.1)")
    tbs.optional(0xA1)  # requestorName
    asked = list(tbs.enter(what="requestList").elements())
    nonce = _read_nonce(tbs.optional(0xA2))
    tbs.finish("TBSRequest")
    if not 1 <= len(asked) <= MAXIMUM_CERT_IDS:
        raise MalformedOcspRequest(
            f"requestList has {len(asked)} entries, expected 1 to {MAXIMUM_CERT_IDS} (RFC 6960 4.1.1)"
        )
    return OcspRequest(cert_ids=tuple(_read_cert_id(entry) for entry in asked), nonce=nonce)


def _read_cert_id(entry: der.Element) -> CertId:
    if entry.tag != der.SEQUENCE:
        raise der.DerError(f"Request has tag 0x{entry.tag:02X}, expected SEQUENCE")
    cert_id = entry.reader().element(der.SEQUENCE, "reqCert")
    reader = cert_id.reader()
    hash_oid = reader.enter(what="hashAlgorithm").oid("hashAlgorithm")
    found = CertId(
        der=cert_id.raw,
        hash_oid=hash_oid,
        issuer_name_hash=reader.octets("issuerNameHash"),
        issuer_key_hash=reader.octets("issuerKeyHash"),
        serial_number=reader.integer("serialNumber"),
    )
    reader.finish("CertID")
    return found


def _read_nonce(wrapped: der.Element | None) -> bytes | None:
    if wrapped is None:
        return None
    nonce = None
    for extension in der.one(wrapped.content, what="requestExtensions").elements():
        reader = extension.reader()
        identifier = reader.oid("extnID")
        critical = reader.optional(der.BOOLEAN)
        value = reader.octets("extnValue")
        if identifier == _NONCE:
            nonce = der.Reader(value).octets("Nonce")
            if not 1 <= len(nonce) <= MAXIMUM_NONCE_OCTETS:
                raise MalformedOcspRequest(
                    f"the nonce has {len(nonce)} octets, expected 1 to {MAXIMUM_NONCE_OCTETS} (RFC 9654 2.1)"
                )
        elif critical is not None and critical.content != b"\0":
            raise MalformedOcspRequest(f"critical extension {identifier} is not known (RFC 6960 4.4)")
    return nonce
