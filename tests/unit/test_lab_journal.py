"""The journal in memory and in files: bounds, numbers, waiting, what survives a crash."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import structlog
from hypothesis import given, settings
from journal_samples import AT, any_exchange, recorded
from pydantic import ValidationError

from lab.journal import Journal, NoSuchEntry
from lab.journal.export import as_files, as_har, as_json, from_json
from lab.journal.records import EntryRecord
from lab.journal.trees import entry_trees, http_answer_node, http_request_node
from lab.recorded import AppliedFault, RecordedExchange


def numbers(journal: Journal) -> list[int]:
    return [entry.number for entry in journal]


# -- in memory -------------------------------------------------------------------------


def test_numbers_from_one_and_is_indexed_like_a_list() -> None:
    journal = Journal(10)
    entries = [journal.add(recorded(target=f"/scep?n={n}")) for n in range(3)]
    assert numbers(journal) == [1, 2, 3]
    assert journal[-1] is entries[2]
    assert journal[0] is entries[0]
    assert journal[1:] == tuple(entries[1:])
    assert len(journal) == 3
    assert entries[1] in journal


def test_says_what_it_has_when_asked_for_what_it_has_not() -> None:
    journal = Journal(2)
    with pytest.raises(IndexError, match="0 entries, none at -1"):
        journal[-1]
    with pytest.raises(NoSuchEntry, match="no entry 1; it is empty"):
        journal.entry(1)
    for _ in range(3):
        journal.add(recorded())
    with pytest.raises(NoSuchEntry, match="no entry 1; kept are 2 to 3"):
        journal.entry(1)
    assert journal.entry(2) is journal[0]


def test_keeps_the_newest_of_a_number() -> None:
    journal = Journal(3)
    for _ in range(7):
        journal.add(recorded())
    assert numbers(journal) == [5, 6, 7]
    assert journal.last_number == 7


def test_keeps_the_newest_that_fit_into_so_many_octets_and_always_the_last() -> None:
    journal = Journal(1000, octets=40_000)
    for _ in range(20):
        journal.add(recorded(answer=bytes(8_000)))
    assert numbers(journal) == [18, 19, 20]
    journal.add(recorded(answer=bytes(50_000)))
    assert numbers(journal) == [21]
    journal.add(recorded())
    assert numbers(journal) == [22]  # what is too large stays only while it is the newest


def test_cuts_bodies_and_says_how_long_they_were() -> None:
    journal = Journal(5, body_octets=10)
    entry = journal.add(recorded(method="POST", body=bytes(11), answer=bytes(12)))
    assert (len(entry.request.body), entry.request_octets) == (10, 11)
    assert (len(entry.answer.body), entry.answer_octets) == (10, 12)


def test_clearing_begins_at_one_again() -> None:
    journal = Journal(5)
    journal.add(recorded())
    journal.clear()
    assert len(journal) == 0
    assert journal.last_number == 0
    assert journal.add(recorded()).number == 1


def test_an_exchange_at_the_pki_listener_is_judged_by_its_status() -> None:
    journal = Journal(5)
    assert journal.add(recorded(listener="pki", target="/x.crl")).verdict.accepted
    missing = journal.add(recorded(listener="pki", target="/y.crl", status=404))
    assert not missing.verdict.accepted
    assert missing.verdict.word == "HTTP 404"
    assert missing.what == "GET /y.crl"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, [1, 2, 3]),
        ({"after": 1}, [2, 3]),
        ({"listener": "pki"}, [2]),
        ({"path": "CERTENROLL"}, [2]),
        ({"status": 404}, [2]),
        ({"accepted": False}, [2]),
        ({"accepted": True}, [1, 3]),
        ({"client_address": "10.0.0.9"}, [3]),
        ({"fault": "wrong-nonce"}, [3]),
        ({"fault": "other"}, []),
        ({"operation": "getcacaps"}, [1, 3]),
        ({"operation": "PKIOperation"}, []),
        ({"subject": "CN"}, []),
        ({"refused_by": "challenge-unknown"}, []),
    ],
)
def test_finds_what_is_asked_for(wanted: dict[str, object], found: list[int]) -> None:
    journal = Journal(5)
    journal.add(recorded())
    journal.add(recorded(listener="pki", target="/CertEnroll/x.crl", status=404))
    journal.add(recorded(client="10.0.0.9", faults=(AppliedFault(fault_id="reply::wrong-nonce"),)))
    assert [entry.number for entry in journal.find(**wanted)] == found


def test_refuses_to_look_for_what_entries_do_not_have() -> None:
    with pytest.raises(ValidationError, match="colour"):
        Journal(5).find(colour="red")


def test_capabilities_are_explained_line_by_line() -> None:
    entry = Journal(5).add(recorded(answer=b"AES\r\nPOSTPKIOperation\r\n\r\n"))
    (tree,) = entry_trees(entry).answer
    assert [child.name for child in tree.children] == ["AES", "POSTPKIOperation"]


def test_a_page_in_ndes_encoding_is_explained_as_text() -> None:
    entry = Journal(5).add(recorded(answer="\ufeff<HTML>Tëst</HTML>".encode("utf-16-le")))
    (tree,) = entry_trees(entry).answer
    assert (tree.name, tree.value) == ("text", "<HTML>Tëst</HTML>")


def test_a_message_that_was_cut_says_how_much_is_kept() -> None:
    entry = Journal(5, body_octets=10).add(recorded(answer=b"\x30\x82\x01\x00" + bytes(256)))
    (tree,) = entry_trees(entry).answer
    assert "reading stopped at octet" in tree.note
    assert tree.note.endswith("only the first 10 of 260 octets are kept")


# -- waiting ---------------------------------------------------------------------------


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=8) as workers:
        yield workers


def test_who_waits_is_told_of_the_next_entry(pool: ThreadPoolExecutor) -> None:
    journal = Journal(5)
    journal.add(recorded())
    waiting = pool.submit(journal.wait_for_new, 1, 60)
    entry = journal.add(recorded(target="/new"))
    assert waiting.result(60) == (entry,)


def test_what_is_there_already_is_not_waited_for() -> None:
    journal = Journal(5)
    entries = tuple(journal.add(recorded()) for _ in range(3))
    assert journal.wait_for_new(1, 60) == entries[1:]


def test_waiting_ends_with_nothing_when_time_is_up() -> None:
    assert Journal(5).wait_for_new(0, 0) == ()


def test_who_saw_a_journal_that_was_cleared_gets_all_of_the_new_one(pool: ThreadPoolExecutor) -> None:
    journal = Journal(5)
    for _ in range(3):
        journal.add(recorded())
    journal.clear()
    waiting = pool.submit(journal.wait_for_new, 3, 60)
    entry = journal.add(recorded())
    assert waiting.result(60) == (entry,)


def test_following_yields_old_and_new_until_the_journal_closes(pool: ThreadPoolExecutor) -> None:
    journal = Journal(50)
    journal.add(recorded())
    following = pool.submit(lambda: [entry.number for entry in journal.follow()])
    for _ in range(20):
        journal.add(recorded())
    journal.close()
    assert following.result(60) == list(range(1, 22))


def test_closing_lets_everybody_go(pool: ThreadPoolExecutor) -> None:
    journal = Journal(5)
    waiting = [pool.submit(journal.wait_for_new, 0, 3600) for _ in range(4)]
    journal.close()
    assert [each.result(60) for each in waiting] == [()] * 4


def test_many_threads_write_and_read_at_once(pool: ThreadPoolExecutor, tmp_path: Path) -> None:
    journal = Journal(40, tmp_path / "journal")
    ready = threading.Barrier(8)

    def write(worker: int) -> None:
        ready.wait(60)
        for n in range(25):
            journal.add(recorded(target=f"/{worker}/{n}"))
            found = numbers(journal)
            assert found == list(range(found[0], found[0] + len(found)))
            assert len(found) <= 40

    for done in [pool.submit(write, worker) for worker in range(8)]:
        done.result(60)
    assert numbers(journal) == list(range(161, 201))
    assert numbers(Journal(40, tmp_path / "journal")) == list(range(161, 201))


# -- in files --------------------------------------------------------------------------


def test_history_and_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    before = Journal(10, tmp_path)
    for n in range(3):
        before.add(recorded(target=f"/scep?n={n}"))
    after = Journal(10, tmp_path)
    assert [entry.request.target for entry in after] == [f"/scep?n={n}" for n in range(3)]
    assert after.add(recorded()).number == 4
    assert numbers(Journal.read(tmp_path)) == [1, 2, 3, 4]


def test_an_entry_read_back_is_the_one_that_was_written(tmp_path: Path) -> None:
    fault = AppliedFault(fault_id="wire::slow", rule_id=3, parameters={"seconds": 2, "text": "x"})
    entry = Journal(10, tmp_path).add(recorded(body=b"\x00\xff", faults=(fault,)))
    (found,) = Journal.read(tmp_path)
    assert found == entry.without_secrets()
    assert found.received_at == AT


@pytest.mark.parametrize("cut", [1, 10, 200])
def test_a_line_that_was_cut_by_a_crash_is_passed_over(tmp_path: Path, cut: int) -> None:
    before = Journal(10, tmp_path)
    for _ in range(3):
        before.add(recorded())
    newest = sorted(tmp_path.iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[:-cut])
    with structlog.testing.capture_logs() as logs:
        after = Journal(10, tmp_path)
    kept = numbers(after)
    assert kept in ([1, 2], [1, 2, 3])  # a line that lacks its end only is whole
    assert [entry["event"] for entry in logs] == ["a journal entry cannot be read"] * (3 - len(kept))
    number = after.add(recorded(target="/after")).number
    assert number > 2
    again = Journal.read(tmp_path)
    assert again[-1].number == number
    assert again[-1].request.target == "/after"


def test_a_file_of_nothing_readable_is_not_written_over(tmp_path: Path) -> None:
    spoilt = tmp_path / "000000000005.jsonl"
    spoilt.write_bytes(b"\xff\x00{]\n\n")
    assert Journal(10, tmp_path).add(recorded()).number == 6
    assert spoilt.read_bytes() == b"\xff\x00{]\n\n"


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "notes.jsonl"
    other.write_text("mine\n")
    journal = Journal(1, tmp_path)
    for _ in range(3):
        journal.add(recorded())
    journal.clear()
    assert list(tmp_path.iterdir()) == [other]


def test_files_are_bounded_by_number_and_hold_the_newest(tmp_path: Path) -> None:
    journal = Journal(16, tmp_path)
    for _ in range(100):
        journal.add(recorded())
        lines = sum(len(path.read_bytes().splitlines()) for path in tmp_path.iterdir())
        assert lines <= 16 + 2
    assert numbers(Journal(16, tmp_path)) == list(range(85, 101))


def test_files_are_bounded_by_octets(tmp_path: Path) -> None:
    journal = Journal(10_000, tmp_path, octets=100_000)
    for _ in range(60):
        journal.add(recorded(answer=bytes(3_000)))
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 100_000
    kept = numbers(Journal.read(tmp_path))
    assert kept[-1] == 60
    assert len(kept) >= 15


def test_only_the_owner_may_read_the_files(tmp_path: Path) -> None:
    Journal(10, tmp_path / "journal").add(recorded())
    (file,) = (tmp_path / "journal").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_clearing_removes_the_files_and_writing_goes_on(tmp_path: Path) -> None:
    journal = Journal(10, tmp_path)
    for _ in range(3):
        journal.add(recorded())
    journal.clear()
    assert list(tmp_path.iterdir()) == []
    journal.add(recorded())
    assert numbers(Journal.read(tmp_path)) == [1]


def test_what_cannot_be_written_is_kept_in_memory_and_logged(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    journal = Journal(10, folder)
    folder.rmdir()
    with structlog.testing.capture_logs() as logs:
        journal.add(recorded())
    assert numbers(journal) == [1]
    assert [(each["event"], each["number"]) for each in logs] == [("a journal entry is not on disk", 1)]
    folder.mkdir()
    journal.add(recorded())
    assert numbers(Journal.read(folder)) == [2]


def test_reading_a_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Journal.read(tmp_path / "none")


def test_an_entry_of_before_schemes_were_written_down_came_in_the_clear() -> None:
    kept = json.loads(EntryRecord.of(Journal(5).add(recorded())).as_line())
    del kept["request"]["scheme"]
    assert EntryRecord.of_line(json.dumps(kept)).entry().request.scheme == "http"


# -- whatever comes --------------------------------------------------------------------


@settings(deadline=None)
@given(exchange=any_exchange)
def test_any_exchange_can_be_kept_shown_exported_and_read_back(exchange: RecordedExchange) -> None:
    entry = Journal(5).add(exchange)
    blanked = entry.without_secrets()
    assert EntryRecord.of_line(EntryRecord.of(blanked).as_line()).entry() == blanked
    assert from_json(as_json([entry, blanked]).encode()) == [entry, blanked]
    assert as_har([entry], version="1")
    assert all(isinstance(content, bytes) for _, content in as_files([entry]))
    trees = entry_trees(entry)
    shown = (http_request_node(entry), http_answer_node(entry.answer), *trees.request, *trees.answer)
    for node in shown:
        assert all(line.isprintable() for line in node.as_text().split("\n"))
        node.as_text(brief=True).encode()
    assert entry.octets > 0


@settings(deadline=None, max_examples=30)
@given(exchange=any_exchange)
def test_any_exchange_survives_a_restart(
    exchange: RecordedExchange, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    entry = Journal(5, folder).add(exchange)
    assert list(Journal.read(folder)) == [entry.without_secrets()]
