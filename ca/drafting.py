"""Certificates drafted: from a granted request to the parts that are signed.

Everything that is the same in all certificates of a template is encoded once, when the first is drafted.
Nothing is refused here: who drafts has granted (`ca.authority`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import extensions
from .certificates import CertificateInfo, TbsCertificate

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from .extensions import Extension
    from .keys import SigningKey
    from .pkcs10 import CertificateRequest, VerifiedRequest
    from .public_keys import KeyAlgorithm
    from .settings import PkiSettings, PublicationLocations
    from .templates import Template


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """The extensions of a template that stand before and after those of the single certificate."""

    template: Template
    before: tuple[Extension, ...]
    after: tuple[Extension, ...]


class Drafter:
    """Drafts certificates of one CA."""

    def __init__(
        self,
        *,
        certificate: CertificateInfo,
        key: SigningKey,
        entropy: Callable[[int], bytes],
        locations: PublicationLocations,
        settings: PkiSettings,
    ) -> None:
        self._certificate = certificate
        self._signature_algorithm = key.signature_algorithm_der
        self._entropy = entropy
        self._settings = settings
        self._location: tuple[Extension, ...] = (
            extensions.crl_distribution_points(locations.crl_urls),
            extensions.authority_information_access(locations.ca_issuers_urls, locations.ocsp_urls),
        )
        if settings.freshest_crl_in_certificates and locations.delta_crl_urls:
            self._location = (*self._location, extensions.freshest_crl(locations.delta_crl_urls))
        self._key_id = key.subject_key_id
        self._certificate_index = extensions.read_ca_version(certificate.extensions)[1]
        self._issuer = extensions.authority_key_identifier(key.subject_key_id)
        self._frames: dict[tuple[str, KeyAlgorithm], _Frame] = {}

    def draft(
        self,
        request: VerifiedRequest,
        template: Template,
        subject: bytes,
        granted: tuple[Extension, ...],
        now: datetime,
        *,
        request_id: int,
    ) -> TbsCertificate:
        """Return the parts of the certificate, valid from ``now`` back-dated by the clock skew.

        ``request_id`` is a number that grows with time; it goes into the serial number.
        """
        key = request.public_key
        frame = self._frame(template, key.algorithm)
        not_before, not_after = self._validity(request, template, now)
        identifier = extensions.subject_key_identifier(key.key_id)
        return TbsCertificate(
            serial_number=request_serial_number(
                self._entropy, self._key_id, request_id, self._certificate_index
            ),
            signature_algorithm=self._signature_algorithm,
            issuer_der=self._certificate.subject_der,
            not_before=not_before,
            not_after=not_after,
            subject_der=subject,
            public_key_der=request.public_key_der,
            extensions=(*frame.before, *granted, identifier, *frame.after),
        )

    def _frame(self, template: Template, algorithm: KeyAlgorithm) -> _Frame:
        """Return what is the same in all certificates of a template; made anew where it has been replaced."""
        found = self._frames.get((template.name, algorithm))
        if found is None or found.template is not template:
            location = self._location if template.extensions.revocation_information else ()
            found = self._frames[template.name, algorithm] = _Frame(
                template=template,
                before=template.constant_extensions(algorithm),
                after=(self._issuer, *location),
            )
        return found

    def _validity(
        self, request: CertificateRequest, template: Template, now: datetime
    ) -> tuple[datetime, datetime]:
        """Return notBefore and notAfter: the shortest of template, CA setting, wish and CA certificate."""
        own = self._certificate
        not_before = max(now - self._settings.clock_skew, own.not_before)
        periods = [template.validity_period, self._settings.validity_period]
        ends = [period.after(not_before) for period in periods]
        if request.validity_wish is not None:
            ends.append(request.validity_wish.after(now))
        return not_before, min(*ends, own.not_after)


def new_serial_number(entropy: Callable[[int], bytes]) -> int:
    """Return a random serial number of 19 octets, the length AD CS's have (RFC 5280 4.1.2.2)."""
    octets = entropy(19)
    return int.from_bytes(bytes((octets[0] & 0x3F | 0x40,)) + octets[1:], "big")


def request_serial_number(
    entropy: Callable[[int], bytes], key_id: bytes, request_id: int, certificate_index: int
) -> int:
    """Return a serial number in the shape of AD CS since 2012: 19 octets, of which 8 are random.

    One octet of the CA key's own, the request id, 64 random bits, the index of the CA's certificate, and
    the request id again. Because it grows with the request id, a database of any size finds its place
    at once (RFC 5280 4.1.2.2 asks for uniqueness, CA/B Forum BR 7.1 for 64 random bits).
    """
    number = (request_id & 0xFFFFFFFF).to_bytes(4, "big")
    first = bytes((key_id[0] & 0x3F | 0x40,))
    index = (certificate_index & 0xFFFF).to_bytes(2, "big")
    return int.from_bytes(first + number + entropy(8) + index + number, "big")
