"""The journal at the desk: over HTTP as in process, in pages, waiting, and from a folder."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from journal_lab import refused
from lab_client import enrol

from lab import ScepLab
from lab.admin.desk import DeskRefused, NotFound
from lab.admin.journal import EntryListQuery, EntryPage, EntryQuery
from lab.admin.journal_local import FolderJournalDesk, LocalJournalDesk
from lab.admin.remote import RemoteDesk
from lab.journal import Journal, JournalEntry
from lab.journal.settings import journal_folder


@pytest.fixture(scope="module")
def running() -> Iterator[ScepLab]:
    with ScepLab({"journal": {"files": True}}) as scep_lab:
        yield scep_lab


@pytest.fixture
def scep_lab(running: ScepLab) -> ScepLab:
    running.reset()
    return running


@pytest.fixture
def desk(scep_lab: ScepLab) -> RemoteDesk:
    return RemoteDesk.at(scep_lab.admin_url)


def test_the_desk_over_http_tells_what_the_one_in_process_tells(scep_lab: ScepLab, desk: RemoteDesk) -> None:
    enrol(scep_lab)
    refused(scep_lab)
    assert desk.journal.entries(EntryListQuery()) == scep_lab.desk.journal.entries(EntryListQuery())
    for entry in scep_lab.journal:
        for secrets in (False, True):
            query = EntryQuery(secrets=secrets)
            assert desk.journal.entry(entry.number, query) == scep_lab.desk.journal.entry(entry.number, query)
    assert desk.journal.entry(3, EntryQuery(secrets=True)).entry() == scep_lab.journal[2]


def test_the_newest_entry_is_shown_by_the_word_last(scep_lab: ScepLab) -> None:
    url = f"{scep_lab.admin_url}/api/v1/journal/last"
    with pytest.raises(urllib.error.HTTPError) as empty:
        urllib.request.urlopen(url)
    assert empty.value.code == 404
    assert json.load(empty.value)["error"]["message"] == "the journal is empty"
    refused(scep_lab)
    with urllib.request.urlopen(url) as answer:
        assert json.load(answer)["number"] == len(scep_lab.journal) > 1
    with pytest.raises(urllib.error.HTTPError) as wrong:
        urllib.request.urlopen(url.replace("last", "first"))
    assert "number: expected the number of an entry" in json.load(wrong.value)["error"]["message"]


def test_pages_lead_to_one_another(scep_lab: ScepLab, desk: RemoteDesk) -> None:
    enrol(scep_lab)
    enrol(scep_lab)

    def page(**wanted: Any) -> EntryPage:
        return desk.journal.entries(EntryListQuery(**wanted))

    first = page(limit=4)
    assert ([row.number for row in first.entries], first.last_seen, first.more) == ([1, 2, 3, 4], 4, True)
    second = page(after=4, limit=4)
    assert ([row.number for row in second.entries], second.last_seen, second.more) == ([5, 6], 6, False)
    assert [row.number for row in page(newest=True, limit=2).entries] == [5, 6]
    found = page(message_type="PKCSReq", limit=1)
    assert ([row.number for row in found.entries], found.last_seen, found.more) == ([3], 3, True)
    assert page(operation="GetNextCACert").last_seen == 6
    assert [row.number for row in page(after=99).entries] == [1, 2, 3, 4, 5, 6]  # cleared meanwhile


def test_who_waits_is_answered_by_the_next_entry_that_matches(scep_lab: ScepLab, desk: RemoteDesk) -> None:
    wanted = EntryListQuery(refused_by="challenge-unknown", wait_seconds=30)
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting = pool.submit(desk.journal.entries, wanted)
        enrol(scep_lab)
        refused(scep_lab)
        page = waiting.result(60)
    assert [row.refused_by for row in page.entries] == ["challenge-unknown"]


class Held(Journal):
    """A journal in which whoever waits is held until told to go."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.go, self.waits = threading.Event(), threading.Event(), 0

    def wait_for_new(self, after: int, seconds: float) -> tuple[JournalEntry, ...]:
        self.waits += 1
        self.entered.set()
        assert self.go.wait(60)
        return super().wait_for_new(after, 0)


def test_more_than_can_wait_are_answered_at_once() -> None:
    journal = Held()
    desk = LocalJournalDesk(journal, waiters=1)
    wanted = EntryListQuery(wait_seconds=30)
    with ThreadPoolExecutor(max_workers=1) as pool:
        first = pool.submit(desk.entries, wanted)
        assert journal.entered.wait(60)
        assert desk.entries(wanted).entries == ()
        assert journal.waits == 1
        journal.go.set()
        assert first.result(60).entries == ()
    assert desk.entries(wanted).entries == ()  # the place is free again
    assert journal.waits == 2


def test_a_lab_stops_while_somebody_waits() -> None:
    with ThreadPoolExecutor(max_workers=1) as pool:
        with ScepLab() as scep_lab:
            desk = scep_lab.desk.journal
            waiting = pool.submit(desk.entries, EntryListQuery(wait_seconds=30))
        assert waiting.result(60).entries == ()


def test_a_folder_tells_the_same_without_secrets_and_without_waiting(scep_lab: ScepLab) -> None:
    enrol(scep_lab)
    folder = FolderJournalDesk(journal_folder(scep_lab.world.folder.path))
    assert folder.entries(EntryListQuery()) == scep_lab.desk.journal.entries(EntryListQuery())
    assert folder.entry(3, EntryQuery()) == scep_lab.desk.journal.entry(3, EntryQuery())
    for refusal in (
        lambda: folder.entry(3, EntryQuery(secrets=True)),
        lambda: folder.entries(EntryListQuery(wait_seconds=1)),
        folder.clear,
    ):
        with pytest.raises(DeskRefused):
            refusal()
    with pytest.raises(NotFound, match="no entry 4; kept are 1 to 3"):
        folder.entry(4, EntryQuery())


def test_a_folder_without_a_journal_says_how_one_comes_about(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"journal\.files is true"):
        FolderJournalDesk(tmp_path / "journal").entries(EntryListQuery())
