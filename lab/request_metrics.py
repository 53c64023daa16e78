"""What is asked of a lab, counted for Prometheus as the programs of the product count it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from prometheus_client import CollectorRegistry

    from ca.ocsp_responder import OcspAnswer
    from crl_publisher.metrics import PublisherMetrics
    from crl_publisher.ocsp import OcspResponder
    from scep_server.exchange import Exchange
    from scep_server.metrics import ScepMetrics


class RequestMetrics:
    """The counters of one lab; an `ExchangeObserver`. They go on over a reset, as counters do.

    Made when the first request is counted: Prometheus' library takes long to load.

    Args:
        virtual_directory: where files are published.
        own_name: the User-Agent of what the lab itself fetches to look at its health; that is not counted.

    """

    def __init__(self, *, virtual_directory: str, own_name: str) -> None:
        self._virtual_directory = virtual_directory
        self._own_name = own_name
        self._asking = threading.local()
        self._making = threading.Lock()
        self._made: tuple[CollectorRegistry, ScepMetrics, PublisherMetrics] | None = None

    def observe(self, exchange: Exchange) -> None:
        """Count one exchange."""
        self._scep.observe(exchange)

    def around_scep(self, application: WSGIApplication) -> WSGIApplication:
        """Return ``application`` with its responses counted."""
        return self._around(application, lambda: self._scep.around(application))

    def around_publisher(self, application: WSGIApplication) -> WSGIApplication:
        """Return ``application`` with its responses counted and timed."""
        return self._around(application, lambda: self._publisher.around(application))

    def counted(self, responder: OcspResponder) -> OcspResponder:
        """Return ``responder`` with its answers counted."""
        return _Counted(responder, self._note)

    def text(self) -> bytes:
        """Return all counters in Prometheus' text format."""
        from prometheus_client import generate_latest

        return generate_latest(self._counters()[0])

    def _note(self, answer: OcspAnswer) -> None:
        if not getattr(self._asking, "is_own", False):
            self._publisher.note(answer)

    @property
    def _scep(self) -> ScepMetrics:
        return self._counters()[1]

    @property
    def _publisher(self) -> PublisherMetrics:
        return self._counters()[2]

    def _counters(self) -> tuple[CollectorRegistry, ScepMetrics, PublisherMetrics]:
        if self._made is None:
            from prometheus_client import CollectorRegistry

            from crl_publisher.metrics import PublisherMetrics
            from scep_server.metrics import ScepMetrics

            with self._making:
                if self._made is None:
                    registry = CollectorRegistry()
                    publisher = PublisherMetrics(registry, virtual_directory=self._virtual_directory)
                    self._made = registry, ScepMetrics(registry), publisher
        return self._made

    def _around(
        self, application: WSGIApplication, counting: Callable[[], WSGIApplication]
    ) -> WSGIApplication:
        def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            is_own = self._asking.is_own = environ.get("HTTP_USER_AGENT") == self._own_name
            return (application if is_own else counting())(environ, start_response)

        return answer


class _Counted:
    """A responder of whose answers somebody is told."""

    def __init__(self, responder: OcspResponder, note: Callable[[OcspAnswer], None]) -> None:
        self._responder = responder
        self._note = note

    def answer(self, octets: bytes) -> OcspAnswer:
        """Answer an OCSPRequest."""
        answer = self._responder.answer(octets)
        self._note(answer)
        return answer
