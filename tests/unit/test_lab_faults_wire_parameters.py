"""The parameters of faults on the wire and of GetCACaps, each by what it changes; no socket is opened."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from typing import Any

import pytest

from lab.faults.circumstances import Circumstances
from lab.faults.registry import Seam, catalogue, find
from lab.faults.tools import Tools
from lab.faults.values import (
    Arrival,
    CapabilitiesAnswer,
    Close,
    Doorway,
    HttpAnswer,
    Reset,
    Send,
    Wait,
    WireStep,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
BODY = bytes(range(256)) * 4
ANSWER = HttpAnswer(
    status=200,
    headers=(("Content-Type", "application/x-pki-message"), ("Content-Length", str(len(BODY)))),
    body=BODY,
)
GET = Arrival(method="GET", path="/scep", query="operation=PKIOperation&message=" + "A" * 400)
CAPABILITIES = CapabilitiesAnswer(body=b"AES\nSHA-256\n", content_type="text/plain")


def tools() -> Tools:
    world: Any = SimpleNamespace(clock=SimpleNamespace(now=lambda: NOW))
    nobody = Circumstances(listener="scep", path="/scep", client_address="", user_agent="")
    return Tools(world=world, circumstances=nobody, wait=lambda _: None)


def bent(fault_id: str, value: Any, /, **parameters: object) -> Any:
    fault = find(fault_id)
    return fault.apply(value, tools(), fault.read_parameters(parameters))


def steps(answer: HttpAnswer) -> tuple[WireStep, ...]:
    assert answer.delivery is not None
    return tuple(answer.delivery(answer))


def waits(answer: HttpAnswer) -> list[float]:
    return [step.seconds for step in steps(answer) if isinstance(step, Wait)]


def octets(answer: HttpAnswer) -> bytes:
    return b"".join(step.octets for step in steps(answer) if isinstance(step, Send))


def header(name: str) -> Callable[[Any], object]:
    return lambda value: value.answer.header(name)


CASES: list[tuple[str, object, Callable[[Any], object], dict[str, object], object]] = [
    ("wire::unauthorized", GET, header("WWW-Authenticate"), {"schemes": "Basic"}, "Basic"),
    ("wire::forbidden", GET, lambda a: b"403.7 - Forbidden" in a.answer.body, {"substatus": 7}, True),
    ("wire::query-too-long", GET, lambda a: a.answer is not None, {"longest": 400}, True),
    ("wire::query-too-long", GET, lambda a: a is GET, {"longest": 500}, True),
    ("wire::too-many-requests", GET, header("Retry-After"), {"seconds": 77}, "77"),
    ("wire::overloaded", GET, header("Retry-After"), {"seconds": 77}, "77"),
    ("wire::redirect", GET, lambda a: a.answer.status, {"keep_method": True}, 307),
    ("wire::stalled-before-headers", ANSWER, waits, {"seconds": 7}, [7.0]),
    ("wire::stalled-within-body", ANSWER, waits, {"seconds": 7}, [7.0]),
    ("wire::slow", ANSWER, waits, {"seconds": 7}, [7.0]),
    ("wire::drip-fed", ANSWER, lambda a: set(waits(a)), {"pause": 0.25}, {0.25}),
    (
        "wire::drip-fed",
        ANSWER,
        lambda a: {len(step.octets) for step in steps(a) if isinstance(step, Send)} - {1},
        {"octets": 1},
        set(),
    ),
    ("wire::headers-without-end", ANSWER, lambda a: sum(waits(a)), {"seconds": 1}, pytest.approx(1)),
    (
        "wire::body-without-end",
        ANSWER,
        lambda a: len(octets(a)) - len(a.head()) - len(BODY),
        {"megabytes": 2},
        2 * 1024 * 1024,
    ),
    (
        "wire::content-length-too-long",
        ANSWER,
        lambda a: a.header("Content-Length"),
        {"octets": 5},
        str(len(BODY) + 5),
    ),
    ("wire::content-length-too-long", ANSWER, waits, {"seconds": 7}, [7.0]),
    ("wire::content-type-wrong", ANSWER, lambda a: a.header("Content-Type"), {"value": "x/y"}, "x/y"),
    ("wire::chunked", ANSWER, lambda a: octets(a).count(b"\r\n200\r\n"), {"octets": 512}, 2),
    (
        "capabilities::on-one-line",
        CAPABILITIES,
        lambda a: a.body,
        {"separator": ", "},
        b"AES, SHA-256\n",
    ),
    ("capabilities::ten-thousand-words", CAPABILITIES, lambda a: len(a.words), {"words": 3}, 5),
    ("capabilities::content-type-html", CAPABILITIES, lambda a: a.content_type, {"value": "x/y"}, "x/y"),
]


@pytest.mark.parametrize(
    ("fault_id", "value", "look", "parameters", "expected"),
    CASES,
    ids=[f"{fault_id}-{'-'.join(parameters)}" for fault_id, _, _, parameters, _ in CASES],
)
def test_parameter_does_what_it_says(
    fault_id: str,
    value: object,
    look: Callable[[Any], object],
    parameters: dict[str, object],
    expected: object,
) -> None:
    assert look(bent(fault_id, value, **parameters)) == expected


def test_overloaded_can_say_when_as_a_date() -> None:
    arrival = bent("wire::overloaded", GET, seconds=90, as_date=True)
    when = parsedate_to_datetime(arrival.answer.header("Retry-After"))
    assert (when - NOW).total_seconds() == 90


def test_every_parameter_has_a_test() -> None:
    tested = {(fault_id, name) for fault_id, _, _, parameters, _ in CASES for name in parameters}
    tested |= {("wire::overloaded", "as_date")}
    here = [fault for fault in catalogue().values() if fault.seam in (Seam.WIRE, Seam.CAPABILITIES)]
    assert {(fault.id, name) for fault in here for name in fault.parameters} == tested


# -- what holds for all of them ------------------------------------------------------------


WIRE = [fault for fault in catalogue().values() if fault.takes is HttpAnswer and fault.seam is Seam.WIRE]
DOORWAYS = [fault for fault in catalogue().values() if fault.takes is Doorway]


@pytest.mark.parametrize("fault", WIRE, ids=lambda fault: fault.id)
def test_answer_that_is_delivered_otherwise_says_how(fault: Any) -> None:
    answer = bent(fault.id, ANSWER)
    assert (answer.delivery is None) == (answer.manner == "")
    if answer.delivery is not None:
        assert steps(answer)
        assert not any(isinstance(step, Close | Reset) for step in steps(answer)[:-1]), "nothing comes after"


@pytest.mark.parametrize("fault", DOORWAYS, ids=lambda fault: fault.id)
def test_doorway_differs_from_a_good_one_and_has_no_parameters(fault: Any) -> None:
    plain = Doorway(host="127.0.0.1")
    assert bent(fault.id, plain) not in (plain, plain.with_tls())
    assert fault.parameters == {}


def test_redirect_loop_by_rule_leads_back_to_the_same_path() -> None:
    arrival = bent("wire::redirect-loop", dataclasses.replace(GET, query=""))
    assert arrival.answer.header("Location") == "/scep"


@pytest.mark.parametrize(
    "fault_id",
    [
        "capabilities::sha-256-not-announced",  # without SHA-512 that is another fault
        "capabilities::des3-not-announced",
        "capabilities::renewal-not-announced",
    ],
)
def test_leaves_a_list_alone_that_lacks_the_word_already(fault_id: str) -> None:
    assert bent(fault_id, CAPABILITIES) is CAPABILITIES


def test_leaves_an_answer_alone_where_nothing_can_go_wrong() -> None:
    nothing = dataclasses.replace(ANSWER, body=b"", headers=())
    for fault_id in ("wire::empty-body", "wire::line-ends-converted", "wire::content-type-with-charset"):
        assert bent(fault_id, nothing) is nothing
    post = dataclasses.replace(GET, method="POST")
    assert bent("wire::query-too-long", post, longest=1) is post
    assert bent("wire::body-too-long", GET) is GET
    assert bent("capabilities::post-announced-and-refused", GET) is GET
