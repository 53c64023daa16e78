"""Reading certificates as the chain engine needs them.

`X509Certificate` is read eagerly and once, by asn1crypto, which takes what deployed CAs write ('@'
in a PrintableString, serial numbers of 33 octets); whatever cannot be read raises here and nowhere
later. Does not live here: any judgement.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from asn1crypto import cms, x509

from ca import oids
from ca.der import BMP_STRING, DerError, Reader, dotted_oid, one

from .signatures import SignatureVerdict, verify_signature

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)

# Every extension the engine looks at or may leave aside; another one that is critical is an error.
UNDERSTOOD_EXTENSIONS = frozenset(
    {
        oids.SUBJECT_KEY_IDENTIFIER,
        oids.KEY_USAGE,
        oids.SUBJECT_ALT_NAME,
        oids.BASIC_CONSTRAINTS,
        oids.CRL_DISTRIBUTION_POINTS,
        oids.CERTIFICATE_POLICIES,
        oids.AUTHORITY_KEY_IDENTIFIER,
        oids.EXTENDED_KEY_USAGE,
        oids.FRESHEST_CRL,
        oids.AUTHORITY_INFORMATION_ACCESS,
        oids.OCSP_NO_CHECK,
        oids.MS_TEMPLATE_NAME,
        oids.MS_TEMPLATE,
        oids.MS_CA_VERSION,
        oids.MS_PREVIOUS_CA_CERTIFICATE_HASH,
        oids.MS_APPLICATION_POLICIES,
        oids.MS_SID,
        "2.5.29.18",  # issuerAltName
    }
)


class UnreadableCertificate(ValueError):
    """The octets are no certificate; the text says what was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyIdentifier:
    """An authorityKeyIdentifier (RFC 5280 4.2.1.1); each part may be absent."""

    key_id: bytes | None = None
    issuer_key: str | None = None  # comparable form of authorityCertIssuer
    serial_number: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class X509Certificate:
    """What the engine reads of one certificate. ``subject_key``/``issuer_key`` are comparable names."""

    der: bytes = field(repr=False)
    subject: str
    issuer: str
    subject_der: bytes = field(repr=False)
    issuer_der: bytes = field(repr=False)
    subject_key: str = field(repr=False)
    issuer_key: str = field(repr=False)
    serial_number: int
    not_before: datetime
    not_after: datetime
    public_key_der: bytes = field(repr=False)
    signature_algorithm_der: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    tbs: bytes = field(repr=False)
    version: int
    is_ca: bool | None  # basicConstraints cA; None without the extension
    path_length: int | None
    key_usage: frozenset[str] | None  # RFC 5280 bit names in snake case; None without the extension
    extended_key_usage: tuple[str, ...] | None
    subject_key_id: bytes | None
    authority_key_id: KeyIdentifier
    ca_issuer_urls: tuple[str, ...]
    ocsp_urls: tuple[str, ...]
    crl_urls: tuple[str, ...]
    has_crl_distribution_points: bool
    has_name_constraints: bool
    template: str | None
    critical_extensions: frozenset[str]
    duplicate_extensions: frozenset[str]

    @property
    def sha1(self) -> str:
        """Return the thumbprint as Windows prints it: SHA-1, lower-case hex."""
        return hashlib.sha1(self.der, usedforsecurity=False).hexdigest()

    @property
    def sha256(self) -> str:
        """Return the SHA-256 fingerprint, lower-case hex."""
        return hashlib.sha256(self.der).hexdigest()

    @property
    def md5(self) -> str:
        """Return the MD5 fingerprint that NDES prints, lower-case hex."""
        return hashlib.md5(self.der, usedforsecurity=False).hexdigest()

    @property
    def self_issued(self) -> bool:
        """Whether issuer and subject are the same name."""
        return self.subject_key == self.issuer_key

    @property
    def self_signed(self) -> bool:
        """Whether the certificate is self-issued and verifies under its own key."""
        return self.self_issued and self.signature_under(self) is SignatureVerdict.VALID

    @property
    def acts_as_ca(self) -> bool:
        """Whether it may issue: cA, or a version 1 root, which cannot say so."""
        return bool(self.is_ca) or (self.is_ca is None and self.version == 1 and self.self_issued)

    def allows(self, usage: str) -> bool:
        """Whether keyUsage allows ``usage`` (``key_cert_sign``, ...); no extension allows all."""
        return self.key_usage is None or usage in self.key_usage

    def signature_under(self, issuer: X509Certificate) -> SignatureVerdict:
        """Verify our signature under the public key of ``issuer``."""
        return verify_signature(
            public_key_der=issuer.public_key_der,
            algorithm_der=self.signature_algorithm_der,
            signature=self.signature,
            data=self.tbs,
        )

    @classmethod
    def read(cls, der: bytes) -> X509Certificate:
        """Read one DER certificate.

        Raises:
            UnreadableCertificate: anything of it cannot be read (RFC 5280 4.1).

        """
        try:
            return _read(der)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
            raise UnreadableCertificate(
                f"{len(der)} octets beginning {der[:8].hex()} are no certificate: {error}"
            ) from error


