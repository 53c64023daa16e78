"""One clock for the whole lab: CA, CRLs, OCSP, challenges and RA go by it, and so does HTTP.

It is moved for everybody, or for one request by the header field ``X-Ndes-Lab-Time``; of that nothing stays
behind.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from faults import published
from faults.stand import Sent, Side
from flow.stand import HandClock
from forge import openssl, wire
from forge.keys import KeyPool

from ca.records import CrlKind
from lab import ScepLab
from lab.trust import TrustAnchors, X509Certificate, build_chain
from lab.trust.status import TrustError

TIME = "X-Ndes-Lab-Time"
HALF_A_MINUTE = timedelta(seconds=30)  # the clock stands still; seconds are cut off
MakeLab = Callable[..., ScepLab]


@pytest.fixture
def make_lab() -> Iterator[MakeLab]:
    made: list[ScepLab] = []

    def make(**settings: Any) -> ScepLab:
        made.append(ScepLab(settings, clock=HandClock()).start())
        return made[-1]

    yield make
    for scep_lab in made:
        scep_lab.stop()


@pytest.fixture
def scep_lab(make_lab: MakeLab) -> ScepLab:
    return make_lab()


@pytest.fixture
def side(scep_lab: ScepLab, key_pool: KeyPool) -> Side:
    return _side(scep_lab, key_pool)


def _side(scep_lab: ScepLab, keys: KeyPool, at: str | None = None) -> Side:
    return Side(scep_lab, scep_lab.scep_url, scep_lab.pki_url, keys, {} if at is None else {TIME: at})


def _date(text: str) -> datetime:
    return datetime.strptime(text.strip(), "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)


def _begins(sent: Sent) -> datetime:
    found = re.search(r"Not Before: (.*)", sent.issued_text())
    assert found is not None
    return _date(found[1])


def _signed_at(sent: Sent) -> datetime:
    found = re.search(r"signingTime.*\n\s+set:\n\s+UTCTIME:(.*)", sent.printed())
    assert found is not None
    return _date(found[1])


def _fail_info(sent: Sent) -> str | None:
    found = re.search(r"2\.16\.840\.1\.113733\.1\.9\.4\)\s+set:\s+\w+:(\d)", sent.printed())
    return None if found is None else found[1]


def _ocsp_instant(side: Side, which: str, fields: dict[str, str] | None = None) -> datetime:
    request = published.ocsp_request(side)
    answer = wire.post(f"{side.pki}/ocsp", request, "", fields={**published.OCSP_FIELDS, **(fields or {})})
    assert answer.status == 200
    text = openssl.run("ocsp", "-respin", "/dev/stdin", "-noverify", "-resp_text", stdin=answer.body).decode()
    found = re.search(rf"{which}: (.*)", text)
    assert found is not None, text
    return _date(found[1])


def _move_and_publish(scep_lab: ScepLab, shift: str) -> None:
    """Move the clock, and wait until what became due is published."""
    done = threading.Event()
    scep_lab.world.on_publication(lambda _: done.set())
    scep_lab.clock.shift(shift)
    assert done.wait(30)


# -- for everybody -----------------------------------------------------------------------


def test_ca_and_ra_issue_and_sign_at_the_labs_time(scep_lab: ScepLab, side: Side) -> None:
    scep_lab.clock.shift("+30d")
    sent = side.enrol()
    assert abs(_signed_at(sent) - scep_lab.clock.now()) < HALF_A_MINUTE
    assert abs(_begins(sent) + timedelta(minutes=10) - scep_lab.clock.now()) < HALF_A_MINUTE


def test_leaf_has_expired_after_four_hundred_days(scep_lab: ScepLab, side: Side) -> None:
    leaf = X509Certificate.read(openssl.run("x509", "-outform", "DER", stdin=side.enrol().issued_pem()))
    root, issuing = (
        X509Certificate.read(one.der) for one in (scep_lab.world.root, scep_lab.world.authority.certificate)
    )
    anchors = TrustAnchors.of([root], origin="the lab")
    scep_lab.clock.shift("+400d")
    context = build_chain(leaf, anchors=anchors, at=scep_lab.clock.now(), intermediates=[issuing])
    assert context.status.error == TrustError.IS_NOT_TIME_VALID


def test_crl_is_published_again_when_the_clock_passes_its_time(scep_lab: ScepLab, side: Side) -> None:
    before = published.crl(side).body
    _move_and_publish(scep_lab, "+400d")
    after = published.crl(side).body
    ends = published.instant(before, "nextupdate")
    begins, ends_now = (published.instant(after, which) for which in ("lastupdate", "nextupdate"))
    assert ends is not None
    assert begins is not None
    assert ends_now is not None
    assert ends < scep_lab.clock.now()
    assert begins < scep_lab.clock.now() < ends_now


def test_ocsp_answers_speak_of_the_labs_time(scep_lab: ScepLab, side: Side) -> None:
    before = _ocsp_instant(side, "This Update")
    scep_lab.clock.shift("+400d")
    assert _ocsp_instant(side, "This Update") == before + timedelta(days=400)
    assert _ocsp_instant(side, "Produced At") == scep_lab.clock.now().replace(microsecond=0)


def test_ocsp_responder_has_a_certificate_that_is_valid_at_the_labs_time(
    scep_lab: ScepLab, side: Side
) -> None:
    assert _ocsp_instant(side, "Not Before") < scep_lab.clock.now()
    scep_lab.clock.shift("+400d")
    assert _ocsp_instant(side, "Not Before") < scep_lab.clock.now() < _ocsp_instant(side, "Not After ")
    scep_lab.clock.shift("-400d")
    assert _ocsp_instant(side, "Not Before") < scep_lab.clock.now() < _ocsp_instant(side, "Not After ")


def test_challenge_runs_out_by_the_labs_time(scep_lab: ScepLab, side: Side) -> None:
    challenge = scep_lab.new_challenge(validity_minutes=60)
    scep_lab.clock.shift("+61m")
    assert _fail_info(side.enrol(challenge=challenge)) == "2"
    scep_lab.clock.shift("-2m")
    assert _fail_info(side.enrol(challenge=challenge)) is None


def test_health_goes_by_the_labs_time(scep_lab: ScepLab) -> None:
    assert scep_lab.health().checked_at < scep_lab.clock.now() + HALF_A_MINUTE
    scep_lab.clock.shift("+400d")
    assert abs(scep_lab.health().checked_at - scep_lab.clock.now()) < HALF_A_MINUTE


def test_http_date_and_expires_go_by_the_labs_time(scep_lab: ScepLab, side: Side) -> None:
    scep_lab.clock.shift("+400d")
    caps = wire.get(side.url, "operation=GetCACaps")
    assert abs(parsedate_to_datetime(caps.header("Date") or "") - scep_lab.clock.now()) < HALF_A_MINUTE
    ocsp = wire.post(f"{side.pki}/ocsp", _without_nonce(side), "", fields=published.OCSP_FIELDS)
    date, expires = (parsedate_to_datetime(ocsp.header(name) or "") for name in ("Date", "Expires"))
    assert timedelta(0) < expires - date <= timedelta(hours=1)


def _without_nonce(side: Side) -> bytes:
    """Return an OCSP request that answers are kept for: openssl's without its extensions."""
    return published.ocsp_request(side, "-no_nonce")


