"""Many clients at once, over HTTP, on either database: what may happen once happens once."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from flow.test_conversations import at_once
from forge import wire
from forge.bench import Bench
from forge.certificates import read_certificate
from forge.reply import read_reply


@pytest.fixture
def bench(bench_of_each: Bench) -> Bench:
    return bench_of_each


def test_of_200_clients_racing_for_one_challenge_exactly_one_wins(bench: Bench) -> None:
    challenge = bench.new_challenge()
    requests = [bench.request(challenge=challenge) for _ in range(200)]
    certificates, transactions = bench.count("certificate"), bench.count("transaction")
    answers = at_once([lambda one=one: one.send(bench) for one in requests])
    statuses = Counter(answer.status for answer in answers)  # type: ignore[attr-defined]
    assert statuses == {200: 200}
    replies = [read_reply(answer.body) for answer in answers]  # type: ignore[attr-defined]
    won = [at for at, reply in enumerate(replies) if reply.status == "0"]
    assert len(won) == 1
    assert {reply.fail_info for at, reply in enumerate(replies) if at not in won} == {2}
    assert len({reply.fail_info_text for at, reply in enumerate(replies) if at not in won}) == 1
    assert bench.count("certificate") == certificates + 1
    assert bench.count("transaction") == transactions + 1
    winner = requests[won[0]]
    again = bench.reply(winner, answers[won[0]])  # type: ignore[arg-type]
    bench.enrolled(winner, again)
    loser = bench.send(requests[(won[0] + 1) % 200])
    assert (loser.status, loser.fail_info) == ("2", 2)


def test_of_clients_racing_for_one_transaction_id_one_wins(bench: Bench) -> None:
    """Another key under the same transactionID, each with a good challenge: one is granted (1D-6)."""
    requests = [bench.request(message={"transaction_id": "RACE FOR ONE ID"}) for _ in range(8)]
    before = bench.count("certificate")
    answers = at_once([lambda one=one: one.send(bench) for one in requests])
    replies = [
        bench.reply(one, answer)  # type: ignore[arg-type]
        for one, answer in zip(requests, answers, strict=True)
    ]
    granted = [at for at, reply in enumerate(replies) if reply.status == "0"]
    assert len(granted) == 1
    assert bench.count("certificate") == before + 1
    for at, pki in enumerate(requests):
        if at not in granted:
            bench.enrol(challenge=pki.challenge)  # what lost has kept its challenge


def test_no_serial_number_is_given_twice_under_load(bench: Bench) -> None:
    requests = [bench.request() for _ in range(24)]
    answers = at_once([lambda one=one: one.send(bench) for one in requests])
    leaves = [
        bench.enrolled(one, bench.reply(one, answer)).certificate  # type: ignore[arg-type]
        for one, answer in zip(requests, answers, strict=True)
    ]
    serials = {read_certificate(leaf).serial for leaf in leaves}
    assert len(serials) == len(leaves)


def test_racing_renewals_of_one_certificate_are_all_served(bench: Bench) -> None:
    old = bench.enrol()
    requests = [bench.renewal(old) for _ in range(6)]
    answers = at_once([lambda one=one: one.send(bench) for one in requests])
    for one, answer in zip(requests, answers, strict=True):
        bench.enrolled(one, bench.reply(one, answer))  # type: ignore[arg-type]


def test_an_approval_racing_with_polls_loses_nothing(bench: Bench) -> None:
    waiting = bench.request(endpoint="manual")
    assert bench.send(waiting).status == "3"
    assert waiting.csr is not None
    polls = [bench.poll(waiting) for _ in range(6)]
    approved = threading.Event()

    def approve() -> None:
        bench.desk.approve(waiting.sent.transaction_id)
        approved.set()

    answers = at_once([approve, *(lambda one=one: one.send(bench) for one in polls)])[1:]
    assert approved.is_set()
    leaves = set()
    for one, answer in zip(polls, answers, strict=True):
        reply = bench.reply(one, answer)  # type: ignore[arg-type]
        assert reply.status in ("0", "3")
        if reply.status == "0":
            leaves.add(bench.deliver(one, reply).certificates[0])
    last = bench.poll(waiting)
    leaves.add(bench.deliver(last, bench.send(last)).certificates[0])
    assert len(leaves) == 1


@pytest.mark.parametrize("operation", ["GetCACaps", "GetCACert"])
def test_plain_operations_are_answered_alike_under_load(bench: Bench, operation: str) -> None:
    answers = at_once([lambda: wire.get(bench.url(), f"operation={operation}")] * 32)
    assert len({(answer.status, answer.body) for answer in answers}) == 1  # type: ignore[attr-defined]
    assert answers[0].status == 200  # type: ignore[attr-defined]
