"""Debian's SCEP clients against the lab in each behaviour profile: who enrols, who renews, what stops whom.

`STOPPED_BY` is the table of the README. A client that a profile stops is shown to be stopped by exactly
the fields that the table names: with all of them as `modern` has them it works, with any one of them left
as NDES has it it does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from interop.clients import (
    Certmonger,
    Endpoint,
    EnrolmentRefused,
    ForeignClient,
    NdesLabEnroll,
    ScepClient,
    StrongSwanPki,
)
from interop.test_foreign_clients import assert_usable
from lab import ScepLab
from scep_server.ndes.profiles import MODERN

pytestmark = pytest.mark.interop

# Fields that keep a client from enrolling, and those that further keep it from renewing.
STOPPED_BY: dict[tuple[str, type[ForeignClient]], tuple[Sequence[str], Sequence[str]]] = {
    ("modern", ScepClient): ((), ()),
    ("modern", StrongSwanPki): ((), ()),
    ("modern", Certmonger): ((), ()),
    ("modern", NdesLabEnroll): ((), ()),
    ("ndes-2012r2", ScepClient): ((), ("renewal_req",)),
    ("ndes-2012r2", StrongSwanPki): (("capabilities", "challenge_strings"), ("renewal_req",)),
    ("ndes-2012r2", Certmonger): ((), ()),
    ("ndes-2012r2", NdesLabEnroll): ((), ("renewal_req",)),
    ("ndes-2019", ScepClient): (("reply_key_transport",), ("renewal_req",)),
    ("ndes-2019", StrongSwanPki): (
        ("capabilities", "challenge_strings", "reply_key_transport"),
        ("renewal_req",),
    ),
    ("ndes-2019", Certmonger): (("reply_key_transport",), ()),
    ("ndes-2019", NdesLabEnroll): ((), ("renewal_req",)),
}
CASES = [pytest.param(profile, client, id=f"{client.name}-{profile}") for profile, client in STOPPED_BY]


def _lab(profile: str, changed: Sequence[str]) -> ScepLab:
    modern = asdict(MODERN)
    fields: dict[str, Any] = {name: modern[name] for name in changed}
    return ScepLab({"scep": {"profile": profile, "profile_fields": fields}})


@pytest.mark.parametrize(("profile", "client"), CASES)
def test_enrols_and_renews_but_for_the_fields_of_the_table(
    profile: str, client: type[ForeignClient], tmp_path: Path
) -> None:
    to_enrol, to_renew = STOPPED_BY[profile, client]
    with ExitStack() as leaving:
        scep_lab = leaving.enter_context(_lab(profile, to_enrol))
        endpoint = Endpoint(scep_url=scep_lab.scep_url, root_pem=scep_lab.root_pem_path)
        driver = leaving.enter_context(client(tmp_path, endpoint))
        first = driver.obtain("works", scep_lab.new_challenge())
        assert_usable(first)
        if not to_renew:
            assert_usable(driver.renew(first))
            return
        with pytest.raises(EnrolmentRefused):
            driver.renew(first)


@pytest.mark.parametrize(
    ("profile", "client", "field"),
    [
        pytest.param(profile, client, field, id=f"{client.name}-{profile}-{field}")
        for (profile, client), (to_enrol, _) in STOPPED_BY.items()
        for field in to_enrol
    ],
)
def test_each_field_alone_stops_the_client(
    profile: str, client: type[ForeignClient], field: str, tmp_path: Path
) -> None:
    others = [name for name in STOPPED_BY[profile, client][0] if name != field]
    with ExitStack() as leaving:
        scep_lab = leaving.enter_context(_lab(profile, others))
        endpoint = Endpoint(scep_url=scep_lab.scep_url, root_pem=scep_lab.root_pem_path)
        driver = leaving.enter_context(client(tmp_path, endpoint))
        with pytest.raises(EnrolmentRefused):
            driver.obtain("stopped", scep_lab.new_challenge())


@pytest.mark.parametrize(
    ("profile", "client"),
    [case for case in CASES if STOPPED_BY[tuple(case.values)][1]],  # type: ignore[index]
)
def test_renews_once_the_fields_of_the_table_are_as_modern_has_them(
    profile: str, client: type[ForeignClient], tmp_path: Path
) -> None:
    to_enrol, to_renew = STOPPED_BY[profile, client]
    with ExitStack() as leaving:
        scep_lab = leaving.enter_context(_lab(profile, (*to_enrol, *to_renew)))
        endpoint = Endpoint(scep_url=scep_lab.scep_url, root_pem=scep_lab.root_pem_path)
        driver = leaving.enter_context(client(tmp_path, endpoint))
        assert_usable(driver.renew(driver.obtain("renews", scep_lab.new_challenge())))


def test_readme_names_every_field_that_stops_a_client() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    named = {field for fields in STOPPED_BY.values() for part in fields for field in part}
    assert {field for field in named if f"`{field}`" not in readme} == set()


# -- rows of NDES's failures that these clients can bring about ------------------------


@pytest.mark.parametrize("client", [ScepClient, Certmonger, NdesLabEnroll], ids=lambda one: one.name)
@pytest.mark.parametrize("situation", ["unknown", "used"])
def test_challenge_that_is_not_accepted_is_bad_message_check_and_event_29(
    client: type[ForeignClient], situation: str, tmp_path: Path
) -> None:
    with ExitStack() as leaving:
        scep_lab = leaving.enter_context(_lab("ndes-2012r2", ()))
        endpoint = Endpoint(scep_url=scep_lab.scep_url, root_pem=scep_lab.root_pem_path)
        driver = leaving.enter_context(client(tmp_path, endpoint))
        challenge = "0123456789ABCDEF"
        if situation == "used":
            challenge = scep_lab.new_challenge()
            driver.obtain("first", challenge)
        with pytest.raises(EnrolmentRefused):
            driver.obtain("second", challenge)
        events = scep_lab.world.ndes_logs.events.events()
        assert {event.id for event in events if event.id != 1} == {29}


@pytest.mark.parametrize("client", [ScepClient, Certmonger, NdesLabEnroll], ids=lambda one: one.name)
def test_denial_by_the_ca_is_event_31(client: type[ForeignClient], tmp_path: Path) -> None:
    templates = dict.fromkeys(("signature", "encryption", "general_purpose"), "Nowhere")
    with ExitStack() as leaving:
        scep_lab = leaving.enter_context(
            ScepLab({"scep": {"profile": "ndes-2012r2", "endpoints": {"default": {"templates": templates}}}})
        )
        endpoint = Endpoint(scep_url=scep_lab.scep_url, root_pem=scep_lab.root_pem_path)
        driver = leaving.enter_context(client(tmp_path, endpoint))
        with pytest.raises(EnrolmentRefused):
            driver.obtain("denied", scep_lab.new_challenge())
        found = [event for event in scep_lab.world.ndes_logs.events.events() if event.id != 1]
        assert found[-1].id == 31
        assert found[-1].error_message == "0x80004005"


def test_strongswan_sends_a_utf8_challenge_and_gets_the_captured_failure(tmp_path: Path) -> None:
    with ExitStack() as leaving:
        scep_lab = leaving.enter_context(_lab("ndes-2012r2", ("capabilities",)))
        endpoint = Endpoint(scep_url=scep_lab.scep_url, root_pem=scep_lab.root_pem_path)
        driver = leaving.enter_context(StrongSwanPki(tmp_path, endpoint))
        with pytest.raises(EnrolmentRefused) as refusal:
            driver.obtain("utf8", scep_lab.new_challenge())
        assert "failInfo:     badRequest" in str(refusal.value)
