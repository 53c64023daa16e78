"""X.509 extensions: the values a CA writes, and the reading of those it meets.

An `Extension` is carried with its finished encoding, so that those which are the same in every
certificate of a template are encoded once. Does not live here: which of them a certificate gets
(`ca.templates`), or which wishes are granted (`ca.wishes`).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from . import der, names, oids

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

UPN: Final = "1.3.6.1.4.1.311.20.2.3"
SID_URI_PREFIX: Final = "tag:microsoft.com,2022-09-14:sid:"
_CONTEXT_6: Final = 0x86


class BadExtension(ValueError):
    """An extension cannot be read; the message says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """One extension: its type, whether it is critical, and the DER inside its OCTET STRING."""

    oid: str
    critical: bool = False
    value: bytes
    der: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        flag = b"\x01\x01\xff" if self.critical else b""
        encoded = der.sequence(der.oid(self.oid), flag, der.octet_string(self.value))
        object.__setattr__(self, "der", encoded)


class KeyUsage(Enum):
    """KeyUsage bits (RFC 5280 4.2.1.3): value is the bit number."""

    rfc_name: str

    def __new__(cls, value: int, rfc_name: str) -> Self:
        member = object.__new__(cls)
        member._value_ = value
        member.rfc_name = rfc_name
        return member

    DIGITAL_SIGNATURE = 0, "digitalSignature"
    NON_REPUDIATION = 1, "nonRepudiation"
    KEY_ENCIPHERMENT = 2, "keyEncipherment"
    DATA_ENCIPHERMENT = 3, "dataEncipherment"
    KEY_AGREEMENT = 4, "keyAgreement"
    KEY_CERT_SIGN = 5, "keyCertSign"
    CRL_SIGN = 6, "cRLSign"
    ENCIPHER_ONLY = 7, "encipherOnly"
    DECIPHER_ONLY = 8, "decipherOnly"


class GeneralName(NamedTuple):
    """One GeneralName (RFC 5280 4.2.1.6): context tag number, content octets, readable text."""

    number: int
    content: bytes
    text: str

    @property
    def kind(self) -> str:
        """The word templates use for it; ``upn`` and ``sid`` are told from other otherNames and URIs."""
        if self.number == 0 and self.text.startswith(UPN + "="):
            return "upn"
        if self.number == 6 and self.text.lower().startswith(SID_URI_PREFIX):
            return "sid"
        return GENERAL_NAME_KINDS[self.number]


GENERAL_NAME_KINDS: Final = (
    "other_name",
    "email",
    "dns",
    "x400_address",
    "directory_name",
    "edi_party_name",
    "uri",
    "ip",
    "registered_id",
)


_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_SYNTAX: Final = {
    "dns": re.compile(rf"(?=.{{1,253}}\Z)(?:\*\.)?{_LABEL}(?:\.{_LABEL})*", re.IGNORECASE),
    "email": re.compile(rf"[^\s@<>()\[\],;:\\\"]{{1,64}}@{_LABEL}(?:\.{_LABEL})*", re.IGNORECASE),
    "uri": re.compile(r"[a-z][a-z0-9+.-]*:[^\s<>\"\\^`{|}]+", re.IGNORECASE),
}


def is_well_formed(name: GeneralName) -> bool:
    """Tell whether a dNSName, rfc822Name or URI has the syntax of one (RFC 5280 4.2.1.6).

    Underscores are let pass in host names, where Windows writes them.
    """
    pattern = _SYNTAX.get(GENERAL_NAME_KINDS[name.number])
    return pattern is None or pattern.fullmatch(name.text) is not None


# -- writing ---------------------------------------------------------------------------


def subject_key_identifier(key_id: bytes) -> Extension:
    """Return the SubjectKeyIdentifier extension (RFC 5280 4.2.1.2)."""
    return Extension(oid=oids.SUBJECT_KEY_IDENTIFIER, value=der.octet_string(key_id))


def authority_key_identifier(key_id: bytes) -> Extension:
    """Return the AuthorityKeyIdentifier extension with keyIdentifier alone, as AD CS writes it."""
    return Extension(oid=oids.AUTHORITY_KEY_IDENTIFIER, value=der.sequence(der.implicit(0, key_id)))


def key_usage(usages: Iterable[KeyUsage]) -> Extension:
    """Return the critical KeyUsage extension (RFC 5280 4.2.1.3)."""
    return Extension(oid=oids.KEY_USAGE, critical=True, value=der.named_bits(usage.value for usage in usages))


def extended_key_usage(purposes: Sequence[str], *, critical: bool = False) -> Extension:
    """Return the ExtendedKeyUsage extension (RFC 5280 4.2.1.12) in the given order."""
    value = der.sequence(*map(der.oid, purposes))
    return Extension(oid=oids.EXTENDED_KEY_USAGE, critical=critical, value=value)


