"""The WSGI application through a real server: headers as they are on the wire."""

from __future__ import annotations

import io
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from cheroot.wsgi import Server
from scep_world import Client, World
from structlog.testing import capture_logs

from scep_server.app import create_app, read_request
from scep_server.exchange import HttpExchangeRequest, HttpReply

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMIT = 2048


class Recorder:
    """A service that keeps what it was asked and answers with what it was told to."""

    maximum_body_octets = LIMIT

    def __init__(self) -> None:
        self.requests: list[HttpExchangeRequest] = []  # of one test
        self.reply = HttpReply(status=200, content_type="text/plain", body=b"SHA-256\n")

    def handle(self, request: HttpExchangeRequest) -> HttpReply:
        self.requests.append(request)
        if request.path == "/breaks":
            raise RuntimeError("a secret detail")
        return self.reply


@pytest.fixture(scope="module")
def shared() -> Recorder:
    return Recorder()


@pytest.fixture(scope="module")
def address(shared: Recorder) -> Iterator[tuple[str, int]]:
    server = Server(("127.0.0.1", 0), create_app(shared), numthreads=2)
    server.prepare()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    yield server.bind_addr
    server.stop()
    thread.join()


@pytest.fixture
def service(shared: Recorder) -> Recorder:
    shared.__init__()  # type: ignore[misc]
    return shared


def _exchange(address: tuple[str, int], octets: bytes) -> tuple[bytes, bytes]:
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(octets)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while part := connection.recv(65536):
            received += part
    head, _, body = received.partition(b"\r\n\r\n")
    return head, body


def _header(head: bytes, name: bytes) -> bytes | None:
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.lower() == name.lower():
            return value.strip()
    return None


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-x509-ca-ra-cert"])
def test_content_type_goes_out_exactly_so(
    address: tuple[str, int], service: Recorder, content_type: str
) -> None:
    service.reply = HttpReply(status=200, content_type=content_type, body=b"abc")
    head, body = _exchange(address, b"GET /scep?operation=GetCACaps HTTP/1.0\r\n\r\n")
    assert _header(head, b"Content-Type") == content_type.encode()
    assert _header(head, b"Content-Length") == b"3"
    assert body == b"abc"


def test_query_reaches_the_service_undecoded(address: tuple[str, int], service: Recorder) -> None:
    _exchange(address, b"GET /scep?message=a+b%2Bc%0A&operation=PKIOperation HTTP/1.0\r\n\r\n")
    assert service.requests[0].query == "message=a+b%2Bc%0A&operation=PKIOperation"


@pytest.mark.parametrize(
    "content_type", ["", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
def test_body_reaches_the_service_whatever_its_type(
    address: tuple[str, int], service: Recorder, content_type: str
) -> None:
    line = f"Content-Type: {content_type}\r\n" if content_type else ""
    _exchange(address, f"POST /scep HTTP/1.0\r\n{line}Content-Length: 5\r\n\r\na=b&c".encode())
    assert service.requests[0].body == b"a=b&c"
    assert service.requests[0].body_complete


def test_chunked_body_reaches_the_service(address: tuple[str, int], service: Recorder) -> None:
    _exchange(
        address,
        b"POST /scep HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"1\r\na\r\n3\r\nbcd\r\n0\r\n\r\n",
    )
    assert service.requests[0].body == b"abcd"


@pytest.mark.parametrize("chunks", [b"5\r\nabc", b"zz\r\nabc\r\n0\r\n\r\n"], ids=["no end", "no size"])
def test_broken_chunks_are_no_complete_body(
    address: tuple[str, int], service: Recorder, chunks: bytes
) -> None:
    _exchange(
        address,
        b"POST /scep HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks,
    )
    assert not service.requests[0].body_complete


def test_head_has_the_headers_of_get_and_no_body(address: tuple[str, int]) -> None:
    head, body = _exchange(address, b"HEAD /scep HTTP/1.0\r\n\r\n")
    assert _header(head, b"Content-Length") == b"8"
    assert body == b""


@pytest.mark.parametrize("path", ["//", "/scep//x", "/scep/", "/a%2f%00", "/x%0ay", "/%ff"])
def test_every_path_reaches_the_service_without_redirect(
    address: tuple[str, int], service: Recorder, path: str
) -> None:
    head, _ = _exchange(address, f"GET {path} HTTP/1.0\r\n\r\n".encode())
    assert head.startswith(b"HTTP/1.1 200")
    assert len(service.requests) == 1


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "DELETE", "TRACE", "BREW"])
def test_every_method_reaches_the_service(address: tuple[str, int], service: Recorder, method: str) -> None:
    _exchange(address, f"{method} /scep HTTP/1.0\r\n\r\n".encode())
    assert service.requests[0].method == method


