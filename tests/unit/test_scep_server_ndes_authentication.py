"""NTLM, Negotiate and Basic: whose connection it is, and what no token can do."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest
import spnego
from hypothesis import given
from hypothesis import strategies as st
from scep_world import HandClock
from spnego._ntlm_raw.messages import Authenticate, Negotiate, NegotiateFlags

from scep_server.exchange import HttpExchangeRequest
from scep_server.ndes.accounts import Account, Accounts
from scep_server.ndes.authentication import Authenticator, Challenged, LoggedOn
from scep_server.ndes.ntlm import Handshake, LogOnRefused

ALICE = Account(name="alice", password="pä:ss wörd")
ACCOUNTS = Accounts([ALICE, Account(name="bob", password="bobs")])


def request(authorization: str = "", connection: str = "1", **fields: str) -> HttpExchangeRequest:
    return HttpExchangeRequest(
        method="GET", path="/", authorization=authorization, connection=connection, **fields
    )


def words(token: bytes | None, scheme: str = "NTLM") -> str:
    return f"{scheme} {base64.b64encode(token or b'').decode()}"


def client(user: str = "alice", password: str = ALICE.password) -> spnego.ContextProxy:
    return spnego.client(
        user,
        password,
        hostname="h",
        service="http",
        protocol="ntlm",
        options=spnego.NegotiateOptions.use_ntlm,
    )


def answer(reply: object) -> bytes:
    assert isinstance(reply, Challenged)
    ((_, value),) = reply.headers
    return base64.b64decode(value.partition(" ")[2])


def log_on(authenticator: Authenticator, connection: str = "1", **fields: str) -> object:
    context = client()
    first = authenticator.authenticate(request(words(context.step()), connection, **fields))
    return authenticator.authenticate(request(words(context.step(answer(first))), connection, **fields))


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def authenticator(clock: HandClock) -> Authenticator:
    return Authenticator(accounts=ACCOUNTS, clock=clock, basic_realm="NDES")


def test_a_connection_stays_its_users_without_further_headers(authenticator: Authenticator) -> None:
    assert isinstance(log_on(authenticator), LoggedOn)
    for _ in range(3):
        again = authenticator.authenticate(request())
        assert isinstance(again, LoggedOn)
        assert again.account == ALICE


def test_another_connection_is_nobodys(authenticator: Authenticator) -> None:
    log_on(authenticator)
    assert isinstance(authenticator.authenticate(request(connection="2")), Challenged)


def test_a_silent_connection_is_forgotten(authenticator: Authenticator, clock: HandClock) -> None:
    log_on(authenticator)
    clock.time += timedelta(minutes=2, seconds=1)
    assert isinstance(authenticator.authenticate(request()), Challenged)


def test_address_and_port_serve_for_the_handshake_and_not_beyond(authenticator: Authenticator) -> None:
    where = {"remote_address": "192.0.2.1", "remote_port": "5000"}
    assert isinstance(log_on(authenticator, "", **where), LoggedOn)
    assert isinstance(authenticator.authenticate(request("", "", **where)), Challenged)


def test_a_handshake_cannot_be_finished_on_another_connection(authenticator: Authenticator) -> None:
    context = client()
    first = authenticator.authenticate(request(words(context.step()), "1"))
    last = authenticator.authenticate(request(words(context.step(answer(first))), "2"))
    assert isinstance(last, Challenged)
    assert last.error.win32_status == 1326


def test_an_answer_is_good_once(authenticator: Authenticator) -> None:
    context = client()
    first = authenticator.authenticate(request(words(context.step())))
    last = words(context.step(answer(first)))
    assert isinstance(authenticator.authenticate(request(last)), LoggedOn)
    assert isinstance(authenticator.authenticate(request(last)), Challenged)
    assert isinstance(authenticator.authenticate(request()), Challenged)


def test_a_failed_log_on_ends_the_earlier_one(authenticator: Authenticator) -> None:
    log_on(authenticator)
    assert isinstance(authenticator.authenticate(request("NTLM Zm9v")), Challenged)
    assert isinstance(authenticator.authenticate(request()), Challenged)


def test_unfinished_handshakes_are_bounded(authenticator: Authenticator) -> None:
    for number in range(1100):
        authenticator.authenticate(request(words(client().step()), f"c{number}"))
    assert len(authenticator._entries) == 1000


@pytest.mark.parametrize(
    ("credentials", "good"),
    [
        (f"alice:{ALICE.password}".encode(), True),
        (f"DOMAIN\\Alice:{ALICE.password}".encode(), True),
        (f"alice:{ALICE.password}".encode("latin-1"), True),
        (b"alice:wrong", False),
        (b"alice:", False),
        (b"alice", False),
        (b"mallory:", False),
        (b":", False),
        (b"", False),
    ],
)
def test_basic_compares_name_and_password(
    authenticator: Authenticator, credentials: bytes, good: bool
) -> None:
    reply = authenticator.authenticate(request("basic " + base64.b64encode(credentials).decode()))
    assert isinstance(reply, LoggedOn) is good


@pytest.mark.parametrize("header", ["Basic ???", "Digest x", "NTLM", "NTLM ???", "Negotiate", "x" * 100])
def test_other_headers_are_asked_again(authenticator: Authenticator, header: str) -> None:
    reply = authenticator.authenticate(request(header))
    assert isinstance(reply, Challenged)
    assert [value for _, value in reply.headers] == ["Negotiate", "NTLM", 'Basic realm="NDES"']


@given(st.one_of(st.binary(max_size=300), st.binary(max_size=300).map(lambda rest: b"NTLMSSP\0" + rest)))
def test_any_octets_are_a_token_or_refused(token: bytes) -> None:
    for tokens in ((token,), (Negotiate(_FLAGS).pack(), token)):
        handshake = Handshake(ACCOUNTS)
        try:
            for one in tokens:
                handshake.step(one)
        except LogOnRefused:
            pass
        assert handshake.account is None


_FLAGS = NegotiateFlags.unicode | NegotiateFlags.ntlm | NegotiateFlags.extended_session_security


@given(st.data())
def test_no_altered_answer_logs_on_as_somebody_else(data: st.DataObject) -> None:
    context, handshake = client(), Handshake(ACCOUNTS)
    token = bytearray(context.step(handshake.step(context.step() or b"")) or b"")
    place = data.draw(st.integers(8, len(token) - 1))
    token[place] ^= data.draw(st.integers(1, 255))
    try:
        handshake.step(bytes(token))
    except LogOnRefused:
        assert handshake.account is None
    else:
        assert handshake.account == ALICE  # an octet that no check covers, such as the client's version


def test_ntlm_version_1_is_refused() -> None:
    handshake = Handshake(ACCOUNTS)
    handshake.step(Negotiate(_FLAGS).pack())
    old = Authenticate(_FLAGS, b"\1" * 24, b"\2" * 24, domain_name="", username="alice")
    with pytest.raises(LogOnRefused, match="NTLMv1"):
        handshake.step(old.pack())


def test_refusals_and_accounts_tell_no_password() -> None:
    context, handshake = client(password="something else"), Handshake(ACCOUNTS)
    token = context.step(handshake.step(context.step() or b"")) or b""
    with pytest.raises(LogOnRefused) as caught:
        handshake.step(token)
    assert ALICE.password not in f"{caught.value}{ALICE!r}{handshake!r}"
