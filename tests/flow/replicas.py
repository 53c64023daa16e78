"""Several ``ndes-lab up`` over one data folder and one database, and what stands in that database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flow.process import UpProcess
from forge.bench import Bench, Log, PkiRequest
from forge.keys import KeyPool
from forge.reply import SUCCESS, Reply, read_reply
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from lab.admin.models import ChallengeOrder
from lab.admin.remote import RemoteDesk


@dataclass
class ReplicaDesk:
    """The management API of one of them: what a bench needs of a desk."""

    process: UpProcess

    def url(self, endpoint: str) -> str:
        return self.process.scep_url if endpoint == "default" else f"{self.process.scep_url}/{endpoint}"

    def second_opinion(self, request: PkiRequest, reply: Reply) -> None:
        """Nothing to add: the forge and openssl have judged."""

    def new_challenge(self, **options: Any) -> str:
        return self.remote.new_challenge(ChallengeOrder(**options)).password

    @property
    def remote(self) -> RemoteDesk:
        return RemoteDesk.at(self.process.facts["admin_url"], self.process.facts["admin_token"])


@dataclass
class Replica:
    """One process, the desk of it, and a bench whose requests it gets."""

    process: UpProcess
    desk: ReplicaDesk
    bench: Bench


def replica(data_dir: Path, log: Path, keys: KeyPool, lines: Log, **settings: str) -> Replica:
    """Start one more process over the folder."""
    process = UpProcess(data_dir, log, settings=settings)
    desk = ReplicaDesk(process)
    return Replica(process, desk, Bench(desk, keys, lines))  # type: ignore[arg-type]


@contextmanager
def two_replicas(
    folder: Path, keys: KeyPool, lines: Log, **settings: str
) -> Iterator[tuple[Replica, Replica]]:
    """Yield two processes; in the end they have to stop, if not killed, and to have said nothing strange."""
    with ExitStack() as undo:
        found = []
        for name in ("one", "two"):
            found.append(replica(folder / "data", folder / f"{name}.log", keys, lines, **settings))
            undo.callback(found[-1].process.process.kill)
        yield found[0], found[1]
        for each in found:
            if each.process.process.returncode is None:
                assert each.process.stop() == 0
            said = each.process.log.read_text()
            assert "Traceback" not in said, said


Asking = Callable[[str], list[tuple[Any, ...]]]


@contextmanager
def one_moment(url: str) -> Iterator[Asking]:
    """Yield what says how the database is, asked behind everybody's back: always at the same moment."""
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        as_it_is = "" if engine.dialect.name == "sqlite" else "ISOLATION LEVEL REPEATABLE READ"
        connection.exec_driver_sql(f"BEGIN {as_it_is}")
        yield lambda query: [tuple(row) for row in connection.execute(text(query))]
        connection.exec_driver_sql("ROLLBACK")


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    """Return what the database says now."""
    with one_moment(url) as ask:
        return ask(query)


def check_records(url: str, issued: set[bytes]) -> None:
    """Check that every certificate a client holds is there, and nothing is twice or half there."""
    with one_moment(url) as ask:
        if url.startswith("sqlite"):
            assert ask("PRAGMA integrity_check") == [("ok",)]
            assert ask("PRAGMA foreign_key_check") == []
        spent = {number for (number,) in ask("SELECT id FROM challenges WHERE spent_at IS NOT NULL")}
        transactions = ask(
            "SELECT t.challenge_id, c.der FROM scep_transactions t "
            "JOIN certificates c ON c.id = t.certificate_id WHERE t.status = 'issued'"
        )
        assert len(transactions) == len(spent)
        assert {challenge for challenge, _ in transactions} == spent, "a challenge spent for nothing"
        assert issued <= {bytes(der) for _, der in transactions}, "a client has what is not known here"
        twice = "SELECT {0} FROM certificates GROUP BY {0} HAVING COUNT(*) > 1"
        assert ask(twice.format("serial_number")) == []
        assert ask(twice.format("public_key_sha256")) == [], "two certificates for one key"


def check_race(
    racing: Sequence[tuple[Bench, PkiRequest]],
    good: Sequence[tuple[Bench, PkiRequest]],
    answers: Sequence[Any],
) -> set[bytes]:
    """Check that one of those with the same challenge has won, and return the certificates of the good."""
    statuses = [read_reply(answer.body) for answer in answers[: len(racing)]]
    refused = [reply for reply in statuses if reply.status != SUCCESS]
    assert len(refused) == len(racing) - 1
    assert {reply.fail_info for reply in refused} == {2}
    issued = {
        bench.enrolled(one, bench.reply(one, answer)).certificate
        for (bench, one), answer in zip(good, answers[len(racing) :], strict=True)
    }
    assert len(issued) == len(good)
    return issued