def basic_constraints(*, is_ca: bool, path_length: int | None = None) -> Extension:
    """Return the critical BasicConstraints extension (RFC 5280 4.2.1.9)."""
    content = [der.boolean(True)] if is_ca else []
    if path_length is not None:
        content.append(der.integer(path_length))
    return Extension(oid=oids.BASIC_CONSTRAINTS, critical=True, value=der.sequence(*content))


def subject_alt_name(general_names: Iterable[GeneralName], *, critical: bool = False) -> Extension:
    """Return the SubjectAltName extension (RFC 5280 4.2.1.6), names in the given order."""
    encoded = (
        der.tlv((0xA0 if name.number in (0, 3, 4, 5) else 0x80) | name.number, name.content)
        for name in general_names
    )
    return Extension(oid=oids.SUBJECT_ALT_NAME, critical=critical, value=der.sequence(*encoded))


def _distribution_points(urls: Sequence[str]) -> bytes:
    """Return CRLDistributionPoints: one point with all URLs as fullName, as AD CS writes it."""
    full_name = der.explicit(0, *(der.tlv(_CONTEXT_6, url.encode("ascii")) for url in urls))
    return der.sequence(der.sequence(der.explicit(0, full_name)))


def crl_distribution_points(urls: Sequence[str]) -> Extension:
    """Return the CRLDistributionPoints extension (RFC 5280 4.2.1.13)."""
    return Extension(oid=oids.CRL_DISTRIBUTION_POINTS, value=_distribution_points(urls))


def freshest_crl(urls: Sequence[str]) -> Extension:
    """Return the FreshestCRL extension (RFC 5280 4.2.1.15, 5.2.6): where the delta CRL is."""
    return Extension(oid=oids.FRESHEST_CRL, value=_distribution_points(urls))


def published_crl_locations(urls: Sequence[str]) -> Extension:
    """Return Microsoft's Published CRL Locations: where a CRL is published, in the syntax of a CDP."""
    return Extension(oid=oids.MS_PUBLISHED_CRL_LOCATIONS, value=_distribution_points(urls))


def issuing_distribution_point(urls: Sequence[str]) -> Extension:
    """Return the critical IssuingDistributionPoint of a CRL for all its key issued (RFC 5280 5.2.5)."""
    full_name = der.explicit(0, *(der.tlv(_CONTEXT_6, url.encode("ascii")) for url in urls))
    value = der.sequence(der.explicit(0, full_name))
    return Extension(oid=oids.ISSUING_DISTRIBUTION_POINT, critical=True, value=value)


def previous_ca_certificate_hash(sha1: bytes) -> Extension:
    """Return Microsoft's Previous CA Certificate Hash: the thumbprint of the certificate renewed."""
    return Extension(oid=oids.MS_PREVIOUS_CA_CERTIFICATE_HASH, value=der.octet_string(sha1))


def authority_information_access(ca_issuers: Sequence[str], ocsp: Sequence[str] = ()) -> Extension:
    """Return the AuthorityInfoAccess extension (RFC 5280 4.2.2.1): caIssuers first, as AD CS does."""
    descriptions = [
        der.sequence(der.oid(method), der.tlv(_CONTEXT_6, url.encode("ascii")))
        for method, urls in ((oids.AD_CA_ISSUERS, ca_issuers), (oids.AD_OCSP, ocsp))
        for url in urls
    ]
    return Extension(oid=oids.AUTHORITY_INFORMATION_ACCESS, value=der.sequence(*descriptions))


def crl_number(number: int) -> Extension:
    """Return the CRLNumber extension (RFC 5280 5.2.3)."""
    return Extension(oid=oids.CRL_NUMBER, value=der.integer(number))


def template_name(name: str) -> Extension:
    """Return Microsoft's template name extension: a BMPString, for schema version 1."""
    return Extension(oid=oids.MS_TEMPLATE_NAME, value=der.bmp_string(name))


def template_information(template: str, major: int, minor: int) -> Extension:
    """Return Microsoft's template extension: OID and version, for schema version 2 and above."""
    value = der.sequence(der.oid(template), der.integer(major), der.integer(minor))
    return Extension(oid=oids.MS_TEMPLATE, value=value)


def application_policies(purposes: Sequence[str]) -> Extension:
    """Return Microsoft's application policies extension: the purposes in CertificatePolicies syntax."""
    value = der.sequence(*(der.sequence(der.oid(purpose)) for purpose in purposes))
    return Extension(oid=oids.MS_APPLICATION_POLICIES, value=value)


def ca_version(*, certificate_index: int = 0, key_index: int = 0) -> Extension:
    """Return Microsoft's CA version extension: ``key_index << 16 | certificate_index``."""
    return Extension(oid=oids.MS_CA_VERSION, value=der.integer(key_index << 16 | certificate_index))


