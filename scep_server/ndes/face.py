"""NDES's web side: HTTP.sys, IIS, and the two virtual directories of mscep.dll, in that order.

Stands in front of a SCEP service and sees every request first. What is neither below ``/certsrv`` nor
in the password directory goes straight on. A bare browse gets a page, an operation goes to SCEP, below
mscep_admin too once somebody has logged on. Does not live here: any SCEP, and the words of the pages.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from ca.records import StoreUnavailable
from scep_server.exchange import Exchange, HttpReply
from scep_server.outcomes import SUCCESS, Outcome
from scep_server.transport import DEFAULT_ENDPOINT

from . import iis
from .authentication import Challenged
from .password_cache import Remembrance
from .policy_host import PolicyModuleFailed
from .virtual_directories import Directory, VirtualDirectories, operation_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ca.clock import Clock
    from scep_server.exchange import ExchangeObserver, HttpExchangeRequest

    from .accounts import Account
    from .admin_pages import AdminPages
    from .authentication import Authenticator
    from .password_cache import PasswordCache
    from .policy_host import PolicyHost
    from .profiles import BehaviourProfile
    from .settings import NdesSettings

_log = structlog.get_logger(__name__)
_ORDINARY: Final = (iis.NO_CREDENTIALS, iis.HANDSHAKE)  # every log on begins so
_BROWSE_METHODS: Final = ("GET", "HEAD")


class ScepBehind(Protocol):
    """The SCEP service that stands behind."""

    def handle(self, request: HttpExchangeRequest) -> HttpReply:
        """Answer one request."""

    def start(self, request: HttpExchangeRequest) -> HttpReply | None:
        """Make sure the service is loaded; return what the client gets while it cannot be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """What NDES's web side is made of.

    ``host`` is None without a policy module. ``stopwatch`` measures requests and nothing else.
    """

    settings: NdesSettings
    profile: BehaviourProfile
    behind: ScepBehind
    directories: VirtualDirectories
    pages: AdminPages
    cache: PasswordCache
    authenticator: Authenticator
    host: PolicyHost | None
    clock: Clock
    observers: Sequence[ExchangeObserver] = ()
    stopwatch: Callable[[], float] = time.perf_counter


