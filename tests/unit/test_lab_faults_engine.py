"""Which fault is applied to which exchange: rules, their counting, and URLs that ask for one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from forge.csr import CsrForge
from forge.keys import KeyPool
from pydantic import ValidationError

from lab.client.requests import parse_subject
from lab.faults import circumstances as circumstances_module
from lab.faults.circumstances import Circumstances, Pinned, answering
from lab.faults.engine import FaultEngine, path_of
from lab.faults.registry import BadParameter, UnknownFault, catalogue, find
from lab.faults.rules import RuleOrder
from lab.faults.values import HttpAnswer
from scep_server.protocol.algorithms import ContentCipher, DigestAlgorithm
from scep_server.protocol.messages import CertRep, PasswordRecipient, PkiStatus

NONCE = "reply::wrong-recipient-nonce"
RESET = "wire::reset-within-headers"
KEY = KeyPool(primes=2).fresh()


@pytest.fixture
def engine() -> FaultEngine:
    return FaultEngine(entropy=lambda size: b"\x07" * size)


def cert_rep(**changes: Any) -> CertRep:
    values: dict[str, Any] = {
        "transaction_id": "T1",
        "pki_status": PkiStatus.PENDING,
        "sender_nonce": bytes(16),
        "recipient_nonce": bytes(16),
        "digest": DigestAlgorithm.SHA_256,
    }
    return CertRep(**{**values, **changes})


def answer() -> HttpAnswer:
    return HttpAnswer(status=200, headers=(("Content-Length", "2"),), body=b"ok")


def circumstances(**known: Any) -> Circumstances:
    values: dict[str, Any] = {
        "listener": "scep",
        "path": "/scep",
        "client_address": "10.1.2.3",
        "user_agent": "Mozilla/4.0 (compatible; Win32; NDES client)",
        "operation": "PKIOperation",
    }
    return Circumstances(**{**values, **known})


def csr(subject: str) -> bytes:
    return CsrForge(key=KEY, subject=parse_subject(subject)).encode()


def ask(engine: FaultEngine, value: object = None, **known: Any) -> bool:
    """Pass a value by the engine in an exchange of its own; tell whether it came out changed."""
    sent = cert_rep() if value is None else value
    with answering(circumstances(**known)):
        return engine.bend(sent) is not sent


def test_without_rules_and_outside_of_exchanges_nothing_is_changed(engine: FaultEngine) -> None:
    assert not ask(engine)
    engine.add(RuleOrder(fault=NONCE))
    value = cert_rep()
    assert engine.bend(value) is value
    assert ask(engine)


def test_only_values_of_its_type_are_changed(engine: FaultEngine) -> None:
    engine.add(RuleOrder(fault=NONCE))
    assert not ask(engine, answer())


@pytest.mark.parametrize(
    ("match", "hit", "miss"),
    [
        ({"operation": "pkioperation"}, {}, {"operation": "GetCACert"}),
        ({"message_type": "PKCSReq"}, {"message_type": "PKCSReq"}, {"message_type": "CertPoll"}),
        ({"transaction_id": "ab*"}, {"transaction_id": "ABC"}, {"transaction_id": "BAC"}),
        (
            {"subject": "CN=laptop-?,*"},
            {"csr": csr("CN=laptop-1,O=Example")},
            {"csr": csr("CN=laptop-12,O=E")},
        ),
        ({"subject": "*"}, {"csr": csr("CN=a")}, {"csr": b"no PKCS#10"}),
        ({"user_agent": "*win32*"}, {}, {"user_agent": "curl/8"}),
        ({"endpoint": "other"}, {"endpoint": "other"}, {"endpoint": "default"}),
        ({"path": "/certsrv/*"}, {"path": "/CertSrv/mscep/mscep.dll"}, {"path": "/scep"}),
        ({"client_address": "10.0.0.0/8"}, {}, {"client_address": "192.0.2.1"}),
        ({"client_address": "10.1.2.3"}, {"client_address": "::ffff:10.1.2.3"}, {"client_address": "no"}),
        ({"client_address": "fe80::/10"}, {"client_address": "fe80::1%eth0"}, {}),
    ],
)
def test_applies_where_everything_matches(
    engine: FaultEngine, match: dict[str, str], hit: dict[str, Any], miss: dict[str, Any]
) -> None:
    engine.add(RuleOrder.model_validate({"fault": NONCE, "match": match}))
    assert ask(engine, **hit)
    assert not ask(engine, **miss)


def test_what_is_not_known_yet_does_not_match(engine: FaultEngine) -> None:
    rule = engine.add(RuleOrder.model_validate({"fault": NONCE, "match": {"subject": "*"}, "times": 1}))
    assert not ask(engine)
    assert engine.rule(rule.id).left == 1  # type: ignore[union-attr]
    assert ask(engine, csr=csr("CN=a"))


def test_a_subject_is_read_when_a_rule_wants_it_and_once(
    engine: FaultEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[bytes] = []
    parse = circumstances_module.parse_request
    monkeypatch.setattr(
        circumstances_module, "parse_request", lambda octets: read.append(octets) or parse(octets)
    )
    request = csr("CN=a")
    engine.add(RuleOrder(fault=NONCE, times=1))
    assert ask(engine, csr=request)
    assert read == []
    for subject in ("CN=b", "CN=c"):
        engine.add(RuleOrder.model_validate({"fault": NONCE, "match": {"subject": subject}}))
    assert not ask(engine, csr=request)
    assert read == [request]


def test_only_those_concern_an_exchange_whom_it_may_meet(engine: FaultEngine) -> None:
    assert not engine.concerns(CertRep)
    engine.add(RuleOrder(fault=NONCE))
    assert not engine.concerns(CertRep)  # outside of exchanges
    with answering(circumstances()):
        assert engine.concerns(CertRep)
        assert not engine.concerns(HttpAnswer)
    with answering(circumstances(pinned=Pinned(fault=find(RESET), prefix=""))):
        assert engine.concerns(HttpAnswer)
        assert not engine.concerns(CertRep)  # rules are for those without a fault of their own


def test_counts_exchanges_and_not_values(engine: FaultEngine) -> None:
    rule = engine.add(RuleOrder(fault=NONCE, after=1, times=2))
    assert not ask(engine)
    with answering(circumstances()):
        first, second = cert_rep(), cert_rep()
        assert engine.bend(first) is not first
        assert engine.bend(second) is not second
    assert ask(engine)
    assert not ask(engine)
    view = engine.rule(rule.id)
    assert view is not None
    assert (view.hits, view.left) == (2, 0)


def test_the_lab_itself_meets_what_anybody_would_and_takes_nobodys_turn(engine: FaultEngine) -> None:
    rule = engine.add(RuleOrder(fault=NONCE, after=1, times=1, chance=0.5, seed=1))
    twin = FaultEngine(entropy=bytes)
    twin.add(RuleOrder(fault=NONCE, after=1, times=1, chance=0.5, seed=1))
    met = []
    for _ in range(4):
        expected = ask(twin)
        seen = [ask(engine, is_own=True) for _ in range(3)]
        met.append(ask(engine))
        assert met[-1] == expected
        assert seen == [expected] * 3
    view = engine.rule(rule.id)
    assert view is not None
    assert (view.hits, view.left) == (sum(met), 0)


def test_exchange_with_nothing_to_change_takes_no_turn(engine: FaultEngine) -> None:
    engine.add(RuleOrder(fault=RESET, times=1))
    assert not ask(engine, answer(), operation="GetCACaps")  # that fault is for PKIOperation
    assert ask(engine, answer())
    assert not ask(engine, answer())


def test_sequence_gives_each_exchange_its_own(engine: FaultEngine) -> None:
    engine.add(RuleOrder(sequence=(NONCE, None, NONCE)))
    assert [ask(engine) for _ in range(5)] == [True, False, True, False, False]


def test_sequence_of_two_kinds_waits_for_the_right_value(engine: FaultEngine) -> None:
    engine.add(RuleOrder(sequence=(RESET, NONCE)))
    changed = []
    for _ in range(2):
        with answering(circumstances()):
            reply, sent = cert_rep(), answer()
            changed.append((engine.bend(reply) is not reply, engine.bend(sent) is not sent))
    assert changed == [(False, True), (True, False)]


def test_times_beyond_the_sequence_begin_it_again(engine: FaultEngine) -> None:
    engine.add(RuleOrder(sequence=(NONCE, None), times=3))
    assert [ask(engine) for _ in range(5)] == [True, False, True, False, False]


def test_chance_is_the_same_for_the_same_seed(engine: FaultEngine) -> None:
    def draw(**more: Any) -> list[bool]:
        engine.clear()
        engine.add(RuleOrder(fault=NONCE, chance=0.5, **more))
        return [ask(engine) for _ in range(64)]

    assert draw(seed=1) == draw(seed=1) != draw(seed=2)
    assert 10 < sum(draw(seed=1)) < 54
    assert draw() == draw()  # one chosen from the entropy, which here is always the same
    assert engine.rules()[0].seed == 0x07070707


def test_never_more_often_than_told_under_a_race(engine: FaultEngine) -> None:
    rule = engine.add(RuleOrder(fault=NONCE, times=5))
    with ThreadPoolExecutor(16) as pool:
        changed = list(pool.map(lambda _: ask(engine), range(200)))
    assert sum(changed) == 5
    assert engine.rule(rule.id).hits == 5  # type: ignore[union-attr]


def test_removed_and_cleared_rules_are_over(engine: FaultEngine) -> None:
    first, second = engine.add(RuleOrder(fault=NONCE)), engine.add(RuleOrder(fault=RESET))
    assert [view.id for view in engine.rules()] == [first.id, second.id]
    assert engine.remove(first.id)
    assert not engine.remove(first.id)
    assert not ask(engine)
    assert engine.clear() == 1
    assert engine.rules() == ()


def test_url_asks_for_its_fault_and_for_no_rule(engine: FaultEngine) -> None:
    engine.add(RuleOrder(fault=RESET))
    pinned, path = engine.pinned(path_of(NONCE, "/scep/other"))
    assert (path, pinned and pinned.prefix) == ("/scep/other", f"/fault/{NONCE}")
    assert ask(engine, pinned=pinned)
    assert not ask(engine, answer(), pinned=pinned)
    assert engine.pinned("/scep") == (None, "/scep")


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/fault/", UnknownFault),
        ("/fault/reply::wrong-nonce/scep", UnknownFault),
        (f"/fault/{NONCE};seconds=2/scep", BadParameter),
    ],
)
def test_url_of_no_fault_is_an_error_that_helps(engine: FaultEngine, path: str, error: type) -> None:
    with pytest.raises(error, match=r"ndes-lab fault list|known"):
        engine.pinned(path)


def test_near_names_are_offered() -> None:
    with pytest.raises(UnknownFault, match=r"near: .*wrong-recipient-nonce"):
        find("reply::wrong-recipient-nonse")
    assert find(NONCE.upper()).id == NONCE


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"fault": NONCE, "sequence": [NONCE]},
        {"fault": "reply::none-such"},
        {"fault": NONCE, "seed": 1},
        {"fault": NONCE, "chance": 1.5},
        {"fault": NONCE, "times": 0},
        {"fault": NONCE, "parameters": {"seconds": 1}},
        {"fault": NONCE, "match": {"client_address": "10.0.0.0/33"}},
        {"fault": NONCE, "match": {"colour": "red"}},
    ],
)
def test_order_that_makes_no_sense_is_refused(order: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RuleOrder.model_validate(order)


@pytest.mark.parametrize("fault", catalogue().values(), ids=lambda fault: fault.id)
def test_every_fault_is_described(fault: Any) -> None:
    assert fault.id == f"{fault.seam.value}::{fault.function.__name__.replace('_', '-')}"
    assert fault.title
    assert len(fault.title) < 130, "the first line is the title"
    assert fault.clause
    for name, default in fault.parameters.items():
        assert fault.read_parameters({name: str(default)}) == {name: default}
    assert replace(fault) == fault


def test_fault_remembers_what_it_noted_in_the_same_transaction_alone(engine: FaultEngine) -> None:
    engine.add(RuleOrder(fault="reply::recipient-nonce-of-the-first-request"))
    success: dict[str, Any] = {
        "pki_status": PkiStatus.SUCCESS,
        "recipient": PasswordRecipient(password=b"p"),
        "cipher": ContentCipher.AES_128_CBC,
    }

    def nonce_of(transaction_id: str, nonce: bytes) -> bytes | None:
        with answering(circumstances(transaction_id=transaction_id)):
            return engine.bend(cert_rep(recipient_nonce=nonce, **success)).recipient_nonce

    assert nonce_of("T1", b"first of T1") == b"first of T1"
    assert nonce_of("T2", b"first of T2") == b"first of T2"
    assert nonce_of("T1", b"second") == b"first of T1"
    assert nonce_of("T2", b"second") == b"first of T2"
