"""The offline root: signs subordinates and its own CRL, in its own folder, under its own passphrase.

Nothing that serves imports this module's key functions; they are for the ceremony and for the
root's keeper.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509

from . import crls, der, extensions, oids
from .certificates import BadCertificate, CertificateInfo, TbsCertificate, read_certificate, sign_certificate
from .drafting import new_serial_number
from .errors import BadRequestStatus, NoSuchRequest
from .extensions import KeyUsage
from .folders import PRIVATE, PUBLIC, PkiFolder, PkiUnreadable, read_certificate_file, read_file, replace_file
from .keys import read_key_file
from .locations import PublicationLocations
from .records import Revocation, RevocationReason, RevokedEntry

if TYPE_CHECKING:
    from collections.abc import Callable

    from .clock import Clock
    from .keys import SigningKey
    from .settings import PkiSettings

SUBORDINATE_TEMPLATE: Final = "SubCA"
_CA_USAGES: Final = (KeyUsage.DIGITAL_SIGNATURE, KeyUsage.KEY_CERT_SIGN, KeyUsage.CRL_SIGN)


def root_certificate(settings: PkiSettings, key: SigningKey, now: datetime, serial_number: int) -> bytes:
    """Return the root's self-signed certificate."""
    not_before = now - settings.clock_skew
    tbs = TbsCertificate(
        serial_number=serial_number,
        signature_algorithm=key.signature_algorithm_der,
        issuer_der=settings.root_name,
        not_before=not_before,
        not_after=settings.root_validity.after(not_before),
        subject_der=settings.root_name,
        public_key_der=key.public_key_der,
        extensions=(
            extensions.key_usage(_CA_USAGES),
            extensions.basic_constraints(is_ca=True),
            extensions.subject_key_identifier(key.subject_key_id),
            extensions.ca_version(),
        ),
    )
    return sign_certificate(tbs, key)


def issuing_certificate(
    settings: PkiSettings,
    *,
    root: CertificateInfo,
    root_key: SigningKey,
    key: SigningKey,
    now: datetime,
    serial_number: int,
    locations: PublicationLocations,
    renewed: CertificateInfo | None = None,
) -> bytes:
    """Return the issuing CA's certificate, signed by the root; it ends with the root's at the latest.

    ``locations`` are the root's: where its CRL and its certificate are found. ``renewed`` is the CA's
    certificate before this one: name and CA version go on from it, and its thumbprint is kept
    (Previous CA Certificate Hash). The key index is that of the certificate that brought the key.
    """
    not_before = max(now - settings.clock_skew, root.not_before)
    tbs = TbsCertificate(
        serial_number=serial_number,
        signature_algorithm=root_key.signature_algorithm_der,
        issuer_der=root.subject_der,
        not_before=not_before,
        not_after=min(settings.issuing_validity.after(not_before), root.not_after),
        subject_der=renewed.subject_der if renewed else settings.issuing_name,
        public_key_der=key.public_key_der,
        extensions=(
            *_version_after(renewed, key),
            extensions.subject_key_identifier(key.subject_key_id),
            extensions.template_name(SUBORDINATE_TEMPLATE),
            extensions.key_usage(_CA_USAGES),
            extensions.basic_constraints(is_ca=True, path_length=0),
            extensions.authority_key_identifier(root_key.subject_key_id),
            extensions.crl_distribution_points(locations.crl_urls),
            extensions.authority_information_access(locations.ca_issuers_urls),
        ),
    )
    return sign_certificate(tbs, root_key)


