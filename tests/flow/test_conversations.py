"""Rows that take more than one input: slow clients, cut-off messages, clients at the same time."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from flow.stand import ENDPOINTS, Stand
from forge import asn1, wire
from forge.bench import Bench, Log, PkiRequest
from forge.certificates import read_certificate
from forge.keys import KeyPool
from forge.reply import SUCCESS, Reply

IMPATIENT = {"threads": 3, "request_seconds": 0.5, "idle_seconds": 0.3}


@pytest.fixture(scope="module")
def impatient_bench(key_pool: KeyPool, log: Log) -> Iterator[Bench]:
    """A lab with three workers that waits half a second for a request, and no longer."""
    stand = Stand(server=IMPATIENT)
    yield Bench(stand, key_pool, log)
    stand.close()


def at_once(actions: list[Callable[[], object]]) -> list[object]:
    """Run every action in a thread of its own, all released by one barrier; return their results."""
    barrier = threading.Barrier(len(actions))

    def run(action: Callable[[], object]) -> object:
        barrier.wait(30)
        return action()

    with ThreadPoolExecutor(len(actions)) as pool:
        return [future.result(60) for future in [pool.submit(run, action) for action in actions]]


# -- N15, N19, N20: connections ----------------------------------------------------------


def test_chunked_body_without_an_end_times_out(impatient_bench: Bench) -> None:
    before = impatient_bench.state()
    pki = impatient_bench.request()
    before = impatient_bench.state()
    top = wire.request_line(impatient_bench.url(), "POST", "operation=PKIOperation")
    chunk = b"%x\r\n" % len(pki.message) + pki.message + b"\r\n"
    answer = wire.exchange(
        impatient_bench.url(), top + wire.headers({"Transfer-Encoding": "chunked"}) + chunk
    )
    assert answer.status in (0, 400, 408)
    impatient_bench.demand_unchanged(before)
    impatient_bench.demand_alive()


def test_pipelined_requests_are_answered_in_order(bench: Bench) -> None:
    requests = [bench.request() for _ in range(3)]
    with wire.connect(bench.url()) as connection:
        for number, pki in enumerate(requests):
            last = number == len(requests) - 1
            fields = {"Content-Length": str(len(pki.message)), **({"Connection": "close"} if last else {})}
            top = wire.request_line(bench.url(), "POST", "operation=PKIOperation")
            connection.sendall(top + wire.headers(fields) + pki.message)
        answers = wire.Answers(connection)
        for pki in requests:
            bench.enrolled(pki, bench.reply(pki, answers.next()))


def test_slow_clients_do_not_exhaust_the_workers(impatient_bench: Bench) -> None:
    """Twice as many as there are workers, stuck in the request line, a header and the body."""
    line = wire.request_line(impatient_bench.url(), "POST", "operation=PKIOperation")
    parts = (
        b"POST /scep?operation=PKI",
        line + b"X-Slow: 1\r\nX-",
        line + b"Content-Length: 1000\r\n\r\n0",
    )
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(wire.connect(impatient_bench.url())) for _ in range(6)]
        for number, connection in enumerate(slow):
            connection.sendall(parts[number % 3])
        impatient_bench.demand_alive()
        for connection in slow:
            answer = wire.Answers(connection).next()
            assert answer.status in (0, 400, 408)
    impatient_bench.demand_alive()


def test_a_dripping_client_is_cut_off(impatient_bench: Bench) -> None:
    """One octet now and then keeps a connection busy for ever, unless there is a deadline."""
    with wire.connect(impatient_bench.url()) as connection:
        connection.sendall(wire.request_line(impatient_bench.url(), "POST", "operation=PKIOperation"))
        connection.sendall(b"Content-Length: 100000\r\n\r\n")
        end = time.monotonic() + wire.PATIENCE
        connection.settimeout(0.05)
        while time.monotonic() < end:
            try:
                connection.sendall(b"x")
                if not connection.recv(4096).startswith(b"HTTP/1.1 2"):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        else:
            pytest.fail("the server waits for ever")
    impatient_bench.demand_alive()


def test_connections_that_say_nothing_cost_nobody_a_worker(impatient_bench: Bench) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(wire.connect(impatient_bench.url()))
        impatient_bench.demand_alive()


# -- N30: cut off anywhere ---------------------------------------------------------------


def test_message_cut_off_anywhere_is_refused(bench: Bench) -> None:
    pki = bench.request()
    before = bench.state()
    mark = len(bench.log.lines)
    bodies = set()
    with wire.connect(bench.url()) as connection:
        answers = wire.Answers(connection)
        for size in range(1, len(pki.message)):
            if size % 50 == 0:  # a server may close a kept connection after a while
                connection.close()
                connection = socket.create_connection(wire.address(bench.url()), timeout=wire.PATIENCE)
                answers = wire.Answers(connection)
            top = wire.request_line(bench.url(), "POST", "operation=PKIOperation")
            fields = wire.headers({"Content-Length": str(size)})
            connection.sendall(top + fields + pki.message[:size])
            answer = answers.next()
            assert answer.status == 400, f"{size} octets of {len(pki.message)}: HTTP {answer.status}"
            bodies.add(answer.body)
        connection.close()
    assert len(bodies) == 1
    bench.demand_unchanged(before)
    bench.demand_quiet(mark)
    bench.enrolled(pki)


def test_message_with_any_octet_flipped_never_breaks_the_server(bench: Bench) -> None:
    """Every 7th octet, one bit: refused or, where it says nothing (padding, labels), accepted."""
    pki = bench.request()
    mark = len(bench.log.lines)
    statuses = set()
    for at in range(0, len(pki.message), 7):
        octets = bytearray(pki.message)
        octets[at] ^= 1 << at % 8
        answer = wire.post(bench.url(), bytes(octets))
        statuses.add(answer.status)
        assert answer.status in (200, 400), f"octet {at}: HTTP {answer.status} {answer.body[:100]!r}"
    assert statuses == {200, 400}
    bench.demand_quiet(mark)
    bench.demand_alive()


# -- N62: an RA key that was renewed -----------------------------------------------------


def test_retired_ra_key_opens_within_its_grace_only(fresh_bench: Bench) -> None:
    stand = fresh_bench.desk
    assert isinstance(stand, Stand)
    old = fresh_bench.encryption_certificate
    stand.renew_ra_encryption(retire_for=timedelta(days=7))
    fresh_bench.forget_bundle()
    assert fresh_bench.encryption_certificate != old
    to_the_old = {"recipients": [fresh_bench.recipient(certificate=old)]}
    fresh_bench.enrol(envelope=to_the_old)
    fresh_bench.enrol()
    stand.advance(timedelta(days=8))
    late = fresh_bench.request(envelope=to_the_old)
    before = fresh_bench.state()
    reply = fresh_bench.send(late)
    assert (reply.status, reply.fail_info) == ("2", 1)
    fresh_bench.demand_unchanged(before)
    fresh_bench.demand_alive()


# -- N105, N106, N116: at the same time --------------------------------------------------


def test_two_clients_race_for_one_challenge(bench: Bench) -> None:
    for _ in range(10):
        challenge = bench.new_challenge()
        requests = [bench.request(challenge=challenge) for _ in range(2)]
        answers = at_once([lambda one=one: one.send(bench) for one in requests])
        replies = [
            bench.reply(one, answer)  # type: ignore[arg-type]
            for one, answer in zip(requests, answers, strict=True)
        ]
        assert sorted(reply.status for reply in replies) == ["0", "2"]
        assert next(reply.fail_info for reply in replies if reply.status == "2") == 2


def test_identical_requests_at_once_share_one_certificate(bench: Bench) -> None:
    for _ in range(5):
        pki = bench.request()
        before = bench.count("certificate")
        answers = at_once([lambda: pki.send(bench)] * 4)  # noqa: B023 - used within the same turn
        replies = [bench.reply(pki, answer) for answer in answers]  # type: ignore[arg-type]
        certificates = {bench.enrolled(pki, reply).certificate for reply in replies}
        assert len(certificates) == 1
        assert bench.count("certificate") == before + 1


def test_one_transaction_id_for_all_get_crl(bench: Bench) -> None:
    """sscep calls every GetCRL and GetCert `SSCEP transactionId`."""
    holders = [bench.enrol(), bench.enrol()]
    constant = {"message": {"transaction_id": "SSCEP transactionId"}}
    requests: list[PkiRequest] = [
        bench.get_crl(holders[0].certificate, holders[0], **constant),
        bench.get_cert(holders[1].certificate, holders[1], **constant),
        bench.get_crl(holders[1].certificate, holders[1], **constant),
        bench.get_cert(holders[0].certificate, holders[0], **constant),
    ]
    before = bench.state()
    answers = at_once([lambda one=one: one.send(bench) for one in requests])
    issued = []
    for one, answer in zip(requests, answers, strict=True):
        reply: Reply = bench.reply(one, answer)  # type: ignore[arg-type]
        assert reply.status == SUCCESS
        issued.append(bench.deliver(one, reply))
    assert [len(one.crls) for one in issued] == [1, 0, 1, 0]
    assert issued[1].certificates == (holders[1].certificate,)
    assert issued[3].certificates == (holders[0].certificate,)
    bench.demand_unchanged(before)


def test_mixed_algorithms_at_once_are_mirrored_each(bench: Bench) -> None:
    """Nothing of one request may show in the reply to another (Dogtag kept its cipher in the servlet)."""
    mixes = [
        {"message": {"digest": digest}, "envelope": {"cipher": cipher}}
        for digest in ("sha1", "sha256", "sha512")
        for cipher in ("3des", "aes128", "aes256")
    ]
    requests = [bench.request(**mix) for mix in mixes]  # type: ignore[arg-type]
    answers = at_once([lambda one=one: one.send(bench) for one in requests])
    for one, answer in zip(requests, answers, strict=True):
        bench.enrolled(one, bench.reply(one, answer))  # type: ignore[arg-type]


# -- N127: who may wait ------------------------------------------------------------------


def test_pending_requests_are_limited(braked_bench: Bench) -> None:
    """An address has a quota at each endpoint, others have theirs, and waiting ends."""
    bench = braked_bench

    def asks(address: str, endpoint: str = "manual") -> tuple[PkiRequest, Reply]:
        request = bench.request(endpoint=endpoint, challenge=bench.new_challenge())
        return request, bench.reply(request, sent_from(address, bench, request))

    waiting, first = asks("192.0.2.1")
    assert (first.status, asks("192.0.2.1")[1].status) == ("3", "3")
    before = bench.state().tables["requests"]
    refused = asks("192.0.2.1")[1]
    assert (refused.status, refused.fail_info) == ("2", 2)
    assert bench.state().tables["requests"] == before
    assert asks("192.0.2.2")[1].status == "3"
    assert bench.reply(waiting, sent_from("192.0.2.1", bench, waiting)).status == "3"

    stand = bench.desk
    assert isinstance(stand, Stand)
    bench.desk.advance(timedelta(days=91))
    stand.world.publishing.publish_due()
    reply = bench.send(bench.poll(waiting))
    assert (reply.status, reply.fail_info) == ("2", 2)
    assert asks("192.0.2.1")[1].status == "3"


def sent_from(address: str, bench: Bench, request: PkiRequest) -> wire.Response:
    """Post a request as a proxy does for a client at this address."""
    return wire.post(bench.url(request.endpoint), request.message, fields={"X-Forwarded-For": address})


def test_one_challenge_makes_one_waiting_request(bench: Bench) -> None:
    """Waiting uses the challenge up, and repeating adds nothing."""
    challenge = bench.new_challenge()
    first = bench.request(endpoint="manual", challenge=challenge)
    assert bench.send(first).status == "3"
    before = bench.state()
    for _ in range(3):
        assert bench.send(first).status == "3"
        other = bench.request(endpoint="manual", challenge=challenge)
        reply = bench.send(other)
        assert (reply.status, reply.fail_info) == ("2", 2)
    bench.demand_unchanged(before)


# -- N114: what is advertised is what is answered ----------------------------------------


@pytest.mark.parametrize("endpoint", sorted(ENDPOINTS))
def test_capabilities_and_behaviour_agree(bench: Bench, endpoint: str) -> None:
    offered = wire.get(bench.url(endpoint), "operation=GetCACaps").body.decode("ascii").split("\n")
    assert "" not in offered[:-1]
    settings = ENDPOINTS[endpoint]
    assert ("Renewal" in offered) == settings.get("renewal", {}).get("enabled", True)
    assert ("SHA-1" in offered) == (settings.get("sha1") != "refuse")
    assert ("DES3" in offered) == (settings.get("triple_des") != "refuse")
    assert {"AES", "SHA-256", "SHA-512", "POSTPKIOperation", "SCEPStandard"} <= set(offered)
    assert not {"GetNextCACert", "MD5", "DES"} & set(offered)


def test_renewal_of_another_key_leaves_the_old_certificate_valid(bench: Bench) -> None:
    """Nothing is revoked by a renewal: the old certificate can be renewed once more (D04)."""
    old = bench.enrol()
    first = bench.enrolled(bench.renewal(old))
    second = bench.enrolled(bench.renewal(old))
    assert len({old.certificate, first.certificate, second.certificate}) == 3
    assert read_certificate(first.certificate).subject == old.subject


def test_reply_stays_small_at_its_largest(bench: Bench) -> None:
    """transactionID and nonce as long as they may be: sscep reads 16 384 octets (S14)."""
    pki = bench.request(message={"transaction_id": "A" * 254 + "Z", "sender_nonce": bytes(64)})
    reply = bench.send(replace(pki, sent=replace(pki.sent, sender_nonce=bytes(64))))
    assert reply.status == SUCCESS
    assert len(reply.raw) < 16_384
    assert asn1.read(reply.raw)
