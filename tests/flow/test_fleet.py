"""Three SCEP servers, one of them with two workers, and two publishers at one PostgreSQL: one PKI.

Whatever may happen once happens once among all of them; and whoever is killed (kill -9) is not missed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from flow.program import ProgramProcess
from flow.replicas import check_race, check_records, rows
from flow.test_conversations import at_once
from flow.test_database_restarts import CLIENTS, EACH, enrol_while
from flow.test_killed import OutsideDesk
from flow.test_take_over import wait_until
from forge import wire
from forge.bench import Bench, Log
from forge.keys import KeyPool
from postgresql import PostgresqlServer, running_postgresql
from pydantic import SecretStr

from ca.ceremony import hold_ceremony
from ca.folders import PkiFolder
from ca.opening import open_authority, open_store
from ca.settings import PkiSettings

WORKERS = (1, 2, 1)  # of the SCEP servers
PUBLISHERS = 2
LAST_BASE = "SELECT max(number) FROM crls WHERE kind = 'base'"


class EarlierClock:
    """A clock that is late by more than a CRL lasts: what is signed by it is due again now."""

    def now(self) -> datetime:
        return datetime.now(UTC) - timedelta(days=7, hours=12)


class Fleet:
    """The processes, and what an administrator does beside them."""

    def __init__(self, server: PostgresqlServer, url: str, folder: Path, keys: KeyPool, log: Log) -> None:
        self.server = server
        self.url = url
        self._settings = PkiSettings(database_url=SecretStr(url))
        self._logs = folder
        self._pki = PkiFolder(folder / "data")
        self._keys, self._lines = keys, log
        hold_ceremony(self._pki, self._settings, clock=EarlierClock(), entropy=os.urandom)
        self.started: list[ProgramProcess] = []
        self.servers = [self.start("scep_server", workers) for workers in WORKERS]
        self.publishers = [self.start("crl_publisher") for _ in range(PUBLISHERS)]
        self.wait_until_ready()

    def start(self, package: str, workers: int = 1) -> ProgramProcess:
        """Start one more process; it is listening when it is asked for its URL."""
        settings = {"PKI__DATABASE_URL": self.url, "SCEP__BRAKES__ENABLED": "false"}
        log = self._logs / f"{len(self.started)}-{package}.log"
        process = ProgramProcess(package, self._pki.path, log, workers=workers, settings=settings)
        self.started.append(process)
        return process

    def wait_until_ready(self) -> None:
        """Return when all say that they are."""
        for process in (*self.servers, *self.publishers):
            wait_until(lambda process=process: process.get("/health/ready")[0] == 200)

    @property
    def benches(self) -> list[Bench]:
        """Clients of each of the SCEP servers."""
        desks = [OutsideDesk(self._pki, self.url, f"{server.url}/scep") for server in self.servers]
        return [Bench(desk, self._keys, self._lines) for desk in desks]  # type: ignore[arg-type]

    def make_due(self) -> int:
        """Sign a CRL that is due again at once, as if it had been signed a week ago; return its number."""
        store = open_store(self._pki, self._settings)
        authority = open_authority(self._pki, self._settings, clock=EarlierClock(), entropy=os.urandom)
        signed = authority.sign_crls(store)
        store.close()
        return signed[0].number

    def published_number(self, publisher: ProgramProcess) -> int:
        """Return the number of the base CRL that clients get."""
        answer = wire.get(f"{publisher.url}/CertEnroll/NDES%20Lab%20Test%20Issuing%20CA.crl", "")
        found = x509.load_der_x509_crl(answer.body).extensions.get_extension_for_class(x509.CRLNumber)
        return found.value.crl_number

    def stop(self) -> None:
        """Stop whoever runs; all have to have said nothing strange."""
        running = [process for process in self.started if process.process.poll() is None]
        for process in running:
            process.process.terminate()
        assert [process.gone() for process in running] == [0] * len(running)
        for process in self.started:
            assert "Traceback" not in process.log.read_text()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, key_pool: KeyPool, log: Log) -> Iterator[Fleet]:
    with running_postgresql() as server, server.database() as url:
        found = Fleet(server, url, tmp_path_factory.mktemp("fleet"), key_pool, log)
        try:
            yield found
            found.stop()
        finally:
            for process in found.started:
                process.process.kill()
                process.gone()


def on_duty(publisher: ProgramProcess) -> bool:
    """Tell what a publisher tells Prometheus."""
    status, text = publisher.get("/metrics")
    assert status == 200
    (value,) = re.findall(r"^crl_publication_on_duty (\S+)$", text, re.MULTILINE)
    return float(value) == 1


def test_servers_spend_a_challenge_once_and_repeat_no_number(fleet: Fleet) -> None:
    benches = fleet.benches
    contested = benches[0].new_challenge()
    racing = [(bench, bench.request(challenge=contested)) for bench in benches * 4]
    good = [(bench, bench.request()) for bench in benches * 4]
    sending = [lambda bench=bench, one=one: one.send(bench) for bench, one in (*racing, *good)]
    answers = at_once([*sending, *[fleet.make_due] * 3])[: len(sending)]

    issued = check_race(racing, good, answers)
    check_records(fleet.url, issued)


def test_same_request_to_all_servers_at_once_gets_the_same_certificate(fleet: Fleet) -> None:
    benches = fleet.benches
    request = benches[0].request()
    answers = at_once([lambda bench=bench: request.send(bench) for bench in benches * 3])
    certificates = {
        bench.enrolled(request, bench.reply(request, answer)).certificate  # type: ignore[arg-type]
        for bench, answer in zip(benches * 3, answers, strict=True)
    }
    assert len(certificates) == 1
    check_records(fleet.url, certificates)


@pytest.mark.parametrize("number", [1, 2], ids=["two-workers", "one-worker"])
def test_killed_server_beside_others_loses_and_doubles_nothing(fleet: Fleet, number: int) -> None:
    clients = enrol_while(fleet.benches, fleet.servers[number].kill)
    fleet.servers[number] = fleet.start("scep_server", WORKERS[number])
    fleet.wait_until_ready()
    assert len(set(clients.served)) == CLIENTS * EACH
    check_records(fleet.url, set(clients.served))


def test_publisher_that_is_killed_on_duty_is_followed_by_the_other(fleet: Fleet) -> None:
    wait_until(lambda: sorted(map(on_duty, fleet.publishers)) == [False, True])
    first, second = sorted(fleet.publishers, key=on_duty, reverse=True)
    due = fleet.make_due()
    wait_until(lambda: fleet.published_number(first) > due)
    first.kill()
    due = fleet.make_due()
    wait_until(lambda: on_duty(second))
    wait_until(lambda: fleet.published_number(second) > due)
    assert fleet.published_number(second) == rows(fleet.url, LAST_BASE)[0][0]
    fleet.publishers = [second, fleet.start("crl_publisher")]
    fleet.wait_until_ready()
    assert [on_duty(publisher) for publisher in fleet.publishers] == [True, False]


def test_database_that_goes_away_and_comes_back_is_waited_for(fleet: Fleet) -> None:
    benches = fleet.benches
    request = benches[0].request()
    fleet.server.stop()
    try:
        for bench, server in zip(benches, fleet.servers, strict=True):
            answer = request.send(bench)
            assert (answer.status, answer.header("Retry-After")) == (503, "30")
            status, text = server.get("/health/ready")
            assert status == 503
            assert "the database cannot be used" in text
        for publisher in fleet.publishers:
            assert publisher.get("/health/ready")[0] == 503
            assert fleet.published_number(publisher)  # from the folder, as before
        for package in ("scep_server", "crl_publisher"):
            late = fleet.start(package)
            assert late.gone() == 2
            assert "\nError: the database cannot be used" in f"\n{late.log.read_text()}"
    finally:
        fleet.server.start()
    assert len({bench.enrolled(request).certificate for bench in benches}) == 1
    fleet.wait_until_ready()
    wait_until(lambda: sorted(map(on_duty, fleet.publishers)) == [False, True])


def test_restart_of_the_database_under_load_loses_and_doubles_nothing(fleet: Fleet) -> None:
    def restart() -> None:
        fleet.server.crash()
        fleet.server.start()

    clients = enrol_while(fleet.benches, restart)
    check_records(fleet.url, set(clients.served))
