"""The database is restarted, or a process is killed, while clients enrol: nothing is lost or there twice.

Whoever got no certificate sends the same octets again until there is one, as clients do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from time import monotonic, sleep

import pytest
from flow.replicas import check_records, rows, two_replicas
from forge import wire
from forge.bench import Bench, Log, PkiRequest
from forge.keys import KeyPool
from forge.reply import open_reply, read_reply
from postgresql import running_postgresql

CLIENTS = 4
EACH = 12
SECONDS = 60


class Clients:
    """Clients that enrol one after the other, each patiently, at whichever of the processes answers."""

    def __init__(self, benches: list[Bench], requests: list[list[PkiRequest]]) -> None:
        self._benches = benches
        self._requests = requests
        self._deadline = monotonic() + SECONDS
        self.some_are_served = threading.Event()
        self.refused: list[object] = []  # what was said instead of a certificate
        self.served: list[bytes] = []

    def enrol(self) -> list[Future[None]]:
        """Begin; the futures end when every client has all its certificates."""
        pool = ThreadPoolExecutor(CLIENTS)
        begun = [pool.submit(self._one_after_the_other, requests) for requests in self._requests]
        pool.shutdown(wait=False)
        return begun

    def _one_after_the_other(self, requests: list[PkiRequest]) -> None:
        for number, request in enumerate(requests):
            self.served.append(self._patiently(request, number))
            if len(self.served) >= CLIENTS:
                self.some_are_served.set()

    def _patiently(self, request: PkiRequest, number: int) -> bytes:
        while True:
            bench = self._benches[number % len(self._benches)]
            number += 1
            try:
                answer: wire.Response | None = request.send(bench)
            except OSError as error:
                answer = None
                self.refused.append(error)
            if answer is not None and answer.status == 200:
                return open_reply(read_reply(answer.body), request.sent).certificates[0]
            if answer is not None:
                self.refused.append(answer.status)
            assert monotonic() < self._deadline, self.refused
            sleep(0.02)


def enrol_while(benches: list[Bench], disturb: Callable[[], None]) -> Clients:
    """Have clients enrol at all these processes, and something happen when some have been served.

    The first of the processes is there afterwards.
    """
    requests = [[benches[0].request() for _ in range(EACH)] for _ in range(CLIENTS)]
    clients = Clients(benches, requests)
    begun = clients.enrol()
    assert clients.some_are_served.wait(SECONDS)
    disturb()
    for each in begun:
        each.result(SECONDS)
    assert clients.refused, "nothing was under way when it happened"
    assert len(set(clients.served)) == CLIENTS * EACH
    again = benches[0].enrolled(requests[-1][-1]).certificate
    assert again in clients.served, "asked again, another certificate"
    return clients


@pytest.mark.parametrize("how", ["in good order", "by a crash"])
def test_restart_of_postgresql_under_load_loses_and_doubles_nothing(
    tmp_path: Path, key_pool: KeyPool, log: Log, how: str
) -> None:
    with running_postgresql() as server, server.database() as url:

        def restart() -> None:
            (server.crash if how == "by a crash" else server.stop)()
            server.start()

        with two_replicas(tmp_path, key_pool, log, PKI__DATABASE_URL=url) as pair:
            clients = enrol_while([each.bench for each in pair], restart)
        check_records(url, set(clients.served))
        assert len(rows(url, "SELECT id FROM scep_transactions")) == CLIENTS * EACH


def test_killed_process_beside_another_loses_and_doubles_nothing(
    tmp_path: Path, postgresql_url: str, key_pool: KeyPool, log: Log
) -> None:
    with two_replicas(tmp_path, key_pool, log, PKI__DATABASE_URL=postgresql_url) as (staying, killed):
        clients = enrol_while([staying.bench, killed.bench], killed.process.kill)
    check_records(postgresql_url, set(clients.served))
    assert len(rows(postgresql_url, "SELECT id FROM scep_transactions")) == CLIENTS * EACH
