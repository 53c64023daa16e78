"""The load generator: what it sends, how it counts, and what it says of servers that misbehave."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest
from click.testing import CliRunner

from lab.commands import main
from lab.load.keys import keys_of, make_primes, primes_for
from lab.load.messages import Kind, Prepared, Target
from lab.load.report import summarise
from lab.load.running import LoadOrder
from lab.load.sending import Load, Sample, send_all
from lab.scep_lab import ScepLab

SUCCESS = bytes.fromhex("060a6086480186f84501090331031301") + b"0"
PENDING = SUCCESS[:-1] + b"3"
REFUSED = SUCCESS[:-1] + b"2" + bytes.fromhex("060a6086480186f84501090431031301") + b"2"


@contextlib.contextmanager
def server(answer: Callable[[int], bytes | None]) -> Iterator[str]:
    """A server that answers its n-th request, or closes."""
    listener = socket.create_server(("127.0.0.1", 0))
    count, lock = iter(range(1000)), threading.Lock()

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while (octets := connection.recv(65536)) and octets.count(b"\r\n\r\n"):
                with lock:
                    sent = answer(next(count))
                if sent is None:
                    return
                connection.sendall(sent)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/scep"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def http(body: bytes, status: int = 200, *headers: str) -> bytes:
    length = f"Content-Length: {len(body)}"
    return "\r\n".join([f"HTTP/1.1 {status} Said", length, *headers, "", ""]).encode() + body


def problems(answer: Callable[[int], bytes | None], requests: int = 6, **load: float) -> list[str]:
    with server(answer) as url:
        sent = [Prepared(kind=Kind.ENROL, octets=Target(url=url).http("operation=PKIOperation", b"body"))]
        samples = send_all(url, sent * requests, Load(concurrency=2, **{"timeout": 5, **load}))  # type: ignore[arg-type]
    assert len(samples) == requests
    return sorted(sample.problem for sample in samples)


@pytest.mark.parametrize(
    ("octets", "problem"),
    [
        (http(SUCCESS), ""),
        (http(SUCCESS, 200, "Connection: close"), ""),
        (b"HTTP/1.0 200 OK\r\n\r\n" + SUCCESS, "no answer in time"),  # HTTP/1.0 ends by closing
        (http(PENDING), "PENDING"),
        (http(REFUSED), "FAILURE badRequest"),
        (http(b"<html>"), "no CertRep"),
        (http(SUCCESS, 503), "HTTP 503"),
        (b"\x16\x03\x01\r\n\r\n", "no HTTP"),
        (None, "closed unanswered"),
    ],
)
def test_says_what_is_wrong_with_an_answer(octets: bytes | None, problem: str) -> None:
    assert set(problems(lambda _: octets, timeout=0.5)) == {problem}


def test_reads_chunked_answers() -> None:
    first, second = SUCCESS[:5], SUCCESS[5:]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (first, second, b""))
    assert problems(lambda _: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks) == [""] * 6


def test_goes_on_over_a_new_connection_after_a_closed_one() -> None:
    found = problems(lambda number: None if number == 1 else http(SUCCESS))
    assert found == ["", "", "", "", "", "closed unanswered"]


def test_server_that_is_not_there_is_told() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/scep"
        (sample,) = send_all(url, [Prepared(kind=Kind.CA_CAPS, octets=b"")], Load(timeout=5))
    assert sample.problem.startswith("connection: ")


def test_latency_at_a_rate_counts_from_when_a_request_was_due() -> None:
    stalled = threading.Event()
    with server(lambda number: (stalled.wait(0.3) if not number else None) or http(SUCCESS)) as url:
        sent = [Prepared(kind=Kind.CA_CAPS, octets=Target(url=url).http("operation=GetCACaps"))] * 20
        samples = send_all(url, sent, Load(concurrency=1, rate=200, timeout=5))
    waited = [sample for sample in samples if sample.seconds > 0.15]
    assert len(waited) > 5, "what waited behind the stalled request has waited too"


def test_report_has_nearest_ranks_and_counts_good_ones_only() -> None:
    samples = [Sample(kind=Kind.ENROL, at=n / 10, seconds=n / 1000) for n in range(1, 101)]
    samples.append(Sample(kind=Kind.RENEW, at=10, seconds=9, problem="HTTP 503"))
    report = summarise("http://x/scep", samples, concurrency=8, rate=None)
    enrol, renew = report.kinds
    assert enrol.latencies is not None
    assert (enrol.latencies.p50, enrol.latencies.p95, enrol.latencies.p99) == (50, 95, 99)
    assert (enrol.latencies.longest, enrol.latencies.mean) == (100, 50.5)
    assert (report.good, report.requests, report.per_second) == (100, 101, 10)
    assert (renew.good, renew.latencies, renew.problems) == (0, None, {"HTTP 503": 1})


def test_mix_is_even_and_the_warm_up_is_besides() -> None:
    order = LoadOrder(requests=8, warm_up=2, mix={Kind.ENROL: 3, Kind.CA_CAPS: 1}, load=Load())
    assert [kind.value[0] for kind in order.kinds] == list("eeceeeceee")
    assert order.enrolments == 8


def test_keys_are_different_and_of_the_right_size() -> None:
    wanted = 10
    primes = make_primes(primes_for(wanted), 1024)
    keys = list(islice(keys_of(primes), wanted))
    assert len({key.public_key().public_numbers().n for key in keys}) == wanted
    assert {key.key_size for key in keys} == {1024}


def test_command_loads_a_lab_with_every_kind(tmp_path: Path) -> None:
    with ScepLab() as scep_lab:
        challenge = tmp_path / "challenge"
        challenge.write_text(scep_lab.new_challenge(static=True))
        mix = ",".join(f"{kind.value}=1" for kind in Kind)
        words = ["load", scep_lab.scep_url, "-n", "10", "--warm-up", "0", "--mix", mix, "--processes", "1"]
        words += ["--challenge-file", str(challenge), "--key-bits", "2048"]
        done = CliRunner().invoke(main, [*words, "--json"])
        assert done.exit_code == 0, done.output
        report = json.loads(done.stdout)
        assert (report["good"], report["requests"]) == (10, 10)
        assert {kind["kind"] for kind in report["kinds"]} == {kind.value for kind in Kind}
        issued = scep_lab.certificates(subject="CN=load-")
        assert len(issued) == 2 + 2 + 2 * 2  # enrolled; repeated; enrolled to be renewed, and renewed


def test_command_ends_with_one_when_something_fails(tmp_path: Path) -> None:
    with ScepLab() as scep_lab:
        challenge = tmp_path / "challenge"
        challenge.write_text("not-a-challenge")
        words = ["load", scep_lab.scep_url, "-n", "2", "--warm-up", "0", "--challenge-file", str(challenge)]
        done = CliRunner().invoke(main, [*words, "--processes", "1"])
    assert done.exit_code == 1
    assert "enrol\tFAILURE badRequest\t2" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ftp://host/scep"], "no URL of a SCEP server"),
        (["http://host"], "no URL of a SCEP server"),
        (["http://host/scep", "--mix", "enrol=0"], "expected KIND=PARTS"),
        (["http://host/scep", "--mix", "enroll"], "expected KIND=PARTS"),
        (["http://127.0.0.1:1/scep", "-n", "1", "--warm-up", "0"], "127.0.0.1"),
    ],
)
def test_command_says_what_it_cannot_do(words: list[str], said: str) -> None:
    done = CliRunner().invoke(main, ["load", *words])
    assert done.exit_code == 2
    assert said in done.output
