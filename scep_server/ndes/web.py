"""NDES's web side, put together: accounts, password cache, policy module, pages."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import md5
from typing import TYPE_CHECKING

from scep_server.challenge_policy import BookedChallenges
from scep_server.ra_standing import RaUnusable
from scep_server.transport import DEFAULT_ENDPOINT

from .accounts import Account, Accounts
from .admin_pages import AdminPages
from .authentication import Authenticator
from .face import Face, NdesFace
from .password_cache import NdesChallenges, PasswordCache
from .policy_host import ModuleChallenges, PolicyHost
from .policy_modules import PolicyContext
from .single_password import SealedPassword
from .virtual_directories import VirtualDirectories

if TYPE_CHECKING:
    from scep_server.challenge_policy import ChallengePolicy
    from scep_server.exchange import HttpExchangeRequest, HttpReply
    from scep_server.server import ScepServer

    from .registry import NdesRegistry
    from .settings import NdesSettings

SINGLE_PASSWORD_FILE = "ndes-single-password"
_REALM = "NDES"


@dataclass(frozen=True, slots=True, kw_only=True)
class NdesWeb:
    """The parts that others need: who may log on, what judges challenges, what answers HTTP."""

    face: NdesFace
    challenge_policy: ChallengePolicy
    host: PolicyHost | None
    admin_path: str
    user: str
    password: str = field(repr=False)


class _Behind:
    """The server's SCEP service, whichever it is at the moment."""

    def __init__(self, server: ScepServer) -> None:
        self._server = server

    def handle(self, request: HttpExchangeRequest) -> HttpReply:
        """Answer one request."""
        return self._server.service.handle(request)

    def start(self, request: HttpExchangeRequest) -> HttpReply | None:
        """Load the service if it is not loaded yet; return HTTP 500 where it cannot be."""
        service = self._server.service
        try:
            service.start()
        except RaUnusable as error:
            return service.cannot_start(request, error)
        return None


def make_ndes_web(server: ScepServer, digest_key: bytes) -> NdesWeb:
    """Return NDES's web side over a server whose ``service`` may still be missing."""
    settings, endpoint = server.settings.ndes, server.settings.scep.endpoints[DEFAULT_ENDPOINT]
    registry, events = settings.registry(endpoint), server.ndes_logs.events
    single = SealedPassword(
        server.folder.path / "secrets" / SINGLE_PASSWORD_FILE,
        key=digest_key,
        entropy=server.entropy,
        length=registry.PasswordLength,
        given=None if settings.single_password is None else settings.single_password.get_secret_value(),
    )
    cache = PasswordCache(registry=registry, book=server.challenges, store=server.store, single=single)
    policy: ChallengePolicy = NdesChallenges(
        registry=registry, single=single, otherwise=BookedChallenges(server.challenges)
    )
    host = None
    if settings.policy_module is not None:
        context = PolicyContext(
            options=settings.policy_options,
            clock=server.clock,
            entropy=server.entropy,
            cache=cache,
            book=server.challenges,
            store=server.store,
        )
        host = PolicyHost(settings.policy_module, context, events)
        policy = ModuleChallenges(host, policy)
    directories = VirtualDirectories(registry.PasswordVDir)
    face = Face(
        settings=settings,
        profile=server.settings.scep.ndes_profile,
        behind=_Behind(server),
        directories=directories,
        pages=_pages(server, registry, cache, directories),
        cache=cache,
        authenticator=Authenticator(
            accounts=_accounts(settings, server.ndes_password),
            clock=server.clock,
            windows=settings.windows_authentication,
            basic_realm=(settings.computer_name or _REALM) if settings.basic_authentication else "",
        ),
        host=host,
        clock=server.clock,
        observers=server.observers,
    )
    return NdesWeb(
        face=NdesFace(face),
        challenge_policy=policy,
        host=host,
        admin_path=directories.admin_path,
        user=settings.user,
        password=server.ndes_password,
    )


def _pages(
    server: ScepServer, registry: NdesRegistry, cache: PasswordCache, directories: VirtualDirectories
) -> AdminPages:
    settings = server.settings.ndes
    return AdminPages(
        registry=registry,
        cache=cache,
        templates=server.authority.templates,
        root_md5=md5(server.root.der, usedforsecurity=False).hexdigest(),
        admin_path=directories.admin_path,
        computer_name=settings.computer_name or "",
        byte_order_mark=settings.byte_order_mark,
        events=server.ndes_logs.events,
    )


def _accounts(settings: NdesSettings, password: str) -> Accounts:
    others = (
        Account(
            name=user.name,
            password=user.password.get_secret_value(),
            groups=user.groups,
            enroll=user.enroll,
        )
        for user in settings.users
    )
    return Accounts((Account(name=settings.user, password=password), *others))
