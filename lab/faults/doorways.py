"""Addresses of their own for faults that come before HTTP: refused connections, names, TLS.

Each is opened when it is first asked for, on a free port of the host that the lab listens on, and stays
until the lab stops. Behind those that let anybody in is the lab's SCEP application, with that fault noted.
"""

from __future__ import annotations

import functools
import socket
import ssl
import threading
import warnings
from typing import TYPE_CHECKING, Final, Protocol

from lab.listeners import Listener
from lab.server_certificate import ServerCertificate
from lab.tls import server_context

from .circumstances import Circumstances, Pinned
from .registry import find
from .server_certificates import chain_shown
from .tools import Tools
from .values import Doorway

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from wsgiref.types import WSGIApplication

    from lab.listeners import ListenerLimits
    from lab.world import World

    from .registry import Fault
    from .values import ServerCertificateKind

_TLS: Final = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}
_ASKING: Final = {
    "none": ssl.CERT_NONE,
    "wanted": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}


class _Door(Protocol):
    port: int

    def stop(self) -> None:
        """Close the port."""


class Doorways:
    """The doorways of one lab. Safe to use from several threads.

    Args:
        world: whose certificates are shown, rightly or wrongly.
        address: what is listened on.
        host: by which clients reach it, as in URLs.
        limits: what one client may cost.
        serve: returns the application behind the doorway of a fault.
        wait: as of `lab.faults.tools.Tools`.

    """

    def __init__(
        self,
        world: World,
        *,
        address: str,
        host: str,
        limits: ListenerLimits,
        serve: Callable[[Pinned], WSGIApplication],
        wait: Callable[[float], object],
    ) -> None:
        self._world = world
        self._address = address
        self._host = host
        self._limits = limits
        self._serve = serve
        self._wait = wait
        self._names = (host.strip("[]"),)
        self._server = ServerCertificate(world, self._names)
        self._lock = threading.Lock()
        self._open: dict[str, tuple[str, _Door]] = {}
        self._certifying = threading.Lock()
        self._contexts: dict[str, ssl.SSLContext] = {}

    def url(self, fault_id: str, path: str = "/scep") -> str | None:
        """Return where a fault is met that has a doorway, opening it; None where it has none.

        Raises:
            UnknownFault: there is no such fault.
            ListenerError: no port can be opened.

        """
        fault = find(fault_id)
        if fault.takes is not Doorway:
            return None
        with self._lock:
            if fault.id not in self._open:
                self._open[fault.id] = self._enter(fault)
            return self._open[fault.id][0] + path

    def forget(self) -> None:
        """Have new certificates issued for those who come next: the database has been reset."""
        with self._certifying:
            self._contexts.clear()

    def stop(self) -> None:
        """Close all of them; harmless when repeated."""
        with self._lock:
            doors = [door for _, door in self._open.values()]
            self._open.clear()
        for door in doors:
            door.stop()

    def _enter(self, fault: Fault) -> tuple[str, _Door]:
        nobody = Circumstances(listener="scep", path="", client_address="", user_agent="")
        tools = Tools(world=self._world, circumstances=nobody, wait=self._wait)
        doorway: Doorway = fault.apply(Doorway(host=self._host), tools, {})
        door = self._door(fault, doorway)
        return f"{doorway.scheme}://{doorway.host}:{door.port}", door

    def _door(self, fault: Fault, doorway: Doorway) -> _Door:
        if doorway.port == "closed":
            return _ClosedPort(self._address)
        if doorway.port == "silent":
            return _SilentPort(self._address)
        tls = None
        if doorway.certificate is not None:
            tls = functools.partial(self._context, fault.id, doorway, doorway.certificate)
        listener = Listener(f"{fault.id} doorway", self._address, 0, self._limits, tls=tls)
        listener.serve(self._serve(Pinned(fault=fault, prefix="")))
        return listener

    def _context(self, fault_id: str, doorway: Doorway, kind: ServerCertificateKind) -> ssl.SSLContext:
        with self._certifying:
            if fault_id not in self._contexts:
                chain = chain_shown(kind, self._server, self._world, self._names)
                self._contexts[fault_id] = self._new_context(doorway, chain)
            return self._contexts[fault_id]

    def _new_context(self, doorway: Doorway, chain: Sequence[bytes]) -> ssl.SSLContext:
        context = server_context(self._server.key, chain if doorway.with_chain else chain[:1])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that TLS 1.0 is old is the point
            context.minimum_version = _TLS[doorway.minimum_tls]
            context.maximum_version = _TLS[doorway.maximum_tls]
        if doorway.minimum_tls == "1.0":
            context.set_ciphers("ALL:@SECLEVEL=0")
        if doorway.client_certificate != "none":
            context.load_verify_locations(cadata=ssl.DER_cert_to_PEM_cert(self._world.root.der))
            context.verify_mode = _ASKING[doorway.client_certificate]
        return context


class _ClosedPort:
    """A port that nobody else gets, and that refuses connections."""

    def __init__(self, address: str) -> None:
        self._socket = _bound(address)
        self.port: int = self._socket.getsockname()[1]

    def stop(self) -> None:
        self._socket.close()


class _SilentPort(_ClosedPort):
    """A port whose connections are never made: the only place in its queue is taken.

    What comes then is dropped by Linux without a word, as by a firewall.
    """

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self._socket.listen(0)
        self._first = socket.create_connection(self._socket.getsockname()[:2], timeout=5)

    def stop(self) -> None:
        self._first.close()
        super().stop()


def _bound(address: str) -> socket.socket:
    found = socket.getaddrinfo(address, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, where = found[0]
    bound = socket.socket(family, kind, protocol)
    bound.bind(where)
    return bound