def _read(der: bytes) -> X509Certificate:
    certificate = x509.Certificate.load(der, strict=True)
    tbs = certificate["tbs_certificate"]
    values = _Extensions(tbs["extensions"])
    constraints = values.get(oids.BASIC_CONSTRAINTS)
    path_length = constraints["path_len_constraint"].native if constraints is not None else None
    subject_key_id = values.get(oids.SUBJECT_KEY_IDENTIFIER)
    key_usage = values.get(oids.KEY_USAGE)
    eku = values.get(oids.EXTENDED_KEY_USAGE)
    access = values.get(oids.AUTHORITY_INFORMATION_ACCESS)
    points = values.get(oids.CRL_DISTRIBUTION_POINTS)
    return X509Certificate(
        der=der,
        subject=name_text(tbs["subject"]),
        issuer=name_text(tbs["issuer"]),
        subject_der=tbs["subject"].dump(),
        issuer_der=tbs["issuer"].dump(),
        subject_key=tbs["subject"].hashable,
        issuer_key=tbs["issuer"].hashable,
        serial_number=tbs["serial_number"].native,
        not_before=tbs["validity"]["not_before"].native,
        not_after=tbs["validity"]["not_after"].native,
        public_key_der=tbs["subject_public_key_info"].dump(),
        signature_algorithm_der=certificate["signature_algorithm"].dump(),
        signature=certificate["signature_value"].native,
        tbs=tbs.dump(),
        version=int(tbs["version"]) + 1,
        is_ca=None if constraints is None else bool(constraints["ca"].native),
        path_length=path_length,
        key_usage=None if key_usage is None else frozenset(key_usage.native),
        extended_key_usage=None if eku is None else tuple(purpose.dotted for purpose in eku),
        subject_key_id=None if subject_key_id is None else subject_key_id.native,
        authority_key_id=_authority_key_id(values.get(oids.AUTHORITY_KEY_IDENTIFIER)),
        ca_issuer_urls=_access_urls(access, oids.AD_CA_ISSUERS),
        ocsp_urls=_access_urls(access, oids.AD_OCSP),
        crl_urls=_distribution_urls(points),
        has_crl_distribution_points=points is not None,
        has_name_constraints="2.5.29.30" in values.present,
        template=_template(values),
        critical_extensions=frozenset(values.critical),
        duplicate_extensions=frozenset(values.duplicates),
    )


class _Extensions:
    """The extensions by OID; of a repeated one the first counts and the rest is reported."""

    def __init__(self, extensions: Any) -> None:
        self.present: dict[str, Any] = {}
        self.critical: set[str] = set()
        self.duplicates: set[str] = set()
        for extension in extensions if extensions else ():
            oid = extension["extn_id"].dotted
            if oid in self.present:
                self.duplicates.add(oid)
                continue
            self.present[oid] = extension["extn_value"]
            if extension["critical"].native:
                self.critical.add(oid)

    def get(self, oid: str) -> Any:
        """Return the parsed value of the extension, or None."""
        value = self.present.get(oid)
        return None if value is None else value.parsed

    def octets(self, oid: str) -> bytes | None:
        """Return the octets of the extension's value, or None."""
        value = self.present.get(oid)
        return None if value is None else value.contents


def _authority_key_id(value: Any) -> KeyIdentifier:
    if value is None:
        return KeyIdentifier()
    issuer = None
    for general_name in value["authority_cert_issuer"] or ():
        if general_name.name == "directory_name":
            issuer = general_name.chosen.hashable
    return KeyIdentifier(
        key_id=value["key_identifier"].native,
        issuer_key=issuer,
        serial_number=value["authority_cert_serial_number"].native,
    )


