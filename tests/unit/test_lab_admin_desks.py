"""Templates, clock, faults, settings, reset and whole sets: at the desk directly and over HTTP."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from admin_client import csr
from ca_world import HandClock
from lab_client import client_of, order
from pydantic import ValidationError

from ca.clock import SystemClock
from ca.folders import PkiFolder
from ca.records import CertificateStatus
from crl_publisher import PublicationRefused
from lab import ScepLab
from lab.admin import Desk, DeskRefused, Invalid, NotFound
from lab.admin.clock import ClockOrder, ShiftOrder, shift_text
from lab.admin.local import LocalDesk
from lab.admin.models import CertificateOrder, CertificateView, RequestView, RevocationOrder
from lab.admin.remote import RemoteDesk
from lab.admin.templates import TemplateChange, TemplateText
from lab.admin.whole import PopulateOrder
from lab.client import Issued
from lab.faults.registry import Seam, catalogue
from lab.faults.rules import Match, RuleOrder
from lab.settings import LabSettings
from lab.world import World

RESET = "wire::reset-within-headers"
LAB_CLIENT = """
display_name = "Lab Client"
oid = "1.3.6.1.4.1.311.21.8.1.2.3"
schema_version = 2
subject_type = "computer"
validity_period = "2 Days"
renewal_period = "1 Hours"

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


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = PkiFolder(tmp_path_factory.mktemp("offline") / "pki")
    world = World.make(folder, LabSettings(), clock=SystemClock(), entropy=lambda count: bytes(range(count)))
    desk = LocalDesk(world)
    yield desk
    desk.close()


def enrolled(scep_lab: ScepLab, template: str | None = None, key: int = 0) -> bool:
    challenge = scep_lab.new_challenge(template=template)
    return isinstance(client_of(scep_lab).enrol(order(challenge=challenge, key=key)), Issued)


# -- templates -------------------------------------------------------------------------


def test_templates_are_listed_by_name_and_shown_in_any_case(desk: Desk) -> None:
    found = desk.templates.list()
    assert [one.name for one in found] == sorted((one.name for one in found), key=str.lower)
    shown = desk.templates.show("scep-client-auth")
    assert shown in found
    assert (shown.published, shown.changed, shown.validity_period) == (True, False, "1 Years")
    with pytest.raises(NotFound, match="known: CEPEncryption"):
        desk.templates.show("nope")


def test_an_unpublished_template_issues_nothing_from_then_on(desk: Desk, scep_lab: ScepLab) -> None:
    assert enrolled(scep_lab)
    changed = desk.templates.change("scep-client-AUTH", TemplateChange(published=False))
    assert (changed.published, changed.changed) == (False, True)
    assert not enrolled(scep_lab, key=1)
    assert not desk.templates.change("SCEP-Client-Auth", TemplateChange(published=True)).changed
    assert enrolled(scep_lab, key=1)


def test_permissions_and_approval_hold_from_the_next_request_on(desk: Desk, scep_lab: ScepLab) -> None:
    desk.templates.change("SCEP-Client-Auth", TemplateChange(enroll=()))
    assert not enrolled(scep_lab)
    desk.templates.change("SCEP-Client-Auth", TemplateChange(enroll=("Everyone",), manager_approval=True))
    assert not enrolled(scep_lab)
    assert [one.template for one in desk.requests()] == ["SCEP-Client-Auth"]


