"""One HTTP exchange against servers that misbehave on a real socket of loopback."""

from __future__ import annotations

import socket
import threading
from datetime import timedelta

import pytest

from lab.client import HttpTransport
from lab.client.errors import HttpRefused, Unreachable
from lab.http_exchange import HttpFailure, HttpLimits, http_exchange


class Scripted:
    """Reads one request per connection and answers with given octets, or never."""

    def __init__(self, answer, *, hold=False):
        self.answer, self.hold = answer, hold
        self.requests = []
        self.released = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/scep"
        self.thread = threading.Thread(target=self.serve)

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                self.requests.append(self.read(connection))
                connection.sendall(self.answer)
                if self.hold:
                    self.released.wait(20)

    @staticmethod
    def read(connection):
        octets = b""
        while b"\r\n\r\n" not in octets:
            octets += connection.recv(65536)
        head, _, body = octets.partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        while lengths and len(body) < int(lengths[0].split(b":")[1]):
            body += connection.recv(65536)
        return head, body

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.released.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


def ok(body, *headers):
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def test_reads_status_media_type_and_body():
    with Scripted(ok(b"abc", b"Content-Type: Text/Plain; charset=utf-8")) as server:
        reply = http_exchange("GET", server.url)
    assert (reply.status, reply.media_type, reply.body) == (200, "text/plain", b"abc")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"", 0x80072EFE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", 0x80072EFE),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", 0x80072EFE),
        (b"SSH-2.0-OpenSSH\r\n\r\n", 0x80072F78),
        (ok(b"x" * 2000), 0x80072F78),
        (ok(b"abc", b"Content-Length: 4"), 0x80072F78),
        (b"HTTP/1.1 200 OK\r\nContent-Length: some\r\n\r\nabc", 0x80072F78),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3, 4\r\n\r\nabc", 0x80072F78),
        (ok(b"abc", b"Content-Encoding: gzip"), 0x80072F78),
    ],
    ids=[
        *("nothing", "short", "unfinished-chunks", "no-http", "too-large"),
        *("two-lengths", "length-no-number", "two-lengths-in-one", "coded"),
    ],
)
def test_names_a_bad_answer_as_winhttp_does(answer, code):
    with Scripted(answer) as server, pytest.raises(HttpFailure) as caught:
        http_exchange("GET", server.url, limits=HttpLimits(size=1000))
    assert caught.value.hresult.code == code


def test_says_what_came_in_place_of_http_on_one_line():
    with Scripted(b"SSH-2.0-\x1b[2JOpenSSH\r\n") as server, pytest.raises(HttpFailure) as caught:
        http_exchange("GET", server.url)
    assert str(caught.value).isprintable()
    assert "SSH-2.0-" in str(caught.value)


def test_skips_interim_answers():
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n"
    with Scripted(interim + ok(b"abc", b"Content-Length: 3")) as server:
        reply = http_exchange("GET", server.url)
    assert (reply.status, reply.body, reply.header("Link")) == (200, b"abc", None)


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nX-Never", ok(b"abcdef")[:-3]])
def test_a_deadline_ends_an_answer_that_stalls_anywhere(sent):
    with (
        Scripted(sent, hold=True) as server,
        pytest.raises(HttpFailure, match="did not answer within") as caught,
    ):
        http_exchange("GET", server.url, limits=HttpLimits(timeout=timedelta(seconds=0.2)))
    assert caught.value.hresult.code == 0x80072EE2


def test_a_deadline_is_not_moved_by_an_answer_that_drips():
    ticks = iter(range(1000))
    with Scripted(ok(b"abc")) as server, pytest.raises(HttpFailure, match="did not answer within"):
        http_exchange(
            "GET",
            server.url,
            limits=HttpLimits(timeout=timedelta(seconds=2)),
            monotonic=lambda: float(next(ticks)),
        )


def test_escapes_what_no_request_line_may_hold():
    with Scripted(ok(b"")) as server:
        http_exchange("GET", server.url + "/Test CA%20é+.crl")
    assert server.requests[0][0].startswith(b"GET /scep/Test%20CA%20%C3%A9+.crl HTTP/1.1")


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(HttpFailure, match="cannot be connected to") as caught:
        http_exchange("GET", f"http://127.0.0.1:{port}/")
    assert caught.value.hresult.code == 0x80072EFD


def test_posts_with_content_length_and_gets_with_escaped_base64():
    message = bytes(range(256))
    with Scripted(ok(b"", b"Content-Type: application/x-pki-message")) as server:
        transport = HttpTransport(url=server.url)
        transport.send(message, post=True)
        transport.send(message, post=False)
        transport.query("GetCACaps", "a&b c")
    (post, body), (get, _), (caps, _) = server.requests
    assert body == message
    assert b"POST /scep?operation=PKIOperation HTTP/1.1" in post
    assert b"Content-Length: 256" in post
    assert b"Content-Type: application/x-pki-message" in post
    target = get.split(b" ")[1]
    assert target.startswith(b"/scep?operation=PKIOperation&message=AAECAwQF")
    assert target.endswith(b"%3D%3D")
    assert not set(target.partition(b"message=")[2]) & set(b"+/=")
    assert b"GET /scep?operation=GetCACaps&message=a%26b%20c HTTP/1.1" in caps


def test_a_redirect_is_reported_and_not_followed():
    answer = b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere.test/\r\nContent-Length: 0\r\n\r\n"
    with (
        Scripted(answer) as server,
        pytest.raises(HttpRefused, match=r"redirected to http://elsewhere\.test/"),
    ):
        HttpTransport(url=server.url).send(b"x", post=True)


def test_an_error_text_does_not_repeat_the_message():
    with Scripted(b"") as server, pytest.raises(Unreachable) as caught:
        HttpTransport(url=server.url).send(b"x" * 3000, post=False)
    assert len(str(caught.value)) < 200
    assert "closed the connection without an answer" in str(caught.value)
