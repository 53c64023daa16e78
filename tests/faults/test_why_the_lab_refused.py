"""What the lab itself cannot or will not do is told to the client, and its reason is in the journal."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from forge import wire

from faults.stand import engine_of
from lab.faults.rules import RuleOrder
from lab.scep_lab import ScepLab

NEEDS_THE_ROOT = "ca-certificates::expired-ca"


@pytest.fixture(scope="module")
def running() -> Iterator[ScepLab]:
    """Return a lab that has its root's key and not its passphrase."""
    with ScepLab() as lab:
        lab.world.folder.root_passphrase.unlink()
        lab.remember()
        yield lab


@pytest.fixture
def scep_lab(running: ScepLab) -> ScepLab:
    running.reset()
    return running


@pytest.mark.parametrize(
    ("below", "status", "reason", "words"),
    [
        ("/fault/reply::nobody-knows", 404, "fault-unknown", "reply::nobody-knows"),
        ("/fault/ca-certificates::not-yet-valid-ca;days=-1", 404, "fault-parameter", "days"),
        ("/fault/reply::wrong-recipient-nonce;x=1", 404, "fault-parameter", "x"),
        (f"/fault/{NEEDS_THE_ROOT}", 501, "fault-unavailable", "the root cannot be opened"),
    ],
)
def test_journal_has_the_reason_that_the_client_is_told(
    scep_lab: ScepLab, below: str, status: int, reason: str, words: str
) -> None:
    response = wire.get(scep_lab.scep_url.replace("/scep", f"{below}/scep"), "operation=GetCACert")
    assert_told(scep_lab, response, status, reason, words)


def test_journal_says_that_the_time_asked_for_is_none(scep_lab: ScepLab) -> None:
    fields = {"X-Ndes-Lab-Time": "next week"}
    response = wire.get(scep_lab.scep_url, "operation=GetCACaps", fields=fields)
    assert_told(scep_lab, response, 400, "time-unreadable", "next week")


def test_rule_whose_fault_cannot_be_had_gives_the_same_reason_and_is_not_counted(scep_lab: ScepLab) -> None:
    engine = engine_of(scep_lab)
    rule = engine.add(RuleOrder(fault=NEEDS_THE_ROOT, times=1))
    response = wire.get(scep_lab.scep_url, "operation=GetCACert")
    assert_told(scep_lab, response, 501, "fault-unavailable", "the root cannot be opened")
    found = engine.rule(rule.id)
    assert found is not None
    assert (found.hits, found.left) == (0, 1)


def assert_told(scep_lab: ScepLab, response: wire.Response, status: int, reason: str, words: str) -> None:
    (entry,) = scep_lab.journal
    told = response.body.decode()
    assert response.status == entry.verdict.status == status
    assert (entry.verdict.accepted, entry.verdict.refused_by) == (False, reason)
    assert entry.verdict.detail == told.rstrip("\n")
    assert words in told
    assert entry.faults == ()
