"""A lab's listeners: opened together before anything else happens, and stopped together at the end."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from .addresses import admin_host, public_host, reachable_host
from .listeners import Listener

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from .listeners import ListenerLimits
    from .settings import LabSettings

_SMALL_BODY: Final = 1 << 20
_FEW: Final = 8  # threads at most, for listeners whose answers cost next to nothing


class NotAnswering(Exception):
    """A listener was opened and does not answer."""


class LabListeners:
    """The listeners that the settings ask for: ``scep``, ``pki``, ``admin``, and perhaps ``scep_tls``.

    ``tls`` returns the context of a connection that has just come. The URLs are those of their addresses,
    without a path.

    Raises:
        ListenerError: an address cannot be opened; then none is.
        UnusableSettings: the host to listen on is no address of this machine.

    """

    def __init__(self, settings: LabSettings, tls: Callable[[], ssl.SSLContext]) -> None:
        server, admin = settings.server, settings.admin
        self._opened: list[Listener] = []
        with contextlib.ExitStack() as undo:
            undo.callback(self.stop)
            self.scep = self._open("SCEP", server.host, server.port, scep_limits(settings))
            self.pki = self._open("PKI", server.host, server.pki_port, pki_limits(settings))
            self.admin = self._open("management", admin_host(settings), admin.port, admin_limits(settings))
            self.scep_tls = (
                None
                if server.tls_port is None
                else self._open("SCEP TLS", server.host, server.tls_port, scep_limits(settings), tls)
            )
            host = public_host(settings)
            self.scep_url = f"http://{host}:{self.scep.port}"
            self.scep_tls_url = None if self.scep_tls is None else f"https://{host}:{self.scep_tls.port}"
            self.admin_url = f"http://{reachable_host(admin_host(settings))}:{self.admin.port}"
            undo.pop_all()

    def _open(
        self,
        name: str,
        host: str,
        port: int,
        limits: ListenerLimits,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> Listener:
        self._opened.append(Listener(name, host, port, limits, tls=tls))
        return self._opened[-1]

    def check_answers(self) -> None:
        """Ask each listener something; raises NotAnswering."""
        for listener in self._opened:
            if not listener.answers():
                raise NotAnswering(f"the {listener.name} listener on port {listener.port} does not answer")

    def stop(self) -> None:
        """Stop all at once: each takes a moment to finish what is under way."""
        with ThreadPoolExecutor(max_workers=3, thread_name_prefix="stopping") as pool:
            list(pool.map(Listener.stop, self._opened))


def scep_limits(settings: LabSettings) -> ListenerLimits:
    """Return what one client of SCEP may cost; the service itself refuses what is too long, and says so."""
    return settings.server.limits(2 * settings.scep.limits.maximum_body_octets)


def doorway_limits(settings: LabSettings) -> ListenerLimits:
    """Return the same for the addresses that some faults have to themselves."""
    return settings.server.limits(2 * settings.scep.limits.maximum_body_octets, threads=_FEW)


def pki_limits(settings: LabSettings) -> ListenerLimits:
    """Return what one client of the publisher may cost."""
    return settings.server.limits(_SMALL_BODY, threads=_FEW)


def admin_limits(settings: LabSettings) -> ListenerLimits:
    """Return what one client of the management API may cost."""
    return settings.server.limits(2 * _SMALL_BODY, threads=_FEW)
