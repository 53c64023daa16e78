"""NDES's web side in process: a real CA and SCEP service behind it, a browser that logs on."""

from __future__ import annotations

import base64
import itertools
import os
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import spnego
from scep_world import World

from ca.templates import TemplateSet
from scep_server.challenge_policy import BookedChallenges
from scep_server.exchange import HttpExchangeRequest, HttpReply
from scep_server.ndes.accounts import Account, Accounts
from scep_server.ndes.admin_pages import AdminPages
from scep_server.ndes.authentication import Authenticator
from scep_server.ndes.face import Face, NdesFace
from scep_server.ndes.password_cache import NdesChallenges, PasswordCache
from scep_server.ndes.policy_host import ModuleChallenges, PolicyHost
from scep_server.ndes.policy_modules import PolicyContext
from scep_server.ndes.profiles import MODERN
from scep_server.ndes.settings import NdesSettings
from scep_server.ndes.single_password import SealedPassword
from scep_server.ndes.virtual_directories import VirtualDirectories
from scep_server.settings import EndpointSettings

if TYPE_CHECKING:
    from pathlib import Path

    from scep_server.ndes.profiles import BehaviourProfile

ADMIN = "/certsrv/mscep_admin/"
USER, PASSWORD = "ndes-admin", "Correct horse 1"
FLEETS_EXPRESSION = r"(?i)The enrollment challenge password is: <B> (\S*)"
_connections = itertools.count(1)


class Events:
    """Keeps the events that are written."""

    def __init__(self) -> None:
        self.written: list[tuple[int, str]] = []

    def write(self, event_id: int, *, error_code: str = "", error_message: str = "", **_: Any) -> None:
        self.written.append((event_id, error_message))

    @property
    def ids(self) -> list[int]:
        return [number for number, _ in self.written]


class Behind:
    """The SCEP service behind; ``broken`` is what clients get while it cannot be started."""

    def __init__(self, service: Any) -> None:
        self.service = service
        self.broken: HttpReply | None = None

    def handle(self, request: HttpExchangeRequest) -> HttpReply:
        return self.service.handle(request)

    def start(self, request: HttpExchangeRequest) -> HttpReply | None:
        return self.broken


