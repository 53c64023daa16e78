"""One PKI with everything that serves it, put together: the composition of CA, RA and publisher.

Made from a folder and settings; knows no sockets. Every collaborator is an attribute, so that
whoever wants another one in its place finds it here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from cryptography import x509

from ca.ceremony import hold_ceremony
from ca.challenges import ChallengeBook
from ca.keys import generate_keys
from ca.ocsp_responder import OcspResponder, ServedIssuer
from ca.opening import (
    open_authority,
    open_challenge_digest_key,
    open_earlier_authorities,
    open_issuing_certificates,
    open_issuing_key,
    open_next_issuing,
    open_ocsp_credentials,
    open_root_certificate,
    open_store,
    root_locations,
)
from ca.records import CrlKind
from crl_publisher import Publication
from scep_server.ca_certificates import NextCa
from scep_server.ndes.loading import LoadedOnDemand
from scep_server.operations import ScepService
from scep_server.protocol.codec import ScepCodec
from scep_server.ra import KeyMessageSigner, RaIdentity
from scep_server.ra_standing import require_usable
from scep_server.transport import Router

from .ndes_logs import NdesLogs
from .ndes_web import make_ndes_web
from .publishing import Publishing
from .registration import open_ra

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from ca.authority import CertificateAuthority
    from ca.certificates import CertificateInfo, CertificateSigner
    from ca.clock import Clock
    from ca.folders import PkiFolder
    from ca.keys import KeyKind, PrivateKey, SigningKey
    from ca.ocsp_responder import OcspAnswer
    from ca.records import CertificateRecord, CrlRecord, Store
    from crl_publisher.publication import PublishedFile
    from scep_server.exchange import ExchangeObserver, HttpExchangeRequest, HttpReply
    from scep_server.protocol.codec import Codec
    from scep_server.ra import RegistrationAuthority

    from .settings import LabSettings

_log = structlog.get_logger(__name__)


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


class World:
    """A PKI, open for serving. The root's key is no part of it.

    Is itself what `scep_server.app.create_app` serves, and the files and who answers OCSP for
    `crl_publisher.app.create_app`, so that ``service``, ``publication`` and ``responder`` may be replaced
    while requests come in. Nothing is published until `publish_all`.

    Raises:
        FolderError: there is no PKI, or a file of it is missing or broken.
        UnusableKey: a key's file and the passphrase do not belong together.
        BadTemplate: one of the user's templates cannot be used.
        CaError: key and certificate do not belong together.
        StoreUnavailable: the database cannot be used.
        OSError: the folder cannot be written.

    """

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
        self._wrapping = wrapping = wrapping or Wrapping()
        self.folder = folder
        self.settings = settings = settings.with_registry()
        self.pki = settings.pki
        self.clock = clock
        self.entropy = entropy
        self._given_observers = tuple(observers)
        self.root = open_root_certificate(folder)
        self.root_locations = root_locations(folder, self.pki)
        issuing = open_issuing_key(folder, self.pki)
        self.authority = open_authority(
            folder,
            self.pki,
            clock=clock,
            entropy=entropy,
            issuing=issuing,
            signer=wrapping.signer(issuing.key),
        )
        self.earlier_authorities = open_earlier_authorities(folder, self.pki, clock=clock, entropy=entropy)
        self.issuing_certificates = open_issuing_certificates(folder)  # newest first
        self._registration_authority: RegistrationAuthority | None = None
        self._digest_key = open_challenge_digest_key(folder, self.pki)
        self.challenges = ChallengeBook(
            digest_key=self._digest_key,
            clock=clock,
            entropy=entropy,
            sealing=any(endpoint.password_recipients for endpoint in settings.scep.endpoints.values()),
        )
        self._durable = durable
        self.publishing = Publishing(self)
        self.store = wrapping.store(open_store(folder, self.pki, durable=durable))
        self._put_together()

    def _put_together(self, ndes_password: str | None = None) -> None:
        """Make what remembers the requests it has seen."""
        settings = self.settings
        self.ndes_logs = NdesLogs(
            self.folder.path, settings.logs, clock=self.clock, profile=settings.scep.ndes_profile
        )
        self.observers = (*self._given_observers, *self.ndes_logs.observers)
        self.codec = self._wrapping.codec(ScepCodec())
        self.publication = Publication(self.folder.published, self.clock, durable=self._durable)
        self.ndes = make_ndes_web(self, self._digest_key, password=ndes_password)
        if self.ndes.host is not None:
            self.observers = (*self.observers, self.ndes.host)
        self.service = self.new_service()
        self.responder = self.new_responder()

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
        if not folder.settle():
            hold_ceremony(
                folder, settings.pki, clock=clock, entropy=entropy, durable=durable, make_keys=make_keys
            )
        return cls(
            folder,
            settings,
            clock=clock,
            entropy=entropy,
            observers=observers,
            durable=durable,
            wrapping=wrapping,
        )

    @property
    def registration_authority(self) -> RegistrationAuthority:
        """The RA with its keys, opened when first needed; raises RaUnusable when they cannot be opened."""
        if self._registration_authority is None:
            self._registration_authority = open_ra(
                self.folder, self.pki, with_retired=self.settings.scep.ndes_profile.retired_ra_keys
            )
        return self._registration_authority

    @registration_authority.setter
    def registration_authority(self, value: RegistrationAuthority) -> None:
        self._registration_authority = value

    def require_ra(self) -> None:
        """Raise RaUnusable unless the RA's certificates can be used now."""
        certificates = self.registration_authority
        require_usable(
            signing=certificates.signing,
            encryption=certificates.encryption,
            issuers=self.issuing_certificates,
            now=self.clock.now(),
            is_revoked=self.is_revoked,
        )

    def is_revoked(self, certificate: CertificateInfo) -> bool:
        """Tell whether the issuing CA has revoked one of its certificates."""
        with self.store.reading() as transaction:
            record = transaction.certificate_by_serial(certificate.issuer_key_id, certificate.serial_number)
        return record is not None and record.revocation is not None

    def start(self) -> None:
        """Load the service now, where the profile does not leave that to the first request.

        Raises:
            RaUnusable: the RA's certificates cannot be used.

        """
        if not self.settings.scep.ndes_profile.is_ndes:
            self.service.start()

    def recycle(self) -> None:
        """Restart the service, as `iisreset` does: the next request loads it, RA certificates and all.

        Raises:
            RaUnusable: the profile wants to know now, and they cannot be used.

        """
        self._registration_authority = None
        self.ndes.face.recycle()
        self.service.recycle()
        self.start()

    def begin_again(self) -> None:
        """Forget every request there was, as a new process does; keys, database and passwords stay.

        Raises:
            RaUnusable: the profile wants to know now, and the RA's certificates cannot be used.

        """
        self._put_together(self.ndes.password)
        self.start()

    def new_service(self) -> LoadedOnDemand:
        """Return a SCEP server over what this world has when the server is loaded."""
        service = LoadedOnDemand(
            load=self._load_service,
            router=Router(self.settings.scep.endpoints),
            check=self.require_ra,
            profile=self.settings.scep.ndes_profile,
            event_log=self.ndes_logs.events,
            observers=self.observers,
            clock=self.clock,
            maximum_body_octets=self.settings.scep.limits.maximum_body_octets,
        )
        return self._wrapping.service(service)

    def _load_service(self) -> ScepService:
        self.require_ra()
        return ScepService(
            settings=self.settings.scep,
            authority=self._wrapping.authority(self.authority),
            registration_authority=self.registration_authority,
            challenges=self.challenges,
            store=self.store,
            clock=self.clock,
            entropy=self.entropy,
            codec=self.codec,
            observers=self.observers,
            challenge_policy=self.ndes.challenge_policy,
            earlier_issuers=self.issuing_certificates[1:],
            next_ca=self._next_ca(),
        )

    def _next_ca(self) -> NextCa | None:
        """Return the issuing CA's next certificate for clients to ask for (RFC 8894 4.7), if there is one."""
        prepared = open_next_issuing(self.folder)
        if prepared is None:
            return None
        identity = RaIdentity(
            certificate=self.authority.certificate, key=open_issuing_key(self.folder, self.pki).key
        )
        return NextCa(certificates=(prepared.der, self.root.der), signer=KeyMessageSigner(identity))

    def new_responder(self) -> OcspResponder:
        """Return an OCSP responder over what this world has now."""
        return OcspResponder(
            issuers=[
                ServedIssuer(
                    certificate=authority.certificate,
                    credentials=open_ocsp_credentials(
                        self.folder, self.pki, authority=authority, store=self.store, clock=self.clock
                    ),
                )
                for authority in self.authorities
            ],
            store=self.store,
            clock=self.clock,
            settings=self.pki.ocsp,
            clock_skew=self.pki.clock_skew,
        )

    @property
    def maximum_body_octets(self) -> int:
        """The longest body of a SCEP request that is read."""
        return self.service.maximum_body_octets

    def handle(self, request: HttpExchangeRequest) -> HttpReply:
        """Answer one HTTP request at SCEP's listener."""
        return self.ndes.face.handle(request)

    def find(self, name: str) -> PublishedFile | None:
        """Return the published file of this name, whatever its case, or None."""
        return self.publication.find(name)

    def answer(self, octets: bytes) -> OcspAnswer:
        """Answer one OCSP request."""
        return self.responder.answer(octets)

    def unload(self) -> None:
        """Stop the service; the next request loads it."""
        self.ndes.face.recycle()
        self.service.recycle()

    def close(self) -> None:
        """Stop the service and close the database."""
        self.unload()
        self.store.close()

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

    def latest_crl(self, kind: CrlKind = CrlKind.BASE) -> CrlRecord | None:
        """Return the last CRL of this kind that was signed with the present key."""
        with self.store.reading() as transaction:
            return transaction.latest_crl(self.authority.issuer_key_id, kind)

    @property
    def authorities(self) -> tuple[CertificateAuthority, ...]:
        """The issuing CA under its present key, and then under the earlier ones."""
        return (self.authority, *self.earlier_authorities)

    def authority_of(self, certificate: CertificateRecord) -> CertificateAuthority:
        """Return the CA under the key that issued a certificate; the present one if none did."""
        found = (one for one in self.authorities if one.issuer_key_id == certificate.issuer_key_id)
        return next(found, self.authority)

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
