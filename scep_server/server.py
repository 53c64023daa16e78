"""A SCEP server over an open PKI, put together: RA, challenges, NDES's face and its logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ca.challenges import ChallengeBook
from ca.open_pki import OpenPki
from ca.opening import open_challenge_digest_key, open_issuing_key, open_next_issuing

from .ca_certificates import NextCa
from .ndes.loading import LoadedOnDemand
from .ndes.logs import NdesLogs
from .ndes.web import make_ndes_web
from .operations import ScepService
from .protocol.codec import ScepCodec
from .ra import KeyMessageSigner, RaIdentity
from .ra_opening import open_ra
from .ra_standing import require_usable
from .transport import Router

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ca.authority import CertificateAuthority
    from ca.clock import Clock
    from ca.folders import PkiFolder

    from .exchange import ExchangeObserver, HttpExchangeRequest, HttpReply
    from .program import ScepSections
    from .protocol.codec import Codec
    from .ra import RegistrationAuthority


_PASSWORD_OCTETS: Final = 12


def new_ndes_password(entropy: Callable[[int], bytes]) -> str:
    """Return a password that nobody guesses, for mscep_admin's user."""
    return entropy(_PASSWORD_OCTETS).hex()


class ScepServer(OpenPki):
    """A PKI, open for SCEP.

    Is itself what `scep_server.app.create_app` serves, so that ``service`` may be replaced while requests
    come in. ``observers`` are told of every exchange; ``ndes_password`` is what mscep_admin's user logs on
    with where the settings do not say: None is a new one. Raises as `OpenPki` does.
    """

    settings: ScepSections

    def __init__(
        self,
        folder: PkiFolder,
        settings: ScepSections,
        *,
        clock: Clock,
        entropy: Callable[[int], bytes],
        observers: Sequence[ExchangeObserver] = (),
        durable: bool = True,
        ndes_password: str | None = None,
    ) -> None:
        self._given_observers = tuple(observers)
        self._registration_authority: RegistrationAuthority | None = None
        settings = settings.with_registry()
        self._digest_key = open_challenge_digest_key(folder, settings.pki)
        self.challenges = ChallengeBook(
            digest_key=self._digest_key,
            clock=clock,
            entropy=entropy,
            sealing=any(endpoint.password_recipients for endpoint in settings.scep.endpoints.values()),
        )
        chosen = settings.ndes.password
        self.ndes_password = (
            chosen.get_secret_value() if chosen else ndes_password or new_ndes_password(entropy)
        )
        super().__init__(folder, settings, clock=clock, entropy=entropy, durable=durable)

    def _put_together(self) -> None:
        super()._put_together()
        settings = self.settings
        self.ndes_logs = NdesLogs(
            self.folder.path, settings.logs, clock=self.clock, profile=settings.scep.ndes_profile
        )
        self.observers = (*self._given_observers, *self._log_observers())
        self.codec = self._new_codec()
        self.ndes = make_ndes_web(self, self._digest_key)
        if self.ndes.host is not None:
            self.observers = (*self.observers, self.ndes.host)
        self.service = self.new_service()

    def _log_observers(self) -> tuple[ExchangeObserver, ...]:
        """Return what writes NDES's logs: none where they are in memory only, in which nobody looks."""
        return self.ndes_logs.observers if self.settings.logs.files else ()

    def _new_codec(self) -> Codec:
        return ScepCodec()

    def _issuing(self) -> CertificateAuthority:
        """Return the CA to which the RA hands requests."""
        return self.authority

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
        self.unload()
        self.start()

    def unload(self) -> None:
        """Stop the service; the next request loads it."""
        self.ndes.face.recycle()
        self.service.recycle()

    def new_service(self) -> LoadedOnDemand:
        """Return a SCEP service over what there is when it is loaded."""
        return LoadedOnDemand(
            load=self._load_service,
            router=Router(self.settings.scep.endpoints),
            check=self.require_ra,
            profile=self.settings.scep.ndes_profile,
            event_log=self.ndes_logs.events,
            observers=self.observers,
            clock=self.clock,
            maximum_body_octets=self.settings.scep.limits.maximum_body_octets,
        )

    def _load_service(self) -> ScepService:
        self.require_ra()
        return ScepService(
            settings=self.settings.scep,
            authority=self._issuing(),
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

    @property
    def maximum_body_octets(self) -> int:
        """The longest body of a SCEP request that is read."""
        return self.service.maximum_body_octets

    def handle(self, request: HttpExchangeRequest) -> HttpReply:
        """Answer one HTTP request at SCEP's listener."""
        return self.ndes.face.handle(request)

    def close(self) -> None:
        """Stop the service and close the database."""
        self.unload()
        super().close()