def test_strange_host_reaches_the_service(address: tuple[str, int], service: Recorder) -> None:
    label = "a" * 70
    _exchange(address, f"GET /scep HTTP/1.1\r\nHost: {label}.example\r\nConnection: close\r\n\r\n".encode())
    assert service.requests[0].host == f"{label}.example"


def test_unforeseen_error_is_500_without_detail_and_is_logged(service: Recorder) -> None:
    with capture_logs() as logs:
        reply = create_app(service).test_client().get("/breaks")
    assert (reply.status_code, reply.data, reply.headers["Content-Type"]) == (500, b"500\n", "text/plain")
    assert [entry["event"] for entry in logs] == ["request failed"]


def _environ(**values: object) -> dict[str, object]:
    return {"wsgi.input": io.BytesIO(b"x" * (3 * LIMIT)), **values}


def test_body_over_the_limit_is_not_read() -> None:
    environ = _environ(CONTENT_LENGTH=str(LIMIT + 2))
    request = read_request(environ, LIMIT)
    assert (request.body, request.declared_length) == (b"", LIMIT + 2)
    assert environ["wsgi.input"].tell() == 0  # type: ignore[attr-defined]


def test_body_without_length_is_read_to_one_octet_beyond_the_limit() -> None:
    request = read_request(_environ(**{"wsgi.input_terminated": True}), LIMIT)
    assert len(request.body) == LIMIT + 1


@pytest.mark.parametrize("declared", ["-5", "1e3", "٣", "", "9" * 30])
def test_length_that_is_no_number_reads_nothing(declared: str) -> None:
    request = read_request(_environ(CONTENT_LENGTH=declared), LIMIT)
    assert request.body == b""
    assert request.declared_length == (None if not declared else -1)


def test_body_that_ends_early_is_not_complete() -> None:
    request = read_request({"wsgi.input": io.BytesIO(b"abc"), "CONTENT_LENGTH": "4"}, LIMIT)
    assert (request.body, request.body_complete) == (b"abc", False)


def test_each_operation_has_its_exact_content_type_on_the_wire(tmp_path: Path) -> None:
    """certmonger and scepclient compare the whole header."""
    world = World(tmp_path)
    server = Server(("127.0.0.1", 0), create_app(world.service), numthreads=2)
    server.prepare()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        message = Client(world=world).request(world.new_challenge())
        found = []
        for line, body in (
            (b"GET /scep?operation=GetCACaps", b""),
            (b"GET /scep?operation=GetCACert", b""),
            (b"POST /scep?operation=PKIOperation", message),
            (b"POST /scep?operation=PKIOperation", b"garbage"),
            (b"GET /nowhere", b""),
        ):
            head, _ = _exchange(
                server.bind_addr, line + b" HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            found.append(_header(head, b"Content-Type"))
            assert _header(head, b"Content-Length") is not None
    finally:
        server.stop()
        thread.join()
    assert found == [
        b"text/plain",
        b"application/x-x509-ca-ra-cert",
        b"application/x-pki-message",
        b"text/plain",
        b"text/plain",
    ]