def next_crl_publish(at: datetime) -> Extension:
    """Return Microsoft's Next CRL Publish extension: when a newer CRL will be out."""
    return Extension(oid=oids.MS_NEXT_CRL_PUBLISH, value=der.time(at))


def ocsp_no_check() -> Extension:
    """Return id-pkix-ocsp-nocheck (RFC 6960 4.2.2.2.1)."""
    return Extension(oid=oids.OCSP_NO_CHECK, value=der.null())


# -- reading ---------------------------------------------------------------------------


def read_extensions(extensions: der.Reader) -> tuple[Extension, ...]:
    """Return the extensions of an opened ``Extensions`` SEQUENCE, in encoded order.

    Raises:
        BadExtension: one cannot be read, or one type is there twice (RFC 5280 4.2).

    """
    found: list[Extension] = []
    seen: set[str] = set()
    try:
        while not extensions.done:
            reader = extensions.enter(what="Extension")
            dotted = reader.oid("extnID")
            flag = reader.optional(der.BOOLEAN)
            value = reader.octets("extnValue")
            reader.finish("Extension")
            if dotted in seen:
                raise BadExtension(f"extension {dotted} is there twice (RFC 5280 4.2)")
            seen.add(dotted)
            critical = flag is not None and flag.content != b"\x00"
            found.append(Extension(oid=dotted, critical=critical, value=value))
    except der.DerError as error:
        raise BadExtension(f"extensions cannot be read: {error}") from error
    return tuple(found)


def find(extensions: Iterable[Extension], oid: str) -> Extension | None:
    """Return the extension of this type, if there is one."""
    return next((extension for extension in extensions if extension.oid == oid), None)


