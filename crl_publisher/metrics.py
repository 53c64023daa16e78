"""What Prometheus is told of a publisher: who fetched what, how long it took, and what OCSP said.

Labels take few values, none of which a client writes. Works in prometheus-client's multiprocess mode. Does
not live here: what ends, and how publication goes (`crl_publisher.expiry`).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import Counter, Gauge, Histogram

from ca.ocsp import CertStatus, ResponseStatus
from ca.process.labelled import Labelled

from .ocsp import is_ocsp_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from prometheus_client import CollectorRegistry

    from ca.ocsp_responder import OcspAnswer

    from .ocsp import OcspResponder

_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_KINDS: Final = (  # by how a name ends; the longer end first
    ("+.crl", "delta-crl"),
    (".crl", "crl"),
    (".crt", "ca-certificate"),
    (".p7c", "ca-certificates"),
)


class PublisherMetrics:
    """Counts every fetch and every OCSP answer. Safe to use from several threads and processes.

    In a worker: ``metrics = PublisherMetrics(CollectorRegistry())``, then
    ``metrics.around(create_app(publisher, responder=metrics.counted(publisher), ...))``. In multiprocess mode
    the process that answers scrapes reads the counters of all, and the registry given here is asked nothing.

    Args:
        registry: where the metrics are asked for, outside of multiprocess mode.
        virtual_directory: where files are published; whatever else is asked for is of kind ``unknown``.
        stopwatch: measures requests.

    """

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        virtual_directory: str = "/CertEnroll",
        stopwatch: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._prefix = f"{virtual_directory}/".casefold()
        self._stopwatch = stopwatch
        self._requests = Labelled(
            Counter(
                "crl_publisher_requests",
                "Requests by what was asked for and HTTP status.",
                ("kind", "status"),
                registry=registry,
            )
        )
        self._duration = Labelled(
            Histogram(
                "crl_publisher_request_duration_seconds",
                "From the request's head to the response, without the network.",
                ("kind",),
                buckets=_BUCKETS,
                registry=registry,
            )
        )
        self._in_progress = Gauge(
            "crl_publisher_requests_in_progress",
            "Requests being answered now.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        answers = Counter(
            "crl_publisher_ocsp_answers",
            "OCSP answers by what was said of each certificate, or by the error (RFC 6960 4.2.1).",
            ("status",),
            registry=registry,
        )
        self._of_certificate = {status: answers.labels(status.value) for status in CertStatus}
        self._errors = {
            status: answers.labels(status.name.lower())
            for status in ResponseStatus
            if status is not ResponseStatus.SUCCESSFUL
        }

    def around(self, application: WSGIApplication) -> WSGIApplication:
        """Return ``application`` with its responses counted and timed."""

        def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            kind = self._kind(str(environ.get("PATH_INFO", "")))

            def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
                self._requests[kind, status[:3]].inc()
                return start_response(status, headers, *more)

            begin = self._stopwatch()
            self._in_progress.inc()
            try:
                return application(environ, start)
            finally:
                self._in_progress.dec()
                self._duration[(kind,)].observe(self._stopwatch() - begin)

        return answer

    def counted(self, responder: OcspResponder) -> OcspResponder:
        """Return ``responder`` with its answers counted."""
        return _Counted(responder, self)

    def note(self, answer: OcspAnswer) -> None:
        """Count an OCSP answer: each certificate in it, or its error."""
        if answer.status is not ResponseStatus.SUCCESSFUL:
            self._errors[answer.status].inc()
        for status in answer.cert_statuses:
            self._of_certificate[status].inc()

    def _kind(self, path: str) -> str:
        if is_ocsp_path(path):
            return "ocsp"
        found = path.casefold()
        if not found.startswith(self._prefix):
            return "unknown"
        return next((kind for end, kind in _KINDS if found.endswith(end)), "unknown")


class _Counted:
    """A responder whose answers are counted."""

    def __init__(self, responder: OcspResponder, metrics: PublisherMetrics) -> None:
        self._responder = responder
        self._metrics = metrics

    def answer(self, octets: bytes) -> OcspAnswer:
        """Answer an OCSPRequest."""
        answer = self._responder.answer(octets)
        self._metrics.note(answer)
        return answer
