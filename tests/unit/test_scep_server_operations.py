"""The service from HTTP request to HTTP reply: statuses, types, what fails where, and what is observed."""

from __future__ import annotations

import base64
import os
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from forge import openssl
from forge.certificates import utc
from forge.message import CERT_REP, SENDER_NONCE, TRANSACTION_ID
from forge.reply import read_reply
from scep_world import PKI_MESSAGE, Client, World

from ca.errors import ServiceUnavailable
from ca.records import AlreadyExists, StoreUnavailable
from scep_server.checks import Verdict
from scep_server.exchange import Operation
from scep_server.ndes.profiles import MODERN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ca.records import StoreTransaction

BAD_REQUEST = (
    b"Bad request: expected operation=GetCACaps, GetCACert, GetNextCACert or PKIOperation, "
    b"the last with a SCEP pkiMessage (RFC 8894).\n"
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


# -- HTTP ------------------------------------------------------------------------------


def test_get_ca_caps_is_answered_by_get_post_and_head(world: World) -> None:
    for method in ("GET", "POST", "HEAD"):
        reply = world.handle(method=method, query="operation=GetCACaps&message=default")
        assert (reply.status, reply.content_type) == (200, "text/plain")
        assert reply.body.split(b"\n")[-1] == b""
        assert b"\n\n" not in reply.body
        assert b"SHA-384" in reply.body


@pytest.mark.parametrize("message", ["", "&message=CAIdentifier", "&message=%00", "&message=" + "x" * 9000])
def test_get_ca_cert_sends_ra_then_ca_then_root_whatever_is_asked(world: World, message: str) -> None:
    reply = world.handle(query="operation=GetCACert" + message)
    assert (reply.status, reply.content_type) == (200, "application/x-x509-ca-ra-cert")
    printed = openssl.run("pkcs7", "-inform", "DER", "-print_certs", stdin=reply.body).decode()
    subjects = [line for line in printed.splitlines() if line.startswith("subject")]
    assert [line.split("CN = ")[-1] for line in subjects] == [
        "Test RA",
        "Test RA",
        "Test Issuing CA",
        "Test Root",
    ]
    at = [reply.body.index(one.der) for one in (world.signing, world.encryption, world.issuing, world.root)]
    assert at == sorted(at)


def test_get_next_ca_cert_without_a_next_ca_is_not_found(world: World) -> None:
    assert world.handle(query="operation=GetNextCACert").status == 404
    assert b"GetNextCACert" not in world.handle(query="operation=GetCACaps").body


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"query": ""}, 400),
        ({"query": "operation=nonsense"}, 400),
        ({"query": "operation=GetCACert&operation=PKIOperation"}, 400),
        ({"query": "operation=PKIOperation"}, 400),
        ({"query": "operation=PKIOperation&message="}, 400),
        ({"query": "operation=PKIOperation&message=MII*"}, 400),
        ({"query": "operation=PKIOperation&message=AAAA"}, 400),
        ({"method": "POST", "query": "operation=PKIOperation", "body": b""}, 400),
        ({"method": "POST", "query": "operation=PKIOperation&message=MIIB", "body": b""}, 400),
        ({"method": "POST", "query": "operation=PKIOperation", "body": b"garbage"}, 400),
        ({"method": "POST", "query": "operation=PKIOperation", "body": b"\x30\x00"}, 400),
        ({"method": "POST", "query": "operation=PKIOperation", "body": b"x", "body_complete": False}, 400),
        ({"method": "POST", "query": "operation=PKIOperation", "declared_length": -1}, 400),
        ({"path": "/"}, 404),
        ({"path": "/scep/nobody"}, 404),
        ({"path": "/scep/../admin"}, 404),
        ({"method": "PUT"}, 405),
        ({"method": "OPTIONS"}, 405),
        ({"method": "TRACE"}, 405),
        ({"method": "HEAD", "query": "operation=PKIOperation&message=AAAA"}, 405),
        ({"method": "POST", "body": b"x" * ((1 << 20) + 1)}, 413),
        ({"method": "POST", "declared_length": 2 << 30}, 413),
        ({"method": "PUT", "declared_length": 2 << 30}, 413),
        ({"query": "operation=GetCACaps&message=" + "x" * (1 << 17)}, 414),
        ({"method": "POST", "content_encoding": "gzip", "body": b"x"}, 415),
    ],
)
def test_what_is_no_scep_is_answered_by_http_in_plain_text(
    world: World, request_: dict[str, Any], status: int
) -> None:
    reply = world.handle(**{"query": "operation=GetCACaps", **request_})
    assert (reply.status, reply.content_type) == (status, "text/plain")
    if status == 400:
        assert reply.body == BAD_REQUEST
    if status == 405:
        assert ("Allow", "GET, POST") in reply.headers
    assert world.last.refused_by
    assert world.last.detail
    assert world.handle(query="operation=GetCACaps").status == 200