class NdesWorld(World):
    """A server with NDES's face; arguments are the settings of section ``ndes``."""

    def __init__(self, folder: Path, profile: BehaviourProfile = MODERN, **ndes: Any) -> None:
        super().__init__(folder)
        self.folder = folder
        templates = {each.name: each for each in self.authority.templates}
        device = templates["SCEP-Client-Auth"]
        copies = {name: device.model_copy(update={"name": name}) for name in ("Signing", "Enciphering")}
        self.authority.templates = TemplateSet(templates | copies)
        self.events = Events()
        self.face = self.restart(profile=profile, **ndes)

    def restart(self, profile: BehaviourProfile = MODERN, **ndes: Any) -> NdesFace:
        """Make the face anew over the same store, as a restart of the service does."""
        self.ndes = NdesSettings.model_validate({"password": PASSWORD, **ndes})
        endpoint = self.ndes.endpoint(EndpointSettings())
        self.registry = self.ndes.registry(endpoint)
        given = self.ndes.single_password
        self.single = SealedPassword(
            self.folder / "single",
            key=b"k" * 32,
            entropy=os.urandom,
            length=self.registry.PasswordLength,
            given=None if given is None else given.get_secret_value(),
        )
        self.cache = PasswordCache(
            registry=self.registry, book=self.challenges, store=self.store, single=self.single
        )
        self.policy: Any = NdesChallenges(
            registry=self.registry, single=self.single, otherwise=BookedChallenges(self.challenges)
        )
        self.host = None
        if self.ndes.policy_module is not None:
            context = PolicyContext(
                options=self.ndes.policy_options, clock=self.clock, entropy=os.urandom,
                cache=self.cache, book=self.challenges, store=self.store,
            )  # fmt: skip
            self.host = PolicyHost(self.ndes.policy_module, context, self.events)
            self.policy = ModuleChallenges(self.host, self.policy)
        own = self.make_service(
            challenge_policy=self.policy,
            profile=profile,
            challenge=endpoint.challenge,
            templates=endpoint.templates,
        )
        if self.host is not None:
            own._observers = (*own._observers, self.host)
        self.behind = Behind(own)
        self.face = NdesFace(self._face(profile))
        self.service = self.face  # type: ignore[assignment]
        return self.face

    def _face(self, profile: BehaviourProfile) -> Face:
        ndes, directories = self.ndes, VirtualDirectories(self.registry.PasswordVDir)
        users = [
            Account(
                name=user.name,
                password=user.password.get_secret_value(),
                groups=user.groups,
                enroll=user.enroll,
            )
            for user in ndes.users
        ]
        return Face(
            settings=ndes,
            profile=profile,
            behind=self.behind,
            directories=directories,
            pages=AdminPages(
                registry=self.registry,
                cache=self.cache,
                templates=self.authority.templates,
                root_md5="a656fa66ab12b433a2da5cf7cc153d9a",
                admin_path=directories.admin_path,
                computer_name=ndes.computer_name or "",
                byte_order_mark=ndes.byte_order_mark,
                events=self.events,
            ),
            cache=self.cache,
            authenticator=Authenticator(
                accounts=Accounts([Account(name=ndes.user, password=PASSWORD), *users]),
                clock=self.clock,
                windows=ndes.windows_authentication,
                basic_realm="NDES" if ndes.basic_authentication else "",
            ),
            host=self.host,
            clock=self.clock,
            observers=(self.recorder,),
        )

    def get(self, path: str, query: str = "", **fields: Any) -> HttpReply:
        """Send a GET without credentials."""
        fields.setdefault("remote_address", "192.0.2.7")
        return self.handle(path=path, query=query, **fields)

    def password(self) -> str:
        """Return a password as an MDM server finds it on the page."""
        found = re.search(FLEETS_EXPRESSION, page_text(Browser(self).get()))
        assert found is not None
        return found.group(1)


@dataclass
class Browser:
    """Somebody with a connection of his own, who logs on with NTLM or Negotiate."""

    world: NdesWorld
    user: str = USER
    password: str = PASSWORD
    scheme: str = "NTLM"
    connection: str = field(default_factory=lambda: f"c{next(_connections)}")

    def get(self, path: str = ADMIN, query: str = "", **fields: Any) -> HttpReply:
        """Return the last reply of a handshake, or the first that is no 401."""
        request = HttpExchangeRequest(
            method="GET",
            path=path,
            query=query,
            remote_address="192.0.2.7",
            remote_port="50000",
            connection=self.connection,
            **fields,
        )
        ntlm = self.scheme == "NTLM"
        context = spnego.client(
            self.user,
            self.password,
            hostname="ndes",
            service="http",
            protocol="ntlm" if ntlm else "negotiate",
            options=spnego.NegotiateOptions.use_ntlm if ntlm else spnego.NegotiateOptions.use_negotiate,
        )
        token = context.step()
        while True:
            words = f"{self.scheme} {base64.b64encode(token or b'').decode()}"
            reply = self.world.face.handle(replace(request, authorization=words))
            mine = (value for value in offers(reply) if value.startswith(f"{self.scheme} "))
            answer = next(mine, "").partition(" ")[2]
            if not answer or reply.status != 401:
                return reply
            token = context.step(base64.b64decode(answer))


def page_text(reply: HttpReply) -> str:
    """Return a page as clients of NDES decode it."""
    assert (reply.status, reply.content_type) == (200, "text/html"), reply
    return reply.body.decode("utf-16" if reply.body[:2] == b"\xff\xfe" else "utf-16-le")


def offers(reply: HttpReply) -> list[str]:
    """Return the schemes that a 401 offers, in order."""
    return [value for name, value in reply.headers if name == "WWW-Authenticate"]