def read_key_usage(value: bytes) -> frozenset[KeyUsage]:
    """Return the bits that are set in a KeyUsage value; raises BadExtension."""
    try:
        reader = der.Reader(value)
        content = reader.element(der.BIT_STRING, "KeyUsage").content
        reader.finish("KeyUsage")
    except der.DerError as error:
        raise BadExtension(f"keyUsage cannot be read: {error}") from error
    if not content or content[0] > 7 or len(content) > 4:
        raise BadExtension("keyUsage is not a BIT STRING of at most 9 bits (RFC 5280 4.2.1.3)")
    bits = content[1:]
    return frozenset(
        usage
        for usage in KeyUsage
        if usage.value < 8 * len(bits) and bits[usage.value // 8] & (0x80 >> usage.value % 8)
    )


def read_extended_key_usage(value: bytes) -> tuple[str, ...]:
    """Return the purposes of an ExtendedKeyUsage value; raises BadExtension, also when it is empty."""
    try:
        reader = der.one(value, what="ExtKeyUsageSyntax")
        purposes = []
        while not reader.done:
            purposes.append(reader.oid("KeyPurposeId"))
    except der.DerError as error:
        raise BadExtension(f"extKeyUsage cannot be read: {error}") from error
    if not purposes:
        raise BadExtension("extKeyUsage has no purpose, expected at least one (RFC 5280 4.2.1.12)")
    return tuple(purposes)


def read_basic_constraints(value: bytes) -> tuple[bool, int | None]:
    """Return cA and pathLenConstraint of a BasicConstraints value; raises BadExtension."""
    try:
        reader = der.one(value, what="BasicConstraints")
        flag = reader.optional(der.BOOLEAN)
        length = None if reader.done else reader.integer("pathLenConstraint")
        reader.finish("BasicConstraints")
    except der.DerError as error:
        raise BadExtension(f"basicConstraints cannot be read: {error}") from error
    return flag is not None and flag.content != b"\x00", length


def read_general_names(value: bytes, what: str = "subjectAltName") -> tuple[GeneralName, ...]:
    """Return the names of a GeneralNames value in order.

    Raises:
        BadExtension: unreadable, empty, or a name that its own type does not allow: NUL or
            non-ASCII in an IA5String, an address of other than 4 or 16 octets.

    """
    try:
        reader = der.one(value, what="GeneralNames")
        found = tuple(_general_name(element, what) for element in reader.elements())
    except (der.DerError, names.BadName) as error:
        raise BadExtension(f"{what} cannot be read: {error}") from error
    if not found:
        raise BadExtension(f"{what} has no name, expected at least one (RFC 5280 4.2.1.6)")
    return found


def _general_name(element: der.Element, what: str) -> GeneralName:
    tag, content, _ = element
    number = tag & 0x1F
    constructed = number in (0, 3, 4, 5)
    if number > 8 or tag != (0xA0 if constructed else 0x80) | number:
        raise BadExtension(f"{what} has a name with tag 0x{tag:02X}, which is no GeneralName")
    if number in (1, 2, 6):
        if not content or not all(0x20 <= octet < 0x7F for octet in content):
            kind = GENERAL_NAME_KINDS[number]
            raise BadExtension(f"{what} has a {kind} name that is empty or not printable ASCII")
        return GeneralName(number, content, content.decode("ascii"))
    if number == 7:
        if len(content) not in (4, 16):
            raise BadExtension(f"{what} has an address of {len(content)} octets, expected 4 or 16")
        return GeneralName(number, content, str(ipaddress.ip_address(content)))
    if number == 0:
        return GeneralName(number, content, _other_name_text(content))
    if number == 4:
        return GeneralName(number, content, names.name_text(content))
    text = der.dotted_oid(content) if number == 8 else "#" + content.hex()
    return GeneralName(number, content, text)


def _other_name_text(content: bytes) -> str:
    reader = der.Reader(content)
    dotted = reader.oid("otherName type-id")
    inner = reader.enter(0xA0, "otherName value")
    reader.finish("otherName")
    tag, octets, raw = inner.element(what="otherName value")
    inner.finish("otherName value")
    text = names.string_text(tag, octets) if names.is_string(tag) else "#" + raw.hex()
    return f"{dotted}={text}"


def read_key_identifier(oid: str, value: bytes) -> bytes | None:
    """Return the key identifier of a SubjectKeyIdentifier or AuthorityKeyIdentifier value, if it has one.

    Raises:
        BadExtension: it cannot be read.

    """
    try:
        reader = der.Reader(value)
        if oid == oids.SUBJECT_KEY_IDENTIFIER:
            return reader.octets("SubjectKeyIdentifier")
        inner = reader.enter(what="AuthorityKeyIdentifier").optional(0x80)
    except der.DerError as error:
        raise BadExtension(f"key identifier cannot be read: {error}") from error
    return inner.content if inner else None


def read_distribution_urls(value: bytes) -> tuple[str, ...]:
    """Return the fullName URLs of a CRLDistributionPoints or FreshestCRL value, in order.

    Points without a fullName, and names that are no URL, are passed over.

    Raises:
        BadExtension: it cannot be read.

    """
    urls: list[str] = []
    try:
        points = der.one(value, what="CRLDistributionPoints")
        while not points.done:
            name = points.enter(what="DistributionPoint").optional(0xA0)
            full = name.reader().optional(0xA0) if name else None
            if full:
                urls += [e.content.decode("ascii") for e in full.reader().elements() if e.tag == _CONTEXT_6]
    except (der.DerError, UnicodeDecodeError) as error:
        raise BadExtension(f"cRLDistributionPoints cannot be read: {error}") from error
    return tuple(urls)


def read_access_urls(value: bytes, method: str) -> tuple[str, ...]:
    """Return the URLs of one access method of an AuthorityInfoAccess value; raises BadExtension."""
    urls: list[str] = []
    try:
        descriptions = der.one(value, what="AuthorityInfoAccess")
        while not descriptions.done:
            description = descriptions.enter(what="AccessDescription")
            dotted = description.oid("accessMethod")
            tag, content, _ = description.element(what="accessLocation")
            if dotted == method and tag == _CONTEXT_6:
                urls.append(content.decode("ascii"))
    except (der.DerError, UnicodeDecodeError) as error:
        raise BadExtension(f"authorityInfoAccess cannot be read: {error}") from error
    return tuple(urls)


def read_ca_version(extensions: Iterable[Extension]) -> tuple[int, int]:
    """Return key index and certificate index of Microsoft's CA version; both 0 where there is none.

    Raises:
        BadExtension: it cannot be read.

    """
    found = find(tuple(extensions), oids.MS_CA_VERSION)
    if found is None:
        return 0, 0
    try:
        version = der.Reader(found.value).integer("CA version")
    except der.DerError as error:
        raise BadExtension(f"CA version cannot be read: {error}") from error
    if not 0 <= version < 1 << 32:
        raise BadExtension(f"CA version is {version}, expected two indexes of 16 bits")
    return version >> 16, version & 0xFFFF


def read_template(extensions: Iterable[Extension]) -> str | None:
    """Return the template a certificate says it is of: its name (20.2) or its OID (21.7), if any.

    Raises:
        BadExtension: it cannot be read.

    """
    for extension in extensions:
        try:
            if extension.oid == oids.MS_TEMPLATE_NAME:
                element = der.Reader(extension.value).element()
                return names.string_text(element.tag, element.content)
            if extension.oid == oids.MS_TEMPLATE:
                return der.one(extension.value, what="template extension").oid("template OID")
        except (der.DerError, names.BadName) as error:
            raise BadExtension(f"template extension cannot be read: {error}") from error
    return None
