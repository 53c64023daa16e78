"""Reading certificate revocation lists.

`cryptography` reads them: looking a serial number up in a list of a million entries must not build
a million objects. Does not live here: which CRL speaks for which certificate (`revocation`).
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from asn1crypto import x509 as asn1_x509
from cryptography import x509

from ca import oids
from ca.der import Reader, one, read_time

from .certificates import name_text
from .signatures import SignatureVerdict, verify_signature

if TYPE_CHECKING:
    from datetime import datetime

    from .certificates import X509Certificate

_PEM = re.compile(rb"-----BEGIN X509 CRL-----(.*?)-----END X509 CRL-----", re.DOTALL)
_UNDERSTOOD: Final = frozenset(
    {
        oids.AUTHORITY_KEY_IDENTIFIER,
        oids.CRL_NUMBER,
        oids.ISSUING_DISTRIBUTION_POINT,
        oids.DELTA_CRL_INDICATOR,
        oids.FRESHEST_CRL,
        oids.MS_CA_VERSION,
        oids.MS_NEXT_CRL_PUBLISH,
        "1.3.6.1.4.1.311.21.3",  # virtual base CRL number
        "1.3.6.1.4.1.311.21.14",  # published CRL locations
    }
)


class UnreadableCrl(ValueError):
    """The octets are no CRL; the text says what was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What an issuingDistributionPoint narrows a CRL to (RFC 5280 5.2.5)."""

    urls: tuple[str, ...] = ()
    only_user_certificates: bool = False
    only_ca_certificates: bool = False
    only_attribute_certificates: bool = False
    only_some_reasons: bool = False
    indirect: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedCertificate:
    """One entry of a CRL."""

    revoked_at: datetime
    reason: str  # RFC 5280 name, ``unspecified`` when the entry gives none


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRevocationList:
    """One CRL. ``origin`` is the file or URL it came from."""

    der: bytes = field(repr=False)
    origin: str
    issuer: str
    issuer_key: str = field(repr=False)
    this_update: datetime
    next_update: datetime | None
    number: int | None
    base_number: int | None  # of a delta CRL, else None
    delta_indicator_critical: bool
    authority_key_id: bytes | None
    freshest_urls: tuple[str, ...]
    next_publish: datetime | None  # Microsoft's Next CRL Publish
    scope: Scope
    unknown_critical: tuple[str, ...]
    _parsed: x509.CertificateRevocationList = field(repr=False, compare=False)

    @property
    def sha1(self) -> str:
        """Return the SHA-1 of the octets, lower-case hex, as certutil prints it."""
        return hashlib.sha1(self.der, usedforsecurity=False).hexdigest()

    def is_current(self, at: datetime) -> bool:
        """Whether ``at`` lies between thisUpdate and nextUpdate (RFC 5280 5.1.2.4-5)."""
        return self.this_update <= at and (self.next_update is None or at < self.next_update)

    def signature_under(self, issuer: X509Certificate) -> SignatureVerdict:
        """Verify the signature under the public key of ``issuer``."""
        reader = one(self.der)
        reader.element()
        return verify_signature(
            public_key_der=issuer.public_key_der,
            algorithm_der=reader.element().raw,
            signature=self._parsed.signature,
            data=self._parsed.tbs_certlist_bytes,
        )

    def entry(self, serial_number: int) -> RevokedCertificate | None:
        """Return the entry of ``serial_number``, or None.

        Raises:
            UnreadableCrl: the entry cannot be read, or says that it speaks of another issuer's certificate.

        """
        try:
            found = self._parsed.get_revoked_certificate_by_serial_number(serial_number)
            if found is None:
                return None
            reason = "unspecified"
            for extension in found.extensions:
                if isinstance(extension.value, x509.CRLReason):
                    reason = extension.value.reason.value
                elif extension.critical:
                    raise UnreadableCrl(
                        f"the entry of {serial_number:x} has critical extension "
                        f"{extension.oid.dotted_string}, which is not understood (RFC 5280 5.3)"
                    )
            return RevokedCertificate(revoked_at=found.revocation_date_utc, reason=reason)
        except x509.DuplicateExtension as error:
            raise UnreadableCrl(f"the entry of {serial_number:x} repeats an extension") from error
        except ValueError as error:
            raise UnreadableCrl(f"the entry of {serial_number:x} cannot be read: {error}") from error

    @classmethod
    def read(cls, octets: bytes, *, origin: str) -> CertificateRevocationList:
        """Read one CRL: DER, PEM or Base64.

        Raises:
            UnreadableCrl: it is none (RFC 5280 5.1).

        """
        try:
            return _read(_der_of(octets), origin)
        except (ValueError, TypeError, KeyError, x509.DuplicateExtension, x509.InvalidVersion) as error:
            raise UnreadableCrl(
                f"{origin}: {len(octets)} octets beginning {octets[:16]!r} are no CRL: {error}"
            ) from error


def _der_of(octets: bytes) -> bytes:
    pem = _PEM.search(octets)
    if pem:
        return base64.b64decode(pem.group(1))
    return octets if octets[:1] == b"\x30" else base64.b64decode(octets, validate=True)


def _read(der: bytes, origin: str) -> CertificateRevocationList:
    parsed = x509.load_der_x509_crl(der)
    issuer = asn1_x509.Name.load(parsed.issuer.public_bytes())
    values = {extension.oid.dotted_string: extension for extension in parsed.extensions}
    number = values.get(oids.CRL_NUMBER)
    delta = values.get(oids.DELTA_CRL_INDICATOR)
    key_id = values.get(oids.AUTHORITY_KEY_IDENTIFIER)
    point = values.get(oids.ISSUING_DISTRIBUTION_POINT)
    freshest = values.get(oids.FRESHEST_CRL)
    return CertificateRevocationList(
        der=der,
        origin=origin,
        issuer=name_text(issuer),
        issuer_key=issuer.hashable,
        this_update=parsed.last_update_utc,
        next_update=parsed.next_update_utc,
        number=number.value.crl_number if number and isinstance(number.value, x509.CRLNumber) else None,
        base_number=(
            delta.value.crl_number if delta and isinstance(delta.value, x509.DeltaCRLIndicator) else None
        ),
        delta_indicator_critical=bool(delta and delta.critical),
        freshest_urls=_freshest_urls(freshest.value) if freshest else (),
        next_publish=_next_publish(values.get(oids.MS_NEXT_CRL_PUBLISH)),
        authority_key_id=(
            key_id.value.key_identifier
            if key_id and isinstance(key_id.value, x509.AuthorityKeyIdentifier)
            else None
        ),
        scope=_scope(point.value) if point else Scope(),
        unknown_critical=tuple(
            oid for oid, extension in values.items() if extension.critical and oid not in _UNDERSTOOD
        ),
        _parsed=parsed,
    )


def _freshest_urls(value: x509.ExtensionType) -> tuple[str, ...]:
    if not isinstance(value, x509.FreshestCRL):
        raise TypeError("freshestCRL cannot be read (RFC 5280 5.2.6)")
    return tuple(
        name.value
        for point in value
        for name in point.full_name or ()
        if isinstance(name, x509.UniformResourceIdentifier)
    )


def _next_publish(extension: x509.Extension[x509.ExtensionType] | None) -> datetime | None:
    if extension is None or not isinstance(extension.value, x509.UnrecognizedExtension):
        return None
    return read_time(Reader(extension.value.value).element())


def _scope(value: x509.ExtensionType) -> Scope:
    if not isinstance(value, x509.IssuingDistributionPoint):
        raise TypeError("issuingDistributionPoint cannot be read (RFC 5280 5.2.5)")
    return Scope(
        urls=tuple(
            name.value for name in value.full_name or () if isinstance(name, x509.UniformResourceIdentifier)
        ),
        only_user_certificates=value.only_contains_user_certs,
        only_ca_certificates=value.only_contains_ca_certs,
        only_attribute_certificates=value.only_contains_attribute_certs,
        only_some_reasons=value.only_some_reasons is not None,
        indirect=value.indirect_crl,
    )