class NdesFace:
    """Answers HTTP requests as NDES on IIS does. Safe to use from several threads."""

    def __init__(self, face: Face) -> None:
        self._face = face
        self._limits = face.settings.limits(face.profile)
        self._is_started = False
        self._starting = threading.Lock()
        self.pool_is_stopped = face.settings.application_pool == "stopped"

    def recycle(self) -> None:
        """Recycle the application pool: unused passwords are forgotten, the policy module is loaded anew."""
        with self._starting:
            self._is_started = False
        if self._face.host is not None:
            self._face.host.stop()

    def handle(self, request: HttpExchangeRequest) -> HttpReply:
        """Answer one request."""
        begin = self._face.stopwatch()
        self._forget_passwords_of_earlier_starts()
        if self._face.directories.is_below(request.path):
            reply = self._refused_by_web_server(request)
            if reply is None:
                return self._in_manner(self._at_mscep(request, begin))
            return self._in_manner(self._own(request, reply, begin, refused=True))
        return self._in_manner(self._face.behind.handle(request))

    def _forget_passwords_of_earlier_starts(self) -> None:
        with self._starting:
            if self._is_started:
                return
            try:
                forgotten = self._face.cache.start(Remembrance(self._face.settings.password_cache))
            except StoreUnavailable:  # the service behind says so to the client
                return
            self._is_started = True
        if forgotten:
            _log.info("unused passwords of an earlier start are forgotten", passwords=forgotten)

    # -- HTTP.sys and IIS --------------------------------------------------------------

    def _refused_by_web_server(self, request: HttpExchangeRequest) -> HttpReply | None:
        """Return what HTTP.sys or IIS answers before mscep.dll sees the request."""
        if (reply := iis.refused_by_http_sys(request, self._limits)) is not None:
            return reply
        if self.pool_is_stopped:
            return iis.pool_stopped()
        error = iis.refused_by_filter(request, self._limits)
        if error is None and not self._is_allowed(request.remote_address):
            error = iis.ADDRESS_REJECTED
        if error is None and not self._face.settings.impersonation_right:
            error = iis.IMPERSONATION
        return None if error is None else iis.error_reply(error)

    def _is_allowed(self, address: str) -> bool:
        networks = self._face.settings.allowed_addresses
        if not networks:
            return True
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
        return any((mapped or found) in network for network in networks)

    def _in_manner(self, reply: HttpReply) -> HttpReply:
        """Return the reply in the manner of the profile's web server."""
        profile = self._face.profile
        if profile.iis_errors:
            reply = iis.in_iis_manner(reply)
        if profile.server_header and not any(name == "Server" for name, _ in reply.headers):
            return replace(reply, headers=(*reply.headers, ("Server", profile.server_header)))
        return reply

    # -- mscep.dll ---------------------------------------------------------------------

    def _at_mscep(self, request: HttpExchangeRequest, begin: float) -> HttpReply:
        face = self._face
        directory = face.directories.find(request.path)
        if directory is None:
            return face.behind.handle(request)
        if (broken := face.behind.start(request)) is not None:
            return broken
        if face.host is not None:
            try:
                face.host.start()
            except PolicyModuleFailed as error:
                return self._own(
                    request, iis.error_reply(iis.INTERNAL), begin, detail=str(error), refused=True
                )
        if directory is Directory.MSCEP_ADMIN:
            return self._for_user(request, begin)
        if operation_of(request.query) is None and request.method in _BROWSE_METHODS:
            return self._own(request, self._browse(request, None), begin)
        if self._asks_for_nothing_known(request):
            return self._own(request, face.pages.information(request), begin)
        return face.behind.handle(request)

    def _asks_for_nothing_known(self, request: HttpExchangeRequest) -> bool:
        return (
            self._face.profile.unknown_operation == "information-page"
            and request.method in _BROWSE_METHODS
            and not self._face.pages.is_scep(operation_of(request.query))
        )

    def _browse(self, request: HttpExchangeRequest, account: Account | None) -> HttpReply:
        """Return the page of a bare browse; a policy module has none."""
        if self._face.host is not None:
            return iis.error_reply(iis.FORBIDDEN)
        if account is None:
            return self._face.pages.information(request)
        return self._face.pages.password(request, account)

    def _for_user(self, request: HttpExchangeRequest, begin: float) -> HttpReply:
        found = self._face.authenticator.authenticate(request)
        if isinstance(found, Challenged):
            reply = iis.error_reply(found.error, *found.headers)
            return self._own(request, reply, begin, refused=found.error not in _ORDINARY)
        reply = self._of_user(request, found.account, begin)
        return replace(reply, headers=(*reply.headers, *found.headers), user=found.account.name)

    def _of_user(self, request: HttpExchangeRequest, account: Account, begin: float) -> HttpReply:
        """Answer somebody who has logged on: a page, a call for the policy module, or SCEP."""
        operation = operation_of(request.query)
        reply: HttpReply | None = None
        if operation is None and request.method in _BROWSE_METHODS:
            reply = self._browse(request, account)
        elif operation is not None and self._face.host is not None:
            reply = self._face.pages.module_call(request, operation, account, self._face.host)
        if reply is None and self._asks_for_nothing_known(request):
            reply = self._face.pages.information(request)
        if reply is None:
            return self._face.behind.handle(replace(request, endpoint=DEFAULT_ENDPOINT))
        return self._own(request, replace(reply, user=account.name), begin)

    def _own(
        self,
        request: HttpExchangeRequest,
        reply: HttpReply,
        begin: float,
        *,
        detail: str = "",
        refused: bool = False,
    ) -> HttpReply:
        """Tell the observers of a reply that no SCEP service has made."""
        name = f"iis-{reply.status}.{reply.substatus}"
        outcome = Outcome(name=name, status=reply.status) if reply.status != SUCCESS.status else SUCCESS
        exchange = Exchange(
            number=0,
            received_at=self._face.clock.now(),
            request=request,
            reply=reply,
            outcome=outcome,
            refused_by=name if refused or reply.status >= 500 else None,
            detail=detail,
            duration=self._face.stopwatch() - begin,
        )
        for observer in self._face.observers:
            observer.observe(exchange)
        return reply
