"""A PKI opened for serving: CA, earlier keys, root certificate and database, each an attribute.

The base of whatever serves one, in a process of its own or with others in one process. Whoever wants
another collaborator in the place of one finds it here. Does not live here: opening each (`ca.opening`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .opening import (
    open_authority,
    open_earlier_authorities,
    open_issuing_certificates,
    open_issuing_key,
    open_root_certificate,
    open_store,
    root_locations,
)
from .records import CrlKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from .authority import CertificateAuthority
    from .certificates import CertificateInfo, CertificateSigner
    from .clock import Clock
    from .folders import PkiFolder
    from .keys import SigningKey
    from .records import CertificateRecord, CrlRecord, Store
    from .settings import PkiSettings


class HasPkiSettings(Protocol):
    """Settings that say at least how the PKI is."""

    @property
    def pki(self) -> PkiSettings:
        """What is said about the PKI."""


class OpenPki:
    """The issuing CA of a folder and its database. The root's key is no part of it.

    ``_put_together`` is called at the end; what serves makes there whatever remembers requests.

    Raises:
        FolderError: there is no PKI, or a file of it is missing or broken.
        UnusableKey: a key's file and the passphrase do not belong together.
        BadTemplate: one of the user's templates cannot be used.
        CaError: key and certificate do not belong together.
        StoreUnavailable: the database cannot be used.
        OSError: the folder cannot be written.

    """

    settings: HasPkiSettings

    def __init__(
        self,
        folder: PkiFolder,
        settings: HasPkiSettings,
        *,
        clock: Clock,
        entropy: Callable[[int], bytes],
        durable: bool = True,
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.pki = pki = settings.pki
        self.clock = clock
        self.entropy = entropy
        self._durable = durable
        self.root = open_root_certificate(folder)
        self.root_locations = root_locations(folder, pki)
        issuing = open_issuing_key(folder, pki)
        self.authority = open_authority(
            folder, pki, clock=clock, entropy=entropy, issuing=issuing, signer=self._new_signer(issuing.key)
        )
        self.earlier_authorities = open_earlier_authorities(folder, pki, clock=clock, entropy=entropy)
        self.issuing_certificates = open_issuing_certificates(folder)  # newest first
        self.store = self._open_store()
        self._put_together()

    def _new_signer(self, key: SigningKey) -> CertificateSigner | None:
        """Return what signs certificates; None is the CA's ``key`` itself."""
        del key
        return None

    def _open_store(self) -> Store:
        """Return the database, open."""
        return open_store(self.folder, self.pki, durable=self._durable)

    def _put_together(self) -> None:
        """Make what remembers the requests it has seen; called again to begin anew."""

    @property
    def authorities(self) -> tuple[CertificateAuthority, ...]:
        """The issuing CA under its present key, and then under the earlier ones."""
        return (self.authority, *self.earlier_authorities)

    def authority_of(self, certificate: CertificateRecord) -> CertificateAuthority:
        """Return the CA under the key that issued a certificate; the present one if none did."""
        found = (one for one in self.authorities if one.issuer_key_id == certificate.issuer_key_id)
        return next(found, self.authority)

    def is_revoked(self, certificate: CertificateInfo) -> bool:
        """Tell whether the issuing CA has revoked one of its certificates."""
        with self.store.reading() as transaction:
            record = transaction.certificate_by_serial(certificate.issuer_key_id, certificate.serial_number)
        return record is not None and record.revocation is not None

    def latest_crl(self, kind: CrlKind = CrlKind.BASE) -> CrlRecord | None:
        """Return the last CRL of this kind that was signed with the present key."""
        with self.store.reading() as transaction:
            return transaction.latest_crl(self.authority.issuer_key_id, kind)

    def close(self) -> None:
        """Close the database."""
        self.store.close()
