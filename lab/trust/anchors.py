"""What a chain may end in.

Lives here: collecting anchors from files and from the operating system's store. Does not live here:
judging a chain that ends in one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .bundles import read_certificates
from .certificates import UnreadableCertificate, X509Certificate

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustAnchors:
    """The certificates that are trusted as they are; ``origin`` says where they come from."""

    certificates: tuple[X509Certificate, ...] = ()
    origin: str = "no anchors"
    _known: frozenset[bytes] = field(default=frozenset(), repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_known", frozenset(anchor.der for anchor in self.certificates))

    def __contains__(self, certificate: X509Certificate) -> bool:
        return certificate.der in self._known

    @classmethod
    def of(cls, certificates: Iterable[X509Certificate], *, origin: str) -> TrustAnchors:
        """Return anchors of already read certificates."""
        return cls(certificates=tuple(certificates), origin=origin)

    @classmethod
    def of_files(cls, paths: Iterable[Path]) -> TrustAnchors:
        """Read anchors from files (PEM, DER or PKCS#7).

        Raises:
            OSError: a file cannot be read.
            UnreadableCertificate: a file holds no certificate; the text names it.

        """
        found: list[X509Certificate] = []
        names = []
        for path in paths:
            try:
                found += read_certificates(path.read_bytes())
            except UnreadableCertificate as error:
                raise UnreadableCertificate(f"{path}: {error}") from error
            names.append(str(path))
        return cls(certificates=tuple(found), origin=", ".join(names))

    @classmethod
    def of_system(cls) -> TrustAnchors:
        """Read the roots this machine trusts; those that cannot be read are left out.

        `oscrypto.trust_list` is the one part of oscrypto that works with every OpenSSL 3.
        """
        from oscrypto import trust_list

        found = []
        for certificate, _trust, _reject in trust_list.get_list():
            try:
                found.append(X509Certificate.read(certificate.dump()))
            except UnreadableCertificate:
                continue
        return cls(certificates=tuple(found), origin="the trust store of this machine")