def test_no_file_is_of_the_future(scep_lab: ScepLab, side: Side) -> None:
    scep_lab.clock.shift("-400d")
    found = published.crl(side)
    modified, date = (parsedate_to_datetime(found.header(name) or "") for name in ("Last-Modified", "Date"))
    assert modified <= date


def test_journal_says_when_it_was_by_the_labs_clock(scep_lab: ScepLab, side: Side) -> None:
    scep_lab.clock.shift("+400d")
    side.enrol()
    recorded = scep_lab.journal[-1]
    assert abs(recorded.received_at - scep_lab.clock.now()) < HALF_A_MINUTE
    assert recorded.clock_offset == timedelta(days=400)


# -- the RA's certificates end -------------------------------------------------------------


@pytest.mark.parametrize("profile", ["modern", "ndes-2019"])
def test_expired_ra_stops_the_service_at_its_next_start(
    make_lab: MakeLab, key_pool: KeyPool, profile: str
) -> None:
    scep_lab = make_lab(scep={"profile": profile})
    side = _side(scep_lab, key_pool)
    assert _fail_info(side.enrol()) is None
    _move_and_publish(scep_lab, "+800d")
    assert side.get("GetCACaps").status == 200
    scep_lab.world.service.recycle()
    assert side.get("GetCACaps").status == 500
    scep_lab.clock.reset()
    assert _fail_info(side.enrol()) is None


