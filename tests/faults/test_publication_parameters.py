"""Every parameter of the faults of publication and of dependencies does something, and knows its range."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
from forge import openssl, wire
from forge.keys import KeyPool

from ca.records import StoreUnavailable
from faults import published
from faults.evidence_dependency import _signed_at
from faults.evidence_publication_ocsp import _instant
from faults.stand import Side
from lab import ScepLab
from lab.faults.circumstances import Circumstances
from lab.faults.engine import path_of
from lab.faults.registry import BadParameter, Seam, catalogue
from lab.faults.tools import Tools
from lab.faults.values import HttpAnswer, StoreAccess, Wait

Check = Callable[[Side], bool]
CASES: dict[tuple[str, str, object], Check] = {}
MINE = {Seam.PUBLICATION, Seam.DEPENDENCY}
HOUR = timedelta(hours=1)


def shows(fault_id: str, parameter: str, value: object) -> Callable[[Check], Check]:
    """Register a look at a fault with one parameter set."""

    def register(check: Check) -> Check:
        CASES[fault_id, parameter, value] = check
        return check

    return register


@pytest.fixture(scope="module")
def scep_lab() -> Iterator[ScepLab]:
    with ScepLab() as running:
        yield running


@pytest.fixture(scope="module")
def keys() -> KeyPool:
    return KeyPool()


def _side(scep_lab: ScepLab, keys: KeyPool, fault_id: str, **parameters: object) -> Side:
    base = scep_lab._lab.scep_base_url
    pki = scep_lab.pki_url + path_of(fault_id, **parameters)
    return Side(scep_lab, base + path_of(fault_id, "/scep", **parameters), pki, keys)


def _is_about(found: datetime | None, wanted: timedelta) -> bool:
    return found is not None and abs(found - published.now() - wanted) < timedelta(minutes=5)


# -- publication -------------------------------------------------------------------------


@shows("publication::crl-server-error", "status", 403)
def _crl_status(side: Side) -> bool:
    return published.crl(side).status == 403


@shows("publication::ocsp-server-error", "status", 502)
def _ocsp_status(side: Side) -> bool:
    found = wire.post(f"{side.pki}/ocsp", published.ocsp_request(side), "", fields=published.OCSP_FIELDS)
    return found.status == 502


@shows("publication::crl-expired", "days", 5)
def _crl_ended(side: Side) -> bool:
    return _is_about(published.instant(published.crl(side).body, "nextupdate"), timedelta(days=-5))


@shows("publication::crl-not-yet-valid", "days", 5)
def _crl_to_begin(side: Side) -> bool:
    return _is_about(published.instant(published.crl(side).body, "lastupdate"), timedelta(days=5))


@shows("publication::crl-huge", "entries", 17)
def _entries(side: Side) -> bool:
    return published.crl_text(published.crl(side).body).count("Serial Number:") == 17


@shows("publication::delta-crl-expired", "hours", 3)
def _delta_ended(side: Side) -> bool:
    return _is_about(published.instant(published.delta_crl(side).body, "nextupdate"), -3 * HOUR)


@shows("publication::delta-crl-wants-newer-base", "ahead", 41)
def _ahead(side: Side) -> bool:
    text = published.crl_text(published.delta_crl(side).body)
    found = re.search(r"Delta CRL Indicator: critical\s+(\w+)", text)
    latest = side.scep_lab.world.latest_crl()
    assert latest is not None
    return found is not None and int(found[1], 0) == latest.number + 41


@shows("publication::aia-expired-certificate", "days", 9)
def _ca_ended(side: Side) -> bool:
    printed = openssl.run("x509", "-inform", "DER", "-noout", "-enddate", stdin=published.aia(side).body)
    ended = published.now() - timedelta(days=9)
    return f"{ended:%b} {ended.day:2} 00:00:00 {ended.year}" in printed.decode()


@shows("publication::ocsp-revoked", "reason", 4)
def _reason(side: Side) -> bool:
    return "Revocation Reason: superseded (0x4)" in published.ask(side)


@shows("publication::ocsp-expired", "hours", 5)
def _ocsp_ended(side: Side) -> bool:
    return _is_about(_instant(published.ask(side), "Next Update"), -5 * HOUR)


@shows("publication::ocsp-not-yet-valid", "hours", 5)
def _ocsp_to_begin(side: Side) -> bool:
    return _is_about(_instant(published.ask(side), "This Update"), 5 * HOUR)


@shows("publication::ocsp-responder-expired", "days", 9)
def _responder_ended(side: Side) -> bool:
    found = _instant(published.ask(side), "Not After ")
    return found is not None and found.date() == (published.now() - timedelta(days=9)).date()


# -- dependencies ------------------------------------------------------------------------


@shows("dependency::clock-ahead", "minutes", 120)
def _far_ahead(side: Side) -> bool:
    """Challenges last an hour: the request is refused."""
    return re.search(r"1\.9\.4\)\s+set:\s+\w+:2", side.enrol().printed()) is not None


@shows("dependency::clock-behind", "minutes", 60 * 24)
def _far_behind(side: Side) -> bool:
    """The CA's certificate is not valid yet: the request is refused."""
    return re.search(r"1\.9\.4\)\s+set:\s+\w+:2", side.enrol().printed()) is not None


