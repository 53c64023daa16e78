"""Reading certificates as the chain engine needs them.

`X509Certificate` is read eagerly and once, by asn1crypto, which takes what deployed CAs write ('@'
in a PrintableString, serial numbers of 33 octets); whatever cannot be read raises here and nowhere
later. Does not live here: any judgement.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from asn1crypto import core, x509

from ca import oids
from ca.der import BMP_STRING, BOOLEAN, DerError, Reader, dotted_oid, one

from .names import general_names, name_constraints
from .policy_rules import (
    INHIBIT_ANY_POLICY,
    POLICY_CONSTRAINTS,
    POLICY_MAPPINGS,
    policy_oids,
    policy_rules,
)
from .signatures import SignatureVerdict, verify_signature

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from .names import GeneralName, NameConstraints
    from .policy_rules import PolicyRules

NAME_CONSTRAINTS = "2.5.29.30"
_Value = TypeVar("_Value")
_UNREADABLE = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)

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
        NAME_CONSTRAINTS,
        POLICY_MAPPINGS,
        POLICY_CONSTRAINTS,
        INHIBIT_ANY_POLICY,
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
    freshest_crl_urls: tuple[str, ...]
    names: tuple[GeneralName, ...]  # of subjectAltName
    name_constraints: NameConstraints | None
    policy: PolicyRules
    application_policies: tuple[str, ...] | None  # Microsoft's extension, which outweighs the usual one
    template: str | None
    ocsp_no_check: bool
    critical_extensions: frozenset[str]
    duplicate_extensions: frozenset[str]
    invalid_extensions: frozenset[str]  # those whose value cannot be read

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
    def usages(self) -> tuple[str, ...] | None:
        """The OIDs of what it is good for; None for everything."""
        found = self.extended_key_usage if self.application_policies is None else self.application_policies
        return None if found is None or oids.ANY_EXTENDED_KEY_USAGE in found else found

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
        except _UNREADABLE as error:
            raise UnreadableCertificate(
                f"{len(der)} octets beginning {der[:8].hex()} are no certificate: {error}"
            ) from error


def _read(der: bytes) -> X509Certificate:
    certificate = x509.Certificate.load(der, strict=True)
    tbs = certificate["tbs_certificate"]
    extensions = tbs["extensions"]
    values = _Extensions(extensions.contents if extensions else b"")
    is_ca, path_length = values.read(oids.BASIC_CONSTRAINTS, _basic_constraints) or (None, None)
    points = values.read(oids.CRL_DISTRIBUTION_POINTS, _distribution_urls)
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
        is_ca=is_ca,
        path_length=path_length,
        key_usage=values.read(oids.KEY_USAGE, lambda value: frozenset(value.native)),
        extended_key_usage=values.read(oids.EXTENDED_KEY_USAGE, _purposes),
        subject_key_id=values.read(oids.SUBJECT_KEY_IDENTIFIER, lambda value: bytes(value.native)),
        authority_key_id=values.read(oids.AUTHORITY_KEY_IDENTIFIER, _authority_key_id) or KeyIdentifier(),
        ca_issuer_urls=values.read(oids.AUTHORITY_INFORMATION_ACCESS, _access_urls(oids.AD_CA_ISSUERS)) or (),
        ocsp_urls=values.read(oids.AUTHORITY_INFORMATION_ACCESS, _access_urls(oids.AD_OCSP)) or (),
        crl_urls=points or (),
        has_crl_distribution_points=points is not None,
        freshest_crl_urls=values.read(oids.FRESHEST_CRL, _distribution_urls) or (),
        names=values.read(oids.SUBJECT_ALT_NAME, general_names) or (),
        name_constraints=values.read(NAME_CONSTRAINTS, name_constraints),
        policy=policy_rules(values.read),
        application_policies=values.read(oids.MS_APPLICATION_POLICIES, policy_oids),
        template=_template(values),
        ocsp_no_check=oids.OCSP_NO_CHECK in values.present,
        critical_extensions=frozenset(values.critical),
        duplicate_extensions=frozenset(values.duplicates),
        invalid_extensions=frozenset(values.invalid),
    )


# How each extension value that is read is built (RFC 5280 4.2).
_SPECS: Final = {
    oids.SUBJECT_KEY_IDENTIFIER: core.OctetString,
    oids.KEY_USAGE: x509.KeyUsage,
    oids.SUBJECT_ALT_NAME: x509.GeneralNames,
    oids.BASIC_CONSTRAINTS: x509.BasicConstraints,
    oids.CRL_DISTRIBUTION_POINTS: x509.CRLDistributionPoints,
    oids.CERTIFICATE_POLICIES: x509.CertificatePolicies,
    oids.AUTHORITY_KEY_IDENTIFIER: x509.AuthorityKeyIdentifier,
    oids.EXTENDED_KEY_USAGE: x509.ExtKeyUsageSyntax,
    oids.FRESHEST_CRL: x509.CRLDistributionPoints,
    oids.AUTHORITY_INFORMATION_ACCESS: x509.AuthorityInfoAccessSyntax,
    oids.MS_APPLICATION_POLICIES: x509.CertificatePolicies,
    NAME_CONSTRAINTS: x509.NameConstraints,
    POLICY_MAPPINGS: x509.PolicyMappings,
    POLICY_CONSTRAINTS: x509.PolicyConstraints,
    INHIBIT_ANY_POLICY: core.Integer,
}


class _Extensions:
    """The extensions by OID; of a repeated one the first counts, and what cannot be read is reported."""

    def __init__(self, encoded: bytes) -> None:
        self.present: dict[str, bytes] = {}
        self.critical: set[str] = set()
        self.duplicates: set[str] = set()
        self.invalid: set[str] = set()
        for element in Reader(encoded).elements():
            reader = element.reader()
            oid, flag = reader.oid("extnID"), reader.optional(BOOLEAN)
            if oid in self.present:
                self.duplicates.add(oid)
                continue
            self.present[oid] = reader.octets("extnValue")
            if flag is not None and flag.content != b"\0":
                self.critical.add(oid)

    def read(self, oid: str, reading: Callable[[Any], _Value]) -> _Value | None:
        """Return what ``reading`` makes of the extension's value; None where it is absent or invalid."""
        octets = self.present.get(oid)
        if octets is None:
            return None
        try:
            return reading(_SPECS[oid].load(octets, strict=True))
        except _UNREADABLE:
            self.invalid.add(oid)
            return None


