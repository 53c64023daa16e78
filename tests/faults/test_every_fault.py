"""Every fault of the catalogue, whatever it is; a fault without evidence fails here."""

from __future__ import annotations

import pytest

from faults.evidence import evidence
from faults.stand import Stand, engine_of
from lab.client.errors import ClientError
from lab.client.outcomes import Issued
from lab.faults.registry import ClientMust, Fault, Seam, Step, catalogue
from lab.faults.rules import RuleOrder
from lab.faults.values import Doorway

LONGEST = 5.0  # seconds, for an entry that the client did not wait for
FAULTS = list(catalogue().values())
every_fault = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
by_rule = pytest.mark.parametrize(
    "fault", [fault for fault in FAULTS if fault.takes is not Doorway], ids=lambda fault: fault.id
)


def test_there_are_enough_of_them_on_every_seam() -> None:
    assert len(FAULTS) >= 80
    assert {fault.seam for fault in FAULTS} == set(Seam)


def test_evidence_is_of_faults_that_exist() -> None:
    assert not evidence().keys() - catalogue().keys()


@every_fault
def test_is_seen_on_the_wire_at_its_url_and_nowhere_else(fault: Fault, stand: Stand) -> None:
    look = evidence().get(fault.id)
    assert look is not None, f"nothing shows {fault.id}"
    assert look(stand.faulty) is True
    assert look(stand.clean) is False


@every_fault
def test_strict_client_does_what_it_must_and_is_served_well_elsewhere(fault: Fault, stand: Stand) -> None:
    if fault.client_must is ClientMust.RETRY and fault.takes is not Doorway:
        rule = engine_of(stand.clean.scep_lab).add(RuleOrder(fault=fault.id, times=1))
        assert _succeeds(stand, stand.clean.url, tries=2), "it did not succeed after the fault had gone"
        assert _hits(stand, rule.id) == 1, "the fault was not met"
    else:
        accepted = _succeeds(stand, stand.faulty.url)
        if fault.takes is not Doorway:
            assert _is_in_the_journal(stand), "the fault was not met"
        if fault.client_must is ClientMust.SUCCEED:
            assert accepted
        elif fault.client_must is not ClientMust.MAY:
            assert not accepted
    assert _succeeds(stand, stand.clean.url), "the next request was not clean"


@by_rule
def test_rule_is_met_once_and_then_no_more(fault: Fault, stand: Stand) -> None:
    engine = engine_of(stand.clean.scep_lab)
    rule = engine.add(RuleOrder(fault=fault.id, times=1))
    for _ in range(3):
        _succeeds(stand, stand.clean.url)
        if _hits(stand, rule.id):
            break
    assert _hits(stand, rule.id) == 1
    assert _succeeds(stand, stand.clean.url)
    assert _hits(stand, rule.id) == 1


def _succeeds(stand: Stand, url: str, *, tries: int = 1) -> bool:
    """Enrol as the strict client, and judge what came of it where the fault is met only then."""
    try:
        renewing = stand.fault.step is Step.RENEW
        outcome = stand.strict.renew(stand.clean.url, url) if renewing else stand.strict.enrol(url)
    except ClientError:
        return tries > 1 and _succeeds(stand, url, tries=tries - 1)
    if not isinstance(outcome, Issued):
        return False
    if stand.fault.step is not Step.VERIFY:
        return True
    return any(stand.strict.judge(outcome, stand.fault).trusted for _ in range(tries))


def _is_in_the_journal(stand: Stand) -> bool:
    """Tell whether the fault was applied at its own URL, whatever the client says of that."""
    engine_of(stand.clean.scep_lab).interrupt()  # or who is still kept waiting is written down only later
    path, seen = f"/fault/{stand.fault.id}/", 0
    while new := stand.clean.scep_lab.journal.wait_for_new(seen, LONGEST):
        at_its_url = [entry for entry in new if entry.request.target.startswith(path)]
        if any([one.fault_id for one in entry.faults] == [stand.fault.id] for entry in at_its_url):
            return True
        seen = new[-1].number
    return False


def _hits(stand: Stand, rule_id: int) -> int:
    view = engine_of(stand.clean.scep_lab).rule(rule_id)
    assert view is not None
    return view.hits
