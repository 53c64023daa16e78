"""Every line of a request tells which one, and no line of the next request does."""

from __future__ import annotations

import functools
import io
import json
import logging
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from ndes_world import NdesWorld
from policy_samples import Raising
from scep_world import Client, World
from structlog.contextvars import bound_contextvars, get_contextvars, merge_contextvars
from structlog.testing import capture_logs

from ca.process.logs import log_to
from scep_server.app import create_app
from scep_server.exchange import Exchange, HttpExchangeRequest
from scep_server.exchange_log import ExchangeLog
from scep_server.log_context import FIELDS, fit, note, one_request
from scep_server.protocol.codec import ScepCodec
from scep_server.settings import ScepSettings

_log = structlog.get_logger("ca.test")
STEPS = ("parse", "verify", "open", "encode_reply")
HOSTILE = [
    "a\r\n2026-03-01T12:00:00Z [info     ] scep exchange outcome=success",
    "a\x1b[2J\x1b[31mred",
    "a outcome=success refused_by=nobody",
    '", "outcome": "success',
    "\u202egnp.exe",
    "\u2028",
    "x" * 100_000,
    "\ud800",
]


class Talking:
    """A codec that logs at each step, as any collaborator may, and fails where it is told to."""

    def __init__(self, fails_at: str = "") -> None:
        self._codec = ScepCodec()
        self._fails_at = fails_at

    def __getattr__(self, step: str) -> Any:
        taken = getattr(self._codec, step)
        return functools.partial(self._take, step, taken) if step in STEPS else taken

    def _take(self, step: str, take: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        _log.info(step)
        if step == self._fails_at:
            raise RuntimeError("a defect")
        return take(*arguments, **options)


class Watching:
    """An observer that keeps what lines carry while it is told, together with what it is told."""

    def __init__(self) -> None:
        self.seen: list[tuple[Exchange, dict[str, Any]]] = []

    def observe(self, exchange: Exchange) -> None:
        self.seen.append((exchange, get_contextvars()))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    assert get_contextvars() == {}
    yield
    assert get_contextvars() == {}


def _post(application: Any, message: bytes) -> int:
    status: int = (
        application.test_client()
        .post("/scep?operation=PKIOperation", data=message, content_type="")
        .status_code
    )
    return status


def test_every_line_carries_what_is_known_by_then(world: World) -> None:
    client = Client(world=world)
    application = create_app(world.make_service(codec=Talking()), entropy=bytes)
    with capture_logs(processors=[merge_contextvars]) as logs:
        assert _post(application, client.request(world.new_challenge())) == 200
    parse, verify, opened, encode = ({key: line.get(key) for key in FIELDS} for line in logs)
    known = {"request_id": "00000000-1", "client": "127.0.0.1", "endpoint": "default"}
    known |= {"operation": "PKIOperation", "transaction_id": None, "message_type": None}
    assert parse == known
    assert verify == known | {"transaction_id": client.transaction_id}
    assert opened == encode == known | {"transaction_id": client.transaction_id, "message_type": "PKCSReq"}


@pytest.mark.parametrize("step", STEPS)
def test_the_line_of_an_unforeseen_error_carries_it_too(world: World, step: str) -> None:
    client = Client(world=world)
    application = create_app(world.make_service(codec=Talking(fails_at=step)))
    with capture_logs(processors=[merge_contextvars]) as logs:
        assert _post(application, client.request(world.new_challenge())) == 500
    assert logs[-1]["event"] == "request failed"
    assert logs[-1].get("transaction_id") == (None if step == "parse" else client.transaction_id)
    assert logs[-1]["operation"] == "PKIOperation"


def test_lines_of_a_policy_module_and_of_its_host_carry_it(tmp_path: Path) -> None:
    world = NdesWorld(tmp_path, policy_module="policy_samples:Raising")
    Raising.instances.clear()
    assert world.host is not None
    world.host.start()
    client = Client(world=world)
    with capture_logs(processors=[merge_contextvars]) as logs:
        world.post(client.request("anything"))
    lines = [line for line in logs if line["event"] == "policy module failed"]
    assert [line["transaction_id"] for line in lines] == [client.transaction_id] * 2  # verify and notify


def test_the_line_about_a_brake_tells_whose_request_it_was(world: World) -> None:
    settings = ScepSettings.model_validate({"brakes": {"enabled": True, "wrong_challenges_per_address": 1}})
    service = world.make_service(settings=settings)
    client = Client(world=world)
    with capture_logs(processors=[merge_contextvars]) as logs:
        _post(create_app(service), client.request("guessed"))
    (line,) = [line for line in logs if line["event"].startswith("too many wrong challenges")]
    assert (line["transaction_id"], line["message_type"]) == (client.transaction_id, "PKCSReq")


def test_threads_that_answer_many_requests_mix_nothing_up(world: World) -> None:
    watching = Watching()
    service = world.make_service()
    service._observers = (watching,)
    application = create_app(service)
    good = [Client(world=world) for _ in range(8)]
    messages = [client.request(world.new_challenge()) for client in good]
    together = threading.Barrier(4)

    def ask(number: int) -> dict[str, Any]:
        if number % 16 < 4:
            together.wait(10)  # so that all four threads take part
        browser = application.test_client()
        match number % 4:
            case 0:
                browser.post("/scep?operation=PKIOperation", data=messages[number // 4])
            case 1:
                browser.get("/nowhere")
            case 2:
                browser.post("/scep?operation=PKIOperation", data=b"garbage")
            case _:
                browser.get("/scep?operation=GetCACaps")
        return get_contextvars()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(32))) == [{}] * 32
    assert len(watching.seen) == 32
    for exchange, carried in watching.seen:
        assert carried.get("transaction_id") == exchange.transaction_id
        assert carried.get("operation") == (exchange.operation and exchange.operation.value)
        assert carried.get("endpoint") == exchange.endpoint
    assert len({carried["request_id"] for _, carried in watching.seen}) == 32


def test_a_service_without_a_web_application_leaves_nothing_either(world: World) -> None:
    watching = Watching()
    service = world.make_service(codec=Talking(fails_at="open"))
    service._observers = (watching,)
    message = Client(world=world).request(world.new_challenge())
    with pytest.raises(RuntimeError):
        service.handle(
            HttpExchangeRequest(
                method="POST",
                path="/scep",
                query="operation=PKIOperation",
                body=message,
                remote_address="::1",
            )
        )
    assert get_contextvars() == {}
    service.handle(HttpExchangeRequest(method="GET", path="/nowhere", remote_address="192.0.2.7"))
    assert [carried for _, carried in watching.seen] == [{"client": "192.0.2.7"}]


def test_what_the_embedding_program_bound_is_there_again_afterwards() -> None:
    with bound_contextvars(client="its own", job="nightly"):
        with one_request(request_id="1", client="192.0.2.1"):
            assert get_contextvars() == {"request_id": "1", "client": "192.0.2.1", "job": "nightly"}
            note(client="192.0.2.3")
            with one_request(client="192.0.2.2"):
                note(operation="GetCACaps")
            assert get_contextvars()["client"] == "192.0.2.2"
            assert get_contextvars()["operation"] == "GetCACaps"
        assert get_contextvars() == {"client": "its own", "job": "nightly"}


def test_nothing_is_noted_outside_of_a_request() -> None:
    note(transaction_id="x")
    assert get_contextvars() == {}


def test_a_field_that_would_never_be_taken_away_is_refused() -> None:
    with one_request(), pytest.raises(KeyError, match="password"):
        note(password="x")


@pytest.mark.parametrize("text", HOSTILE)
def test_text_of_a_stranger_is_short_printable_ascii(text: str) -> None:
    found = fit(text)
    assert found.isascii()
    assert found.isprintable()
    assert len(found) < 1000


@pytest.mark.parametrize("text", ["5D0A", "aGk+/=", "f" * 255, "it's one (1), or: 2?"])
def test_ordinary_transaction_ids_stay_as_they_are(text: str) -> None:
    assert fit(text) == text


@pytest.fixture
def _logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("_logging_restored")
@pytest.mark.parametrize("log_format", ["human", "json"])
@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_transaction_id_forges_no_line(world: World, log_format: Any, hostile: str) -> None:
    world.post(Client(world=world).request("a password that nobody made"))
    unverified = world.last.unverified
    assert unverified is not None
    exchange = replace(world.last, unverified=replace(unverified, transaction_id=hostile))
    stream = io.StringIO()
    log_to(stream, level="info", log_format=log_format)
    with one_request(request_id="1"):
        note(transaction_id=hostile)
        _log.info("by another")
        logging.getLogger("ca.test").info("by the standard library")
        ExchangeLog().observe(exchange)
    text = stream.getvalue()
    lines = text.split("\n")
    assert lines.pop() == ""
    assert len(lines) == 3
    assert all(line.isprintable() and len(line) < 4000 for line in lines)
    if log_format == "json":
        assert [json.loads(line)["outcome"] for line in lines if "outcome" in json.loads(line)] == ["failure"]
        assert len({json.loads(line)["transaction_id"] for line in lines}) == 1
    else:
        for told in (repr(fit(hostile)), fit(hostile)):  # one word, in quotation marks where it needs them
            text = text.replace(f"transaction_id={told}", "")
        assert re.findall(r"(?:outcome|refused_by)=\S+", text) == [
            "outcome=failure",
            "refused_by=challenge-unknown",
        ]


@pytest.mark.usefixtures("_logging_restored")
def test_lines_of_the_standard_library_carry_it_where_it_is_read(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(world=world)
    service = world.make_service(codec=Talking())
    caplog.set_level(logging.INFO, logger="ca")
    create_app(service).test_client().post(
        "/scep?operation=PKIOperation", data=client.request(world.new_challenge())
    )
    texts = [record.getMessage() for record in caplog.records if record.name == "ca.test"]
    assert [client.transaction_id in text for text in texts] == [False, True, True, True]