def _basic_constraints(value: Any) -> tuple[bool, int | None]:
    path_length = value["path_len_constraint"].native
    if path_length is not None and path_length < 0:
        raise ValueError("pathLenConstraint is negative (RFC 5280 4.2.1.9)")
    return bool(value["ca"].native), path_length


def _purposes(value: Any) -> tuple[str, ...]:
    return tuple(purpose.dotted for purpose in value)


def _authority_key_id(value: Any) -> KeyIdentifier:
    issuer = None
    for general_name in value["authority_cert_issuer"] or ():
        if general_name.name == "directory_name":
            issuer = general_name.chosen.hashable
    return KeyIdentifier(
        key_id=value["key_identifier"].native,
        issuer_key=issuer,
        serial_number=value["authority_cert_serial_number"].native,
    )


def _access_urls(method: str) -> Callable[[Any], tuple[str, ...]]:
    def read(access: Any) -> tuple[str, ...]:
        return tuple(
            _url(entry["access_location"])
            for entry in access
            if entry["access_method"].dotted == method
            and entry["access_location"].name == "uniform_resource_identifier"
        )

    return read


def _distribution_urls(points: Any) -> tuple[str, ...]:
    urls = []
    for point in points:
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
        version_2 = values.present.get(oids.MS_TEMPLATE)
        if version_2 is not None:
            return dotted_oid(one(version_2).element(6).content)
        version_1 = values.present.get(oids.MS_TEMPLATE_NAME)
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
