"""What it costs to watch an enrolment: what its log lines carry, its counters, its line in the log."""

from __future__ import annotations

import io
import timeit
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry
from scep_world import Client, World

from ca.process.logs import log_to
from scep_server.exchange_log import ExchangeLog
from scep_server.log_context import note, one_request
from scep_server.metrics import ScepMetrics

_TIMES = 5_000
_REPEATED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Observing:
    """Microseconds for one enrolment, the best of several rounds."""

    context: float
    counters: float
    line: float


class _Nowhere(io.StringIO):
    def write(self, text: str) -> int:
        return len(text)


def measure(folder: Path) -> Observing:
    """Enrol once, and observe that again and again."""
    world = World(folder)
    client = Client(world=world)
    client.send(client.request(world.new_challenge()))
    exchange, metrics, log = world.last, ScepMetrics(CollectorRegistry()), ExchangeLog()
    application = metrics.around(lambda _, start: [str(start("200 OK", [])).encode()])

    def context() -> None:
        with one_request(request_id="00000000-1", client="127.0.0.1"), one_request(client="127.0.0.1"):
            note(endpoint="default")
            note(operation="PKIOperation")
            note(transaction_id=client.transaction_id)
            note(message_type="PKCSReq")

    def count() -> None:
        application({}, lambda *_: lambda octets: None)
        metrics.observe(exchange)

    log_to(_Nowhere(), level="info", log_format="json")
    return Observing(
        context=_microseconds(context),
        counters=_microseconds(count),
        line=_microseconds(lambda: log.observe(exchange)),
    )


def _microseconds(call: Callable[[], object]) -> float:
    return min(timeit.repeat(call, number=_TIMES, repeat=_REPEATED)) / _TIMES * 1e6
