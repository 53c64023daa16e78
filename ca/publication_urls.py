"""CRLPublicationURLs and CACertPublicationURLs as AD CS writes them: flags, a colon, a URL with tokens.

``79:http://%1/CertEnroll/%3%8%9.crl`` says by its flags where a file is published and which extensions
name it, and by its tokens what it is called. Pure text; does not live here: which lines a CA has
(`ca.settings`), and what is put at a place (the publisher).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntFlag
from typing import Final, Self
from urllib.parse import quote


class CrlFlag(IntFlag):
    """What a line of CRLPublicationURLs is for (CSURL_*)."""

    PUBLISH_BASE = 1
    CERTIFICATE_CDP = 2
    FRESHEST_CRL = 4  # where base CRLs say that the delta CRL is
    PUBLISHED_LOCATIONS = 8  # 1.3.6.1.4.1.311.21.14 of every CRL
    PUBLISH_DELTA = 64
    ISSUING_DISTRIBUTION_POINT = 128


class CertificateFlag(IntFlag):
    """What a line of CACertPublicationURLs is for (CSURL_*)."""

    PUBLISH = 1
    CERTIFICATE_AIA = 2
    OCSP = 32


_TOKEN: Final = re.compile(r"%(%|\d{1,2}|)")
_LINE: Final = re.compile(r"\s*(\d{1,9}):(.*)", re.DOTALL)
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_LAST_TOKEN: Final = 11
_TRUNCATED: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicationTokens:
    """What the tokens stand for, for one key and certificate of a CA."""

    server_dns_name: str  # %1
    ca_name: str  # %3, sanitized
    certificate_index: int = 0  # of the CA's certificate, for %4
    key_index: int = 0  # of the CA's key, for %4 and %8
    configuration_container: str = "DC=UnavailableConfigDN"  # %6; what a CA without a domain writes

    def values(self, *, delta: bool) -> dict[int, str]:
        """Return the text of each token, by number."""
        container = self.configuration_container
        place = "delta" if delta else "certificate"
        return {
            1: self.server_dns_name,
            2: _short_name(self.server_dns_name),
            3: self.ca_name,
            4: self.certificate_suffix,
            5: container.removeprefix("CN=Configuration,"),
            6: container,
            7: truncated_name(self.ca_name),
            8: self.crl_suffix,
            9: "+" if delta else "",
            10: f"?{place}RevocationList?base?objectClass=cRLDistributionPoint",
            11: "?cACertificate?base?objectClass=certificationAuthority",
        }

    @property
    def certificate_suffix(self) -> str:
        """CertificateName: nothing, ``(1)`` after renewal with a new key, ``(0-1)`` with the same."""
        if self.certificate_index == 0:
            return ""
        if self.certificate_index == self.key_index:
            return f"({self.key_index})"
        return f"({self.key_index}-{self.certificate_index})"

    @property
    def crl_suffix(self) -> str:
        """CRLNameSuffix: nothing for the first key, ``(1)`` for that of certificate 1."""
        return f"({self.key_index})" if self.key_index else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicationLine:
    """One line: what it is for, and where."""

    flags: int
    template: str

    def __str__(self) -> str:
        return f"{self.flags}:{self.template}"

    @classmethod
    def parse(cls, text: str, *, known: type[IntFlag]) -> Self:
        """Read ``79:http://%1/CertEnroll/%3%8%9.crl``.

        Raises:
            ValueError: no number and colon, an unknown flag or token, or nothing after the colon.

        """
        match = _LINE.fullmatch(text)
        if match is None or not match[2].strip():
            raise ValueError(f"{text!r} is not a publication URL, expected flags:URL, such as 65:%3%8%9.crl")
        flags, template = int(match[1]), match[2].strip()
        strange = flags & ~sum(known)
        if strange:
            names = ", ".join(f"{flag.value} {flag.name}" for flag in known)
            raise ValueError(f"{text!r} has the flags {strange}, known are {names}")
        for token in _TOKEN.findall(template):
            if token != "%" and not (token and 1 <= int(token) <= _LAST_TOKEN):
                raise ValueError(
                    f"{text!r} has %{token}, expected %1 to %{_LAST_TOKEN}, or %% for a per cent"
                )
        if not template.isascii() or not template.isprintable():
            raise ValueError(f"{text!r} has characters that no URL has (RFC 3986 2)")
        return cls(flags=flags, template=template)

    @property
    def is_ldap(self) -> bool:
        """Whether the place is a directory: written into certificates, never published to from here."""
        return self.template.lower().startswith("ldap:")

    @property
    def is_url(self) -> bool:
        """Whether it is a URL, and not a path of files."""
        return _SCHEME.match(self.template) is not None or self.is_ldap

    def file_name(self, tokens: PublicationTokens, *, delta: bool = False) -> str:
        """Return the last part of the path, tokens replaced."""
        values = tokens.values(delta=delta)
        last = re.split(r"[/\\]", self.template)[-1]
        return _TOKEN.sub(lambda match: "%" if match[1] == "%" else values[int(match[1])], last)

    def url(self, tokens: PublicationTokens, *, delta: bool = False) -> str:
        """Return the place as it stands in an extension, tokens replaced and encoded (RFC 3986 2)."""
        values = tokens.values(delta=delta)

        def expanded(match: re.Match[str]) -> str:
            if match[1] == "%":
                return "%"
            return _encoded(values[int(match[1])], int(match[1]), ldap=self.is_ldap)

        return _TOKEN.sub(expanded, self.template).replace(" ", "%20")


def line_of(flags: int, base: str, rest: str) -> PublicationLine:
    """Return a line that begins with a URL taken as it is, and goes on with tokens."""
    return PublicationLine(flags=flags, template=base.replace("%", "%%") + rest)


def truncated_name(name: str) -> str:
    """Return CATruncatedName: of a long name the first 32 characters and a checksum of all of it."""
    if len(name) <= _TRUNCATED:
        return name
    checksum = 0
    for character in name:
        checksum = ((checksum << 1 | checksum >> 15) + ord(character)) & 0xFFFF
    return f"{name[:_TRUNCATED]}-{checksum:05d}"


def _short_name(dns_name: str) -> str:
    """Return the NetBIOS name that goes with a DNS name; an address has none but itself."""
    first = dns_name.partition(".")[0]
    return dns_name if first.isdecimal() else first.upper()[:15]


def _encoded(value: str, token: int, *, ldap: bool) -> str:
    if token in (10, 11):
        return value
    if not ldap:
        return quote(value, safe="()'!+,;=@$~")
    if token not in (5, 6):
        value = re.sub(r'([,+"\\<>;=])', r"\\\1", value)  # RFC 4514 2.4
    return quote(value, safe="()'!,=")
