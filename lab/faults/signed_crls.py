"""CRLs taken apart and signed again (RFC 5280 5.1)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from ca import der, oids
from ca.extensions import find, freshest_crl, read_extensions, read_key_identifier

from .ca_keys import issuing_key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ca.extensions import Extension
    from ca.keys import SigningKey
    from lab.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class CrlParts:
    """TBSCertList in parts. ``entries`` are the joined elements of revokedCertificates."""

    issuer_der: bytes = field(repr=False)
    this_update: datetime
    next_update: datetime | None
    entries: bytes = field(repr=False)
    extensions: tuple[Extension, ...]

    @classmethod
    def read(cls, octets: bytes) -> Self:
        """Return the parts of a CRL; raises DerError, BadExtension where it is none."""
        tbs = der.one(octets, what="CertificateList").enter(what="TBSCertList")
        tbs.optional(der.INTEGER)
        tbs.element(der.SEQUENCE, "signature")
        issuer = tbs.element(der.SEQUENCE, "issuer").raw
        this_update = der.read_time(tbs.element(what="thisUpdate"), "thisUpdate")
        next_update = tbs.optional(der.UTC_TIME) or tbs.optional(der.GENERALIZED_TIME)
        entries = tbs.optional(der.SEQUENCE)
        wrapped = tbs.optional(0xA0)
        return cls(
            issuer_der=issuer,
            this_update=this_update,
            next_update=None if next_update is None else der.read_time(next_update, "nextUpdate"),
            entries=b"" if entries is None else entries.content,
            extensions=() if wrapped is None else read_extensions(der.one(wrapped.content)),
        )

    @property
    def authority_key_id(self) -> bytes | None:
        """The identifier of the key that signed."""
        found = find(self.extensions, oids.AUTHORITY_KEY_IDENTIFIER)
        return None if found is None else read_key_identifier(found.oid, found.value)

    def number(self, oid: str = oids.CRL_NUMBER) -> int | None:
        """Return the number in an extension: cRLNumber, or the base's in a delta CRL indicator."""
        found = find(self.extensions, oid)
        return None if found is None else der.Reader(found.value).integer(oid)

    def with_extension(self, extension: Extension) -> Self:
        """Return the parts with this extension, in place of the one of its type if there is one."""
        there = any(each.oid == extension.oid for each in self.extensions)
        changed = tuple(extension if each.oid == extension.oid else each for each in self.extensions)
        return replace(self, extensions=changed if there else (*changed, extension))

    def without_extension(self, oid: str) -> Self:
        """Return the parts without the extension of this type."""
        return replace(self, extensions=tuple(each for each in self.extensions if each.oid != oid))

    def sign(self, key: SigningKey) -> bytes:
        """Return the CRL of these parts."""
        tbs = der.sequence(
            der.integer(1),  # v2
            key.signature_algorithm_der,
            self.issuer_der,
            der.time(self.this_update),
            b"" if self.next_update is None else der.time(self.next_update),
            der.sequence(self.entries) if self.entries else b"",
            der.explicit(0, der.sequence(*[each.der for each in self.extensions]))
            if self.extensions
            else b"",
        )
        return der.sequence(tbs, key.signature_algorithm_der, der.bit_string(key.sign(tbs)))


def naming_delta_at(crl: bytes, urls: Sequence[str], world: World) -> bytes:
    """Return a base CRL that names other places of its delta CRL; the same where it names none."""
    parts = CrlParts.read(crl)
    key = issuing_key(world, parts.authority_key_id)
    if key is None or find(parts.extensions, oids.FRESHEST_CRL) is None:
        return crl
    return parts.with_extension(freshest_crl(urls)).sign(key)
