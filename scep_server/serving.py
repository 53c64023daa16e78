"""Serve SCEP, as NDES does, with worker processes: python -m scep_server.

The PKI has to be there: ndes-lab init makes one. SIGHUP reads settings and keys anew without losing a
request; SIGTERM answers what is under way, and ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from ca.process.kept import kept_secret
from ca.process.program import Served
from ca.records import StoreUnavailable

from .app import create_app
from .exchange_log import ExchangeLog
from .expiry import ScepExpiry
from .metrics import ScepMetrics
from .program import ScepServerSettings
from .ra_standing import RaUnusable
from .server import ScepServer, new_ndes_password

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prometheus_client.registry import Collector

    from ca.process.program import Parts

    from .exchange import ExchangeObserver


def open_server(parts: Parts[ScepServerSettings], observers: Sequence[ExchangeObserver] = ()) -> ScepServer:
    """Return the SCEP server of a folder; raises as `ScepServer` does."""
    password = None
    if parts.settings.ndes.password is None:
        file = parts.folder.path / "secrets" / "ndes-password"
        parts.folder.require()
        password = kept_secret(file, lambda: new_ndes_password(parts.entropy))
    return ScepServer(
        parts.folder,
        parts.settings,
        clock=parts.clock,
        entropy=parts.entropy,
        observers=observers,
        ndes_password=password,
    )


def application(parts: Parts[ScepServerSettings]) -> Served:
    """Return what a worker serves."""
    metrics = ScepMetrics(CollectorRegistry())
    server = open_server(parts, observers=(ExchangeLog(), metrics))
    server.start()
    return Served(application=metrics.around(create_app(server)), body_octets=server.maximum_body_octets)


class ScepStanding:
    """What the parent of the workers has: the same PKI, to see whether it can be used."""

    def __init__(self, parts: Parts[ScepServerSettings]) -> None:
        self._server = open_server(parts)
        self._expiry = ScepExpiry(parts.folder, parts.clock)
        if not parts.settings.scep.ndes_profile.is_ndes:  # NDES starts without, and says so when asked
            self._server.require_ra()

    def start(self) -> None:
        """There is nothing that one process does for all."""

    def stop(self) -> None:
        """Close the database."""
        self._server.close()

    @property
    def probe(self) -> str:
        """A request that costs next to nothing: the capabilities (RFC 8894 3.5.1)."""
        return "/scep?operation=GetCACaps"

    def trouble(self) -> str | None:
        """Return why nobody can enrol now."""
        try:
            self._server.require_ra()
        except (RaUnusable, StoreUnavailable) as error:
            return str(error)
        return None

    def collectors(self) -> Sequence[Collector]:
        """Return when the server's certificates end."""
        return (self._expiry,)
