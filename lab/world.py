"""One PKI with everything that serves it, put together: CA, RA and publisher in one process.

Made from a folder and settings; knows no sockets. Every collaborator is an attribute, so that
whoever wants another one in its place finds it here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509

from ca.ceremony import ensure_pki
from ca.keys import generate_keys
from ca.records import CrlKind
from crl_publisher.publisher import CrlPublisher
from scep_server.server import ScepServer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from ca.authority import CertificateAuthority
    from ca.certificates import CertificateSigner
    from ca.clock import Clock
    from ca.folders import PkiFolder
    from ca.keys import KeyKind, PrivateKey, SigningKey
    from ca.records import Store
    from scep_server.exchange import ExchangeObserver
    from scep_server.ndes.loading import LoadedOnDemand
    from scep_server.protocol.codec import Codec

    from .settings import LabSettings


class Wrapping:
    """What stands between a world and its collaborators: nothing, unless a subclass says otherwise."""

    def codec(self, codec: Codec) -> Codec:
        """Return the codec that is used in place of ``codec``."""
        return codec

    def signer(self, key: SigningKey) -> CertificateSigner | None:
        """Return what signs certificates in place of the CA's ``key``; None is the key itself."""
        del key
        return None

    def store(self, store: Store) -> Store:
        """Return the store that is used in place of ``store``."""
        return store

    def authority(self, authority: CertificateAuthority) -> CertificateAuthority:
        """Return the CA to which the RA hands requests in place of ``authority``."""
        return authority

    def service(self, service: LoadedOnDemand) -> LoadedOnDemand:
        """Return the SCEP server that is used in place of ``service``."""
        return service


class World(ScepServer, CrlPublisher):
    """A PKI, open for SCEP and for publishing, with a wrapping around what serves it.

    Raises as `ca.open_pki.OpenPki` does.
    """

    settings: LabSettings

    def __init__(
        self,
        folder: PkiFolder,
        settings: LabSettings,
        *,
        clock: Clock,
        entropy: Callable[[int], bytes],
        observers: Sequence[ExchangeObserver] = (),
        durable: bool = True,
        wrapping: Wrapping | None = None,
    ) -> None:
        self._wrapping = wrapping or Wrapping()
        super().__init__(folder, settings, clock=clock, entropy=entropy, observers=observers, durable=durable)

    @classmethod
    def make(
        cls,
        folder: PkiFolder,
        settings: LabSettings,
        *,
        clock: Clock,
        entropy: Callable[[int], bytes],
        observers: Sequence[ExchangeObserver] = (),
        durable: bool = True,
        wrapping: Wrapping | None = None,
        make_keys: Callable[[Sequence[KeyKind]], Sequence[PrivateKey]] = generate_keys,
    ) -> World:
        """Return the world of a folder, after holding the key ceremony if there is no PKI in it.

        Raises as the ceremony and opening do.
        """
        ensure_pki(folder, settings.pki, clock=clock, entropy=entropy, durable=durable, make_keys=make_keys)
        return cls(
            folder,
            settings,
            clock=clock,
            entropy=entropy,
            observers=observers,
            durable=durable,
            wrapping=wrapping,
        )

    # -- what is wrapped ---------------------------------------------------------------

    def _new_signer(self, key: SigningKey) -> CertificateSigner | None:
        return self._wrapping.signer(key)

    def _open_store(self) -> Store:
        return self._wrapping.store(super()._open_store())

    def _log_observers(self) -> tuple[ExchangeObserver, ...]:
        return self.ndes_logs.observers  # which management shows

    def _new_codec(self) -> Codec:
        return self._wrapping.codec(super()._new_codec())

    def _issuing(self) -> CertificateAuthority:
        return self._wrapping.authority(super()._issuing())

    def new_service(self) -> LoadedOnDemand:
        """Return a SCEP service over what this world has when it is loaded."""
        return self._wrapping.service(super().new_service())

    # -- beginning again ---------------------------------------------------------------

    def begin_again(self) -> None:
        """Forget every request there was, as a new process does; keys, database and passwords stay.

        Raises:
            RaUnusable: the profile wants to know now, and the RA's certificates cannot be used.

        """
        self._put_together()
        self.start()

    # -- publishing --------------------------------------------------------------------

    def on_publication(self, tell: Callable[[datetime], None]) -> None:
        """Have ``tell`` called, after each publication, with the instant the next one is due."""
        self.publishing.on_publication(tell)

    def publish_all(self) -> None:
        """Publish everything that is good; sign CRLs first where the last ones are no longer."""
        self.publishing.publish_all()

    def publish_crl(self, kind: CrlKind = CrlKind.BASE) -> datetime:
        """Sign and publish new CRLs of the issuing CA; return when the next ones are due.

        Raises:
            CaError: one cannot be signed.
            PublicationRefused: one fails a check; the last good one stays.
            StoreUnavailable, OSError: database or folder cannot be written.

        """
        return self.publishing.publish(kind)

    def misdirections(self) -> tuple[str, ...]:
        """Return, in plain words, where the issuing CA's certificate sends clients elsewhere."""
        expected = (*self.root_locations.crl_urls, *self.root_locations.ca_issuers_urls)
        return tuple(
            f"the issuing CA's certificate names {url}, but this lab publishes at {self.pki.public_url}"
            for url in _urls_in(self.authority.certificate.der)
            if url not in expected
        )


def _urls_in(certificate: bytes) -> list[str]:
    """Return the CDP and AIA URLs of a certificate."""
    extensions = x509.load_der_x509_certificate(certificate).extensions
    names: list[x509.GeneralName] = []
    for extension in extensions:
        if isinstance(extension.value, x509.CRLDistributionPoints):
            names += [name for point in extension.value for name in point.full_name or ()]
        elif isinstance(extension.value, x509.AuthorityInformationAccess):
            names += [access.access_location for access in extension.value]
    return [name.value for name in names if isinstance(name, x509.UniformResourceIdentifier)]
