"""Faults at a lab's listeners: by URL and by rule, named in a header, recorded, and nobody else disturbed."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit

import pytest
from forge import wire

from lab.faults.engine import path_of
from lab.faults.serving import FAULT_HEADER, TIME_HEADER
from lab.health import HealthWord
from lab.scep_lab import ScepLab

NONCE = "reply::wrong-recipient-nonce"
RESET = "wire::reset-within-headers"
EMPTY = "capabilities::empty"


@pytest.fixture(scope="module")
def running() -> Iterator[ScepLab]:
    with ScepLab() as started:
        yield started


@pytest.fixture
def scep_lab(running: ScepLab) -> ScepLab:
    running.reset()
    return running


def post(url: str, body: bytes = b"no message") -> wire.Response:
    return wire.post(url, body)


def at(scep_lab: ScepLab, path: str) -> str:
    parts = urlsplit(scep_lab.scep_url)
    return f"{parts.scheme}://{parts.netloc}{path}"


def test_reset_is_an_rst_after_the_octets_before_it(scep_lab: ScepLab) -> None:
    parts = urlsplit(scep_lab.scep_url)
    request = wire.request_line(at(scep_lab, path_of(RESET, "/scep")), "POST", "operation=PKIOperation")
    with socket.create_connection((parts.hostname, parts.port or 0), timeout=10) as connection:
        connection.sendall(request + b"Content-Length: 2\r\n\r\nno")
        received = connection.recv(65536)
        with pytest.raises(ConnectionResetError):
            connection.recv(65536)
    assert received.startswith(b"HTTP/1.1 400 ")
    assert b"\r\n\r\n" not in received


def test_rule_disturbs_whom_it_matches_and_nobody_else(scep_lab: ScepLab) -> None:
    scep_lab.faults.set(RESET, match={"user_agent": "victim/*"})
    assert post(scep_lab.scep_url).status == 400
    victim = wire.post(scep_lab.scep_url, b"no", fields={"User-Agent": "victim/1"})
    assert victim.status == 0, "an answer that was cut off within its headers"
    (journalled,) = [entry for entry in scep_lab.journal if entry.faults]
    assert journalled.request.header("User-Agent") == "victim/1"
    assert journalled.answer.delivery == "reset within the headers"
    assert [fault.fault_id for fault in journalled.faults] == [RESET]


def test_the_labs_look_at_its_health_sees_a_rule_and_takes_nobodys_turn(scep_lab: ScepLab) -> None:
    rule = scep_lab.faults.set("publication::crl-not-found", match={"operation": "CRL"}, times=1)
    name = scep_lab.world.authority.locations.crl_file
    row = next(row for row in scep_lab.health().rows if unquote(row.url or "").endswith(f"/{name}"))
    assert row.status is HealthWord.UNABLE_TO_DOWNLOAD
    assert (rule.hits, rule.left) == (0, 1)
    assert [wire.get(row.url or "").status for _ in range(2)] == [404, 200]
    assert (rule.hits, rule.left) == (1, 0)


def test_faulted_answer_names_its_faults_unless_told_not_to() -> None:
    path = path_of(EMPTY, "/scep")
    for settings, named in (({}, EMPTY), ({"faults": {"header": False}}, None)):
        with ScepLab(settings) as scep_lab:
            assert wire.get(at(scep_lab, path), "operation=GetCACaps").header(FAULT_HEADER) == named
            assert wire.get(scep_lab.scep_url, "operation=GetCACaps").header(FAULT_HEADER) is None


def test_urls_can_be_switched_off() -> None:
    with ScepLab({"faults": {"urls": False}}) as scep_lab:
        answer = wire.get(at(scep_lab, path_of(EMPTY, "/scep")), "operation=GetCACaps")
    assert answer.status == 404


def test_unknown_fault_and_bad_parameter_are_answered_with_what_there_is(scep_lab: ScepLab) -> None:
    answer = wire.get(at(scep_lab, "/fault/reply::wrong-nonce/scep"), "operation=GetCACaps")
    assert answer.status == 404
    assert b"near: reply::wrong-" in answer.body
    answer = wire.get(at(scep_lab, f"/fault/{NONCE};colour=red/scep"), "operation=GetCACaps")
    assert (answer.status, answer.body) == (
        404,
        f"{NONCE} has no parameter 'colour'; known: it has none\n".encode(),
    )


def test_path_below_a_fault_is_any_path_of_the_listener(scep_lab: ScepLab) -> None:
    for path in ("/scep", "/certsrv/mscep/mscep.dll", "/cgi-bin/pkiclient.exe", "/SCEP/pkiclient.exe"):
        answer = wire.get(at(scep_lab, f"/FAULT/{NONCE.upper()}{path}"), "operation=GetCACaps")
        assert (answer.status, b"SCEPStandard" in answer.body) == (200, True)
    assert wire.get(at(scep_lab, f"/fault/{NONCE}/nowhere"), "operation=GetCACaps").status == 404


def test_request_may_choose_its_time_in_a_lab_of_tests_only(scep_lab: ScepLab) -> None:
    def answered(**fields: str) -> wire.Response:
        return wire.get(scep_lab.scep_url, "operation=GetCACaps", fields=fields)

    assert answered(**{TIME_HEADER: "+400d"}).status == 200
    entry = scep_lab.journal[-1]
    assert timedelta(days=399) < entry.received_at - scep_lab.clock.now() <= timedelta(days=400)
    assert entry.clock_offset.days == 400
    wrong = answered(**{TIME_HEADER: "tomorrow"})
    assert wrong.status == 400
    assert wrong.body.startswith(f"{TIME_HEADER}: 'tomorrow' is no instant, expected such as ".encode())
    assert answered().status == 200
    assert not scep_lab.journal[-1].clock_offset


def test_management_listener_has_no_faults(scep_lab: ScepLab) -> None:
    with pytest.raises(HTTPError, match="404"):
        urllib.request.urlopen(f"{scep_lab.admin_url}/fault/{NONCE}/health/live")
    with urllib.request.urlopen(f"{scep_lab.admin_url}/health/live") as reply:
        assert json.load(reply) == {"status": "ok"}
