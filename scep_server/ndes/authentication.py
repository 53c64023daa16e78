"""Windows authentication and Basic over HTTP, as IIS asks for them at mscep_admin.

NTLM and Negotiate authenticate a connection, not a request (RFC 4559 5, [MS-NTHT] 3.1.5): the handshake
takes two requests on one connection, and whatever follows on it is that user's. Connections are told
apart by the name that the web server gives them; where it gives none, address and port serve for the
handshake alone, because another client may have them a moment later.
"""

from __future__ import annotations

import base64
import binascii
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from .iis import BAD_CREDENTIALS, HANDSHAKE, NO_CREDENTIALS

if TYPE_CHECKING:
    from datetime import datetime

    from ca.clock import Clock
    from scep_server.exchange import HttpExchangeRequest

    from .accounts import Account, Accounts
    from .iis import IisError
    from .ntlm import Handshake

_log = structlog.get_logger(__name__)
_CHALLENGE: Final = "WWW-Authenticate"
_WINDOWS_SCHEMES: Final = {"negotiate": "Negotiate", "ntlm": "NTLM"}
_MAXIMUM_CONNECTIONS: Final = 1000
_LIFETIME: Final = timedelta(minutes=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedOn:
    """The request is this account's; ``headers`` end the handshake and belong into the reply."""

    account: Account
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenged:
    """The request is nobody's yet: what IIS answers, and with which headers."""

    error: IisError
    headers: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Entry:
    touched: datetime
    handshake: Handshake | None = None
    account: Account | None = None


class Authenticator:
    """Finds out whose a request is.

    Args:
        accounts: who may log on.
        clock: by which unfinished handshakes and silent connections are forgotten.
        windows: offer Negotiate and NTLM.
        basic_realm: offer Basic in this realm; empty: not.

    """

    def __init__(
        self, *, accounts: Accounts, clock: Clock, windows: bool = True, basic_realm: str = ""
    ) -> None:
        self._accounts = accounts
        self._clock = clock
        self._basic = bool(basic_realm)
        self._windows = windows
        offered = [*_WINDOWS_SCHEMES.values()] if windows else []
        if basic_realm:
            offered.append(f'Basic realm="{basic_realm}"')
        self._offers = tuple((_CHALLENGE, offer) for offer in offered)
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._lock = threading.Lock()

    def authenticate(self, request: HttpExchangeRequest) -> LoggedOn | Challenged:
        """Return whose the request is, or how it is to be asked."""
        scheme, _, credentials = request.authorization.strip().partition(" ")
        if not scheme:
            return self._by_connection(request)
        if scheme.lower() == "basic" and self._basic:
            account = self._accounts.log_on_basic(credentials)
            if account is not None:
                return LoggedOn(account=account)
            return Challenged(error=BAD_CREDENTIALS, headers=self._offers)
        word = _WINDOWS_SCHEMES.get(scheme.lower())
        if word is None or not self._windows:
            return Challenged(error=NO_CREDENTIALS, headers=self._offers)
        return self._continue_handshake(request, word, credentials)

    def _by_connection(self, request: HttpExchangeRequest) -> LoggedOn | Challenged:
        """Return who has logged on earlier on the same connection."""
        entry = self._take(request.connection) if request.connection else None
        if entry is None or entry.account is None:
            return Challenged(error=NO_CREDENTIALS, headers=self._offers)
        self._keep(request.connection, entry)
        return LoggedOn(account=entry.account)

    def _continue_handshake(
        self, request: HttpExchangeRequest, scheme: str, credentials: str
    ) -> LoggedOn | Challenged:
        from .ntlm import Handshake, LogOnRefused  # here: few ever log on, and the library takes long to load

        connection = request.connection or f"{request.remote_address} {request.remote_port}"
        entry = self._take(connection)
        handshake = (entry.handshake if entry else None) or Handshake(self._accounts)
        try:
            token = base64.b64decode(credentials.strip(), validate=True)
            answer = handshake.step(token)
        except (LogOnRefused, binascii.Error, ValueError) as error:
            _log.info("log on refused", client=request.remote_address, reason=ascii(str(error)))
            return Challenged(error=BAD_CREDENTIALS, headers=self._offers)
        word = f"{scheme} {base64.b64encode(answer).decode('ascii')}"
        account = handshake.account
        if account is None:
            self._keep(connection, _Entry(touched=self._clock.now(), handshake=handshake))
            return Challenged(error=HANDSHAKE, headers=((_CHALLENGE, word),))
        if request.connection:
            self._keep(connection, _Entry(touched=self._clock.now(), account=account))
        return LoggedOn(account=account, headers=((_CHALLENGE, word),) if answer else ())

    # -- connections -------------------------------------------------------------------

    def _take(self, connection: str) -> _Entry | None:
        """Return what is known of a connection, and forget it: two requests never share a handshake."""
        with self._lock:
            entry = self._entries.pop(connection, None)
        if entry is None or self._clock.now() - entry.touched > _LIFETIME:
            return None
        return entry

    def _keep(self, connection: str, entry: _Entry) -> None:
        entry.touched = self._clock.now()
        with self._lock:
            self._entries[connection] = entry
            while len(self._entries) > _MAXIMUM_CONNECTIONS:
                self._entries.popitem(last=False)
