"""A killed process: nothing half done is left behind, and the next start needs no repair.

Three clients enrol in a stream while ``ndes-lab up`` is killed (kill -9) after some replies; then the
database is read as it lies there, and the same folder is served again.
"""

from __future__ import annotations

import os
import queue
import sqlite3
import subprocess
import threading
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flow.process import COMMAND, UpProcess
from forge.bench import Bench, Enrolment, Log, PkiRequest
from forge.keys import KeyPool
from forge.reply import Reply, open_reply, read_reply

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
    scep_url: str
    clock: SystemClock = field(default_factory=SystemClock)

    @property
    def database(self) -> Path:
        return self.folder.store

    def url(self, endpoint: str) -> str:
        return self.scep_url if endpoint == "default" else f"{self.scep_url}/{endpoint}"

    def second_opinion(self, request: PkiRequest, reply: Reply) -> None:
        """Nothing to add: the forge and openssl have judged."""

    def new_challenge(self, **options: Any) -> str:
        store = open_store(self.folder, PkiSettings(), durable=True)
        book = ChallengeBook(
            digest_key=open_challenge_digest_key(self.folder, PkiSettings()),
            clock=self.clock,
            entropy=os.urandom,
        )
        with store.transaction() as transaction:
            challenge = book.new(transaction, validity=timedelta(hours=1), **options).password
        store.close()
        return challenge


def _rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


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


def _check_database(database: Path, stream: Stream) -> None:
    assert _rows(database, "PRAGMA integrity_check") == [("ok",)]
    assert _rows(database, "PRAGMA foreign_key_check") == []
    spent = {id_ for (id_,) in _rows(database, "SELECT id FROM challenges WHERE spent_at IS NOT NULL")}
    transactions = _rows(
        database,
        "SELECT t.challenge_id, c.der FROM scep_transactions t "
        "JOIN certificates c ON c.id = t.certificate_id WHERE t.status = 'issued'",
    )
    assert len(transactions) == len(spent)
    assert {challenge for challenge, _ in transactions} == spent, "a spent challenge without a certificate"
    recorded = {der for (der,) in _rows(database, "SELECT der FROM certificates")}
    issued = {der for _, der in transactions}
    for request, body in stream.received:
        leaf = _opened(request, body)
        assert leaf in recorded, "a client holds a certificate that the store does not know"
        assert leaf in issued
    keys = _rows(
        database, "SELECT public_key_sha256, COUNT(*) FROM certificates GROUP BY 1 HAVING COUNT(*) > 1"
    )
    assert keys == [], "two certificates for one key"


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


@pytest.fixture(scope="module")
def killed_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("killed")


@pytest.mark.parametrize("replies", REPLIES_BEFORE_THE_KILL)
def test_killed_server_leaves_all_or_nothing(
    killed_folder: Path, key_pool: KeyPool, log: Log, replies: int
) -> None:
    data_dir = killed_folder / "data"
    process = UpProcess(data_dir, killed_folder / "up.log")
    desk = OutsideDesk(PkiFolder(data_dir), process.scep_url)
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

    again = UpProcess(data_dir, killed_folder / "up.log")
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
    tmp_path: Path, key_pool: KeyPool, log: Log
) -> None:
    """Killed before it said anything: whatever is in the folder, the next start finishes."""
    data_dir = tmp_path / "data"
    for folder_must_hold in (0, 1, 3):
        process = subprocess.Popen(
            [COMMAND, "up", "--data-dir", data_dir, "--port", "0", "--pki-port", "0", "--admin-port", "0"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=tmp_path,
        )
        while process.poll() is None:
            if len(list(data_dir.glob("**/*"))) >= folder_must_hold:
                break
        process.kill()
        process.wait(30)
    again = UpProcess(data_dir, tmp_path / "up.log")
    try:
        desk = OutsideDesk(PkiFolder(data_dir), again.scep_url)
        Bench(desk, key_pool, log).demand_alive()  # type: ignore[arg-type]
    finally:
        assert again.stop() == 0
