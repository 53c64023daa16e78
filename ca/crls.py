"""Certificate revocation lists: encoded entries joined into a list, signed, and timed as AD CS does.

An entry is encoded once, when its certificate is revoked, and kept so; a CRL of a million entries
is then one join, not a million objects. Everything here is pure: entries, numbers and instants are
given. Does not live here: which certificates are revoked (the store) and where a CRL is published.

RFC 5280 section 5 is the format; the Microsoft extensions are those of [MS-WCCE] and AD CS.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, NewType, Protocol

from . import der, oids
from .records import RevocationReason

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from .keys import SigningKey
    from .records import RevokedEntry

EncodedEntry = NewType("EncodedEntry", bytes)
"""One element of revokedCertificates, DER (RFC 5280 5.1.2.6)."""

_AUTOMATIC_OVERLAP_LIMIT: Final = timedelta(hours=12)


class ExtensionLike(Protocol):
    """An extension as CRL assembly needs it: identifier, criticality and the DER of its value."""

    @property
    def oid(self) -> str:
        """Dotted extnID."""

    @property
    def critical(self) -> bool:
        """Whether a reader that does not know it must refuse the CRL."""

    @property
    def value(self) -> bytes:
        """DER that goes into extnValue's OCTET STRING."""


class CrlExtension(NamedTuple):
    """An extension of a CRL or of an entry."""

    oid: str
    critical: bool
    value: bytes


# -- entries ---------------------------------------------------------------------------


def encode_entry(entry: RevokedEntry) -> EncodedEntry:
    """Return the revokedCertificates element of one revoked certificate.

    The reason is left out when it is unspecified (RFC 5280 5.3.1 SHOULD).
    """
    revocation = entry.revocation
    return EncodedEntry(
        der.sequence(
            der.integer(entry.serial_number),
            _encoded_time(revocation.revoked_at),
            _entry_extensions(revocation.reason, revocation.invalidity_date),
        )
    )


@lru_cache(maxsize=1024)
def _encoded_time(instant: datetime) -> bytes:
    return der.time(instant)


@lru_cache(maxsize=1024)
def _entry_extensions(reason: RevocationReason, invalidity_date: datetime | None) -> bytes:
    extensions = []
    if reason is not RevocationReason.UNSPECIFIED:
        value = der.tlv(der.ENUMERATED, bytes((reason.value,)))
        extensions.append(CrlExtension(oids.REASON_CODE, False, value))
    if invalidity_date is not None:
        value = der.generalized_time(invalidity_date)  # RFC 5280 5.3.2: always GeneralizedTime
        extensions.append(CrlExtension(oids.INVALIDITY_DATE, False, value))
    return der.sequence(*map(_encoded_extension, extensions)) if extensions else b""


def _encoded_extension(extension: ExtensionLike) -> bytes:
    critical = der.boolean(True) if extension.critical else b""  # DEFAULT FALSE is left out (X.690 11.5)
    return der.sequence(der.oid(extension.oid), critical, der.octet_string(extension.value))


# -- extensions ------------------------------------------------------------------------


def authority_key_identifier(key_id: bytes) -> CrlExtension:
    """Return authorityKeyIdentifier with keyIdentifier alone (RFC 5280 5.2.1)."""
    return CrlExtension(oids.AUTHORITY_KEY_IDENTIFIER, False, der.sequence(der.implicit(0, key_id)))


def crl_number(number: int) -> CrlExtension:
    """Return cRLNumber (RFC 5280 5.2.3): base and delta CRLs of one key share one counter."""
    return CrlExtension(oids.CRL_NUMBER, False, der.integer(number))


def delta_crl_indicator(base_number: int) -> CrlExtension:
    """Return the critical deltaCRLIndicator: the base this delta completes (RFC 5280 5.2.4)."""
    return CrlExtension(oids.DELTA_CRL_INDICATOR, True, der.integer(base_number))


def virtual_base_crl_number(base_number: int) -> CrlExtension:
    """Return Microsoft's Virtual Base CRL Number: the newest base when a delta CRL was signed."""
    return CrlExtension(oids.MS_VIRTUAL_BASE_CRL_NUMBER, False, der.integer(base_number))


def ca_version(version: int) -> CrlExtension:
    """Return Microsoft's CA version: key index in the high, certificate index in the low 16 bits."""
    return CrlExtension(oids.MS_CA_VERSION, False, der.integer(version))


def next_crl_publish(instant: datetime) -> CrlExtension:
    """Return Microsoft's Next CRL Publish: when the CA means to publish again."""
    return CrlExtension(oids.MS_NEXT_CRL_PUBLISH, False, der.time(instant))


