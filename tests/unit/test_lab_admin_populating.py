"""Whole sets at the desk, directly and over HTTP: all or nothing, and only once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from admin_client import csr
from ca_world import HandClock

from crl_publisher import PublicationRefused
from lab import ScepLab
from lab.admin import Desk, DeskRefused, Invalid, NotFound
from lab.admin.models import CertificateOrder, CertificateView
from lab.admin.remote import RemoteDesk
from lab.admin.whole import PopulatedView, PopulateOrder

RESET = "wire::reset-within-headers"
LAB_CLIENT = """
display_name = "Lab Client"
oid = "1.3.6.1.4.1.311.21.8.1.2.3"
schema_version = 2
subject_type = "computer"

[extensions]
key_usage = ["digitalSignature"]
application_policies = ["Client Authentication"]
"""


@pytest.fixture(scope="module")
def running() -> Iterator[ScepLab]:
    with ScepLab(clock=HandClock()) as scep_lab:
        yield scep_lab


@pytest.fixture
def scep_lab(running: ScepLab) -> ScepLab:
    running.reset()
    return running


@pytest.fixture(params=["local", "remote"])
def desk(request: pytest.FixtureRequest, scep_lab: ScepLab) -> Desk:
    return scep_lab.desk if request.param == "local" else RemoteDesk.at(scep_lab.admin_url)


WHOLE: dict[str, Any] = {
    "clock": "+30d",
    "templates": [
        {"name": "Lab Client", "toml": LAB_CLIENT, "enroll": ["Everyone"]},
        {"name": "WebServer", "manager_approval": True, "enroll": ["Everyone"]},
    ],
    "challenges": [
        {"password": "sesame", "kind": "static", "label": "for all", "validity_minutes": None},
        {"password": "once", "subject": "CN=a", "template": "Lab Client"},
    ],
    "certificates": [
        {"csr": "0", "template": "Lab Client", "revoked": "keyCompromise"},
        {"csr": "1"},
        {"csr": "2", "template": "WebServer"},
    ],
    "fault_rules": [
        {"fault": RESET, "times": 1, "label": "first"},
        {"fault": RESET, "chance": 0.5},
        {"sequence": [RESET, None]},
    ],
}


def whole(**other: Any) -> PopulateOrder:
    values = {**WHOLE, **other}
    values["certificates"] = [
        {**one, "csr": csr(f"device-{one['csr']}", int(one["csr"]))} for one in values["certificates"]
    ]
    return PopulateOrder.model_validate(values)


def outcomes(view: PopulatedView) -> list[tuple[str, str]]:
    return [(item.kind, item.outcome) for item in view.items]


def test_a_whole_set_is_made_at_once_and_only_once(desk: Desk, scep_lab: ScepLab) -> None:
    done = desk.lab.populate(whole())
    assert outcomes(done) == [
        ("clock", "changed"),
        ("template", "made"),
        ("template", "changed"),
        ("challenge", "made"),
        ("challenge", "made"),
        ("certificate", "made"),
        ("certificate", "made"),
        ("certificate", "pending"),
        ("fault-rule", "made"),
        ("fault-rule", "made"),
        ("fault-rule", "made"),
    ]
    assert (done.changed, done.problem) == (True, "")
    assert "sesame" not in done.model_dump_json()
    (revoked,) = scep_lab.certificates(template="Lab Client")
    assert revoked.revocation_reason == "keyCompromise"
    assert max(crl.entries for crl in desk.crls()) == 1
    before = everything(desk, scep_lab)
    again = desk.lab.populate(whole())
    assert {item.outcome for item in again.items} == {"unchanged"}
    assert not again.changed
    assert [item.id for item in again.items] == [item.id for item in done.items]
    assert everything(desk, scep_lab) == before


def everything(desk: Desk, scep_lab: ScepLab) -> tuple[object, ...]:
    lists = desk.challenges(), desk.requests(), desk.templates.list(), desk.faults.rules(), desk.crls()
    return (*map(tuple, lists), tuple(scep_lab.certificates()), desk.clock.show().offset)


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"templates": [*WHOLE["templates"], {"name": "Nope", "published": True}]}, NotFound, "no template"),
        ({"challenges": [*WHOLE["challenges"], {"password": "b", "template": "Nope"}]}, Invalid, "'Nope'"),
        ({"challenges": [*WHOLE["challenges"], {"password": "once"}]}, DeskRefused, "another subject"),
        ({"certificates": [{"csr": "0"}, {"csr": "1", "template": "CEPEncryption"}]}, DeskRefused, "Enroll"),
        ({"revocations": [{"selector": "abcdef"}]}, NotFound, "'abcdef'"),
        (
            {"certificates": [{"csr": "0", "template": "WebServer", "revoked": "superseded"}]},
            DeskRefused,
            "pending",
        ),
        ({"clock": "-80y"}, Invalid, "clock"),
    ],
    ids=["template", "challenge", "other-challenge", "certificate", "revocation", "pending", "clock"],
)
def test_a_set_with_one_thing_wrong_changes_nothing(
    desk: Desk, scep_lab: ScepLab, wrong: dict[str, Any], error: type[Exception], says: str
) -> None:
    before = everything(desk, scep_lab)
    with pytest.raises(error, match=says):
        desk.lab.populate(whole(**wrong))
    assert everything(desk, scep_lab) == before


def test_a_set_revokes_by_serial_number_and_says_when_it_could_not_publish(
    desk: Desk, scep_lab: ScepLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = desk.issue_certificate(CertificateOrder(csr=csr()))
    assert isinstance(made, CertificateView)
    entries = {"revocations": [{"selector": made.serial_number, "reason": "superseded"}]}

    def refuse(*items: object) -> None:
        raise PublicationRefused("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(scep_lab.world.publication, "publish", refuse)
        done = desk.lab.populate(PopulateOrder.model_validate(entries))
    assert outcomes(done) == [("revocation", "made")]
    assert "the disk is full" in done.problem
    assert desk.certificate(made.serial_number).revocation_reason == "superseded"
    again = desk.lab.populate(PopulateOrder.model_validate(entries))
    assert (again.changed, again.problem) == (False, "")
    other = {"revocations": [{"selector": made.serial_number, "reason": "keyCompromise"}]}
    with pytest.raises(DeskRefused, match="revoked already"):
        desk.lab.populate(PopulateOrder.model_validate(other))
