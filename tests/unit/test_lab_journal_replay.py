"""Where a recorded request goes when it is sent again, and what is sent of it."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from journal_samples import recorded

from lab.decoding import EnvelopeKeys
from lab.journal import Journal, JournalEntry
from lab.journal.replay import CannotReplay, differences, replay, target_url


def entry(**wanted) -> JournalEntry:
    return Journal(5, body_octets=1000).add(recorded(**wanted))


class Recorder(BaseHTTPRequestHandler):
    """Keeps what it is asked."""

    seen: list[tuple[str, str, dict[str, str], bytes]]

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.seen.append((self.command, self.path, dict(self.headers), body))
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(b"POSTPKIOperation\n")

    do_GET = do_POST = answer  # noqa: N815 - names that http.server looks for

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[tuple[str, list[tuple[str, str, dict[str, str], bytes]]]]:
    Recorder.seen = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as listening:
        thread = Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_address[1]}", Recorder.seen
        listening.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("target", "url", "goes_to"),
    [
        ("/scep?operation=GetCACaps", "http://s", "http://s/scep?operation=GetCACaps"),
        ("/scep?operation=GetCACaps", "http://s/", "http://s/scep?operation=GetCACaps"),
        ("/scep?operation=GetCACaps", "https://s:9/other", "https://s:9/other?operation=GetCACaps"),
        ("/scep/pkiclient.exe?operation=x", "http://s/a", "http://s/a/pkiclient.exe?operation=x"),
        ("/scep/pkiclient.exe?operation=x", "http://s/a/", "http://s/a/pkiclient.exe?operation=x"),
        ("/scep/cgi-bin/pkiclient.exe", "http://s/a", "http://s/a/cgi-bin/pkiclient.exe"),
        ("/scep/PkiClient.EXE?x", "http://s/a/mscep.dll", "http://s/a/mscep.dll?x"),
        ("/fault/reply::x;n=1/scep?operation=x", "http://s", "http://s/scep?operation=x"),
        ("/fault/reply::x/scep/pkiclient.exe?x", "http://s/a", "http://s/a/pkiclient.exe?x"),
        ("/scep?message=a%2Bb+c/d&operation=x", "http://s/a", "http://s/a?message=a%2Bb+c/d&operation=x"),
        ("", "http://s", "http://s/"),
    ],
)
def test_the_recorded_end_of_the_path_and_query_go_along(target: str, url: str, goes_to: str) -> None:
    assert target_url(entry(target=target), url) == goes_to


def test_an_ocsp_get_takes_its_question_along() -> None:
    asked = entry(listener="pki", target="/ocsp/MFE%2Fx")
    assert target_url(asked, "http://s/responder") == "http://s/responder/MFE%2Fx"
    assert (
        target_url(entry(listener="pki", target="/CertEnroll/a.crl"), "http://s")
        == "http://s/CertEnroll/a.crl"
    )


@pytest.mark.parametrize(
    "url",
    [
        "",
        "scep",
        "//s/scep",
        "ftp://s/",
        "file:///etc/passwd",
        "http:///scep",
        "javascript:x",
        "http://s/?a=b",
    ],
)
def test_only_http_urls_without_a_query_are_taken(url: str) -> None:
    with pytest.raises(CannotReplay):
        target_url(entry(), url)


def test_octets_and_headers_are_those_that_were_recorded(server) -> None:
    url, seen = server
    body = bytes(range(256))
    headers = (
        ("Host", "elsewhere.test"),
        ("Content-Type", "application/x-pki-message"),
        ("User-Agent", "my client/1"),
        ("Authorization", "Basic c2VjcmV0"),
        ("Content-Length", "256"),
        ("Connection", "keep-alive"),
        ("X-Ndes-Lab-Time", "+400d"),
    )
    sent = entry(method="POST", target="/scep?operation=PKIOperation", body=body, headers=headers)
    done = replay(sent, url)
    ((method, target, got, content),) = seen
    assert (method, target, content) == ("POST", "/scep?operation=PKIOperation", body)
    assert got["Content-Type"] == "application/x-pki-message"
    assert got["User-Agent"] == "my client/1"
    assert got["X-Ndes-Lab-Time"] == "+400d"
    assert got["Host"] == url.removeprefix("http://")
    assert "Authorization" not in got
    assert done.answer.body == b"POSTPKIOperation\n"
    assert differences(sent, done, EnvelopeKeys()) == ()


def test_a_get_is_sent_as_it_was_escaped(server) -> None:
    url, seen = server
    replay(entry(target="/scep?operation=PKIOperation&message=MII+/x%2B%3D"), url)
    assert seen[0][1] == "/scep?operation=PKIOperation&message=MII+/x%2B%3D"


def test_another_answer_is_a_difference(server) -> None:
    url, _ = server
    sent = entry(answer=b"Renewal\n", status=404, answer_headers=(("Content-Type", "text/html"),))
    found = {
        each.place: (each.left, each.right) for each in differences(sent, replay(sent, url), EnvelopeKeys())
    }
    assert found == {
        "HTTP answer": ("404 OK", "200 OK"),
        "HTTP answer > Content-Type": ("text/html", "text/plain"),
        "text": ("Renewal", "POSTPKIOperation"),
    }


def test_a_request_of_which_only_the_beginning_was_kept_is_not_sent(server) -> None:
    url, seen = server
    with pytest.raises(CannotReplay, match="of the 1001 octets of its body the journal has kept 1000"):
        replay(entry(method="POST", body=bytes(1001)), url)
    assert seen == []


def test_no_answer_is_told_without_the_message_in_the_url() -> None:
    with pytest.raises(CannotReplay, match=r"http://127\.0\.0\.1:1/scep cannot be connected to") as told:
        replay(entry(target="/scep?operation=PKIOperation&message=MIIx"), "http://127.0.0.1:1/scep")
    assert "MIIx" not in str(told.value)
