"""What the parameters of faults take: everything else is refused, in words that say what would be taken."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from lab.faults.engine import FaultEngine
from lab.faults.registry import BadParameter, Fault, Range, Text, UnknownFault, catalogue
from lab.faults.rules import RuleOrder
from lab.faults.values import HttpAnswer

EVERY = [(fault, name) for fault in catalogue().values() for name in fault.parameters]
NUMBERS = [(fault, name) for fault, name in EVERY if isinstance(fault.limits[name], Range)]
TEXTS = [(fault, name) for fault, name in EVERY if isinstance(fault.limits[name], Text)]
NONCE = "reply::wrong-recipient-nonce"


def named(value: object) -> str:
    return value.id if isinstance(value, Fault) else str(value)


@pytest.mark.parametrize(("fault", "name"), EVERY, ids=named)
def test_every_default_is_within_its_limits(fault: Fault, name: str) -> None:
    default = fault.parameters[name]
    assert fault.read_parameters({name: default}) == {name: default}
    if type(default) in (int, float):
        assert (fault, name) in NUMBERS or "one of" in str(fault.limits[name])


@pytest.mark.parametrize(("fault", "name"), NUMBERS, ids=named)
def test_number_out_of_range_is_refused_with_the_range(fault: Fault, name: str) -> None:
    limit = fault.limits[name]
    assert isinstance(limit, Range)
    beyond = (limit.least - 1, limit.most + 1, math.nan, "nan", "inf", "1e308", 10**30, "9" * 5000, "", "x")
    for value in beyond:
        with pytest.raises(BadParameter, match=f"{fault.id}: {name} is .*{limit}"):
            fault.read_parameters({name: value})


@pytest.mark.parametrize(("fault", "name"), TEXTS, ids=named)
@pytest.mark.parametrize("value", ["x\r\nSet-Cookie: a=b", "x\n", "x\r", "x\0", "ü", "x" * 201])
def test_text_that_is_no_short_line_is_refused(fault: Fault, name: str, value: str) -> None:
    with pytest.raises(BadParameter, match="expected printable ASCII"):
        fault.read_parameters({name: value})


@pytest.mark.parametrize("value", ["a\r\nb", "a\nb", "a\0b"])
def test_header_of_several_lines_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        HttpAnswer(status=200, headers=(), body=b"").with_header("Content-Type", value)


@pytest.mark.parametrize(
    ("path", "error", "words"),
    [
        ("wire::content-type-wrong;value=a\r\nSet-Cookie:a=b", BadParameter, "printable ASCII"),
        ("capabilities::content-type-html;value=\r\nA:b", BadParameter, "printable ASCII"),
        ("wire::body-without-end;megabytes=999999999999", BadParameter, "1 to 1024"),
        ("wire::slow;seconds=soon", BadParameter, "a number, 0 to 3600"),
        ("wire::redirect;keep_method=7", BadParameter, "true or false"),
        ("wire::slow;operation=Bogus", BadParameter, "GetCACaps, GetCACert"),
        ("wire::slow/fault/wire::slow", UnknownFault, "stands twice"),
        ("nope::nope", UnknownFault, "no fault 'nope::nope'; `ndes-lab"),
    ],
)
def test_url_that_makes_no_sense_is_refused(path: str, error: type[Exception], words: str) -> None:
    engine = FaultEngine(entropy=bytes)
    with pytest.raises(error, match=words):
        engine.pinned(f"/fault/{path}/scep")


def test_slash_in_a_parameter_is_written_in_percent() -> None:
    engine = FaultEngine(entropy=bytes)
    pinned, path = engine.pinned("/fault/wire::content-type-wrong;value=text%2Fhtml/scep")
    assert pinned is not None
    assert (pinned.parameters, path) == ({"value": "text/html"}, "/scep")


@pytest.mark.parametrize(
    "order",
    [
        {"fault": NONCE, "match": {"operation": "PKIOperatoin"}},
        {"fault": NONCE, "match": {"message_type": "19"}},
        {"sequence": [None]},
        {"fault": "wire::slow", "parameters": {"seconds": 1e9}},
    ],
)
def test_rule_that_would_never_do_anything_is_refused(order: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="expected"):
        RuleOrder.model_validate(order)


def test_rule_may_match_by_pattern() -> None:
    assert RuleOrder.model_validate(
        {"fault": NONCE, "match": {"operation": "pki*", "message_type": "pkcsreq"}}
    )
