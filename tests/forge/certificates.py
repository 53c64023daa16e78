"""Names, certificates and extensions, as right or as wrong as a test wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from . import asn1
from .keys import Key

CN, SERIAL_NUMBER, COUNTRY, LOCALITY, STATE = "2.5.4.3", "2.5.4.5", "2.5.4.6", "2.5.4.7", "2.5.4.8"
ORGANISATION, UNIT = "2.5.4.10", "2.5.4.11"

SKI, KU, SAN, BC, CDP = "2.5.29.14", "2.5.29.15", "2.5.29.17", "2.5.29.19", "2.5.29.31"
NAME_CONSTRAINTS, POLICIES, AKI = "2.5.29.30", "2.5.29.32", "2.5.29.35"
POLICY_CONSTRAINTS, EKU, AIA = "2.5.29.36", "2.5.29.37", "1.3.6.1.5.5.7.1.1"
TLS_FEATURE, PROXY_CERT_INFO = "1.3.6.1.5.5.7.1.24", "1.3.6.1.5.5.7.1.14"
MS_TEMPLATE_NAME, MS_TEMPLATE = "1.3.6.1.4.1.311.20.2", "1.3.6.1.4.1.311.21.7"
MS_SID, UPN = "1.3.6.1.4.1.311.25.2", "1.3.6.1.4.1.311.20.2.3"
CLIENT_AUTH, SERVER_AUTH = "1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.1"

Attribute = tuple[str, int, str | bytes]


def rdn(*attributes: Attribute) -> bytes:
    """Return one RelativeDistinguishedName of (type, string tag, value) triples."""
    return asn1.set_of(
        *asn1.sort_set(
            asn1.seq(
                asn1.oid(type_),
                asn1.string(tag, value) if isinstance(value, str) else asn1.tlv(tag, value),
            )
            for type_, tag, value in attributes
        )
    )


def name(*rdns: bytes) -> bytes:
    """Return a Name of RelativeDistinguishedNames in the given order."""
    return asn1.seq(*rdns)


def common_name(text: str, tag: int = asn1.UTF8) -> bytes:
    """Return a Name with one CN."""
    return name(rdn((CN, tag, text)))


def extension(dotted: str, value: bytes, *, critical: bool = False) -> bytes:
    """Return one Extension."""
    return asn1.seq(asn1.oid(dotted), asn1.boolean(True) if critical else b"", asn1.octets(value))


def key_usage(*bits: int, critical: bool = True) -> bytes:
    """Return keyUsage with numbered bits (RFC 5280 4.2.1.3)."""
    return extension(KU, asn1.named_bits(*bits), critical=critical)


def extended_key_usage(*purposes: str, critical: bool = False) -> bytes:
    """Return extKeyUsage."""
    return extension(EKU, asn1.seq(*(asn1.oid(purpose) for purpose in purposes)), critical=critical)


def basic_constraints(*, is_authority: bool, path_length: int | None = None) -> bytes:
    """Return basicConstraints, critical."""
    inner = asn1.boolean(True) if is_authority else b""
    return extension(
        BC, asn1.seq(inner, b"" if path_length is None else asn1.integer(path_length)), critical=True
    )


def subject_alt_name(*general_names: bytes, critical: bool = False) -> bytes:
    """Return subjectAltName of encoded GeneralNames."""
    return extension(SAN, asn1.seq(*general_names), critical=critical)


def dns(text: str | bytes) -> bytes:
    """Return a dNSName, whatever its octets."""
    return asn1.implicit(2, text if isinstance(text, bytes) else text.encode("latin-1"))


def email(text: str) -> bytes:
    """Return an rfc822Name."""
    return asn1.implicit(1, text.encode())


def uri(text: str) -> bytes:
    """Return a uniformResourceIdentifier."""
    return asn1.implicit(6, text.encode())


def ip(octets: bytes) -> bytes:
    """Return an iPAddress."""
    return asn1.implicit(7, octets)


def directory_name(der: bytes) -> bytes:
    """Return a directoryName."""
    return asn1.explicit(4, der)


def other_name(type_id: str, value: bytes) -> bytes:
    """Return an otherName."""
    return asn1.explicit(0, asn1.oid(type_id), asn1.explicit(0, value))


def utc(text: str) -> bytes:
    """Return a UTCTime from its text."""
    return asn1.tlv(asn1.UTC_TIME, text.encode())


def generalized(text: str) -> bytes:
    """Return a GeneralizedTime from its text."""
    return asn1.tlv(asn1.GENERALIZED_TIME, text.encode())


@dataclass(frozen=True, kw_only=True)
class CertificateForge:
    """A certificate; self-signed as SCEP clients make it unless ``issuer`` and ``issuer_key`` say else."""

    key: Key
    subject: bytes = field(default_factory=lambda: common_name("forged device"))
    issuer: bytes | None = None
    issuer_key: Key | None = None
    serial: bytes | int = 0x5CE9
    version: int | None = 2
    not_before: bytes = utc("200101000000Z")
    not_after: bytes = generalized("20991231235959Z")
    extensions: Sequence[bytes] | bytes = ()
    digest: str = "sha256"
    spki: bytes | None = None
    signature: bytes | None = None

    def encode(self) -> bytes:
        """Return the certificate."""
        signer = self.issuer_key or self.key
        algorithm = signer.signature_algorithm(self.digest)
        serial = asn1.integer(self.serial) if isinstance(self.serial, int) else asn1.tlv(2, self.serial)
        extensions = self.extensions
        if not isinstance(extensions, bytes):
            extensions = asn1.explicit(3, asn1.seq(*extensions)) if extensions else b""
        tbs = asn1.seq(
            b"" if self.version is None else asn1.explicit(0, asn1.integer(self.version)),
            serial,
            algorithm,
            self.issuer if self.issuer is not None else self.subject,
            asn1.seq(self.not_before, self.not_after),
            self.subject,
            self.spki or self.key.spki,
            extensions,
        )
        signature = self.signature if self.signature is not None else signer.sign(tbs, self.digest)
        return asn1.seq(tbs, algorithm, asn1.bits(signature))


@dataclass(frozen=True, slots=True)
class CertificateParts:
    """What tests look at in a certificate, read without any library."""

    der: bytes
    serial: bytes  # whole INTEGER
    issuer: bytes
    subject: bytes
    spki: bytes
    not_before: asn1.Node
    not_after: asn1.Node
    extensions: dict[str, tuple[bool, bytes]]


def read_certificate(der: bytes) -> CertificateParts:
    """Read a certificate that is DER."""
    fields = list(asn1.read(der)[0].children)
    if fields[0].tag == 0xA0:
        fields.pop(0)
    serial, _, issuer, validity, subject, spki, *rest = fields
    extensions = {}
    for block in rest:
        if block.tag == 0xA3:
            for one in block[0].children:
                extensions[one[0].dotted] = (len(one) == 3, one[len(one) - 1].content)
    return CertificateParts(
        der, serial.raw, issuer.raw, subject.raw, spki.raw, validity[0], validity[1], extensions
    )
