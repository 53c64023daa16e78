"""The table of what deployed clients do is what they do now."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from peers import require_peer

from faults.clients import CLIENTS, TABLE, Client, meet, read_table
from lab.faults.registry import Fault, catalogue
from lab.scep_lab import ScepLab

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def scep_lab() -> Iterator[ScepLab]:
    with ScepLab() as running:
        yield running


def test_table_has_a_row_for_every_fault_and_no_other() -> None:
    assert list(dict.fromkeys(fault_id for fault_id, _ in read_table(TABLE.read_text()))) == list(catalogue())


@pytest.mark.parametrize("client", CLIENTS.values(), ids=lambda client: client.name)
@pytest.mark.parametrize("fault", catalogue().values(), ids=lambda fault: fault.id)
def test_client_does_what_the_table_says(client: Client, fault: Fault, scep_lab: ScepLab) -> None:
    for program in client.programs:
        require_peer(program)
    if not client.is_that_version:
        pytest.skip(f"the table is about {client.name} {client.version}, and another one is installed")
    cell = read_table(TABLE.read_text())[fault.id, client.name]
    assert str(meet(client, fault, scep_lab)) == cell, "`make client-table` writes the table anew"
