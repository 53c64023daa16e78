"""The service as IIS loads it: by the first request, and with HTTP 500 while it cannot be started.

mscep.dll looks at its RA certificates when it is loaded and not again: a server that runs goes on
with certificates that have expired since, and one that is restarted then does not come up. Does not
live here: what is wrong with the certificates (`scep_server.ra_standing`).
"""

from __future__ import annotations

import itertools
import threading
import time
from typing import TYPE_CHECKING, Protocol

from ca.records import StoreUnavailable
from scep_server.exchange import HttpReply
from scep_server.outcomes import Outcome, outcome_of
from scep_server.progress import Progress
from scep_server.ra_standing import RaUnusable
from scep_server.transport import UnknownPath

from .event_log import CANNOT_START, NO_RA_CERTIFICATE, STARTED, STOPPED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ca.clock import Clock
    from scep_server.exchange import ExchangeObserver, HttpExchangeRequest
    from scep_server.transport import Router

    from .event_log import EventLog
    from .profiles import BehaviourProfile

_TEXT = "The Network Device Enrollment Service cannot be started."


class Service(Protocol):
    """What answers once it is loaded."""

    def handle(self, request: HttpExchangeRequest) -> HttpReply:
        """Answer one request."""


class LoadedOnDemand:
    """A service that is made when it is first needed. Safe to use from several threads.

    Args:
        load: makes the service; raises RaUnusable when the RA's certificates forbid it.
        router: knows which paths are anybody's: a request for another one loads nothing.
        check: looks at the RA's certificates again, for profiles that want it; raises RaUnusable.
        profile: that of NDES's own path.
        event_log: told of start, stop and failure.
        observers: told of requests that are answered without a service.
        clock: the time of those requests.
        maximum_body_octets: the longest body that is read.
        stopwatch: measures them.

    """

    def __init__(
        self,
        *,
        load: Callable[[], Service],
        router: Router,
        check: Callable[[], None],
        profile: BehaviourProfile,
        event_log: EventLog,
        observers: Sequence[ExchangeObserver],
        clock: Clock,
        maximum_body_octets: int,
        stopwatch: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.maximum_body_octets = maximum_body_octets
        self._load = load
        self._router = router
        self._check = check
        self._profile = profile
        self._event_log = event_log
        self._observers = tuple(observers)
        self._clock = clock
        self._stopwatch = stopwatch
        self._loading = threading.Lock()
        self._service: Service | None = None
        self._failure: RaUnusable | None = None
        self._numbers = itertools.count(-1, -1)  # below those of the service

    def start(self) -> Service:
        """Return the service, loaded if it is not yet.

        Raises:
            RaUnusable: it cannot be started; events 2 and 10 say so.
            StoreUnavailable: the database cannot be used now.

        """
        if self._service is not None and not self._profile.expired_ra_stops:
            return self._service
        with self._loading:
            if self._service is not None:
                self._check()
                return self._service
            if self._failure is not None and not self._profile.retries_failed_start:
                raise self._failure
            try:
                self._service = self._load()
            except RaUnusable as error:
                self._failure = error
                hresult = error.hresult(self._profile)
                self._event_log.write_error(CANNOT_START, hresult)
                self._event_log.write_error(NO_RA_CERTIFICATE, hresult)
                raise
            self._failure = None
            self._event_log.write(STARTED)
            return self._service

    def recycle(self) -> None:
        """Unload the service, as recycling its application pool does; the next request loads it anew."""
        with self._loading:
            if self._service is not None:
                self._event_log.write(STOPPED)
            self._service = self._failure = None

    def handle(self, request: HttpExchangeRequest) -> HttpReply:
        """Answer one request."""
        if self._service is None and self._router.endpoint(request.path) is None:
            return self._answer(request, outcome_of(UnknownPath()), "no endpoint has this path")
        try:
            service = self.start()
        except RaUnusable as error:
            return self.cannot_start(request, error)
        except StoreUnavailable as error:  # not a failure to start: the next request tries again
            return self._answer(request, outcome_of(error), str(error))
        return service.handle(request)

    def cannot_start(self, request: HttpExchangeRequest, error: RaUnusable) -> HttpReply:
        """Answer a request that finds no service, and tell the observers."""
        hresult = error.hresult(self._profile)
        outcome = Outcome(name="cannot-start", status=500, text=_TEXT, hresult=hresult)
        return self._answer(request, outcome, str(error))

    def _answer(self, request: HttpExchangeRequest, outcome: Outcome, detail: str) -> HttpReply:
        progress = Progress(
            number=next(self._numbers),
            received_at=self._clock.now(),
            request=request,
            stopwatch=self._stopwatch,
        )
        progress.outcome, progress.detail = outcome, detail
        headers = [("Cache-Control", "no-store")]
        if outcome.retry_later:
            headers.append(("Retry-After", str(self._profile.retry_after_seconds)))
        reply = HttpReply(
            status=outcome.status,
            content_type="text/plain",
            body=f"{outcome.text}\n".encode(),
            headers=tuple(headers),
        )
        exchange = progress.finish(reply)
        for observer in self._observers:
            observer.observe(exchange)
        return reply