@shows("dependency::clock-jumps", "minutes", 300)
def _far_to_and_fro(side: Side) -> bool:
    """Five hours: the reply is signed then, whatever it says."""
    return abs(_signed_at(side.enrol()) - published.now()) > 4 * HOUR


@pytest.mark.parametrize(("fault_id", "name", "value"), CASES, ids=str)
def test_parameter_does_something(
    scep_lab: ScepLab, keys: KeyPool, fault_id: str, name: str, value: object
) -> None:
    check = CASES[fault_id, name, value]
    assert check(_side(scep_lab, keys, fault_id, **{name: value})) is True
    assert check(_side(scep_lab, keys, fault_id)) is False


# -- how long something takes ----------------------------------------------------------------


def _delayed(fault_id: str, seconds: float | None) -> float:
    """Return how long a fault has somebody wait."""
    waited: list[float] = []
    at_hand = Circumstances(
        listener="scep", path="/", client_address="", user_agent="", transaction_id="of a request"
    )
    tools = Tools(world=None, circumstances=at_hand, wait=waited.append)
    found = catalogue()[fault_id]
    given = {} if seconds is None else {"seconds": seconds}
    if found.takes is HttpAnswer:
        answer = found.apply(HttpAnswer(status=200, headers=(), body=b"x"), tools, given)
        return sum(step.seconds for step in answer.delivery(answer) if isinstance(step, Wait))
    with contextlib.suppress(StoreUnavailable):
        found.apply(StoreAccess("write"), tools, given)
    return sum(waited)


DELAYS = [each for each, fault in catalogue().items() if "seconds" in fault.parameters and fault.seam in MINE]


@pytest.mark.parametrize("fault_id", DELAYS)
def test_delay_is_as_long_as_the_parameter_says(fault_id: str) -> None:
    assert _delayed(fault_id, None) == catalogue()[fault_id].parameters["seconds"]
    assert _delayed(fault_id, 2.25) == 2.25


def test_no_parameter_is_without_a_test() -> None:
    every = {
        (each, name) for each, fault in catalogue().items() if fault.seam in MINE for name in fault.parameters
    }
    assert every == {(each, name) for each, name, _ in CASES} | {(each, "seconds") for each in DELAYS}


# -- what is no value ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault_id", "parameter", "words"),
    [
        ("publication::crl-server-error", "status=200", "status is 200, expected 400 to 599"),
        ("publication::crl-expired", "days=-1", "days is -1, expected 0 to 36525"),
        ("publication::crl-expired", "days=36526", "expected 0 to 36525"),
        ("publication::crl-huge", "entries=0", "entries is 0, expected 1 to 1000000"),
        ("publication::crl-slow", "seconds=1e9", "expected 0 to 3600"),
    ],
)
def test_parameter_out_of_range_is_refused_in_plain_words(
    scep_lab: ScepLab, keys: KeyPool, fault_id: str, parameter: str, words: str
) -> None:
    side = Side(scep_lab, "", f"{scep_lab.pki_url}/fault/{fault_id};{parameter}", keys)
    found = published.crl(side)
    assert found.status == 404
    assert words.encode() in found.body


@pytest.mark.parametrize("reason", [-1, 7, 8, 11])
def test_a_reason_that_revokes_nothing_is_refused(scep_lab: ScepLab, keys: KeyPool, reason: int) -> None:
    side = Side(scep_lab, "", f"{scep_lab.pki_url}/fault/publication::ocsp-revoked;reason={reason}", keys)
    found = wire.post(f"{side.pki}/ocsp", published.ocsp_request(side), "", fields=published.OCSP_FIELDS)
    assert found.status == 404
    assert f"reason is {reason}, expected one of 0, 1, 2".encode() in found.body


@pytest.mark.parametrize("minutes", [-1, 10**7])
def test_clock_goes_no_further_than_certificates_can_say(minutes: int) -> None:
    for name in ("ahead", "behind", "jumps"):
        with pytest.raises(BadParameter, match="expected 0 to"):
            catalogue()[f"dependency::clock-{name}"].read_parameters({"minutes": minutes})
