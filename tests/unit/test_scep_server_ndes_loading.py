"""A service loaded by its first request, while what it needs is not there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from ca.records import StoreUnavailable
from scep_server.exchange import Exchange, HttpExchangeRequest, HttpReply
from scep_server.ndes.event_log import EventLog
from scep_server.ndes.loading import LoadedOnDemand, Service
from scep_server.ndes.profiles import MODERN
from scep_server.transport import Router


class FixedClock:
    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)


class Answering:
    def handle(self, _request: HttpExchangeRequest) -> HttpReply:
        return HttpReply(status=200, content_type="text/plain", body=b"served")


class Watching:
    def __init__(self) -> None:
        self.seen: list[Exchange] = []

    def observe(self, exchange: Exchange) -> None:
        self.seen.append(exchange)


def loaded_by(load: Callable[[], Service], watching: Watching) -> LoadedOnDemand:
    return LoadedOnDemand(
        load=load,
        router=Router(["default"]),
        check=lambda: None,
        profile=MODERN,
        event_log=EventLog(FixedClock(), MODERN),
        observers=[watching],
        clock=FixedClock(),
        maximum_body_octets=1024,
    )


def test_a_store_that_is_away_at_the_first_request_is_retryable_and_the_next_request_loads() -> None:
    attempts = iter([StoreUnavailable("the database is locked"), None])

    def load() -> Service:
        if (error := next(attempts)) is not None:
            raise error
        return Answering()

    watching = Watching()
    service = loaded_by(load, watching)
    request = HttpExchangeRequest(method="GET", path="/scep", query="operation=GetCACaps")
    refused = service.handle(request)
    assert refused.status == 503
    assert dict(refused.headers)["Retry-After"] == str(MODERN.retry_after_seconds)
    assert b"locked" not in refused.body
    assert watching.seen[0].detail == "the database is locked"
    assert service.handle(request).body == b"served"
