"""What stands around the SCEP service leaves alone whatever no fault is for."""

from __future__ import annotations

import pytest
from forge.certificates import CertificateForge
from forge.keys import KeyPool

from lab.faults import wrappers
from lab.faults.circumstances import Circumstances, Pinned, answering
from lab.faults.engine import FaultEngine
from lab.faults.registry import find
from lab.faults.rules import RuleOrder
from lab.faults.values import CaCertificatesAnswer
from lab.faults.wrappers import BentService
from scep_server.exchange import HttpExchangeRequest, HttpReply

CERTIFICATE = CertificateForge(key=KeyPool(primes=2).fresh()).encode()
TWICE = "ca-certificates::every-certificate-twice"
NONCE = "reply::wrong-recipient-nonce"


class Service:
    """Answers every request with one certificate."""

    maximum_body_octets = 1

    def handle(self, request: HttpExchangeRequest) -> HttpReply:
        """Answer."""
        del request
        return HttpReply(status=200, content_type="application/x-x509-ca-cert", body=CERTIFICATE)


@pytest.fixture
def engine() -> FaultEngine:
    return FaultEngine(entropy=bytes)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return the GetCACert answers that are taken apart."""
    taken: list[bytes] = []
    taking = wrappers.read_ca_answer

    def noting(body: bytes) -> CaCertificatesAnswer:
        taken.append(body)
        return taking(body)

    monkeypatch.setattr(wrappers, "read_ca_answer", noting)
    return taken


def ask(engine: FaultEngine, fault: str | None = None) -> HttpReply:
    """Ask GetCACert, at a fault's URL where one is given."""
    circumstances = Circumstances(
        listener="scep",
        path="/scep",
        client_address="192.0.2.1",
        user_agent="",
        operation="GetCACert",
        endpoint="default",
        pinned=None if fault is None else Pinned(fault=find(fault), prefix=""),
    )
    with answering(circumstances):
        return BentService(Service(), engine).handle(HttpExchangeRequest(method="GET", path="/scep"))


@pytest.mark.parametrize(("rule", "fault"), [(None, None), (NONCE, None), (None, NONCE), (TWICE, NONCE)])
def test_nobody_takes_apart_ca_certificates_that_no_fault_takes(
    engine: FaultEngine, read: list[bytes], rule: str | None, fault: str | None
) -> None:
    if rule is not None:
        engine.add(RuleOrder(fault=rule))
    assert ask(engine, fault).body == CERTIFICATE
    assert read == []


@pytest.mark.parametrize(("rule", "fault"), [(TWICE, None), (None, TWICE)])
def test_ca_certificates_reach_the_fault_that_takes_them(
    engine: FaultEngine, read: list[bytes], rule: str | None, fault: str | None
) -> None:
    if rule is not None:
        engine.add(RuleOrder(fault=rule))
    assert ask(engine, fault).body != CERTIFICATE
    assert read == [CERTIFICATE]
