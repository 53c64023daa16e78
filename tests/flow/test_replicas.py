"""Two processes serve one PKI from one database: what may happen once happens once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flow.replicas import Replica, check_race, check_records, rows, two_replicas
from flow.test_conversations import at_once
from forge.bench import Log
from forge.certificates import common_name
from forge.keys import KeyPool
from forge.reply import read_reply

Pair = tuple[Replica, Replica]


@pytest.fixture
def pair(tmp_path: Path, database_url: str, key_pool: KeyPool, log: Log) -> Iterator[Pair]:
    with two_replicas(tmp_path, key_pool, log, PKI__DATABASE_URL=database_url) as both:
        yield both


def test_replicas_spend_a_challenge_once_and_repeat_no_number(pair: Pair, database_url: str) -> None:
    first, second = (each.bench for each in pair)
    contested = first.desk.new_challenge()
    racing = [(bench, bench.request(challenge=contested)) for bench in (first, second) * 6]
    good = [(bench, bench.request()) for bench in (first, second) * 6]
    publishing = [each.desk.remote.publish_crls for each in pair * 3]
    sending = [lambda bench=bench, one=one: one.send(bench) for bench, one in (*racing, *good)]
    answers = at_once([*sending, *publishing])[: len(sending)]

    issued = check_race(racing, good, answers)
    check_records(database_url, issued)
    numbers = [number for (number,) in rows(database_url, "SELECT number FROM crls WHERE kind = 'base'")]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    assert len(numbers) >= len(publishing)


def test_subject_with_a_nul_is_answered_and_not_the_databases_trouble(pair: Pair) -> None:
    bench = pair[0].bench
    requests = [bench.request(csr={"subject": common_name(text)}) for text in ("nul \0 within", "\0")]
    answers = [one.send(bench) for one in requests]
    assert [answer.status for answer in answers] == [200, 200]
    assert {read_reply(answer.body).status for answer in answers} <= {"0", "2"}
    bench.demand_alive()


def test_what_one_replica_answered_the_other_answers_again(pair: Pair) -> None:
    first, second = (each.bench for each in pair)
    request = first.request(challenge=second.desk.new_challenge())
    assert first.enrolled(request).certificate == second.enrolled(request).certificate
