"""Revocation at the desk: by list, by subject, with a date, and the CRL that says so."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from forge.csr import CsrForge
from forge.keys import KeyPool

from ca import names
from ca.pkcs10 import parse_request
from ca.records import CertificateRecord
from lab import ScepLab
from lab.admin import Desk, DeskRefused, Invalid
from lab.admin.models import BulkEntry, BulkOrder, CrlOrder, RevocationOrder
from lab.admin.remote import RemoteDesk
from lab.commands import main

KEYS = KeyPool(primes=0)
DATE = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def running() -> Iterator[ScepLab]:
    with ScepLab() as scep_lab:
        yield scep_lab


@pytest.fixture
def scep_lab(running: ScepLab) -> ScepLab:
    running.reset()
    return running


@pytest.fixture(params=["local", "remote"])
def desk(request: pytest.FixtureRequest, scep_lab: ScepLab) -> Desk:
    return scep_lab.desk if request.param == "local" else RemoteDesk.at(scep_lab.admin_url)


def issued(scep_lab: ScepLab, name: str) -> CertificateRecord:
    world = scep_lab.world
    csr = CsrForge(key=KEYS.ec(), subject=names.build_name(f"CN={name},O=Example")).encode()
    with world.store.transaction() as transaction:
        prepared = world.authority.prepare(
            transaction, parse_request(csr), template="SCEP-Client-Auth", requester="device"
        )
        return world.authority.issue(transaction, prepared)


def published(scep_lab: ScepLab, *, delta: bool = False) -> x509.CertificateRevocationList:
    places = scep_lab.world.authority.locations
    file = scep_lab.world.publication.find(places.delta_crl_file if delta else places.crl_file)
    assert file is not None
    return x509.load_der_x509_crl(file.content)


def listed(crl: x509.CertificateRevocationList) -> set[int]:
    return {one.serial_number for one in crl}


def order(*selectors: str, dry_run: bool = False, **fields: object) -> BulkOrder:
    entries = tuple(BulkEntry.model_validate({"selector": one, **fields}) for one in selectors)
    return BulkOrder(entries=entries, dry_run=dry_run)


@pytest.fixture
def ndes_lab(scep_lab: ScepLab) -> Callable[..., Result]:
    def run(*arguments: str, given: str | None = None) -> Result:
        return CliRunner().invoke(
            main, ["cert", "revoke", "--admin-url", scep_lab.admin_url, *arguments], input=given
        )

    return run


# -- the desk --------------------------------------------------------------------------


def test_many_are_revoked_by_serial_number_and_thumbprint(desk: Desk, scep_lab: ScepLab) -> None:
    one, two = issued(scep_lab, "one"), issued(scep_lab, "two")
    view = desk.revoke_many(order(f"{one.serial_number:x}", two.sha1, reason="superseded", revoked_at=DATE))
    assert view.applied
    assert [result.certificate_id for result in view.results] == [one.id, two.id]
    assert listed(published(scep_lab)) == set()
    desk.publish_crls(CrlOrder(kind="delta"))
    assert listed(published(scep_lab)) == set()
    delta = published(scep_lab, delta=True)
    assert listed(delta) == {one.serial_number, two.serial_number}
    assert {revoked.revocation_date_utc for revoked in delta} == {DATE}


def test_one_that_cannot_be_revoked_keeps_all_from_it(desk: Desk, scep_lab: ScepLab) -> None:
    one, two = issued(scep_lab, "one"), issued(scep_lab, "two")
    desk.revoke_certificate(str(two.id), RevocationOrder(publish="none"))
    view = desk.revoke_many(order(f"{one.serial_number:x}", two.sha1, "ab" * 20, one.sha1))
    assert not view.applied
    problems = [result.problem for result in view.results]
    assert problems[0] == ""
    assert "revoked already" in problems[1]
    assert "there is no certificate" in problems[2]
    assert "named twice" in problems[3]
    assert desk.certificate(one.sha1).revoked_at is None


def test_a_dry_run_changes_nothing(desk: Desk, scep_lab: ScepLab) -> None:
    one = issued(scep_lab, "one")
    view = desk.revoke_many(order(one.sha1, dry_run=True))
    assert (view.applied, view.results[0].problem) == (False, "")
    assert desk.certificate(one.sha1).revoked_at is None


def test_a_number_on_a_list_is_a_serial_number(desk: Desk, scep_lab: ScepLab) -> None:
    one = issued(scep_lab, "one")
    assert "no certificate" in desk.revoke_many(order(str(one.id), dry_run=True)).results[0].problem


def test_the_crl_that_is_asked_for_is_published_and_no_other(desk: Desk, scep_lab: ScepLab) -> None:
    records = [issued(scep_lab, name) for name in ("none", "delta", "base")]
    number = published(scep_lab).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    assert desk.revoke_certificate(str(records[0].id), RevocationOrder(publish="none")).crl is None
    assert listed(published(scep_lab)) | listed(published(scep_lab, delta=True)) == set()
    delta = desk.revoke_certificate(str(records[1].id), RevocationOrder(publish="delta")).crl
    assert delta is not None
    assert (delta.kind, delta.base_number, delta.number) == ("delta", number, number + 1)
    assert listed(published(scep_lab)) == set()
    assert listed(published(scep_lab, delta=True)) == {one.serial_number for one in records[:2]}
    base = desk.revoke_certificate(str(records[2].id), RevocationOrder(publish="base")).crl
    assert base is not None
    assert (base.kind, base.number) == ("base", number + 2)
    assert listed(published(scep_lab)) == {one.serial_number for one in records}


def test_revocation_dates_are_in_the_past_and_have_a_time_zone(desk: Desk, scep_lab: ScepLab) -> None:
    one = issued(scep_lab, "one")
    later = scep_lab.world.clock.now() + timedelta(hours=1)
    with pytest.raises(DeskRefused, match="still to come"):
        desk.revoke_certificate(str(one.id), RevocationOrder(revoked_at=later))
    with pytest.raises(Invalid, match="no time zone"):
        desk.revoke_certificate(str(one.id), RevocationOrder(revoked_at=later.replace(tzinfo=None)))


def test_published_crls_tell_when_the_next_ones_are_due(desk: Desk) -> None:
    kinds = {(view.kind, view.file.endswith("+.crl")): view for view in desk.crls()}
    assert set(kinds) == {("base", False), ("delta", True)}
    assert all(
        view.next_publish is not None and view.next_publish <= view.next_update for view in desk.crls()
    )


# -- the command -----------------------------------------------------------------------


def test_command_revokes_a_list_and_publishes_once(
    ndes_lab: Callable[..., Result], scep_lab: ScepLab, tmp_path: Path
) -> None:
    records = [issued(scep_lab, f"device-{number}") for number in range(4)]
    lines = ["serial,reason,date", *(f"{one.serial_number:x},keyCompromise,2026-03-01" for one in records)]
    (tmp_path / "list.csv").write_text("\n".join(lines))
    before = published(scep_lab).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    done = ndes_lab("--from-file", str(tmp_path / "list.csv"), "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["revoked"] == 4
    crl = published(scep_lab)
    assert listed(crl) == {one.serial_number for one in records}
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == before + 1


def test_command_tells_wrong_lines_and_revokes_nothing(
    ndes_lab: Callable[..., Result], scep_lab: ScepLab
) -> None:
    one = issued(scep_lab, "one")
    text = f"# ours\n{one.serial_number:x}\n{one.sha1}\n{'cd' * 20}\n"
    done = ndes_lab("--from-file", "-", given=text)
    assert done.exit_code == 2
    assert "line 3: " in done.stderr
    assert "line 4: there is no certificate" in done.stderr
    assert "line 2" not in done.stderr.replace("is on line 2", "")
    assert scep_lab.desk.certificate(one.sha1).revoked_at is None


def test_command_holds_and_releases_a_list(ndes_lab: Callable[..., Result], scep_lab: ScepLab) -> None:
    records = [issued(scep_lab, f"device-{number}") for number in range(3)]
    text = "\n".join(one.sha1 for one in records)
    assert ndes_lab("--from-file", "-", "--reason", "certificateHold", given=text).exit_code == 0
    assert listed(published(scep_lab)) == {one.serial_number for one in records}
    released = ndes_lab("--from-file", "-", "--reason", "removeFromCRL", "--publish", "delta", given=text)
    assert released.exit_code == 0, released.output
    reasons = {
        one.extensions.get_extension_for_class(x509.CRLReason).value.reason
        for one in published(scep_lab, delta=True)
    }
    assert reasons == {x509.ReasonFlags.remove_from_crl}
    assert ndes_lab("--from-file", "-", "--publish", "none", given=text).exit_code == 0


def test_command_revokes_by_subject_and_asks_where_there_are_several(
    ndes_lab: Callable[..., Result], scep_lab: ScepLab
) -> None:
    records = [issued(scep_lab, "twin"), issued(scep_lab, "twin"), issued(scep_lab, "twin-2")]
    several = ndes_lab("--subject", "CN=TWIN,O=Example")
    assert several.exit_code == 2
    assert f"({records[0].id}, {records[1].id})" in several.stderr
    done = ndes_lab("--subject", "CN=TWIN,O=Example", "--all")
    assert done.exit_code == 0, done.output
    assert listed(published(scep_lab)) == {one.serial_number for one in records[:2]}
    nobody = ndes_lab("--subject", "CN=twin,O=Example")
    assert nobody.exit_code == 2
    assert "no certificate in force" in nobody.stderr


@pytest.mark.parametrize("arguments", [(), ("1", "--subject", "CN=a"), ("--subject", "no name")])
def test_command_wants_exactly_one_way_to_name_certificates(
    ndes_lab: Callable[..., Result], arguments: tuple[str, ...]
) -> None:
    assert ndes_lab(*arguments).exit_code == 2
