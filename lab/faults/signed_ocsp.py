"""OCSP responses taken apart and signed again (RFC 6960 4.2.1)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Self

from ca import der

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ca.keys import SigningKey

BASIC_RESPONSE: Final = "1.3.6.1.5.5.7.48.1.1"
_NONCE: Final = der.oid("1.3.6.1.5.5.7.48.1.2")
UNKNOWN: Final = der.implicit(2)


def revoked(at: datetime, reason: int) -> bytes:
    """Return the CertStatus of a certificate revoked for a reason that has this number."""
    code = der.tlv(der.ENUMERATED, bytes((reason,)))
    return der.explicit(1, der.generalized_time(at), der.explicit(0, code))


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleParts:
    """A SingleResponse in parts; ``status`` is the CertStatus, DER."""

    cert_id: bytes = field(repr=False)
    status: bytes
    this_update: datetime
    next_update: datetime | None

    @classmethod
    def read(cls, single: der.Element) -> Self:
        """Return the parts of a SingleResponse; raises DerError."""
        reader = single.reader()
        cert_id, status = reader.element(der.SEQUENCE, "certID").raw, reader.element(what="certStatus").raw
        this_update = der.read_time(reader.element(what="thisUpdate"), "thisUpdate")
        wrapped = reader.optional(0xA0)
        next_update = None if wrapped is None else der.read_time(wrapped.reader().element(), "nextUpdate")
        return cls(cert_id=cert_id, status=status, this_update=this_update, next_update=next_update)

    def encode(self) -> bytes:
        """Return the SingleResponse, DER."""
        return der.sequence(
            self.cert_id,
            self.status,
            der.generalized_time(self.this_update),
            b"" if self.next_update is None else der.explicit(0, der.generalized_time(self.next_update)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OcspParts:
    """A BasicOCSPResponse in parts. ``extensions`` are whole Extension elements."""

    responder_id: bytes = field(repr=False)
    produced_at: datetime
    responses: tuple[SingleParts, ...]
    extensions: tuple[bytes, ...] = field(repr=False)
    certificates: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def read(cls, octets: bytes) -> Self:
        """Return the parts of a successful OCSPResponse; raises DerError where it is none."""
        response = der.one(octets, what="OCSPResponse")
        response.element(der.ENUMERATED, "responseStatus")
        _, carried = der.one(response.element(0xA0, "responseBytes").content).elements()
        basic = der.one(carried.content, what="BasicOCSPResponse")
        data = basic.enter(what="tbsResponseData")
        basic.element(der.SEQUENCE, "signatureAlgorithm")
        basic.element(der.BIT_STRING, "signature")
        certificates = basic.optional(0xA0)
        responder_id = data.element(what="responderID").raw
        produced_at = der.read_time(data.element(what="producedAt"), "producedAt")
        singles = data.element(der.SEQUENCE, "responses").reader().elements()
        wrapped = data.optional(0xA1)
        return cls(
            responder_id=responder_id,
            produced_at=produced_at,
            responses=tuple(SingleParts.read(single) for single in singles),
            extensions=() if wrapped is None else _elements(wrapped),
            certificates=() if certificates is None else _elements(certificates),
        )

    def each(self, change: Callable[[SingleParts], SingleParts]) -> Self:
        """Return the parts with every SingleResponse changed."""
        return replace(self, responses=tuple(change(single) for single in self.responses))

    @property
    def nonce(self) -> bytes | None:
        """The Extension element of the nonce, if there is one."""
        return next((each for each in self.extensions if _is_nonce(each)), None)

    def with_nonce(self, nonce: bytes | None) -> Self:
        """Return the parts with another nonce in place of the one there is; None leaves it out."""
        others = tuple(each for each in self.extensions if not _is_nonce(each))
        if nonce is None:
            return replace(self, extensions=others)
        own = der.sequence(_NONCE, der.octet_string(der.octet_string(nonce)))
        return replace(self, extensions=(own, *others))

    def by(self, certificates: tuple[bytes, ...], public_key_der: bytes) -> Self:
        """Return the parts in the name of another responder, named by its key (RFC 6960 4.2.1)."""
        reader = der.one(public_key_der)
        reader.element(der.SEQUENCE, "algorithm")
        digest = hashlib.sha1(reader.bits("subjectPublicKey"), usedforsecurity=False).digest()
        return replace(
            self, responder_id=der.explicit(2, der.octet_string(digest)), certificates=certificates
        )

    def sign(self, key: SigningKey, response_type: str = BASIC_RESPONSE) -> bytes:
        """Return the OCSPResponse of these parts."""
        data = der.sequence(
            self.responder_id,
            der.generalized_time(self.produced_at),
            der.sequence(*[single.encode() for single in self.responses]),
            der.explicit(1, der.sequence(*self.extensions)) if self.extensions else b"",
        )
        basic = der.sequence(
            data,
            key.signature_algorithm_der,
            der.bit_string(key.sign(data)),
            der.explicit(0, der.sequence(*self.certificates)) if self.certificates else b"",
        )
        carried = der.sequence(der.oid(response_type), der.octet_string(basic))
        return der.sequence(der.tlv(der.ENUMERATED, b"\0"), der.explicit(0, carried))


def _elements(wrapped: der.Element) -> tuple[bytes, ...]:
    return tuple(each.raw for each in der.one(wrapped.content).elements())


def _is_nonce(extension: bytes) -> bool:
    return der.one(extension).element().raw == _NONCE
