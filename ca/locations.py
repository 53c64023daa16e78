"""Where what one CA publishes is found: file names, and the URLs in certificates and CRLs.

Both follow from the same lines, CRLPublicationURLs and CACertPublicationURLs; file names are the last
part of the places that something is published to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from . import extensions, names
from .publication_urls import CertificateFlag, CrlFlag, PublicationLine, PublicationTokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .certificates import CertificateInfo
    from .settings import PkiSettings

_FILE_NAME_SAFE: Final = re.compile(r"[A-Za-z0-9 ._()'@$,;=+{}\[\]~^-]")


def sanitized_name(common_name: str) -> str:
    """Return a CA's common name as file names have it: what a file system may refuse becomes ``!xxxx``.

    A dot that begins the name is replaced too, so that no name hides a file or climbs out of a folder.
    """
    out: list[str] = []
    for index, character in enumerate(common_name):
        if _FILE_NAME_SAFE.fullmatch(character) and not (character == "." and index == 0):
            out.append(character)
        else:
            units = character.encode("utf-16-be")
            out += [f"!{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2)]
    return "".join(out)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicationLocations:
    """The places of one key and certificate of a CA.

    ``delta_crl_file`` is a name even where no delta CRLs are published (`publishes_deltas`).
    """

    crl_file: str  # of lines with flag 1
    delta_crl_file: str  # of lines with flag 64
    certificate_file: str  # of lines with flag 1
    crl_urls: tuple[str, ...]  # into CDP of certificates: flag 2
    delta_crl_urls: tuple[str, ...]  # into freshest CRL: flag 4
    ca_issuers_urls: tuple[str, ...]  # into AIA of certificates: flag 2
    ocsp_urls: tuple[str, ...] = ()  # into AIA of certificates: flag 32
    published_crl_urls: tuple[str, ...] = ()  # into every base CRL: flag 8
    published_delta_crl_urls: tuple[str, ...] = ()  # into every delta CRL: flag 8
    distribution_point_urls: tuple[str, ...] = ()  # into IDP of every CRL: flag 128
    publishes_deltas: bool = False

    @classmethod
    def of(
        cls,
        settings: PkiSettings,
        common_name: str,
        *,
        ocsp: bool,
        key_index: int = 0,
        certificate_index: int = 0,
    ) -> Self:
        """Return the locations of the CA with this common name, for one of its keys and certificates."""
        tokens = PublicationTokens(
            server_dns_name=settings.host,
            ca_name=sanitized_name(common_name),
            key_index=key_index,
            certificate_index=certificate_index,
            configuration_container=settings.configuration_container,
        )
        crl, certificate = settings.crl_lines, settings.certificate_lines
        own_ocsp = (settings.ocsp_url,) if settings.ocsp.enabled else ()
        other_ocsp = _urls(certificate, CertificateFlag.OCSP, tokens)

        def of_crl(flag: CrlFlag, *, delta: bool = False) -> tuple[str, ...]:
            return _urls(crl, flag, tokens, delta=delta)

        return cls(
            crl_file=published_name(crl, CrlFlag.PUBLISH_BASE, tokens),
            delta_crl_file=_delta_name(crl, tokens),
            certificate_file=published_name(certificate, CertificateFlag.PUBLISH, tokens),
            crl_urls=of_crl(CrlFlag.CERTIFICATE_CDP),
            delta_crl_urls=of_crl(CrlFlag.FRESHEST_CRL, delta=True),
            ca_issuers_urls=_urls(certificate, CertificateFlag.CERTIFICATE_AIA, tokens),
            ocsp_urls=(*own_ocsp, *other_ocsp) if ocsp else (),
            published_crl_urls=of_crl(CrlFlag.PUBLISHED_LOCATIONS),
            published_delta_crl_urls=of_crl(CrlFlag.PUBLISHED_LOCATIONS, delta=True),
            distribution_point_urls=of_crl(CrlFlag.ISSUING_DISTRIBUTION_POINT),
            publishes_deltas=settings.publishes_deltas,
        )

    @classmethod
    def of_certificate(cls, settings: PkiSettings, certificate: CertificateInfo, *, ocsp: bool) -> Self:
        """Return the locations of a CA by its certificate: the name, and the indexes in its CA version."""
        key_index, certificate_index = extensions.read_ca_version(certificate.extensions)
        return cls.of(
            settings,
            names.common_name(certificate.subject_der),
            ocsp=ocsp,
            key_index=key_index,
            certificate_index=certificate_index,
        )


def published_name(
    lines: Iterable[PublicationLine],
    flag: CrlFlag | CertificateFlag,
    tokens: PublicationTokens,
    *,
    delta: bool = False,
) -> str:
    """Return the one file name that the lines with this flag publish under.

    Raises:
        ValueError: there is none, more than one, or one that is no file name of its kind.

    """
    names = {line.file_name(tokens, delta=delta) for line in lines if line.flags & flag and not line.is_ldap}
    if len(names) != 1:
        found = ", ".join(sorted(names)) or "none"
        raise ValueError(f"lines with flag {flag.value} ({flag.name}) publish as {found}, expected one name")
    (name,) = names
    suffix = ".crl" if isinstance(flag, CrlFlag) else ".crt"
    if not name.endswith(suffix) or name == suffix or name.startswith("."):
        raise ValueError(
            f"a line with flag {flag.value} publishes as {name!r}, expected a name with {suffix}"
        )
    return name


def check_lines(
    crl_lines: Sequence[PublicationLine], certificate_lines: Sequence[PublicationLine], *, deltas: bool
) -> None:
    """Raise ValueError where the files of a CA, its keys and its delta CRLs would not be told apart.

    Names that stand in extensions must be URLs (RFC 5280 4.2.1.13).
    """
    first = PublicationTokens(server_dns_name="a.example", ca_name="A")
    renewed = PublicationTokens(server_dns_name="a.example", ca_name="A", key_index=1, certificate_index=1)
    bases = [published_name(crl_lines, CrlFlag.PUBLISH_BASE, tokens) for tokens in (first, renewed)]
    if bases[0] == bases[1]:
        raise ValueError("the CRLs of two keys of the CA would have the same name: %8 is missing")
    if deltas and published_name(crl_lines, CrlFlag.PUBLISH_DELTA, first, delta=True) != _plus(bases[0]):
        raise ValueError("a delta CRL is named after its base with a plus sign: %9.crl ends the name")
    names = [
        published_name(certificate_lines, CertificateFlag.PUBLISH, tokens) for tokens in (first, renewed)
    ]
    if names[0] == names[1]:
        raise ValueError("two certificates of the CA would have the same name: %4 is missing")
    other = PublicationTokens(server_dns_name="a.example", ca_name="B")
    if (
        published_name(crl_lines, CrlFlag.PUBLISH_BASE, other) == bases[0]
        or published_name(certificate_lines, CertificateFlag.PUBLISH, other) == names[0]
    ):
        raise ValueError("files of two CAs would have the same name: %3 is missing")
    for line in (*crl_lines, *certificate_lines):
        named = line.flags & ~(CrlFlag.PUBLISH_BASE | CrlFlag.PUBLISH_DELTA)
        if named and not line.is_url:
            raise ValueError(f"{line}: its flags write it into extensions, and it is no URL")


def publishes_deltas(lines: Iterable[PublicationLine]) -> bool:
    """Tell whether there is a place for delta CRLs."""
    return any(line.flags & CrlFlag.PUBLISH_DELTA and not line.is_ldap for line in lines)


def _delta_name(lines: Sequence[PublicationLine], tokens: PublicationTokens) -> str:
    if publishes_deltas(lines):
        return published_name(lines, CrlFlag.PUBLISH_DELTA, tokens, delta=True)
    return _plus(published_name(lines, CrlFlag.PUBLISH_BASE, tokens))


def _plus(name: str) -> str:
    return f"{name.removesuffix('.crl')}+.crl"


def _urls(
    lines: Iterable[PublicationLine],
    flag: CrlFlag | CertificateFlag,
    tokens: PublicationTokens,
    *,
    delta: bool = False,
) -> tuple[str, ...]:
    return tuple(line.url(tokens, delta=delta) for line in lines if line.flags & flag)