def _version_after(renewed: CertificateInfo | None, key: SigningKey) -> tuple[extensions.Extension, ...]:
    if renewed is None:
        return (extensions.ca_version(),)
    key_index, certificate_index = extensions.read_ca_version(renewed.extensions)
    certificate_index += 1
    if renewed.public_key_der != key.public_key_der:
        key_index = certificate_index
    return (
        extensions.ca_version(certificate_index=certificate_index, key_index=key_index),
        extensions.previous_ca_certificate_hash(bytes.fromhex(renewed.sha1)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedByRoot:
    """One certificate the root signed."""

    serial_number: int
    subject: str
    not_after: datetime
    sha256: str
    revocation: Revocation | None = None

    @classmethod
    def of(cls, certificate: CertificateInfo) -> SignedByRoot:
        """Return the entry of a certificate just signed."""
        return cls(
            serial_number=certificate.serial_number,
            subject=certificate.subject,
            not_after=certificate.not_after,
            sha256=certificate.sha256,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RootIndex:
    """What the root has to remember: what it signed, and the number of its last CRL."""

    crl_number: int
    certificates: tuple[SignedByRoot, ...]

    def encode(self) -> bytes:
        """Return the index as JSON."""
        content = {
            "crl_number": self.crl_number,
            "certificates": [_as_json(certificate) for certificate in self.certificates],
        }
        return (json.dumps(content, indent=2) + "\n").encode()

    @classmethod
    def decode(cls, octets: bytes) -> RootIndex:
        """Read the index; raises ValueError when it is not one."""
        try:
            content = json.loads(octets)
            found = tuple(_from_json(certificate) for certificate in content["certificates"])
            return cls(crl_number=int(content["crl_number"]), certificates=found)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"it has no {error}") from error


def _as_json(certificate: SignedByRoot) -> dict[str, str | None]:
    revocation = certificate.revocation
    return {
        "serial_number": f"{certificate.serial_number:x}",
        "subject": certificate.subject,
        "not_after": certificate.not_after.isoformat(),
        "sha256": certificate.sha256,
        "revoked_at": revocation.revoked_at.isoformat() if revocation else None,
        "reason": revocation.reason.rfc_name if revocation else None,
    }


def _from_json(content: dict[str, Any]) -> SignedByRoot:
    revocation = None
    if content["revoked_at"] is not None:
        reasons = {reason.rfc_name: reason for reason in RevocationReason}
        revocation = Revocation(
            revoked_at=datetime.fromisoformat(content["revoked_at"]), reason=reasons[content["reason"]]
        )
    return SignedByRoot(
        serial_number=int(content["serial_number"], 16),
        subject=content["subject"],
        not_after=datetime.fromisoformat(content["not_after"]),
        sha256=content["sha256"],
        revocation=revocation,
    )


def sign_root_crl(
    settings: PkiSettings, root: CertificateInfo, key: SigningKey, index: RootIndex, now: datetime
) -> bytes:
    """Return the root's CRL with the number that ``index`` says."""
    # No IDP (flag 128): the root's own certificate names no distribution point to match it, and those
    # who check every certificate of a chain would find this CRL out of scope (RFC 5280 6.3.3 (b)(2)).
    places = PublicationLocations.of_certificate(settings, root, ocsp=False)
    urls = places.published_crl_urls
    found = (extensions.published_crl_locations(urls),) if urls else ()
    header = crls.CrlHeader(
        issuer_der=root.subject_der,
        authority_key_id=key.subject_key_id,
        ca_version=0,
        number=index.crl_number,
        timing=crls.crl_timing(now, settings.root_crl_schedule, not_beyond=root.not_after),
        extensions=found,
    )
    entries = (
        crls.encode_entry(
            RevokedEntry(
                serial_number=certificate.serial_number,
                revocation=certificate.revocation,
                not_after=certificate.not_after,
            )
        )
        for certificate in index.certificates
        if certificate.revocation is not None
    )
    return crls.sign_crl(header, entries, key)


def root_crl_due(folder: PkiFolder) -> datetime:
    """Return when the root's next CRL is to be signed, as the last one says; raises PkiUnreadable."""
    try:
        found = x509.load_der_x509_crl(read_file(folder.root_crl)).extensions
        told = found.get_extension_for_oid(x509.ObjectIdentifier(oids.MS_NEXT_CRL_PUBLISH)).value
        return der.read_time(der.Reader(told.public_bytes()).element(), "Next CRL Publish")
    except (ValueError, x509.ExtensionNotFound) as error:
        raise PkiUnreadable(f"{folder.root_crl} does not say when the next CRL is due: {error}") from error


class OfflineRoot:
    """The root, taken out of its safe."""

    def __init__(
        self,
        folder: PkiFolder,
        settings: PkiSettings,
        *,
        clock: Clock,
        certificate: CertificateInfo,
        key: SigningKey,
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._clock = clock
        self._key = key
        self.certificate = certificate

    @classmethod
    def open(
        cls, folder: PkiFolder, settings: PkiSettings, *, clock: Clock, passphrase: bytes | None = None
    ) -> OfflineRoot:
        """Open the root with the passphrase given, else that of the settings, else that of its folder.

        Raises:
            NoPki: there is none.
            PkiUnreadable: a file of the root's is missing or broken.
            UnusableKey: the passphrase is wrong.

        """
        folder.require()
        if passphrase is None and settings.root_passphrase is not None:
            passphrase = settings.root_passphrase.get_secret_value().encode()
        if passphrase is None:
            passphrase = read_file(folder.root_passphrase).strip()
        octets = read_certificate_file(folder.root_certificate)
        try:
            certificate = read_certificate(octets)
        except BadCertificate as error:
            raise PkiUnreadable(f"{folder.root_certificate}: {error}") from error
        key = read_key_file(folder.root_key, passphrase)
        if key.public_key_der != certificate.public_key_der:
            raise PkiUnreadable(f"{folder.root_key} is not the key of {folder.root_certificate}")
        return cls(folder, settings, clock=clock, certificate=certificate, key=key)

    @property
    def index(self) -> RootIndex:
        """What the root signed; raises PkiUnreadable."""
        try:
            return RootIndex.decode(read_file(self._folder.root_index))
        except ValueError as error:
            raise PkiUnreadable(f"{self._folder.root_index} is no index: {error}") from error

    def renew_issuing(
        self, renewed: CertificateInfo, key: SigningKey, entropy: Callable[[int], bytes]
    ) -> CertificateInfo:
        """Sign the issuing CA's next certificate, for a new key or the one it has, and remember it."""
        octets = issuing_certificate(
            self._settings,
            root=self.certificate,
            root_key=self._key,
            key=key,
            now=self._clock.now().replace(microsecond=0),
            serial_number=new_serial_number(entropy),
            locations=PublicationLocations.of_certificate(self._settings, self.certificate, ocsp=False),
            renewed=renewed,
        )
        signed = read_certificate(octets)
        index = self.index
        certificates = (*index.certificates, SignedByRoot.of(signed))
        kept = RootIndex(crl_number=index.crl_number, certificates=certificates)
        replace_file(self._folder.root_index, kept.encode(), mode=PRIVATE)
        return signed

    def sign_crl(self) -> bytes:
        """Sign a CRL with the next number, keep it, and hand it over to be published."""
        return self._publish(self.index.certificates)

    def revoke(self, serial_number: int, reason: RevocationReason) -> bytes:
        """Revoke a subordinate and return the CRL that says so.

        Raises:
            NoSuchRequest: the root signed no such certificate.
            BadRequestStatus: it is revoked already, or the reason revokes nothing.

        """
        certificates = {one.serial_number: one for one in self.index.certificates}
        found = certificates.get(serial_number)
        if found is None:
            raise NoSuchRequest(f"the root signed no certificate with serial number {serial_number:x}")
        if found.revocation is not None or reason is RevocationReason.REMOVE_FROM_CRL:
            raise BadRequestStatus(f"certificate {serial_number:x} cannot be revoked with {reason.rfc_name}")
        revoked_at = self._clock.now().astimezone(UTC).replace(microsecond=0)
        certificates[serial_number] = SignedByRoot(
            serial_number=found.serial_number,
            subject=found.subject,
            not_after=found.not_after,
            sha256=found.sha256,
            revocation=Revocation(revoked_at=revoked_at, reason=reason),
        )
        return self._publish(tuple(certificates.values()))

    def _publish(self, certificates: tuple[SignedByRoot, ...]) -> bytes:
        """Write index before CRL: a number is rather left out than used twice (RFC 5280 5.2.3)."""
        index = RootIndex(crl_number=self.index.crl_number + 1, certificates=certificates)
        signed = sign_root_crl(
            self._settings, self.certificate, self._key, index, self._clock.now().replace(microsecond=0)
        )
        replace_file(self._folder.root_index, index.encode(), mode=PRIVATE)
        replace_file(self._folder.root_crl, signed, mode=PUBLIC)
        replace_file(self._folder.issuing_root_crl, signed, mode=PUBLIC)
        return signed
