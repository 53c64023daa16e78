"""NDES's web side of a lab, put together: accounts, password cache, policy module, pages."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import md5
from typing import TYPE_CHECKING

from scep_server.challenge_policy import BookedChallenges
from scep_server.ndes.accounts import Account, Accounts
from scep_server.ndes.admin_pages import AdminPages
from scep_server.ndes.authentication import Authenticator
from scep_server.ndes.face import Face, NdesFace
from scep_server.ndes.password_cache import NdesChallenges, PasswordCache
from scep_server.ndes.policy_host import ModuleChallenges, PolicyHost
from scep_server.ndes.policy_modules import PolicyContext
from scep_server.ndes.single_password import SealedPassword
from scep_server.ndes.virtual_directories import VirtualDirectories
from scep_server.ra_standing import RaUnusable
from scep_server.transport import DEFAULT_ENDPOINT

if TYPE_CHECKING:
    from collections.abc import Callable

    from scep_server.challenge_policy import ChallengePolicy
    from scep_server.exchange import HttpExchangeRequest, HttpReply
    from scep_server.ndes.registry import NdesRegistry
    from scep_server.ndes.settings import NdesSettings

    from .world import World

SINGLE_PASSWORD_FILE = "ndes-single-password"
_GENERATED_PASSWORD_OCTETS = 12
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
    """The world's SCEP service, whichever it is at the moment."""

    def __init__(self, world: World) -> None:
        self._world = world

    def handle(self, request: HttpExchangeRequest) -> HttpReply:
        """Answer one request."""
        return self._world.service.handle(request)

    def start(self, request: HttpExchangeRequest) -> HttpReply | None:
        """Load the service if it is not loaded yet; return HTTP 500 where it cannot be."""
        service = self._world.service
        try:
            service.start()
        except RaUnusable as error:
            return service.cannot_start(request, error)
        return None


def make_ndes_web(world: World, digest_key: bytes, *, password: str | None = None) -> NdesWeb:
    """Return NDES's web side over a world whose ``service`` may still be missing.

    ``password`` is the user's; None: that of the settings, or a new one.
    """
    settings, endpoint = world.settings.ndes, world.settings.scep.endpoints[DEFAULT_ENDPOINT]
    registry, events = settings.registry(endpoint), world.ndes_logs.events
    single = SealedPassword(
        world.folder.path / "secrets" / SINGLE_PASSWORD_FILE,
        key=digest_key,
        entropy=world.entropy,
        length=registry.PasswordLength,
        given=None if settings.single_password is None else settings.single_password.get_secret_value(),
    )
    cache = PasswordCache(registry=registry, book=world.challenges, store=world.store, single=single)
    policy: ChallengePolicy = NdesChallenges(
        registry=registry, single=single, otherwise=BookedChallenges(world.challenges)
    )
    host = None
    if settings.policy_module is not None:
        context = PolicyContext(
            options=settings.policy_options,
            clock=world.clock,
            entropy=world.entropy,
            cache=cache,
            book=world.challenges,
            store=world.store,
        )
        host = PolicyHost(settings.policy_module, context, events)
        policy = ModuleChallenges(host, policy)
    password = _password(settings, world.entropy) if password is None else password
    directories = VirtualDirectories(registry.PasswordVDir)
    face = Face(
        settings=settings,
        profile=world.settings.scep.ndes_profile,
        behind=_Behind(world),
        directories=directories,
        pages=_pages(world, registry, cache, directories),
        cache=cache,
        authenticator=Authenticator(
            accounts=_accounts(settings, password),
            clock=world.clock,
            windows=settings.windows_authentication,
            basic_realm=(settings.computer_name or _REALM) if settings.basic_authentication else "",
        ),
        host=host,
        clock=world.clock,
        observers=world.observers,
    )
    return NdesWeb(
        face=NdesFace(face),
        challenge_policy=policy,
        host=host,
        admin_path=directories.admin_path,
        user=settings.user,
        password=password,
    )


def _pages(
    world: World, registry: NdesRegistry, cache: PasswordCache, directories: VirtualDirectories
) -> AdminPages:
    settings = world.settings.ndes
    return AdminPages(
        registry=registry,
        cache=cache,
        templates=world.authority.templates,
        root_md5=md5(world.root.der, usedforsecurity=False).hexdigest(),
        admin_path=directories.admin_path,
        computer_name=settings.computer_name or "",
        byte_order_mark=settings.byte_order_mark,
        events=world.ndes_logs.events,
    )


def _password(settings: NdesSettings, entropy: Callable[[int], bytes]) -> str:
    chosen = settings.password
    return entropy(_GENERATED_PASSWORD_OCTETS).hex() if chosen is None else chosen.get_secret_value()


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
