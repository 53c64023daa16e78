"""One log line per exchange: enough to see why, and never a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from forge.certificates import common_name, key_usage
from scep_world import Client, World
from structlog.testing import capture_logs

from scep_server.exchange_log import ExchangeLog

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def _logged(world: World) -> list[dict[str, object]]:
    with capture_logs() as logs:
        for exchange in world.recorder.exchanges:
            ExchangeLog().observe(exchange)
    return [dict(entry) for entry in logs]


def test_says_what_was_issued_and_what_was_not_granted(world: World) -> None:
    client = Client(world=world)
    client.obtain(client.request(world.new_challenge(), csr={"extensions": [key_usage(0, 5)]}))
    (entry,) = _logged(world)
    assert (entry["log_level"], entry["event"]) == ("info", "scep exchange")
    assert (entry["operation"], entry["message_type"], entry["pki_status"]) == (
        "PKIOperation",
        "PKCSReq",
        "SUCCESS",
    )
    assert entry["transaction_id"] == client.transaction_id
    assert entry["certificate"] == 1
    assert "request-wish" in str(entry["warnings"])


def test_says_precisely_what_the_reply_does_not(world: World) -> None:
    client = Client(world=world)
    client.send(client.request("not the password"))
    world.post(b"garbage")
    refused, unreadable = _logged(world)
    assert (refused["log_level"], refused["refused_by"]) == ("warning", "challenge-unknown")
    assert refused["fail_info"] == "badRequest"
    assert (unreadable["refused_by"], unreadable["status"]) == ("unreadable-message", 400)
    assert unreadable["detail"]


def test_shows_no_password_and_no_raw_control_character(world: World) -> None:
    client = Client(world=world, subject=common_name("a\r\nlevel=info \x1b[31mred"))
    challenge = world.new_challenge()
    client.send(client.request(challenge))
    world.handle(query="operation=%0d%0a\x1b[31m")
    text = str([value for entry in _logged(world) for value in entry.values() if isinstance(value, str)])
    assert challenge not in text
    for entry in _logged(world):
        assert all(value.isprintable() for value in entry.values() if isinstance(value, str))