@pytest.mark.parametrize("length", [0, 1, 10, 300])
def test_every_unreadable_message_looks_the_same(world: World, length: int) -> None:
    message = Client(world=world).request("x")
    assert world.post(message[:-1] if length == 0 else message[:length]).body == BAD_REQUEST


def test_a_message_may_come_by_get_in_base64(world: World) -> None:
    client = Client(world=world)
    encoded = base64.b64encode(client.request(world.new_challenge())).decode()
    for message in (quote(encoded, safe=""), encoded):
        reply = world.handle(query=f"message={message}&operation=PKIOperation")
        assert (reply.status, reply.content_type) == (200, PKI_MESSAGE)
        assert read_reply(reply.body).status == "0"


@pytest.mark.parametrize(
    "content_type",
    ["", "application/octet-stream", "multipart/form-data", "application/x-www-form-urlencoded"],
)
def test_the_content_type_of_a_post_does_not_matter(world: World, content_type: str) -> None:
    message = Client(world=world).request(world.new_challenge())
    reply = world.handle(
        method="POST", query="operation=PKIOperation", body=message, content_type=content_type
    )
    assert read_reply(reply.body).status == "0"


def test_base64_and_pem_bodies_are_taken_where_that_is_set(world: World) -> None:
    message = Client(world=world).request(world.new_challenge())
    lines = base64.encodebytes(message)
    pem = b"-----BEGIN PKCS7-----\n" + lines + b"-----END PKCS7-----\n"
    assert [world.post(body).status for body in (lines, pem)] == [400, 400]
    world.service = world.make_service(accept_base64_body=True)
    assert [read_reply(world.post(body).body).status for body in (lines, pem, message)] == ["0"] * 3
    assert world.post(b"garbage").status == 400


# -- what fails after the transactionID is readable ------------------------------------


def test_failures_are_signed_and_echo_the_nonce_of_any_length(world: World) -> None:
    client = Client(world=world)
    for size in (1, 8, 16, 32, 64):
        nonce = os.urandom(size)
        message = client.request("wrong", sender_nonce=nonce)
        assert client.send(message, sender_nonce=nonce).fail_info == 2
    message = client.request("wrong", sender_nonce=b"x" * 65)
    assert client.send(message, sender_nonce=None).fail_info == 2
    message = client.request("wrong", replaced={SENDER_NONCE: None})
    assert client.send(message, sender_nonce=None).fail_info == 2


def test_a_message_without_transaction_id_is_answered_by_http(world: World) -> None:
    reply = world.post(Client(world=world).request("x", replaced={TRANSACTION_ID: None}))
    assert (reply.status, reply.body) == (400, BAD_REQUEST)


def test_the_nonce_is_fresh_in_repeated_replies(world: World) -> None:
    client = Client(world=world)
    message = client.request(world.new_challenge())
    nonces = {client.send(message).attributes[SENDER_NONCE].content for _ in range(3)}
    assert len(nonces) == 3


