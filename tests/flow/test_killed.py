"""A killed process: nothing half done is left behind, and the next start needs no repair.

Three clients enrol in a stream while ``ndes-lab up`` is killed (kill -9) after some replies; then the
database, of either kind, is read as it is then, and the same folder is served again.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flow.process import UpProcess
from flow.replicas import check_records
from forge.bench import Bench, Enrolment, Log, PkiRequest
from forge.keys import KeyPool
from forge.reply import Reply, open_reply, read_reply
from pydantic import SecretStr

from ca.challenges import ChallengeBook
from ca.clock import SystemClock
from ca.folders import PkiFolder
from ca.opening import open_challenge_digest_key, open_store
from ca.settings import PkiSettings

REPLIES_BEFORE_THE_KILL = (1, 3, 6, 11)
CLIENTS = 3


@dataclass
class OutsideDesk:
    """What an administrator can do beside a running process: look, and make challenges."""

    folder: PkiFolder
    database: str
    scep_url: str
    clock: SystemClock = field(default_factory=SystemClock)

    def url(self, endpoint: str) -> str:
        return self.scep_url if endpoint == "default" else f"{self.scep_url}/{endpoint}"

    def second_opinion(self, request: PkiRequest, reply: Reply) -> None:
        """Nothing to add: the forge and openssl have judged."""

    def new_challenge(self, **options: Any) -> str:
        store = open_store(self.folder, PkiSettings(database_url=SecretStr(self.database)), durable=True)
        book = ChallengeBook(
            digest_key=open_challenge_digest_key(self.folder, PkiSettings()),
            clock=self.clock,
            entropy=os.urandom,
        )
        with store.transaction() as transaction:
            challenge = book.new(transaction, validity=timedelta(hours=1), **options).password
        store.close()
        return challenge


class Stream:
    """Clients that enrol one after the other until the server is gone."""

    def __init__(self, bench: Bench, requests: list[PkiRequest]) -> None:
        self._bench = bench
        self._waiting: queue.SimpleQueue[PkiRequest] = queue.SimpleQueue()
        for request in requests:
            self._waiting.put(request)
        self.answered: queue.SimpleQueue[tuple[PkiRequest, bytes]] = queue.SimpleQueue()
        self.received: list[tuple[PkiRequest, bytes]] = []
        self.unanswered: list[PkiRequest] = []
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(CLIENTS)]

    def _run(self) -> None:
        while True:
            try:
                request = self._waiting.get_nowait()
            except queue.Empty:
                return
            try:
                response = request.send(self._bench)
            except OSError:
                self.unanswered.append(request)
                return
            if response.status != 200 or len(response.body) != int(response.header("Content-Length") or -1):
                self.unanswered.append(request)
                return
            self.received.append((request, response.body))
            self.answered.put((request, response.body))

    def start_and_await(self, replies: int) -> None:
        """Begin, and return as soon as so many replies have come in."""
        for thread in self._threads:
            thread.start()
        for _ in range(replies):
            self.answered.get(timeout=60)

    def end(self) -> None:
        """Wait until every client has noticed."""
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()


def _check_database(url: str, stream: Stream) -> None:
    check_records(url, {_opened(request, body) for request, body in stream.received})


def _opened(request: PkiRequest, body: bytes) -> bytes:
    return open_reply(read_reply(body), request.sent).certificates[0]


def _fetch_again(bench: Bench, stream: Stream) -> None:
    """Whoever got no answer repeats the same octets and gets a certificate, and one only."""
    for request in stream.unanswered:
        first = bench.enrolled(request)
        second: Enrolment = bench.enrolled(request)
        assert first.certificate == second.certificate
    for request, body in stream.received[-2:]:
        assert bench.enrolled(request).certificate == _opened(request, body)


@dataclass(frozen=True)
class Place:
    """A folder, and a database for it, in which one process after the other is killed."""

    folder: Path
    url: str

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    def start(self, *, wait: bool = True) -> UpProcess:
        """Start one more process; SQLite is where it is without a setting."""
        settings = {} if self.url.startswith("sqlite") else {"PKI__DATABASE_URL": self.url}
        return UpProcess(self.data_dir, self.folder / "up.log", settings=settings, wait=wait)


@contextmanager
def place_of(request: pytest.FixtureRequest, folder: Path) -> Iterator[Place]:
    if request.param == "sqlite":
        yield Place(folder, f"sqlite:///{folder}/data/store.sqlite3")
    else:
        with request.getfixturevalue("postgresql").database() as url:
            yield Place(folder, url)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place_of(request, tmp_path_factory.mktemp("killed")) as found:
        yield found


@pytest.fixture(params=["sqlite", "postgresql"])
def new_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with place_of(request, tmp_path) as found:
        yield found


@pytest.mark.parametrize("replies", REPLIES_BEFORE_THE_KILL)
def test_killed_server_leaves_all_or_nothing(place: Place, key_pool: KeyPool, log: Log, replies: int) -> None:
    process = place.start()
    desk = OutsideDesk(PkiFolder(place.data_dir), place.url, process.scep_url)
    bench = Bench(desk, key_pool, log)  # type: ignore[arg-type]
    try:
        stream = Stream(bench, [bench.request() for _ in range(replies + 4 * CLIENTS)])
        stream.start_and_await(replies)
    finally:
        process.kill()
    stream.end()
    assert len(stream.received) >= replies
    assert stream.unanswered, "nothing was under way when the process was killed"
    _check_database(desk.database, stream)

    again = place.start()
    try:
        desk.scep_url = again.scep_url
        bench.forget_bundle()
        _fetch_again(bench, stream)
        bench.demand_alive()
    finally:
        assert again.stop() == 0
    _check_database(desk.database, stream)
    assert "Traceback" not in again.log.read_text()


def test_killed_while_it_starts_leaves_a_folder_that_starts(
    new_place: Place, key_pool: KeyPool, log: Log
) -> None:
    """Killed before it said anything: whatever is in folder and database, the next start finishes."""
    for folder_must_hold in (0, 1, 3):
        process = new_place.start(wait=False)
        while process.process.poll() is None:
            if len(list(new_place.data_dir.glob("**/*"))) >= folder_must_hold:
                break
        process.kill()
    again = new_place.start()
    try:
        desk = OutsideDesk(PkiFolder(new_place.data_dir), new_place.url, again.scep_url)
        Bench(desk, key_pool, log).demand_alive()  # type: ignore[arg-type]
    finally:
        assert again.stop() == 0
