"""Every parameter of a reply's faults does something, and refusals by a fault leave nothing behind."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from forge import wire
from forge.keys import KeyPool

from ca.clock import SystemClock
from faults.looks import (
    FAIL_INFO,
    FAIL_INFO_TEXT,
    MESSAGE_TYPE,
    PKI_STATUS,
    RECIPIENT_NONCE,
    SENDER_NONCE,
    TRANSACTION_ID,
    assert_valid,
    envelope_of,
    envelope_printed,
    field_of,
    parsed,
    signer_infos,
    status_of,
    subjects,
    values_of,
)
from faults.stand import Sent, Side
from lab.faults.engine import path_of
from lab.faults.registry import Range, Seam, catalogue
from lab.scep_lab import ScepLab

NAMES = ("bad-alg", "bad-message-check", "bad-request", "bad-time", "bad-cert-id")
Check = Callable[[Side], bool]
CASES: dict[tuple[str, str, object], Check] = {}


@pytest.fixture(scope="module")
def scep_lab() -> Iterator[ScepLab]:
    with ScepLab() as running:
        yield running


@pytest.fixture(scope="module")
def keys() -> KeyPool:
    return KeyPool()


def _side(scep_lab: ScepLab, keys: KeyPool, fault_id: str, **parameters: object) -> Side:
    base = scep_lab._lab.scep_base_url
    return Side(scep_lab, base + path_of(fault_id, "/scep", **parameters), scep_lab.pki_url, keys)


def _text(sent: Sent, oid: str) -> str:
    ((value,),) = values_of(sent, oid)
    return value[1]


def _octets_of(sent: Sent, oid: str) -> int:
    """Return how many octets the one value of an attribute has."""
    assert_valid(sent)
    lines = sent.parsed().splitlines()
    at = next(index for index, line in enumerate(lines) if line.endswith(f":{oid}"))
    (length,) = re.findall(r" l=\s*(\d+) ", lines[at + 2])
    return int(length)


def _case(fault_id: str, parameter: str, value: object, check: Check) -> None:
    CASES[fault_id, parameter, value] = check


def _age(sent: Sent) -> timedelta:
    moment = datetime.strptime(_text(sent, "signingTime"), "%y%m%d%H%M%SZ").replace(tzinfo=UTC)
    return SystemClock().now() - moment


for name in NAMES:
    for text, there in (
        ("none", lambda found: not found),
        ("long", lambda found: len(found) == 4_800),
        ("utf-8", lambda found: "PrÃ¼fsumme" in found or "Prüfsumme" in found),
        ("No.", lambda found: found == "No."),
    ):
        _case(
            f"reply::fail-info-{name}",
            "text",
            text,
            lambda side, there=there: there(
                "".join(value for one in values_of(side.enrol(), FAIL_INFO_TEXT) for _, value in one)
            ),
        )
_case("reply::fail-info-unknown", "value", 12, lambda side: _text(side.enrol(), FAIL_INFO) == "12")
_case("reply::pki-status-unknown", "value", 1, lambda side: _text(side.enrol(), PKI_STATUS) == "1")
_case("reply::success-with-fail-info", "value", 4, lambda side: status_of(side.enrol()) == "0/4")
_case("reply::stale-reply", "minutes", 600, lambda side: _age(side.enrol()) > timedelta(minutes=599))
_case("reply::stale-reply", "same_client", True, lambda side: len(subjects(side.enrol().opened())) == 1)
_case("reply::signing-time-off", "days", -30, lambda side: _age(side.enrol()) > timedelta(days=29))
_case(
    "reply::recipient-nonce-short", "octets", 15, lambda side: _octets_of(side.enrol(), RECIPIENT_NONCE) == 15
)
_case(
    "reply::recipient-nonce-long", "octets", 17, lambda side: _octets_of(side.enrol(), RECIPIENT_NONCE) == 17
)
_case("reply::sender-nonce-short", "octets", 1, lambda side: _octets_of(side.enrol(), SENDER_NONCE) == 1)
_case("reply::sender-nonce-long", "octets", 999, lambda side: _octets_of(side.enrol(), SENDER_NONCE) == 999)
_case(
    "reply::transaction-id-cut-off",
    "characters",
    39,
    lambda side: _octets_of(side.enrol(), TRANSACTION_ID) == 39,
)
_case("reply::message-type-unknown", "value", 18, lambda side: _text(side.enrol(), MESSAGE_TYPE) == "18")


def _statuses(*expected: str) -> Check:
    def check(side: Side) -> bool:
        sent = side.enrol()
        polled = [status_of(side.poll(sent)) for _ in expected[1:]]
        return (status_of(sent), *polled) == expected

    return check


_case("reply::pending-then-success", "polls", 1, _statuses("3", "0", "0"))
_case("reply::pending-then-failure", "polls", 1, _statuses("3", "2/2", "2/2"))
_case("reply::pending-then-unknown", "polls", 3, _statuses("3", "3", "3", "2/4"))
_case("reply::pending-with-envelope", "polls", 2, _statuses("3", "3", "0"))
_case(
    "encoding::signed-data-version",
    "value",
    7,
    lambda side: field_of(side.enrol().printed(), "version")[0] == "7",
)
_case(
    "encoding::signer-info-version",
    "value",
    7,
    lambda side: field_of(signer_infos(side.enrol()), "version") == ["7"],
)
_case(
    "encoding::enveloped-data-version",
    "value",
    7,
    lambda side: field_of(envelope_printed(side.enrol()), "version")[0] == "7",
)
_case(
    "encoding::key-transport-oaep",
    "digest",
    "sha256",
    lambda side: ":sha256" in parsed_envelope(side.enrol()),
)
_case(
    "encoding::trailing-octets-in-envelope",
    "octets",
    3,
    lambda side: side.enrol().opened().endswith(bytes(3)),
)
_case(
    "encoding::nested-too-deep",
    "levels",
    20,
    lambda side: 20 < max(map(int, re.findall(r":d=(\d+)", side.enrol().parsed()))) < 40,
)
_case("encoding::larger-than-16-kib", "octets", 70_000, lambda side: len(side.enrol().reply) > 70_000)
_case("encoding::trailing-octets", "octets", 5, lambda side: _beyond(side.enrol().reply) == 5)
_case("encoding::cut-off", "octets", 5, lambda side: _beyond(side.enrol().reply) == -5)


def parsed_envelope(sent: Sent) -> str:
    """Return the algorithm of the key transport and what follows, with its parameters in hex."""
    return parsed(envelope_of(sent))


def _beyond(octets: bytes) -> int:
    assert octets[:2] == b"\x30\x82"
    return len(octets) - 4 - int.from_bytes(octets[2:4], "big")


@pytest.mark.parametrize(("fault_id", "parameter", "value"), CASES)
def test_parameter_does_what_it_says(
    scep_lab: ScepLab, keys: KeyPool, fault_id: str, parameter: str, value: object
) -> None:
    check = CASES[fault_id, parameter, value]
    assert check(_side(scep_lab, keys, fault_id, **{parameter: value}))


def test_every_parameter_of_the_seams_is_tried() -> None:
    there = {
        (fault.id, parameter)
        for fault in catalogue().values()
        if fault.seam in (Seam.REPLY, Seam.ENCODING)
        for parameter in fault.parameters
    }
    assert there == {(fault_id, parameter) for fault_id, parameter, _ in CASES}


@pytest.mark.parametrize("end", ["least", "most"])
def test_no_number_within_its_range_breaks_a_fault(scep_lab: ScepLab, keys: KeyPool, end: str) -> None:
    faults = [each for each in catalogue().values() if each.seam in (Seam.REPLY, Seam.ENCODING)]
    message = Side(scep_lab, scep_lab.scep_url, "", keys).enrol().message
    for fault in faults:
        ranges = {key: limit for key, limit in fault.limits.items() if isinstance(limit, Range)}
        if ranges:
            numbers = {key: getattr(limit, end) for key, limit in ranges.items()}
            url = scep_lab._lab.scep_base_url + path_of(fault.id, "/scep", **numbers)
            assert wire.post(url, message).status == 200, fault.id


# -- refusals ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault_id",
    [
        *(f"reply::fail-info-{name}" for name in (*NAMES, "unknown", "missing")),
        "reply::pending-for-ever",
        "reply::pending-then-failure",
        "reply::pending-then-unknown",
    ],
)
def test_refusal_issues_nothing_and_spends_no_challenge(
    scep_lab: ScepLab, keys: KeyPool, fault_id: str
) -> None:
    before, challenge = len(scep_lab.certificates()), scep_lab.new_challenge()
    refused = _side(scep_lab, keys, fault_id).enrol(challenge=challenge)
    assert status_of(refused)[0] in "23"
    assert len(scep_lab.certificates()) == before
    clean = Side(scep_lab, scep_lab.scep_url, "", keys)
    assert status_of(clean.enrol(challenge=challenge)) == "0"
    assert len(scep_lab.certificates()) == before + 1


def test_refused_request_may_be_sent_again_where_nothing_is_wrong(scep_lab: ScepLab, keys: KeyPool) -> None:
    refused = _side(scep_lab, keys, "reply::fail-info-bad-request").enrol()
    assert status_of(Side(scep_lab, scep_lab.scep_url, "", keys).again(refused)) == "0"


def test_pending_by_a_fault_counts_each_transaction_apart(scep_lab: ScepLab, keys: KeyPool) -> None:
    side = _side(scep_lab, keys, "reply::pending-then-success", polls=1)
    first, second = side.enrol(), side.enrol()
    assert [status_of(side.poll(first)), status_of(side.poll(second))] == ["0", "0"]