@pytest.mark.parametrize("message_type", [CERT_REP, 0, 18, 23, 99])
def test_other_message_types_are_refused_before_anybody_is_asked(world: World, message_type: int) -> None:
    client = Client(world=world)
    reply = client.send(client.request(world.new_challenge(), message_type))
    assert reply.fail_info == 2
    assert world.last.opened is None
    assert world.counts()[2] == 1


def test_a_reply_of_ours_is_no_request(world: World) -> None:
    reply = world.post(Client(world=world).request("wrong"))
    again = world.post(reply.body)
    assert read_reply(again.body).fail_info == 2


def test_an_envelope_that_cannot_be_opened_is_refused_without_a_text(world: World) -> None:
    client = Client(world=world)
    world.encryption = world.signing  # what the client takes for the recipient
    reply = world.post(client.request(world.new_challenge()))
    assert (read_reply(reply.body).fail_info, read_reply(reply.body).fail_info_text) == (1, "")
    assert world.last.refused_by == "undecryptable"


@pytest.mark.parametrize(
    ("changes", "fail_info"),
    [({"digest": "md5"}, 0), ({"envelope": {"cipher": "des"}}, 0), ({"csr": {"digest": "md5"}}, 0)],
)
def test_legacy_algorithms_are_taken_with_a_warning_or_refused(
    world: World, changes: dict[str, Any], fail_info: int
) -> None:
    client = Client(world=world)
    client.obtain(client.request(world.new_challenge(), **changes), cipher=None)
    if "csr" not in changes:
        assert any(check.verdict is Verdict.WARNED for check in world.last.checks)
    world.service = world.make_service(legacy_algorithms="refuse")
    client = Client(world=world)
    reply = client.send(client.request(world.new_challenge(), **changes))
    assert reply.fail_info == fail_info
    assert reply.digest == "sha256"


@pytest.mark.parametrize("changes", [{"digest": "sha1"}, {"envelope": {"cipher": "3des"}}])
def test_what_is_switched_off_is_refused(world: World, changes: dict[str, Any]) -> None:
    world.service = world.make_service(sha1="refuse", triple_des="refuse")
    client = Client(world=world)
    reply = client.send(client.request(world.new_challenge(), **changes))
    assert (reply.fail_info, reply.digest) == (0, "sha256")


def test_signing_time_is_compared_where_a_tolerance_is_set(world: World) -> None:

    client = Client(world=world)
    far, near = utc("160301120000Z"), utc("260301121000Z")
    assert client.send(client.request("wrong", signing_time=far)).fail_info == 2
    world.service = world.make_service(maximum_clock_skew_minutes=15)
    assert client.send(client.request("wrong", signing_time=far)).fail_info == 3
    assert client.send(client.request("wrong", signing_time=near)).fail_info == 2
    assert client.send(client.request("wrong")).fail_info == 2


# -- when what the service depends on does not work ------------------------------------


class LostStore:
    """A store that cannot be used."""

    @contextmanager
    def transaction(self) -> Iterator[StoreTransaction]:
        raise StoreUnavailable("disk full at /var/lib")
        yield

    reading = transaction


@pytest.mark.parametrize("kind", ["enrol", "poll"])
def test_a_lost_store_asks_the_client_to_come_again(world: World, kind: str) -> None:
    client = Client(world=world)
    message = client.request("x") if kind == "enrol" else client.poll()
    world.service = world.make_service(store=LostStore())
    reply = world.post(message)
    assert (reply.status, reply.content_type) == (503, "text/plain")
    assert ("Retry-After", "30") in reply.headers
    assert b"/var/lib" not in reply.body
    assert (world.last.refused_by, world.last.detail) == ("unavailable", "disk full at /var/lib")


def test_a_lost_store_may_look_pending(world: World) -> None:
    profile = replace(MODERN, when_unavailable="pending")
    world.service = world.make_service(store=LostStore(), profile=profile)
    client = Client(world=world)
    assert client.send(client.request("x")).status == "3"


