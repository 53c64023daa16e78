"""One lab for all faults that a worker tests; made new for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from forge.keys import KeyPool

from faults.evidence import transport_of
from faults.stand import Side, Stand, StrictClient, engine_of, fault_url
from lab.faults.registry import Fault
from lab.scep_lab import ScepLab


@pytest.fixture(scope="session")
def fault_keys() -> KeyPool:
    return KeyPool()


@pytest.fixture(scope="session")
def fault_lab() -> Iterator[ScepLab]:
    with ScepLab({"server": {"tls_port": 0}}) as scep_lab:
        yield scep_lab


@pytest.fixture
def stand(fault: Fault, fault_lab: ScepLab, fault_keys: KeyPool, tmp_path: Path) -> Iterator[Stand]:
    """The stand of the fault that the test is about."""
    fault_lab.reset()
    prefix = f"/fault/{fault.id}"
    yield Stand(
        fault=fault,
        faulty=Side(fault_lab, fault_url(fault_lab, fault.id), fault_lab.pki_url + prefix, fault_keys),
        clean=Side(fault_lab, fault_lab.scep_url, fault_lab.pki_url, fault_keys),
        strict=StrictClient(fault_lab, fault_keys, transport_of(fault.id)),
        folder=tmp_path,
    )
    engine_of(fault_lab).clear()