def test_a_template_can_be_added_and_is_issued_under(desk: Desk, scep_lab: ScepLab) -> None:
    added = desk.templates.put("Lab Client", TemplateText(toml=LAB_CLIENT))
    assert (added.name, added.changed, added.validity_period) == ("Lab Client", True, "2 Days")
    assert enrolled(scep_lab, template="lab client")
    (issued,) = scep_lab.certificates(template="Lab Client")
    assert issued.not_after - issued.not_before < timedelta(days=3)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"validity_period": "1 Days"}, "renewal_period 6 Weeks is not shorter"),
        ({"validity_period": "3 Fortnights"}, "validity_period"),
        ({"validity_period": "0 Days"}, "more than zero"),
    ],
)
def test_refuses_what_no_template_can_be_and_changes_nothing(
    desk: Desk, change: dict[str, str], says: str
) -> None:
    before = desk.templates.list()
    with pytest.raises(Invalid, match=says):
        desk.templates.change("WebServer", TemplateChange.model_validate(change))
    assert list(desk.templates.list()) == list(before)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("Lab", "x = [", "not TOML"),
        ("Lab", "colour = 1\n" + LAB_CLIENT, "colour: unknown key"),
        ("-x", LAB_CLIENT, "name"),
        ("Lab", 'name = "Lab"\n' + LAB_CLIENT, "leave it out"),
    ],
)
def test_refuses_a_text_that_is_no_template(desk: Desk, name: str, text: str, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        desk.templates.put(name, TemplateText(toml=text))


def test_templates_are_what_they_were_after_a_reset(desk: Desk) -> None:
    desk.templates.put("Lab Client", TemplateText(toml=LAB_CLIENT))
    desk.templates.change("WebServer", TemplateChange(published=False))
    desk.lab.reset()
    assert not any(one.changed for one in desk.templates.list())
    with pytest.raises(NotFound):
        desk.templates.show("Lab Client")


# -- clock -----------------------------------------------------------------------------


def test_the_clock_is_moved_set_and_reset(desk: Desk, scep_lab: ScepLab) -> None:
    assert desk.clock.show().offset == "+0s"
    assert desk.clock.shift(ShiftOrder(by="+400d")).offset == "+400d"
    assert desk.clock.shift(ShiftOrder(by="-1d12h")).offset == "+398d12h"
    assert desk.clock.set(ClockOrder(offset="-2h")).offset_seconds == -7200
    there = desk.clock.set(ClockOrder(now="2031-05-06T07:08:09Z")).now
    assert there == scep_lab.world.clock.now() == datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert desk.clock.reset().offset == "+0s"


def test_the_published_crl_is_one_of_the_time_that_was_set(desk: Desk, scep_lab: ScepLab) -> None:
    issuing = scep_lab.world.authority.locations.crl_file
    for by in ("+400d", "-390d", "+8d"):
        desk.clock.shift(ShiftOrder(by=by))
        (crl,) = [one for one in desk.crls() if one.file == issuing]
        assert crl.this_update <= scep_lab.world.clock.now() < crl.next_update


@pytest.mark.parametrize(
    "act",
    [
        lambda desk: desk.clock.set(ClockOrder(now="never")),
        lambda desk: desk.clock.set(ClockOrder(now="9999-01-01T00:00:00Z")),
        lambda desk: desk.clock.set(ClockOrder(offset="+9999999y")),
        lambda desk: desk.clock.shift(ShiftOrder(by="+9999999y9999999y")),
        lambda desk: desk.clock.shift(ShiftOrder(by="-80y")),
    ],
)
def test_refuses_times_that_no_certificate_has(desk: Desk, act: Callable[[Desk], object]) -> None:
    with pytest.raises(Invalid):
        act(desk)
    assert desk.clock.show().offset == "+0s"


@pytest.mark.parametrize(
    "wanted", [{}, {"now": "2031-01-01", "offset": "+1d"}, {"offset": "1d"}, {"offset": "+1"}]
)
def test_an_order_for_the_clock_says_one_thing(wanted: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        ClockOrder.model_validate(wanted)


@pytest.mark.parametrize(
    ("offset", "text"),
    [
        (timedelta(0), "+0s"),
        (timedelta(days=400), "+400d"),
        (timedelta(days=-1, hours=-2), "-1d2h"),
        (timedelta(minutes=61, seconds=1), "+1h1m1s"),
        (timedelta(microseconds=-1), "-0s"),
    ],
)
def test_an_offset_is_told_as_it_is_given(offset: timedelta, text: str) -> None:
    assert shift_text(offset) == text


# -- faults ----------------------------------------------------------------------------


def test_the_catalogue_is_listed_whole_and_by_seam(desk: Desk) -> None:
    assert [one.id for one in desk.faults.catalogue()] == list(catalogue())
    found = desk.faults.catalogue(Seam.WIRE)
    assert {one.seam for one in found} == {Seam.WIRE}
    assert desk.faults.show(RESET.upper()) in found
    with pytest.raises(NotFound, match="near: wire::reset-within-headers"):
        desk.faults.show("wire::reset-within-header")


def test_a_client_at_the_url_of_a_fault_meets_it(desk: Desk) -> None:
    url = desk.faults.show("wire::application-pool-stopped").url
    assert url is not None
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{url}?operation=GetCACaps")
    caught.value.close()
    assert caught.value.code == 503


def test_urls_are_not_told_where_they_are_not_served() -> None:
    with ScepLab({"faults": {"urls": False}}) as scep_lab:
        assert scep_lab.desk.faults.show(RESET).url is None


def test_a_rule_holds_from_the_next_exchange_on_and_counts(desk: Desk, scep_lab: ScepLab) -> None:
    wanted = RuleOrder(
        fault="wire::application-pool-stopped", match=Match(operation="GetCACaps"), times=1, label="x"
    )
    rule = desk.faults.add(wanted)
    assert (rule.hits, rule.left, rule.label) == (0, 1, "x")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{scep_lab.scep_url}?operation=GetCACaps")
    caught.value.close()
    urllib.request.urlopen(f"{scep_lab.scep_url}?operation=GetCACaps").close()
    (standing,) = desk.faults.rules()
    assert (standing.id, standing.hits, standing.left) == (rule.id, 1, 0)
    assert desk.faults.remove(rule.id) == standing
    with pytest.raises(NotFound, match="no fault rule"):
        desk.faults.remove(rule.id)
    desk.faults.add(wanted)
    desk.faults.add(wanted)
    assert desk.faults.clear().removed == 2
    assert not desk.faults.rules()


# -- certificates without SCEP ---------------------------------------------------------


def test_a_certificate_is_issued_for_a_request(desk: Desk) -> None:
    made = desk.issue_certificate(CertificateOrder(csr=csr("desk")))
    assert isinstance(made, CertificateView)
    assert (made.subject, made.template) == ("CN=desk", "SCEP-Client-Auth")
    with pytest.raises(DeskRefused, match="WebServer"):
        desk.issue_certificate(CertificateOrder(csr=csr("desk", 1), template="WebServer"))
    with pytest.raises(Invalid, match="not a certificate request in PEM"):
        desk.issue_certificate(CertificateOrder(csr="-----BEGIN CERTIFICATE REQUEST-----"))


def test_a_request_waits_where_the_template_wants_approval(desk: Desk) -> None:
    desk.templates.change("SCEP-Client-Auth", TemplateChange(manager_approval=True))
    made = desk.issue_certificate(CertificateOrder(csr=csr("desk")))
    assert isinstance(made, RequestView)
    assert desk.approve(made.id).subject == "CN=desk"


def test_a_revocation_that_is_not_published_is_said_to_be_one(
    desk: Desk, scep_lab: ScepLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = desk.issue_certificate(CertificateOrder(csr=csr()))

    def refuse(*items: object) -> None:
        raise PublicationRefused("the disk is full")

    monkeypatch.setattr(scep_lab.world.publication, "publish", refuse)
    with pytest.raises(DeskRefused, match=f"certificate {made.id} is revoked.*the disk is full"):
        desk.revoke_certificate(str(made.id), RevocationOrder())
    assert desk.certificate(str(made.id)).status is CertificateStatus.REVOKED


# -- the whole lab ---------------------------------------------------------------------


def test_settings_are_those_in_force(desk: Desk, scep_lab: ScepLab) -> None:
    told = {one.name: one for one in desk.lab.settings().settings}
    assert (told["pki.public_url"].value, told["pki.public_url"].origin) == (scep_lab.pki_url, "lab")
    assert (told["server.threads"].value, told["server.threads"].origin) == (16, "default")


def test_a_reset_takes_back_everything(desk: Desk, scep_lab: ScepLab) -> None:
    scep_lab.new_challenge()
    desk.issue_certificate(CertificateOrder(csr=csr()))
    desk.faults.add(RuleOrder(fault=RESET))
    desk.clock.shift(ShiftOrder(by="+1d"))
    done = desk.lab.reset()
    assert (done.challenges, done.certificates) == (0, len(scep_lab.certificates()))
    assert not desk.faults.rules()
    assert desk.clock.show().offset == "+0s"
    assert not scep_lab.certificates(subject="CN=device")


def test_a_lab_that_keeps_its_data_is_not_reset(scep_lab: ScepLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scep_lab._lab, "_beginning", None)
    for desk in (scep_lab.desk, RemoteDesk.at(scep_lab.admin_url)):
        with pytest.raises(DeskRefused, match="keeps its data"):
            desk.lab.reset()


# -- a folder that nobody serves -------------------------------------------------------


@pytest.mark.parametrize(
    "act",
    [
        lambda desk: desk.clock.show(),
        lambda desk: desk.clock.shift(ShiftOrder(by="+1d")),
        lambda desk: desk.faults.rules(),
        lambda desk: desk.faults.add(RuleOrder(fault=RESET)),
        lambda desk: desk.lab.reset(),
        lambda desk: desk.lab.populate(PopulateOrder()),
        lambda desk: desk.templates.change("WebServer", TemplateChange(published=False)),
        lambda desk: desk.templates.put("Lab", TemplateText(toml=LAB_CLIENT)),
    ],
)
def test_what_needs_a_lab_is_refused_at_a_folder(offline: Desk, act: Callable[[Desk], object]) -> None:
    with pytest.raises(DeskRefused, match="no lab runs on this folder"):
        act(offline)


def test_what_needs_none_works_at_a_folder(offline: Desk, tmp_path: Path) -> None:
    assert offline.faults.show(RESET).url is None
    assert offline.templates.show("WebServer").published
    assert isinstance(offline.issue_certificate(CertificateOrder(csr=csr())), CertificateView)
