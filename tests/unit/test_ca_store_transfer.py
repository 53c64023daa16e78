"""What one store exports another takes in, row for row, whatever kind each is of."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest
from postgresql import PostgresqlServer
from store_samples import ISSUER, NOW, digest, enrol, new_certificate, new_request

from ca.records import CertificateFilter, CrlKind, CrlRecord, Revocation, RevocationReason
from ca.store import SqlStore, TransferRefused
from ca.store.tables import SCHEMA_REVISION, metadata

NewStore = Callable[[str], SqlStore]


@pytest.fixture
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NewStore]:
    """Makes an empty store of a kind."""
    with ExitStack() as undo:

        def make(kind: str) -> SqlStore:
            url = f"sqlite:///{tmp_path}/{len(list(tmp_path.iterdir()))}.sqlite3"
            if kind == "postgresql":
                server: PostgresqlServer = request.getfixturevalue("postgresql")
                url = undo.enter_context(server.database())
            store = SqlStore.open(url)
            undo.callback(store.close)
            return store

        yield make


def fill(store: SqlStore) -> None:
    """Put something into every table, with ids that are not those a new store would give."""
    with store.transaction() as transaction:
        for number in range(4):
            enrol(transaction, number)
        strange = new_certificate(5, subject='CN=Zoë \U0001f600 "quoted" \\ \u2028', der=bytes(range(256)))
        record = transaction.add_certificate(strange, NOW)
        transaction.revoke(record.id, Revocation(revoked_at=NOW, reason=RevocationReason.KEY_COMPROMISE))
        waiting = transaction.add_request(new_request(1))
        transaction.add_request_origin(waiting.id, endpoint="default", client_address="192.0.2.1")
        number = transaction.next_crl_number(ISSUER)
        transaction.add_crl(
            CrlRecord(
                issuer_key_id=ISSUER, number=number, kind=CrlKind.BASE, this_update=NOW, next_update=NOW,
                next_publish=NOW, entries=1, der=b"\x00crl\xff",
            )
        )  # fmt: skip


@pytest.mark.parametrize(
    "kinds", [("sqlite", "postgresql", "sqlite"), ("postgresql", "sqlite", "postgresql")], ids="-".join
)
def test_every_row_comes_back_over_both_kinds(new_store: NewStore, kinds: tuple[str, ...]) -> None:
    stores = [new_store(kind) for kind in kinds]
    fill(stores[0])
    contents = stores[0].contents()
    assert [table for table in metadata.tables if not contents.rows[table]] == []
    told: list[int] = []
    for source, target in pairwise(stores):
        lines = list(source.export(told.append))
        target.import_lines(lines, told.append)
        assert target.contents() == contents
        assert list(target.export()) == lines
    assert set(told) == {sum(len(rows) for rows in contents.rows.values())}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_numbering_goes_on_after_the_highest(new_store: NewStore, kind: str) -> None:
    source, target = new_store("sqlite"), new_store(kind)
    fill(source)
    target.import_lines(source.export())
    with target.transaction() as transaction:
        enrol(transaction, 100)
        assert transaction.add_request(new_request(2)).id == 2
        assert transaction.next_crl_number(ISSUER) == 2
        assert len(transaction.find_certificates(CertificateFilter(), now=NOW)) == 6
        spent = transaction.challenge_by_digest(digest("password 100"))
        assert spent is not None
        assert spent.id == 5


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_store_with_rows_is_refused_and_left_as_it_is(new_store: NewStore, kind: str) -> None:
    source, target = new_store("sqlite"), new_store(kind)
    fill(source)
    with target.transaction() as transaction:
        transaction.add_request(new_request(7))
    before = target.contents()
    with pytest.raises(TransferRefused, match="1 in requests"):
        target.import_lines(source.export())
    assert target.contents() == before


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_interrupted_import_leaves_nothing(new_store: NewStore, kind: str) -> None:
    source, target = new_store("sqlite"), new_store(kind)
    fill(source)
    lines = list(source.export())
    written: list[int] = []

    def interrupted() -> Iterator[str]:
        yield from lines[:-1]
        raise Interrupted

    with pytest.raises(Interrupted):
        target.import_lines(interrupted(), written=written.append)
    assert sum(written) > 5, "nothing had been written that could be taken back"
    assert not any(target.contents().rows.values())
    target.import_lines(lines)
    assert target.contents() == source.contents()


def without(lines: list[str], number: int) -> list[str]:
    return lines[:number] + lines[number + 1 :]


def changed(line: str, **values: object) -> str:
    content = json.loads(line)
    return json.dumps({**content, "row": {**content["row"], **values}})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda lines: [], "line 1 is not JSON"),
        (lambda lines: ["[]"], "line 1 is no JSON object"),
        (lambda lines: ['{"songs": 1}'], "line 1 is not the beginning of an export"),
        (lambda lines: [lines[0].replace(SCHEMA_REVISION, "0001")], "revision 0001, expected"),
        (lambda lines: lines[:-1], "not whole: 1 of its"),
        (lambda lines: [*lines[:-1], lines[-1][:20]], "is not JSON"),
        (lambda lines: [*lines, lines[-1]], "contradict each other"),
        (lambda lines: [*lines, '{"table": "songs", "row": {}}'], "no table"),
        (lambda lines: [*lines, '{"table": "requests", "row": {}}'], "not the columns of requests"),
        (lambda lines: [lines[0], changed(lines[1], subject=1)], "subject is no str"),
        (lambda lines: [lines[0], changed(lines[1], subject=None)], "subject is no str"),
        (lambda lines: [lines[0], changed(lines[1], subject="\0")], "character NUL"),
        (lambda lines: [lines[0], changed(lines[1], not_after=True)], "not_after is no int"),
        (lambda lines: [lines[0], changed(lines[1], der="?")], "not base64"),
    ],
)
def test_rejects_what_is_no_whole_export(
    new_store: NewStore, change: Callable[[list[str]], list[str]], says: str
) -> None:
    source, target = new_store("sqlite"), new_store("sqlite")
    fill(source)
    lines = list(source.export())
    assert '"table": "certificates"' in lines[1]
    with pytest.raises(TransferRefused, match=says):
        target.import_lines(change(lines))
    assert not any(target.contents().rows.values())
