"""What a lab's listeners serve: SCEP and the PKI's files, with faults and a record in front of them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from crl_publisher.app import create_app as create_publisher_app
from scep_server.app import create_app as create_scep_app
from scep_server.transport import Router

from .addresses import public_host
from .faults.doorways import Doorways
from .faults.leaning import BentFiles, BentResponder
from .faults.serving import Served
from .faults.wrappers import BentService
from .lab_listeners import doorway_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from .faults.circumstances import Pinned
    from .faults.engine import FaultEngine
    from .gate import Gate
    from .lab_clock import LabClock
    from .recorded import ListenerName, RecordedExchange
    from .request_metrics import RequestMetrics
    from .settings import LabSettings
    from .world import World


class Applications:
    """The WSGI applications of one lab: ``scep``, ``pki``, and those behind ``doorways``.

    ``record`` is told of every exchange, ``metrics`` of what the product answers; ``gate`` is what requests
    have to pass. ``own_name`` is as of `Served`.
    """

    def __init__(
        self,
        world: World,
        settings: LabSettings,
        *,
        engine: FaultEngine,
        clock: LabClock,
        gate: Gate,
        record: Callable[[RecordedExchange], object],
        metrics: RequestMetrics,
        own_name: str,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._clock = clock
        self._gate = gate
        self._record = record
        self._own_name = own_name
        self._endpoint_of = Router(settings.scep.endpoints).endpoint
        self._metrics = metrics
        self._service = metrics.around_scep(create_scep_app(BentService(world, engine)))
        self.doorways = Doorways(
            world,
            address=settings.server.host,
            host=public_host(settings),
            limits=doorway_limits(settings),
            serve=self._scep,
            wait=engine.wait,
        )
        self.scep = self._scep()
        self.pki = self._with_faults(self._publisher(world), "pki")

    def _scep(self, pinned: Pinned | None = None) -> WSGIApplication:
        return self._with_faults(self._service, "scep", self._endpoint_of, pinned)

    def _publisher(self, world: World) -> WSGIApplication:
        responder = self._metrics.counted(BentResponder(world, self._engine))
        application = create_publisher_app(
            BentFiles(world, self._engine),
            virtual_directory=self._settings.pki.virtual_directory,
            settings=self._settings.publisher,
            responder=responder if self._settings.pki.ocsp.enabled else None,
        )
        return self._metrics.around_publisher(application)

    def _with_faults(
        self,
        application: WSGIApplication,
        listener: ListenerName,
        endpoint_of: Callable[[str], str | None] = lambda _: None,
        pinned: Pinned | None = None,
    ) -> WSGIApplication:
        served = Served(
            application,
            listener=listener,
            engine=self._engine,
            clock=self._clock,
            settings=self._settings.faults,
            record=self._record,
            endpoint_of=endpoint_of,
            time_header=self._settings.server.ephemeral,
            pinned=pinned,
            address_of=self.doorways.url if self._settings.faults.urls else lambda *_: None,
            own_name=self._own_name,
        )
        return self._gate.before(served)


class Lazily:
    """A WSGI application made when it is first asked: its routes take tens of milliseconds to compile."""

    def __init__(self, make: Callable[[], WSGIApplication]) -> None:
        self._make = make
        self._making = threading.Lock()
        self._made: WSGIApplication | None = None

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        with self._making:
            made = self._made = self._made or self._make()
        return made(environ, start_response)
