"""Where the issuer of a certificate may be found: the given certificates, the anchors, and AIA."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .bundles import read_certificates
from .certificates import UnreadableCertificate, X509Certificate
from .fetch import Retrieval
from .signatures import SignatureVerdict
from .status import TrustInfo

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from .anchors import TrustAnchors
    from .fetch import UrlFetcher


class IssuerPool:
    """The certificates an issuer may be found in; grows by what AIA brings."""

    def __init__(
        self, certificates: Iterable[X509Certificate], anchors: TrustAnchors, fetcher: UrlFetcher | None
    ) -> None:
        self._by_subject: dict[str, list[X509Certificate]] = {}
        self._anchors = anchors
        self._fetcher = fetcher
        self.retrievals: dict[bytes, tuple[Retrieval, ...]] = {}
        for certificate in (*anchors.certificates, *certificates):
            self._add(certificate)

    def _add(self, certificate: X509Certificate) -> None:
        known = self._by_subject.setdefault(certificate.subject_key, [])
        if all(certificate.der != other.der for other in known):
            known.append(certificate)

    @property
    def certificates(self) -> tuple[X509Certificate, ...]:
        """Everything that was given or fetched."""
        return tuple(certificate for known in self._by_subject.values() for certificate in known)

    def issuers(self, certificate: X509Certificate, at: datetime) -> list[X509Certificate]:
        """Return every certificate that could have issued ``certificate``, the likeliest first."""
        self._fetch(certificate)
        found = self._by_subject.get(certificate.issuer_key, [])
        return sorted(found, key=lambda issuer: self._rank(certificate, issuer, at))

    def _rank(self, certificate: X509Certificate, issuer: X509Certificate, at: datetime) -> tuple[bool, ...]:
        return (
            certificate.signature_under(issuer) not in {SignatureVerdict.VALID, SignatureVerdict.WEAK},
            not match_info(certificate, issuer)
            & (TrustInfo.HAS_EXACT_MATCH_ISSUER | TrustInfo.HAS_KEY_MATCH_ISSUER),
            issuer not in self._anchors,
            not issuer.not_before <= at <= issuer.not_after,
        )

    def _fetch(self, certificate: X509Certificate) -> None:
        if self._fetcher is None or certificate.der in self.retrievals or certificate.self_issued:
            return
        self.retrievals[certificate.der] = tuple(
            self._fetch_one(self._fetcher, certificate, number, url)
            for number, url in enumerate(certificate.ca_issuer_urls)
        )

    def _fetch_one(
        self, fetcher: UrlFetcher, certificate: X509Certificate, number: int, url: str
    ) -> Retrieval:
        fetched = fetcher.fetch(url)
        if fetched.octets is None:
            return Retrieval(
                outcome="Failed",
                what="AIA",
                url=url,
                elapsed=fetched.elapsed,
                error=fetched.error,
                detail=fetched.detail,
            )
        try:
            found = read_certificates(fetched.octets)
        except UnreadableCertificate as error:
            return Retrieval(
                outcome="Failed", what="AIA", url=url, elapsed=fetched.elapsed, detail=str(error)
            )
        for issuer in found:
            self._add(issuer)
        fits = next((issuer for issuer in found if _issued(certificate, issuer)), None)
        return Retrieval(
            outcome="Verified" if fits else "Wrong Issuer",
            what=f"Certificate ({number})",
            url=url,
            elapsed=fetched.elapsed,
            sha1=(fits or found[0]).sha1,
            detail="" if fits else f"it is {found[0].subject}, which did not issue {certificate.subject}",
        )


def _issued(certificate: X509Certificate, issuer: X509Certificate) -> bool:
    return certificate.issuer_key == issuer.subject_key and certificate.signature_under(issuer) in {
        SignatureVerdict.VALID,
        SignatureVerdict.WEAK,
    }


def match_info(certificate: X509Certificate, issuer: X509Certificate) -> TrustInfo:
    """Return by what ``issuer`` was found: exact, key or name match (RFC 5280 4.2.1.1)."""
    wanted = certificate.authority_key_id
    exact = (issuer.issuer_key, issuer.serial_number)
    if (wanted.issuer_key, wanted.serial_number) == exact:
        return TrustInfo.HAS_EXACT_MATCH_ISSUER
    if wanted.key_id is not None and wanted.key_id == issuer.subject_key_id:
        return TrustInfo.HAS_KEY_MATCH_ISSUER
    return TrustInfo.HAS_NAME_MATCH_ISSUER