def test_expired_ra_stops_the_service_at_once_where_the_profile_says_so(
    make_lab: MakeLab, key_pool: KeyPool
) -> None:
    scep_lab = make_lab(scep={"endpoints": {"default": {"profile_fields": {"expired_ra_stops": True}}}})
    side = _side(scep_lab, key_pool)
    assert _fail_info(side.enrol()) is None
    assert _side(scep_lab, key_pool, "+800d").enrol().response.status == 500
    _move_and_publish(scep_lab, "+800d")
    assert side.enrol().response.status == 500
    scep_lab.clock.reset()
    assert _fail_info(side.enrol()) is None


# -- backwards -----------------------------------------------------------------------------


def test_challenge_of_tomorrow_is_good_today(scep_lab: ScepLab, side: Side) -> None:
    scep_lab.clock.shift("+5d")
    challenge = scep_lab.new_challenge()
    scep_lab.clock.shift("-1d")
    assert _fail_info(side.enrol(challenge=challenge)) is None


def test_time_before_the_lab_was_made_stops_it_and_does_no_harm(scep_lab: ScepLab, side: Side) -> None:
    published_before = published.crl(side).body
    scep_lab.clock.shift("-1d")
    assert _fail_info(side.enrol()) == "2", "the CA's certificate is not valid yet"
    assert published.crl(side).status == 200
    assert wire.post(
        f"{side.pki}/ocsp", published.ocsp_request(side), "", fields=published.OCSP_FIELDS
    ).status in (200, 503)
    scep_lab.look_at_the_clock()
    scep_lab.clock.reset()
    assert _fail_info(side.enrol()) is None
    assert published.crl(side).body == published_before


def test_crl_numbers_only_grow(scep_lab: ScepLab) -> None:
    def number() -> int:
        latest = scep_lab.world.latest_crl(CrlKind.BASE)
        assert latest is not None
        return latest.number

    seen = [number()]
    for shift in ("+10d", "-5d", "+1d"):
        scep_lab.clock.shift(shift)
        scep_lab.publish_crls()
        seen.append(number())
    assert seen == sorted(set(seen))


def test_crl_of_the_future_is_replaced_when_the_clock_goes_back(scep_lab: ScepLab, side: Side) -> None:
    side.enrol(name="goner")
    (goner,) = scep_lab.certificates(subject="goner")
    scep_lab.revoke(goner)
    _move_and_publish(scep_lab, "+400d")
    later = published.crl(side).body
    _move_and_publish(scep_lab, "-400d")
    octets = published.crl(side).body
    assert octets != later
    begins = published.instant(octets, "lastupdate")
    assert begins is not None
    assert begins < scep_lab.clock.now()
    assert f"Serial Number: {goner.serial_number.upper()}" in published.crl_text(octets)


def test_revocation_after_going_back_is_published(scep_lab: ScepLab, side: Side) -> None:
    scep_lab.clock.shift("+10d")
    scep_lab.publish_crls()
    side.enrol(name="goner")
    scep_lab.clock.shift("-5d")
    (goner,) = scep_lab.certificates(subject="goner")
    scep_lab.revoke(goner)
    assert f"Serial Number: {goner.serial_number.upper()}" in published.crl_text(published.crl(side).body)


# -- for one request -----------------------------------------------------------------------


