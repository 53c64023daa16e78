"""The gate before a web application: it counts whole answers, and keeps everybody out while it is shut."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from wsgiref.types import StartResponse, WSGIEnvironment
from wsgiref.util import setup_testing_defaults

import pytest

from lab.gate import Gate, StillAnswering


class Application:
    """Answers in two parts, the second one when it is told to."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.called = threading.Event()
        self.is_closed = False

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Application:
        self.called.set()
        if environ["PATH_INFO"] == "/broken":
            raise RuntimeError("broken")
        start_response("200 OK", [])
        return self

    def __iter__(self) -> Iterator[bytes]:
        yield b"first"
        assert self.may_end.wait(30)
        yield b"second"

    def close(self) -> None:
        self.is_closed = True


def ask(gate: Gate, application: Application, path: str = "/") -> list[bytes]:
    """One request, as a web server handles it."""
    environ: dict[str, object] = {"PATH_INFO": path}
    setup_testing_defaults(environ)
    parts = gate.before(application)(environ, lambda *_: lambda _octets: None)  # type: ignore[arg-type]
    try:
        return list(parts)
    finally:
        parts.close()  # type: ignore[attr-defined]


def test_an_answer_passes_as_it_is_and_is_closed() -> None:
    application = Application()
    application.may_end.set()
    assert ask(Gate(), application) == [b"first", b"second"]
    assert application.is_closed


def test_shutting_waits_for_the_last_octet_and_then_for_nobody() -> None:
    gate, application, order = Gate(), Application(), list[str]()

    def answer() -> None:
        ask(gate, application)
        order.append("answered")

    thread = threading.Thread(target=answer)
    thread.start()
    assert application.called.wait(30)
    threading.Timer(0.01, application.may_end.set).start()
    with gate.shut():
        thread.join(30)
        order.append("shut")
    assert order == ["answered", "shut"]


def test_who_comes_while_it_is_shut_is_answered_afterwards() -> None:
    gate, application = Gate(), Application()
    application.may_end.set()
    with gate.shut():
        thread = threading.Thread(target=ask, args=(gate, application))
        thread.start()
        assert not application.called.wait(0.05)
    thread.join(30)
    assert application.is_closed


def test_a_request_that_failed_is_inside_no_longer() -> None:
    gate = Gate(patience=0)
    with pytest.raises(RuntimeError, match="broken"):
        ask(gate, Application(), "/broken")
    with gate.shut():
        pass


def test_patience_ends_and_the_gate_is_open_again() -> None:
    gate, application = Gate(patience=0.01), Application()
    thread = threading.Thread(target=ask, args=(gate, application))
    thread.start()
    assert application.called.wait(30)
    with pytest.raises(StillAnswering, match="1 requests are still being answered"), gate.shut():
        pytest.fail("was let through")
    application.may_end.set()
    thread.join(30)
    assert ask(gate, application) == [b"first", b"second"]
