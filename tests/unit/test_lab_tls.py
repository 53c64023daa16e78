"""TLS at the lab's listeners, and the certificate shown there."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from ca_world import HandClock
from cryptography import x509

from ca.records import StoreUnavailable
from lab import ScepLab
from lab.listeners import Listener, ListenerLimits
from lab.server_certificate import ServerCertificate
from lab.tls import server_context


def echo(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    body = environ["wsgi.input"].read()
    text = f"{environ['wsgi.url_scheme']} {environ['PATH_INFO']} {len(body)}".encode()
    start_response("200 OK", [("Content-Length", str(len(text)))])
    return [text]


@pytest.fixture(scope="module")
def scep_lab() -> Iterator[ScepLab]:
    with ScepLab() as scep_lab:
        yield scep_lab


@pytest.fixture(scope="module")
def certificate(scep_lab: ScepLab) -> ServerCertificate:
    return ServerCertificate(scep_lab.world, ["localhost", "127.0.0.1"])


@pytest.fixture
def listener(certificate: ServerCertificate) -> Iterator[Listener]:
    listener = Listener("test", "127.0.0.1", 0, ListenerLimits(threads=2), tls=certificate.context)
    listener.serve(echo)
    yield listener
    listener.stop()


def connect(listener: Listener, scep_lab: ScepLab) -> ssl.SSLSocket:
    context = ssl.create_default_context(cadata=scep_lab.root_pem)
    plain = socket.create_connection(("127.0.0.1", listener.port), timeout=30)
    return context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False)


def everything(connection: socket.socket) -> bytes:
    received = b""
    while part := connection.recv(65536):
        received += part
    return received


def test_says_that_it_answers(listener: Listener) -> None:
    assert listener.answers()


def test_serves_who_trusts_the_root_and_ends_with_a_close_notify(
    listener: Listener, scep_lab: ScepLab
) -> None:
    with connect(listener, scep_lab) as client:
        client.sendall(b"GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = everything(client)  # raises where the connection just ends
    assert answer.endswith(b"https /x 0")


def test_answers_requests_that_come_in_one_record(listener: Listener, scep_lab: ScepLab) -> None:
    first = b"POST /1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\n" + bytes(9000)
    second = b"GET /2 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with connect(listener, scep_lab) as client:
        client.sendall(first + second)
        answer = everything(client)
    assert b"https /1 9000" in answer
    assert answer.endswith(b"https /2 0")


def test_tells_plain_http_that_it_is_https(listener: Listener) -> None:
    with socket.create_connection(("127.0.0.1", listener.port), timeout=30) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = everything(client)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"speaks HTTPS" in answer


def test_handshake_that_never_ends_keeps_nobody_out(listener: Listener, scep_lab: ScepLab) -> None:
    with socket.create_connection(("127.0.0.1", listener.port), timeout=30) as silent:
        silent.sendall(b"\x16\x03\x01")  # the beginning of a record
        with connect(listener, scep_lab) as client:
            client.sendall(b"GET /x HTTP/1.0\r\n\r\n")
            assert everything(client).endswith(b"https /x 0")


def test_curl_takes_the_certificate_with_the_root_and_not_without(
    listener: Listener, scep_lab: ScepLab
) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl")
    command = ["curl", "-sS", f"https://localhost:{listener.port}/x"]
    trusting = subprocess.run(
        [*command, "--cacert", str(scep_lab.root_pem_path)], capture_output=True, check=False
    )
    assert trusting.stdout == b"https /x 0"
    assert subprocess.run(command, capture_output=True, check=False).returncode == 60


def test_certificate_is_a_web_servers(listener: Listener, scep_lab: ScepLab) -> None:
    with connect(listener, scep_lab) as client:
        der = client.getpeercert(binary_form=True)
        client.sendall(b"GET /x HTTP/1.0\r\n\r\n")
        everything(client)
    assert der is not None
    shown = x509.load_der_x509_certificate(der)
    names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    purposes = shown.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert list(purposes) == [x509.ExtendedKeyUsageOID.SERVER_AUTH]
    issued = scep_lab.certificates(template="WebServer")
    assert shown.serial_number in [int(each.serial_number, 16) for each in issued]


def test_certificate_is_renewed_in_time_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = HandClock()
    with ScepLab(clock=clock) as scep_lab:
        certificate = ServerCertificate(scep_lab.world, ["localhost"])
        first = certificate.context()
        clock.advance(days=600)
        assert certificate.context() is first
        clock.advance(days=120)  # within the last six weeks of two years
        monkeypatch.setattr(scep_lab.world.store, "transaction", _out_of_order)
        assert certificate.context() is first, "an old one that lasts is better than none"
        monkeypatch.undo()
        second = certificate.context()
        assert second is not first
        assert certificate.context() is second
        assert len(scep_lab.certificates(template="WebServer")) == 2


def _out_of_order() -> None:
    raise StoreUnavailable("out of order")


@pytest.mark.parametrize(
    ("server", "host", "dns", "addresses"),
    [
        ({"public_host": "scep.lab.example"}, "scep.lab.example", ["scep.lab.example", "localhost"], []),
        ({"host": "::1"}, "[::1]", ["localhost"], ["::1"]),
        ({}, "127.0.0.1", ["localhost"], ["127.0.0.1"]),
    ],
)
def test_listener_is_named_and_certified_as_urls_have_it(
    server: dict[str, str], host: str, dns: list[str], addresses: list[str]
) -> None:
    if server.get("host") == "::1" and not socket.has_ipv6:
        pytest.skip("no IPv6")
    with ScepLab({"server": {"tls_port": 0, **server}}) as scep_lab:
        url = scep_lab.scep_tls_url or ""
        assert url.startswith(f"https://{host}:")
        parts = urlsplit(url)
        pem = ssl.get_server_certificate((server.get("host", "127.0.0.1"), parts.port or 0))
    shown = x509.load_pem_x509_certificate(pem.encode())
    names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == dns
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == addresses


def test_there_is_none_unless_asked_for(scep_lab: ScepLab) -> None:
    assert scep_lab.scep_tls_url is None
    assert scep_lab._lab.ready_facts().scep_tls_url is None


def test_key_is_never_on_disk_in_clear(
    certificate: ServerCertificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bytes] = []
    original = Path.write_bytes

    def write(path: Path, octets: bytes) -> int:
        written.append(octets)
        assert path.stat().st_mode & 0o077 == 0
        return original(path, octets)

    monkeypatch.setattr(Path, "write_bytes", write)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    server_context(certificate.key, [x509_der(certificate)])
    assert b"ENCRYPTED PRIVATE KEY" in written[0]
    assert list(tmp_path.iterdir()) == []


def x509_der(certificate: ServerCertificate) -> bytes:
    with certificate._world.store.transaction() as transaction:
        issued = certificate._world.authority.issue(transaction, certificate.prepare(transaction))
    return issued.der
