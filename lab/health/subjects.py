"""What there is to look at: the CAs with what they issued, and the RA's certificates.

Read from the files of a PKI's folder alone: no key, no passphrase and no database is needed to say
how it is. Locations are those written into certificates, as clients find them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ca.folders import FolderError, read_certificate_file
from lab.trust import UnreadableCertificate, X509Certificate
from lab.trust.signatures import SignatureVerdict

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ca.folders import PkiFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthoritySubject:
    """One CA certificate. ``issued`` are certificates by it, whose AIA and CDP tell the locations.

    ``issuer`` is the certificate of the CA above, None for a root. The further URLs are those it
    will write into certificates from now on.
    """

    certificate: X509Certificate
    issuer: X509Certificate | None
    generation: int = 0  # of the CA's certificate: how often it was renewed
    superseded: bool = False  # by a later generation; nobody misses it once it has ended
    issued: tuple[X509Certificate, ...] = ()
    more_aia_urls: tuple[str, ...] = ()
    more_crl_urls: tuple[str, ...] = ()
    more_delta_urls: tuple[str, ...] = ()
    more_ocsp_urls: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return the common name, or the whole name where there is none; with the renewal's number."""
        name = common_name(self.certificate.subject)
        return f"{name} ({self.generation})" if self.generation else name

    @property
    def aia_urls(self) -> tuple[str, ...]:
        """Where its certificate is to be had."""
        return _unique(*(one.ca_issuer_urls for one in self.issued), self.more_aia_urls)

    @property
    def crl_urls(self) -> tuple[str, ...]:
        """Where its CRL is to be had."""
        return _unique(*(one.crl_urls for one in self.issued), self.more_crl_urls)

    @property
    def ocsp_urls(self) -> tuple[str, ...]:
        """Where its responder answers."""
        return _unique(*(one.ocsp_urls for one in self.issued), self.more_ocsp_urls)


@dataclass(frozen=True, slots=True, kw_only=True)
class RaSubject:
    """One RA certificate; ``problem`` says why there is none."""

    role: str
    certificate: X509Certificate | None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PkiSubjects:
    """Everything to look at, root first."""

    authorities: tuple[AuthoritySubject, ...]
    ra: tuple[RaSubject, ...] = ()


def subjects_of_folder(folder: PkiFolder) -> PkiSubjects:
    """Return what the files of a PKI's folder name.

    Raises:
        NoPki: there is no PKI in it.
        PkiUnreadable: a CA's certificate cannot be read.
        UnreadableCertificate: a CA's certificate is none.

    """
    folder.require()
    root = X509Certificate.read(read_certificate_file(folder.issuing_root_certificate))
    issuing = [
        X509Certificate.read(read_certificate_file(generation / "issuing.crt"))
        for generation in folder.issuing_generations()
    ]
    ra = (
        _ra("signing", folder.ra_signing_certificate),
        _ra("encryption", folder.ra_encryption_certificate),
    )
    found = tuple(one.certificate for one in ra if one.certificate is not None)
    return PkiSubjects(
        authorities=(
            AuthoritySubject(certificate=root, issuer=None, issued=tuple(issuing)),
            *(
                AuthoritySubject(
                    certificate=certificate,
                    issuer=root,
                    generation=generation,
                    superseded=generation + 1 < len(issuing),
                    issued=tuple(one for one in found if issued_by(one, certificate)),
                )
                for generation, certificate in enumerate(issuing)
            ),
        ),
        ra=ra,
    )


def issued_by(certificate: X509Certificate, issuer: X509Certificate) -> bool:
    """Whether the key of ``issuer`` signed ``certificate``."""
    return certificate.issuer_key == issuer.subject_key and certificate.signature_under(issuer) in {
        SignatureVerdict.VALID,
        SignatureVerdict.WEAK,
    }


def _ra(role: str, path: Path) -> RaSubject:
    try:
        return RaSubject(role=role, certificate=X509Certificate.read(read_certificate_file(path)))
    except (FolderError, UnreadableCertificate) as error:
        return RaSubject(role=role, certificate=None, problem=str(error))


def common_name(name: str) -> str:
    """Return the first common name of a name's text, or all of it."""
    for part in name.split(", "):
        if part.startswith("CN="):
            return part[3:].strip('"')
    return name


def _unique(*groups: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(url for group in groups for url in group))