class LostKey:
    """A CA whose key cannot be used; everything else is as it was."""

    def __init__(self, authority: Any) -> None:
        self._authority = authority

    def __getattr__(self, name: str) -> Any:
        return getattr(self._authority, name)

    def sign(self, prepared: Any) -> Any:
        raise ServiceUnavailable("the key store does not answer")


def test_a_lost_key_spends_no_challenge_and_records_nothing(world: World) -> None:
    client = Client(world=world)
    message = client.request(world.new_challenge())
    before = world.counts()
    world.service = world.make_service(authority=LostKey(world.authority))
    assert world.post(message).status == 503
    assert world.counts() == before
    world.service = world.make_service()
    client.obtain(message)


class QuickerOnce:
    """A store in which someone else was quicker, so many times."""

    def __init__(self, store: Any, times: int) -> None:
        self._store, self.times = store, times

    def reading(self) -> Any:
        return self._store.reading()

    @contextmanager
    def transaction(self) -> Iterator[StoreTransaction]:
        with self._store.transaction() as transaction:
            yield transaction
            if self.times:
                self.times -= 1
                raise AlreadyExists("serial number")


def test_when_someone_was_quicker_everything_is_looked_at_anew(world: World) -> None:
    client = Client(world=world)
    world.service = world.make_service(store=QuickerOnce(world.store, 3))
    client.obtain(client.request(world.new_challenge()))
    assert world.counts() == (1, 0, 0, 1)


def test_someone_quicker_for_ever_ends_in_come_again(world: World) -> None:
    client = Client(world=world)
    world.service = world.make_service(store=QuickerOnce(world.store, 1000))
    assert world.post(client.request(world.new_challenge())).status == 503
    assert world.counts()[0] == 0


# -- races -----------------------------------------------------------------------------


def _at_once(world: World, messages: list[bytes]) -> list[str]:
    barrier, statuses = threading.Barrier(len(messages)), []

    def send(message: bytes) -> None:
        barrier.wait()
        statuses.append(read_reply(world.post(message).body).status)

    threads = [threading.Thread(target=send, args=(message,)) for message in messages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(statuses)


def test_of_many_with_one_challenge_one_wins(world: World) -> None:
    challenge = world.new_challenge()
    messages = [Client(world=world).request(challenge) for _ in range(12)]
    assert _at_once(world, messages) == ["0", *["2"] * 11]
    assert world.counts()[0] == 1


def test_the_same_request_many_times_at_once_is_one_certificate(world: World) -> None:
    message = Client(world=world).request(world.new_challenge())
    assert _at_once(world, [message] * 12) == ["0"] * 12
    assert world.counts()[0] == 1


# -- what is observed ------------------------------------------------------------------


def test_an_observer_sees_the_whole_exchange(world: World) -> None:
    client = Client(world=world)
    message = client.request(world.new_challenge())
    client.obtain(message)
    seen = world.last
    assert (seen.endpoint, seen.operation, seen.octets) == ("default", Operation.PKI_OPERATION, message)
    assert seen.transaction_id == client.transaction_id
    assert seen.csr is not None
    assert seen.csr.public_key_der == client.key.spki
    assert seen.cert_rep is not None
    assert seen.refused_by is None
    assert [stage for stage, _ in seen.timings] == ["parse", "open", "decide", "reply"]
    assert all(duration >= 0 for _, duration in seen.timings)
    with world.reading() as transaction:
        record = transaction.certificate(seen.certificate_id or 0)
    assert record is not None


def test_an_exchange_never_shows_the_challenge(world: World) -> None:
    challenge = world.new_challenge()
    client = Client(world=world)
    client.obtain(client.request(challenge))
    client.send(client.request(challenge + "x"))
    for seen in world.recorder.exchanges:
        text = repr(seen) + repr(seen.checks) + repr(seen.answer) + repr(seen.csr) + seen.detail
        assert challenge not in text


def test_exchanges_are_numbered(world: World) -> None:
    for _ in range(3):
        world.handle(query="operation=GetCACaps")
    assert [seen.number for seen in world.recorder.exchanges] == [1, 2, 3]
