"""The strict client before a server that is busy or away: it comes back, and not too soon."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime

import pytest
from small_server import NOW, Authority, Server, client_of, order

from lab.client import HttpRefused, Issued, Patience, Unreachable
from lab.client.transport import expect_ok, retry_after
from lab.http_exchange import HttpReply

SECOND = timedelta(seconds=1)


class Away(Server):
    """A server that says ``status`` to each operation a few times before it answers it."""

    def __init__(
        self, authority, status, *, times=1, header=None, of=("GetCACaps", "GetCACert", "PKIOperation")
    ):
        super().__init__(authority)
        self.status, self.header = status, header
        self.left = dict.fromkeys(of, times)
        self.asked = []
        self.code = 0x80072EFE

    def query(self, operation, message=None):
        return self.away(operation) or super().query(operation, message)

    def send(self, pki_message, *, post):
        refused = self.away("PKIOperation")
        return expect_ok(refused, "PKIOperation") if refused else super().send(pki_message, post=post)

    def away(self, operation):
        self.asked.append(operation)
        if not self.left.get(operation):
            return None
        self.left[operation] -= 1
        if self.status is None:
            raise Unreachable("no answer", self.code)
        return HttpReply(
            url="http://test/scep",
            status=self.status,
            reason="",
            media_type="text/html",
            headers=() if self.header is None else (("Retry-After", self.header),),
            body=b"later",
            elapsed=timedelta(0),
        )


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.mark.parametrize("status", [429, 502, 503, 504, None])
def test_asks_every_question_again_while_the_server_is_away(authority, status):
    server, slept = Away(authority, status), []
    assert isinstance(client_of(server, slept=slept).enrol(order()), Issued)
    assert {each: server.asked.count(each) for each in server.left} == dict.fromkeys(server.left, 2)
    assert slept == [2 * SECOND] * 3


@pytest.mark.parametrize("status", [429, 503])
def test_takes_a_busy_server_for_no_answer_and_never_for_one_without_capabilities(authority, status):
    server = Away(authority, status, times=3, of=["GetCACaps"])
    with pytest.raises(HttpRefused) as caught:
        client_of(server).enrol(order())
    assert caught.value.status == status
    assert server.requests == []


def test_takes_an_error_that_lasts_for_no_capabilities(authority):
    server = Away(authority, 404, of=["GetCACaps"])
    assert isinstance(client_of(server).enrol(order()), Issued)
    assert server.asked.count("GetCACaps") == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
def test_does_not_repeat_what_was_refused(authority, status):
    server = Away(authority, status, of=["PKIOperation"])
    with pytest.raises(HttpRefused):
        client_of(server).enrol(order())
    assert server.asked.count("PKIOperation") == 1


@pytest.mark.parametrize("code", [0x80072F8F, 0x80072F0C])
def test_does_not_knock_again_where_tls_is_wrong(authority, code):
    server, slept = Away(authority, None), []
    server.code = code
    with pytest.raises(Unreachable):
        client_of(server, slept=slept).enrol(order())
    assert (server.asked, slept) == (["GetCACaps"], [])


@pytest.mark.parametrize("header", ["50", format_datetime(NOW + timedelta(seconds=50), usegmt=True)])
def test_comes_back_when_the_server_says(authority, header):
    server, slept = Away(authority, 503, header=header, of=["PKIOperation"]), []
    assert isinstance(client_of(server, slept=slept).enrol(order()), Issued)
    assert slept == [50 * SECOND]


@pytest.mark.parametrize("header", ["0", "1", "soon", "-5", format_datetime(NOW - timedelta(days=1))])
def test_pauses_as_ever_where_the_server_says_less_or_nothing_sensible(authority, header):
    server, slept = Away(authority, 503, header=header, of=["PKIOperation"]), []
    assert isinstance(client_of(server, slept=slept).enrol(order()), Issued)
    assert slept == [2 * SECOND]


def test_gives_up_rather_than_come_back_too_soon(authority):
    server, slept = Away(authority, 503, header="86400", of=["PKIOperation"]), []
    with pytest.raises(HttpRefused):
        client_of(server, slept=slept).enrol(order())
    assert slept == []
    assert server.asked.count("PKIOperation") == 1


def test_goes_by_its_own_pause_where_that_is_long(authority):
    server, slept = Away(authority, 503, of=["PKIOperation"]), []
    patience = Patience(pause=timedelta(minutes=10))
    assert isinstance(client_of(server, slept=slept, patience=patience).enrol(order()), Issued)
    assert slept == [timedelta(minutes=10)]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, 0),
        ("120", 120),
        ("9" * 40, 365 * 24 * 3600),
        ("", 0),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0),
        ("Fri, 99 Dec 9999 99:99:99 GMT", 0),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0),
        ("\u0661", 0),
    ],
)
def test_reads_retry_after(text, seconds):
    assert retry_after(text, NOW) == seconds * SECOND
