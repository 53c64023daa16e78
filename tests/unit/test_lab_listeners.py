"""The embedded web server, spoken to octet by octet."""

from __future__ import annotations

import gc
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest

from lab.listeners import Listener, ListenerError, ListenerLimits

IMPATIENT = ListenerLimits(threads=2, request_seconds=0.4, idle_seconds=0.2, body_octets=10_000)


def echo(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Answer with what arrived; ``/unread`` is refused without a look at the body."""
    if environ["PATH_INFO"] == "/unread":
        start_response("413 Content Too Large", [("Content-Length", "3")])
        return [b"no\n"]
    body = environ["wsgi.input"].read()
    parts = (environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"], body.decode())
    text = "|".join(parts).encode()
    start_response("200 OK", [("Content-Length", str(len(text)))])
    return [text]


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener("test", "127.0.0.1", 0, ListenerLimits(threads=2, body_octets=10_000))
    listener.serve(echo)
    yield listener
    listener.stop()


@pytest.fixture
def impatient() -> Iterator[Listener]:
    listener = Listener("test", "127.0.0.1", 0, IMPATIENT)
    listener.serve(echo)
    yield listener
    listener.stop()


def connect(listener: Listener) -> socket.socket:
    return socket.create_connection(("127.0.0.1", listener.port), timeout=30)


def exchange(listener: Listener, octets: bytes) -> tuple[bytes, bytes, bytes]:
    """Send octets; return status line, headers and body once the server has closed."""
    with connect(listener) as client:
        client.sendall(octets)
        answer = received(client)
    head, _, body = answer.partition(b"\r\n\r\n")
    status, _, headers = head.partition(b"\r\n")
    return status, headers, body


def received(client: socket.socket) -> bytes:
    answer = b""
    while part := client.recv(65536):
        answer += part
    return answer


@pytest.mark.parametrize(
    ("octets", "body"),
    [
        (b"GET /a?b=+%2B HTTP/1.0\r\n\r\n", b"GET|/a|b=+%2B|"),
        (b"GET /a%2Bb+c%20d HTTP/1.0\r\n\r\n", b"GET|/a+b+c d||"),
        (b"GET //certsrv//x HTTP/1.0\r\n\r\n", b"GET|//certsrv//x||"),
        (b"GET http://proxied.example:80/a?b HTTP/1.0\r\n\r\n", b"GET|/a|b|"),
        (b"GET /a HTTP/1.1\r\nConnection: close\r\n\r\n", b"GET|/a||"),
        (b"\r\nGET /a HTTP/1.0\r\n\r\n", b"GET|/a||"),
        (b"POST /a HTTP/1.0\r\nContent-Length: 3\r\n\r\nxyz", b"POST|/a||xyz"),
        (
            b"POST /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\nxy\r\n1\r\nz\r\n0\r\n\r\n",
            b"POST|/a||xyz",
        ),
    ],
)
def test_serves_what_clients_really_send(listener: Listener, octets: bytes, body: bytes) -> None:
    status, _, answer = exchange(listener, octets)
    assert (status, answer) == (b"HTTP/1.1 200 OK", body)


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (b"GET /\r\n\r\n", b"400"),
        (b"GET /\n\n", b"400"),
        (b"\x16\x03\x01\x02\x00 \r\n\r\n", b"400"),
        (b"get / HTTP/1.0\r\n\r\n", b"400"),
        (b"GET / HTTP/9.9\r\n\r\n", b"505"),
        (b"GET / HTTP/1.0\r\nno colon\r\n\r\n", b"400"),
        (b"POST / HTTP/1.0\r\nContent-Length: -5\r\n\r\nabcde", b"400"),
        (b"POST / HTTP/1.0\r\nContent-Length: 1_0\r\n\r\nabcdefghij", b"400"),
        (b"GET /" + b"a" * 200_000 + b" HTTP/1.0\r\n\r\n", b"414"),
        (b"GET / HTTP/1.0\r\nA: " + b"a" * 200_000 + b"\r\n\r\n", b"413"),
        (b"POST / HTTP/1.0\r\nContent-Length: 10001\r\n\r\n", b"413"),
    ],
)
def test_refuses_nonsense_in_one_sentence_and_goes_on(
    listener: Listener, octets: bytes, status: bytes
) -> None:
    line, _, body = exchange(listener, octets)
    assert line.split(b" ")[1] == status
    assert len(body) < 400
    assert b"Traceback" not in body
    assert exchange(listener, b"GET /again HTTP/1.0\r\n\r\n")[2] == b"GET|/again||"


HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 0\r\nContent-Length: 5",
        b"Content-Length: 5\r\ncontent-length: 0",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding : chunked",
        b"Content-Length : 0",
        b"Content-Length: 0\r\n 5",
        b"Host: y",
    ],
)
def test_refuses_framing_that_a_proxy_may_read_in_another_way(listener: Listener, framing: bytes) -> None:
    head = b"POST /a HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n"
    status, _, rest = exchange(listener, head + b"0\r\n\r\n" + HIDDEN)
    assert status.startswith(b"HTTP/1.1 400 ")
    assert b"/hidden" not in rest


def test_refuses_chunks_in_http_1_0(listener: Listener) -> None:
    head = b"POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert exchange(listener, head + b"0\r\n\r\n")[0].startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("chunks", [b"0\r\nA: b\r\n\r\n", b"zz\r\n", b"-1\r\n", b"1;a=b\r\nx\r\n0\r\n\r\n"])
def test_nothing_after_a_chunked_body_passes_for_a_request(listener: Listener, chunks: bytes) -> None:
    head = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    _, headers, rest = exchange(listener, head + chunks + HIDDEN)
    assert b"/hidden" not in headers + rest
    assert b"HTTP/1.1" not in rest


@pytest.mark.parametrize("path", [b"/", b"/unread"])
def test_a_client_that_is_still_sending_reads_why_it_was_refused(listener: Listener, path: bytes) -> None:
    body = b"a" * 4_000_000
    head = b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n"
    assert exchange(listener, head + body)[0].startswith(b"HTTP/1.1 413 ")


def test_server_header_names_no_version(listener: Listener) -> None:
    _, headers, _ = exchange(listener, b"GET / HTTP/1.0\r\n\r\n")
    assert b"\r\nServer: ndes-lab" in b"\r\n" + headers


def test_keeps_a_connection_for_more_requests(listener: Listener) -> None:
    with connect(listener) as client:
        for number in (b"1", b"2"):
            client.sendall(b"GET /" + number + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = part = client.recv(65536)
            while part and not answer.endswith(b"GET|/" + number + b"||"):
                answer += (part := client.recv(65536))
            assert answer.endswith(b"GET|/" + number + b"||")


def test_silent_connections_keep_nobody_from_being_served(listener: Listener) -> None:
    idle = [connect(listener) for _ in range(20)]
    try:
        assert exchange(listener, b"GET / HTTP/1.0\r\n\r\n")[2] == b"GET|/||"
    finally:
        for client in idle:
            client.close()


def test_closes_a_connection_that_stays_silent(impatient: Listener) -> None:
    with connect(impatient) as client:
        assert received(client) == b""


@pytest.mark.parametrize(
    "start",
    [b"GET /", b"GET / HTTP/1.1\r\nA: ", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n"],
)
def test_a_request_that_drips_meets_its_deadline(impatient: Listener, start: bytes) -> None:
    with connect(impatient) as client:
        client.sendall(start)
        client.settimeout(0.05)
        answer = None
        while answer is None:
            try:
                answer = client.recv(65536)
            except TimeoutError:
                client.sendall(b"a")
        assert answer.startswith(b"HTTP/1.1 408 ")
    assert exchange(impatient, b"GET / HTTP/1.0\r\n\r\n")[2] == b"GET|/||"


def test_connections_wait_until_serving_begins() -> None:
    listener = Listener("test", "127.0.0.1", 0)
    with connect(listener) as client:
        client.sendall(b"GET /early HTTP/1.0\r\n\r\n")
        listener.serve(echo)
        assert received(client).endswith(b"GET|/early||")
    listener.stop()


@pytest.mark.parametrize("served", [True, False])
def test_leaves_nothing_behind(served: bool) -> None:
    before, counted = set(threading.enumerate()), set(getattr(logging, "statistics", {}))
    listener = Listener("test", "127.0.0.1", 0)
    port = listener.port
    if served:
        listener.serve(echo)
        assert listener.answers()
    listener.stop()
    listener.stop()
    gc.collect()
    assert set(threading.enumerate()) == before
    assert set(getattr(logging, "statistics", {})) <= counted
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port))


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("127.0.0.1", "port {port} on 127.0.0.1 is in use; choose another for the test listener"),
        ("nobody.invalid", "the test listener cannot be opened on nobody.invalid, port {port}: "),
        ("192.0.2.1", "the test listener cannot be opened on 192.0.2.1, port {port}: "),
    ],
)
def test_says_why_an_address_cannot_be_opened(host: str, says: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenerError) as caught:
            Listener("test", host, port)
    gc.collect()
    assert str(caught.value).startswith(says.format(port=port))


def test_an_application_that_raises_costs_one_answer_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(_environ: WSGIEnvironment, _start: Callable[..., object]) -> list[bytes]:
        raise RuntimeError("secret")

    listener = Listener("test", "127.0.0.1", 0)
    listener.serve(broken)
    try:
        for _ in range(2):
            status, _, body = exchange(listener, b"GET / HTTP/1.0\r\n\r\n")
            assert status.startswith(b"HTTP/1.1 500")
            assert b"secret" not in body
    finally:
        listener.stop()
    assert "RuntimeError" in caplog.text