# -- timing ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CrlSchedule:
    """How often a CRL is published: AD CS's CRLPeriod, CRLOverlap and ClockSkewMinutes.

    An ``overlap`` of zero is automatic: 10 % of the period, at most 12 hours.

    Raises:
        ValueError: the period is not positive, or another duration is negative.

    """

    period: timedelta = timedelta(weeks=1)
    overlap: timedelta = timedelta(0)
    clock_skew: timedelta = timedelta(minutes=10)

    def __post_init__(self) -> None:
        if self.period <= timedelta(0):
            raise ValueError(f"CRL period is {self.period}, expected more than zero")
        if self.overlap < timedelta(0) or self.clock_skew < timedelta(0):
            raise ValueError(f"CRL overlap is {self.overlap}, clock skew {self.clock_skew}: one is negative")

    @property
    def effective_overlap(self) -> timedelta:
        """How long a CRL stays valid after the next one is due."""
        return self.overlap or min(self.period / 10, _AUTOMATIC_OVERLAP_LIMIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrlTiming:
    """The three instants in a CRL, in whole seconds."""

    this_update: datetime
    next_update: datetime
    next_publish: datetime


def crl_timing(
    published_at: datetime, schedule: CrlSchedule, *, not_beyond: datetime | None = None
) -> CrlTiming:
    """Return the instants of a CRL published at ``published_at``, as AD CS reckons them.

    thisUpdate is back-dated by the clock skew; Next CRL Publish is one period on; nextUpdate is
    that plus overlap plus skew. ``not_beyond`` caps the last two: a delta CRL does not outlive its
    base.
    """
    published_at = published_at.replace(microsecond=0)
    next_publish = published_at + schedule.period
    next_update = next_publish + schedule.effective_overlap + schedule.clock_skew
    if not_beyond is not None:
        next_publish, next_update = min(next_publish, not_beyond), min(next_update, not_beyond)
    return CrlTiming(
        this_update=published_at - schedule.clock_skew,
        next_update=next_update.replace(microsecond=0),
        next_publish=next_publish.replace(microsecond=0),
    )


# -- assembly --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CrlHeader:
    """Everything in a CRL but its entries and its signature.

    ``extensions`` follow the four that every CRL here has: freshest CRL and published locations of a
    base CRL, the delta CRL indicator of a delta.
    """

    issuer_der: bytes  # the Name as in the CA's certificate, octet for octet
    authority_key_id: bytes
    ca_version: int
    number: int
    timing: CrlTiming
    extensions: tuple[ExtensionLike, ...] = ()

    def all_extensions(self) -> tuple[ExtensionLike, ...]:
        """Return every extension in the order AD CS writes them."""
        return (
            authority_key_identifier(self.authority_key_id),
            ca_version(self.ca_version),
            crl_number(self.number),
            next_crl_publish(self.timing.next_publish),
            *self.extensions,
        )


def assemble_crl(header: CrlHeader, entries: Iterable[bytes], signature_algorithm_der: bytes) -> bytes:
    """Return the TBSCertList (RFC 5280 5.1.2), in time linear in the number of entries.

    Entries are taken in the given order, one by one or many joined, and must name each serial number
    once. With none, revokedCertificates is absent (5.1.2.6 MUST).

    Raises:
        ValueError: an extension is given twice (RFC 5280 4.2).

    """
    extensions = header.all_extensions()
    if len({extension.oid for extension in extensions}) != len(extensions):
        raise ValueError(f"CRL {header.number} has an extension twice (RFC 5280 4.2)")
    revoked = entries if isinstance(entries, list) else list(entries)
    length = sum(map(len, revoked))
    return _joined(
        der.SEQUENCE,
        der.integer(1),  # v2
        signature_algorithm_der,
        header.issuer_der,
        der.time(header.timing.this_update),
        der.time(header.timing.next_update),
        _header(der.SEQUENCE, length) if revoked else b"",
        *revoked,
        der.explicit(0, der.sequence(*map(_encoded_extension, extensions))),
    )


def sign_crl(header: CrlHeader, entries: Iterable[bytes], key: SigningKey) -> bytes:
    """Return the CertificateList: assembled, and signed with the key's default digest."""
    tbs = assemble_crl(header, entries, key.signature_algorithm_der)
    return _joined(der.SEQUENCE, tbs, key.signature_algorithm_der, der.bit_string(key.sign(tbs)))


def _joined(tag: int, *parts: bytes) -> bytes:
    """Return one element of many octets with a single copy of its parts, which `der.tlv` makes two of."""
    return b"".join((_header(tag, sum(map(len, parts))), *parts))


def _header(tag: int, length: int) -> bytes:
    if length < 0x80:
        return bytes((tag, length))
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size
