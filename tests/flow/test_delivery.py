"""Answers that are delivered below HTTP: by URL for one operation, ended by reset and stop, over TLS too."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from forge import wire

from lab.scep_lab import ScepLab

STALLED = "wire::stalled-within-body"
DEADLINE = 30.0


@pytest.fixture
def scep_lab() -> Iterator[ScepLab]:
    with ScepLab({"server": {"tls_port": 0}}) as started:
        yield started


def ask(url: str, scep_lab: ScepLab) -> socket.socket:
    """Open a connection and ask for GetCACaps."""
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname, parts.port or 0), timeout=DEADLINE)
    if parts.scheme == "https":
        context = ssl.create_default_context(cadata=scep_lab.root_pem)
        connection = context.wrap_socket(
            connection, server_hostname=parts.hostname, suppress_ragged_eofs=False
        )
    connection.sendall(wire.request_line(url, "GET", "operation=GetCACaps") + b"\r\n")
    return connection


def rest(connection: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            received += part
    return received


def test_url_may_name_the_one_operation_that_meets_the_fault(scep_lab: ScepLab) -> None:
    url = scep_lab.fault_url("wire::not-found", operation="GetCACert")
    assert "/fault/wire::not-found;operation=GetCACert/" in url
    assert wire.get(url, "operation=GetCACaps").status == 200
    assert wire.get(url, "operation=getcacert").status == 404
    assert scep_lab.journal[-2].faults == ()
    assert [applied.fault_id for applied in scep_lab.journal[-1].faults] == ["wire::not-found"]


def test_operation_and_parameters_go_together(scep_lab: ScepLab) -> None:
    url = scep_lab.fault_url("wire::overloaded", operation="PKIOperation", seconds=9)
    assert wire.get(url, "operation=GetCACaps").status == 200
    refused = wire.post(url, b"no message")
    assert (refused.status, refused.header("Retry-After")) == (503, "9")


def test_reset_of_the_lab_waits_for_no_stalled_answer(scep_lab: ScepLab) -> None:
    with ask(scep_lab.fault_url(STALLED), scep_lab) as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")
        begin = time.monotonic()
        scep_lab.reset()
        assert time.monotonic() - begin < DEADLINE / 4
        rest(connection)
    assert wire.get(scep_lab.scep_url, "operation=GetCACaps").status == 200


def test_stop_of_the_lab_waits_for_no_stalled_answer() -> None:
    scep_lab = ScepLab().start()
    with ask(scep_lab.fault_url(STALLED), scep_lab) as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")
        stopping = threading.Thread(target=scep_lab.stop)
        stopping.start()
        stopping.join(DEADLINE)
        assert not stopping.is_alive()


def test_client_that_leaves_frees_the_worker() -> None:
    with ScepLab({"server": {"threads": 1}}) as scep_lab:
        ask(scep_lab.fault_url(STALLED), scep_lab).close()
        assert wire.get(scep_lab.scep_url, "operation=GetCACaps").status == 200


def test_stalled_answers_keep_nobody_else_waiting() -> None:
    with ScepLab({"server": {"threads": 2}}) as scep_lab, contextlib.ExitStack() as stalled:
        before = threading.active_count()
        for _ in range(20):
            connection = stalled.enter_context(ask(scep_lab.fault_url(STALLED), scep_lab))
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")
        assert wire.get(scep_lab.scep_url, "operation=GetCACaps").status == 200
        assert threading.active_count() > before
        stalled.close()
        while threading.active_count() > before:  # those that were added leave, too
            wire.get(scep_lab.scep_url, "operation=GetCACaps")


@pytest.mark.parametrize(
    ("fault_id", "complete"), [("wire::truncated", False), ("wire::drip-fed", True), ("wire::chunked", True)]
)
def test_is_delivered_over_tls_as_well(scep_lab: ScepLab, fault_id: str, complete: bool) -> None:
    base = (scep_lab.scep_tls_url or "").removesuffix("/scep")
    with ask(f"{base}/fault/{fault_id}/scep", scep_lab) as connection:
        received = rest(connection)  # raises where TLS just ends
    assert received.startswith(b"HTTP/1.1 200 OK")
    assert (b"SCEPStandard" in received) is complete


def test_reset_is_one_over_tls_as_well(scep_lab: ScepLab) -> None:
    base = (scep_lab.scep_tls_url or "").removesuffix("/scep")
    with (
        ask(f"{base}/fault/wire::reset-on-arrival/scep", scep_lab) as connection,
        pytest.raises(ConnectionResetError),
    ):
        # Below TLS: the ssl module makes an EOF of it.
        list(iter(lambda: socket.socket.recv(connection, 65536), b""))


def test_recorded_answer_says_how_it_was_delivered(scep_lab: ScepLab) -> None:
    with ask(scep_lab.fault_url("wire::truncated"), scep_lab) as connection:
        rest(connection)
    recorded = scep_lab.journal[-1]
    assert recorded.answer.delivery == "closed within the body"
    assert recorded.answer.body.endswith(b"SCEPStandard\n")