def test_one_request_is_answered_at_its_own_time(scep_lab: ScepLab, side: Side, key_pool: KeyPool) -> None:
    later = _side(scep_lab, key_pool, "+30d").enrol(
        challenge=scep_lab.new_challenge(static=True, password="p" * 8, validity_minutes=None)
    )
    assert abs(_signed_at(later) - scep_lab.clock.now() - timedelta(days=30)) < HALF_A_MINUTE
    assert abs(_begins(later) + timedelta(minutes=10) - _signed_at(later)) < HALF_A_MINUTE
    assert abs(_signed_at(side.enrol()) - scep_lab.clock.now()) < HALF_A_MINUTE
    assert scep_lab.clock.offset == timedelta(0)


def test_one_request_may_name_an_instant(scep_lab: ScepLab, side: Side) -> None:
    found = wire.get(side.url, "operation=GetCACaps", fields={TIME: "2027-03-01T12:00:00Z"})
    assert parsedate_to_datetime(found.header("Date") or "") == datetime(2027, 3, 1, 12, tzinfo=UTC)


def test_one_request_finds_its_challenge_run_out(scep_lab: ScepLab, side: Side, key_pool: KeyPool) -> None:
    challenge = scep_lab.new_challenge(validity_minutes=60)
    assert _fail_info(_side(scep_lab, key_pool, "+61m").enrol(challenge=challenge)) == "2"
    assert _fail_info(side.enrol(challenge=challenge)) is None


@pytest.mark.parametrize("text", ["soon", "+4x", "+9000y", "-100y"])
def test_a_time_that_is_none_is_refused_in_plain_words(side: Side, text: str) -> None:
    found = wire.get(side.url, "operation=GetCACaps", fields={TIME: text})
    assert found.status == 400
    assert TIME.encode() in found.body
    assert b"expected" in found.body


def test_ocsp_answer_of_another_time_is_given_to_nobody_else(scep_lab: ScepLab, side: Side) -> None:
    def answer(fields: dict[str, str] | None = None) -> bytes:
        every = {**published.OCSP_FIELDS, **(fields or {})}
        return wire.post(f"{side.pki}/ocsp", _without_nonce(side), "", fields=every).body

    before = answer()
    assert answer() == before, "answers are reused"
    shifted = answer({TIME: "+2h"})
    assert shifted != before
    for fields in (None, {TIME: "+1h"}, None):
        assert answer(fields) != shifted
    assert _ocsp_instant(side, "Produced At") == scep_lab.clock.now().replace(microsecond=0)


def test_ocsp_responder_certificate_of_another_time_is_used_for_nobody_else(
    scep_lab: ScepLab, side: Side
) -> None:
    now = scep_lab.clock.now()
    _ocsp_instant(side, "Not Before")
    there = now + timedelta(days=400)
    assert _ocsp_instant(side, "Not Before", {TIME: "+400d"}) < there
    assert there < _ocsp_instant(side, "Not After ", {TIME: "+400d"})
    assert _ocsp_instant(side, "Not Before") < now < _ocsp_instant(side, "Not After ")


def test_published_files_stay_as_they_are(scep_lab: ScepLab, side: Side, key_pool: KeyPool) -> None:
    before = published.crl(side).body, published.delta_crl(side).body
    path = published.path(scep_lab.world.authority.locations.crl_file)
    assert wire.get(f"{side.pki}{path}", fields={TIME: "+400d"}).body == before[0]
    _side(scep_lab, key_pool, "+400d").enrol()
    assert (published.crl(side).body, published.delta_crl(side).body) == before


@pytest.mark.parametrize("profile", ["modern", "ndes-2019"])
def test_service_that_one_request_loads_is_there_for_all(
    make_lab: MakeLab, key_pool: KeyPool, profile: str
) -> None:
    scep_lab = make_lab(scep={"profile": profile})
    scep_lab.world.service.recycle()
    first = wire.get(scep_lab.scep_url, "operation=GetCACaps", fields={TIME: "+3000d"})
    assert first.status == 200
    side = _side(scep_lab, key_pool)
    assert side.get("GetCACaps").status == 200
    assert _fail_info(side.enrol()) is None
