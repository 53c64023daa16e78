"""The pages that say how a program is."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator

import pytest

from ca.process.settings import UnusableSettings
from ca.process.status import StatusListener, StatusPages


class Telling:
    def __init__(self) -> None:
        self.wrong: str | None = None

    def trouble(self) -> str | None:
        return self.wrong

    def metrics(self) -> bytes:
        raise RuntimeError("secret detail")


@pytest.fixture
def telling() -> Telling:
    return Telling()


@pytest.fixture
def port(telling: Telling) -> Iterator[int]:
    listener = StatusListener("127.0.0.1", 0, StatusPages(telling, "1.2.3"))
    yield listener.port
    listener.stop()


def ask(port: int, path: str, method: str = "GET") -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), dict(answer.headers)
    finally:
        connection.close()


def test_tells(port: int) -> None:
    assert ask(port, "/health/live")[:2] == (200, "live\n")
    assert ask(port, "/health/ready")[:2] == (200, "ready\n")
    assert ask(port, "/version")[:2] == (200, "1.2.3\n")


def test_says_why_it_is_not_ready(port: int, telling: Telling) -> None:
    telling.wrong = "the database is away"
    assert ask(port, "/health/ready")[:2] == (503, "the database is away\n")
    assert ask(port, "/health/live")[0] == 200


def test_head_has_no_body(port: int) -> None:
    status, body, fields = ask(port, "/version", "HEAD")
    assert (status, body, fields["Content-Length"]) == (200, "", "6")


def test_refuses_other_methods_and_paths(port: int) -> None:
    status, _, fields = ask(port, "/version", "POST")
    assert (status, fields["Allow"]) == (405, "GET, HEAD")
    status, text, _ = ask(port, "/")
    assert (status, "/health/ready" in text) == (404, True)


def test_what_goes_wrong_is_in_the_log_only(port: int, caplog: pytest.LogCaptureFixture) -> None:
    assert ask(port, "/metrics")[:2] == (500, "see the log\n")
    assert "status cannot be told" in caplog.text


def test_says_that_its_port_is_taken() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(UnusableSettings, match="cannot be opened"),
    ):
        StatusListener("127.0.0.1", taken.getsockname()[1], StatusPages(Telling(), "1"))