def _access_urls(access: Any, method: str) -> tuple[str, ...]:
    if access is None:
        return ()
    return tuple(
        _url(entry["access_location"])
        for entry in access
        if entry["access_method"].dotted == method
        and entry["access_location"].name == "uniform_resource_identifier"
    )


def _distribution_urls(points: Any) -> tuple[str, ...]:
    urls = []
    for point in points or ():
        name = point["distribution_point"]
        if not name or name.name != "full_name":
            continue
        urls += [_url(entry) for entry in name.chosen if entry.name == "uniform_resource_identifier"]
    return tuple(urls)


def _url(general_name: Any) -> str:
    """Return the URL as it is written; asn1crypto's own text has the percent escapes undone."""
    contents: bytes = general_name.chosen.contents
    return contents.decode("latin-1")


def _template(values: _Extensions) -> str | None:
    """Return the v1 template name or the v2 template OID (MS-WCCE 2.2.2.7.7)."""
    try:
        version_2 = values.octets(oids.MS_TEMPLATE)
        if version_2 is not None:
            return dotted_oid(one(version_2).element(6).content)
        version_1 = values.octets(oids.MS_TEMPLATE_NAME)
        if version_1 is not None:
            return Reader(version_1).element(BMP_STRING).content.decode("utf-16-be")
    except (DerError, UnicodeDecodeError):
        return None
    return None


_SHORT_NAMES = {
    "common_name": "CN",
    "country_name": "C",
    "locality_name": "L",
    "state_or_province_name": "S",
    "organization_name": "O",
    "organizational_unit_name": "OU",
    "domain_component": "DC",
    "email_address": "E",
    "serial_number": "SERIALNUMBER",
    "user_id": "UID",
    "street_address": "STREET",
    "title": "T",
    "given_name": "G",
    "surname": "SN",
}


def name_text(name: Any) -> str:
    """Return a Name the way certutil prints one: most specific attribute first, ``CN=..., O=...``."""
    parts = []
    for rdn in reversed(list(name.chosen)):
        attributes = [
            f"{_SHORT_NAMES.get(entry['type'].native, entry['type'].dotted)}={_value_text(entry['value'])}"
            for entry in rdn
        ]
        parts.append("+".join(attributes))
    return ", ".join(parts)


def _value_text(value: Any) -> str:
    text = str(value.native)
    printable = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
    return f'"{printable}"' if set(printable) & set(',+"=\n') else printable


def read_certificates(octets: bytes) -> list[X509Certificate]:
    """Read every certificate of a file: DER, PEM (any number), or a certs-only PKCS#7 (DER, PEM, Base64).

    Raises:
        UnreadableCertificate: there is none in it, or one of them cannot be read.

    """
    blocks = [
        (label.decode(), _base64(body)) for label, body in _PEM.findall(octets) if not label.endswith(b"KEY")
    ]
    if blocks:
        found = [certificate for label, der in blocks for certificate in _of_block(label, der)]
        if not found:
            raise UnreadableCertificate(f"the PEM holds {blocks[0][0]}, expected CERTIFICATE or PKCS7")
        return found
    if octets[:1] != b"\x30":
        octets = _base64(octets)
    return list(_of_der(octets))


def _of_block(label: str, der: bytes) -> Iterable[X509Certificate]:
    if label in {"CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"}:
        return [X509Certificate.read(der)]
    return _of_pkcs7(der) if label in {"PKCS7", "CMS"} else []


def _of_der(der: bytes) -> Iterable[X509Certificate]:
    try:
        return [X509Certificate.read(der)]
    except UnreadableCertificate:
        certificates = _of_pkcs7(der)
        if not certificates:
            raise
        return certificates


def _of_pkcs7(der: bytes) -> list[X509Certificate]:
    try:
        info = cms.ContentInfo.load(der)
        if info["content_type"].native != "signed_data":
            return []
        choices = list(info["content"]["certificates"] or ())
        return [X509Certificate.read(choice.chosen.dump()) for choice in choices]
    except UnreadableCertificate:
        raise
    except (ValueError, TypeError, KeyError):
        return []


def _base64(text: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except ValueError as error:
        raise UnreadableCertificate(
            f"{len(text)} octets beginning {text[:8]!r} are neither DER, PEM nor Base64"
        ) from error
