"""What Prometheus is told of SCEP: requests, refusals, challenges and certificates, as counters.

Labels take few values, all of our own making: endpoints and templates as they are configured, words of
RFC 8894, ids of the table of outcomes. Nothing that a client writes is ever a label. ``-`` stands for what
was not reached. Works in prometheus-client's multiprocess mode. Does not live here: what ends
(`scep_server.expiry`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from prometheus_client import Counter, Gauge, Histogram

from ca.process.labelled import Labelled

from .checks import Verdict
from .decisions import Grant
from .outcomes import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from prometheus_client import CollectorRegistry

    from .exchange import Exchange

_NOT_REACHED: Final = "-"  # no endpoint has this name
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_CHALLENGE: Final = "challenge-"  # what ids of refusals because of the challenge begin with
_BRAKES: Final = {
    "too-many-requests": "requests",
    Refusal.CHALLENGE_BRAKE.value: "challenges",
    Refusal.PENDING_QUOTA.value: "pending",
}


class ScepMetrics:
    """Counts every exchange; an `ExchangeObserver`. Safe to use from several threads and processes.

    In a worker: ``metrics = ScepMetrics(CollectorRegistry())``, then ``observers=(metrics, ...)`` and
    ``metrics.around(create_app(server))``. In multiprocess mode the process that answers scrapes reads the
    counters of all, and the registry given here is asked nothing.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Labelled(
            Counter(
                "scep_requests",
                "Requests by end: success, pending, failure (failInfo), rejected (4xx), error (5xx).",
                ("endpoint", "operation", "message_type", "outcome"),
                registry=registry,
            )
        )
        self._duration = Labelled(
            Histogram(
                "scep_request_duration_seconds",
                "From the request's last octet to the reply, without the network.",
                ("operation",),
                buckets=_BUCKETS,
                registry=registry,
            )
        )
        self._refusals = Labelled(
            Counter(
                "scep_refusals",
                "Requests that were refused, by what refused them.",
                ("endpoint", "reason"),
                registry=registry,
            )
        )
        self._challenges = Labelled(
            Counter(
                "scep_challenges",
                "Challenges looked at, by what was found: accepted, or why not.",
                ("endpoint", "outcome"),
                registry=registry,
            )
        )
        self._issued = Labelled(
            Counter(
                "scep_certificates_issued",
                "Certificates issued in answer to a request; not those a certificate manager approved later.",
                ("endpoint", "template"),
                registry=registry,
            )
        )
        brakes = Counter(
            "scep_brake_refusals",
            "Requests that a brake refused: too many requests, wrong challenges, or requests that wait.",
            ("brake",),
            registry=registry,
        )
        self._brakes = {reason: brakes.labels(brake) for reason, brake in _BRAKES.items()}
        self._responses = Labelled(
            Counter("scep_http_responses", "HTTP responses by status.", ("status",), registry=registry)
        )
        self._in_progress = Gauge(
            "scep_http_requests_in_progress",
            "Requests being answered now.",
            registry=registry,
            multiprocess_mode="livesum",
        )

    def observe(self, exchange: Exchange) -> None:
        """Count one exchange."""
        endpoint = exchange.endpoint or _NOT_REACHED
        operation = _NOT_REACHED if exchange.operation is None else exchange.operation.value
        message = exchange.message
        message_type = _NOT_REACHED if message is None else message.message_type.rfc_name
        self._requests[endpoint, operation, message_type, exchange.ending.value].inc()
        self._duration[(operation,)].observe(exchange.duration)
        reason = exchange.refused_by
        if reason is not None:
            self._refusals[endpoint, reason].inc()
            if (brake := self._brakes.get(reason)) is not None:
                brake.inc()
        if (found := _challenge_outcome(exchange)) is not None:
            self._challenges[endpoint, found].inc()
        answer = exchange.answer
        if isinstance(answer, Grant) and answer.plan is not None and answer.certificate is not None:
            self._issued[endpoint, answer.certificate.template].inc()

    def around(self, application: WSGIApplication) -> WSGIApplication:
        """Return ``application`` with its responses counted, unforeseen errors too."""

        def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
                self._responses[(status[:3],)].inc()
                return start_response(status, headers, *more)

            self._in_progress.inc()
            try:
                return application(environ, start)
            finally:
                self._in_progress.dec()

        return answer


def _challenge_outcome(exchange: Exchange) -> str | None:
    """Return what was found of a challenge; None where none was looked at."""
    reason = exchange.refused_by
    if reason is not None and reason.startswith(_CHALLENGE):
        return reason.removeprefix(_CHALLENGE)
    passed = any(one.name == "challenge" and one.verdict is Verdict.PASSED for one in exchange.checks)
    return "accepted" if passed else None
