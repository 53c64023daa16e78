"""A reply that is lost on its way: the strict client asks again, and there is one certificate, never two."""

from __future__ import annotations

from datetime import timedelta

import pytest
from forge.keys import KeyPool

from faults.stand import StrictClient
from lab.client.outcomes import Issued
from lab.faults.registry import ClientMust, Seam, catalogue
from lab.faults.values import HttpAnswer
from lab.scep_lab import ScepLab

LOSING = [
    fault.id
    for fault in catalogue().values()
    if fault.seam is Seam.WIRE and fault.takes is HttpAnswer and fault.client_must is ClientMust.RETRY
]


@pytest.mark.parametrize("fault_id", LOSING)
def test_same_message_brings_the_same_certificate(
    fault_lab: ScepLab, fault_keys: KeyPool, fault_id: str
) -> None:
    fault_lab.reset()
    before = {each.id for each in fault_lab.certificates()}
    client = StrictClient(fault_lab, fault_keys)
    with fault_lab.fault(fault_id, times=1, match={"operation": "PKIOperation"}) as fault:
        outcome = client.enrol(fault_lab.scep_url)
    assert isinstance(outcome, Issued)
    assert fault.hits == 1
    (issued,) = (each for each in fault_lab.certificates() if each.id not in before)
    assert int(issued.serial_number, 16) == outcome.certificate.serial_number
    asked = [one for one in fault_lab.journal if "PKIOperation" in one.request.target]
    assert [bool(one.faults) for one in asked] == [True, False]
    assert asked[0].request.body == asked[1].request.body
    assert client.slept == [timedelta(seconds=2)]


def test_there_are_many_ways_to_lose_one() -> None:
    assert len(LOSING) >= 10
