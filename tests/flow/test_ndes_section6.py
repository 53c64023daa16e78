"""How NDES fails, and what it does else: every situation of `ndes_rows` under both profiles."""

from __future__ import annotations

import base64
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta

import pytest
from flow.ndes_rows import (
    E_INVALIDARG,
    MEDIA_TYPE,
    ROWS,
    Row,
    at,
    decimal_of,
    enrol,
    message_of,
    opened,
    read,
    stand_of,
)
from flow.ndes_stand import ADMIN, PASSWORD, STRANGER, NdesStand
from forge import wire
from forge.bench import Bench, Log
from forge.certificates import key_usage, read_certificate
from forge.keys import KeyPool
from forge.message import RENEWAL_REQ

from lab.client import (
    CaTrust,
    HttpTransport,
    Issued,
    Order,
    Pending,
    Refused,
    ScepClient,
    generate_key,
    parse_subject,
)

PROFILES = ("ndes-2012r2", "ndes-2019")


# Rows that are no PKI message: the tests below have them.
PAGES = {
    "ra-certificate-expired": "test_expired_ra_certificate_is_500_on_both_urls_with_events_2_and_10",
    "policy-module-says-no": "test_policy_module_that_says_no_is_a_failure",
    "user-without-enroll": "test_user_without_enroll_gets_the_page_and_event_6",
    "sixth-password": "test_sixth_password_gets_the_page_of_the_full_cache_and_no_event",
}


@pytest.fixture(scope="module", params=PROFILES)
def bench(request: pytest.FixtureRequest, key_pool: KeyPool, log: Log) -> Iterator[Bench]:
    stand = NdesStand(request.param)
    yield Bench(stand, key_pool, log)  # type: ignore[arg-type]
    stand.close()


@pytest.fixture(autouse=True)
def _on_time(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each row begins at the same time; rows that let time pass do not age the others."""
    yield
    if "bench" in request.fixturenames:
        stand_of(request.getfixturevalue("bench")).clock.begin_again()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_situation_looks_as_the_table_says(row: Row, bench: Bench) -> None:
    stand = stand_of(bench)
    before = stand.last_event()
    response = row.send(bench)

    assert response.status == row.seen.http, response.body[:200]
    if row.seen.status is None:
        assert response.header("Content-Type") != MEDIA_TYPE
    else:
        reply = read(response)
        assert (reply.status, reply.fail_info) == (row.seen.status, row.seen.fail_info)
        assert decimal_of(reply) == row.seen.hresult
        assert message_of(reply) == row.seen.message
    events = [(event.id, event.error_code, event.error_message) for event in stand.events_since(before)]
    assert events == ([] if row.seen.event is None else [row.seen.event])


def test_event_31_of_a_denial_reads_as_in_the_knowledge_base(bench: Bench) -> None:
    before = stand_of(bench).last_event()
    at("withdrawn")(bench)
    (event,) = stand_of(bench).events_since(before)
    assert event.text == (
        "The Network Device Enrollment Service cannot submit the certificate request (The requested "
        "certificate template is not supported by this CA.).  0x80004005"
    )


def test_a_pending_request_is_polled_to_its_certificate(bench: Bench) -> None:
    request = bench.request(endpoint="manual")
    assert read(request.send(bench)).status == "3"
    assert read(bench.poll(request).send(bench)).status == "3"
    newest = stand_of(bench).scep_lab.desk.requests()[-1]
    stand_of(bench).scep_lab.desk.approve(newest.id)
    assert read(bench.poll(request).send(bench)).status == "0"


def test_a_denial_leaves_the_challenge_usable(bench: Bench) -> None:
    challenge = bench.new_challenge()
    assert read(bench.request(challenge=challenge, endpoint="withdrawn").send(bench)).status == "2"
    assert read(bench.request(challenge=challenge).send(bench)).status == "0"


def test_renews_as_windows_does_with_same_subject_and_no_challenge(bench: Bench) -> None:
    old = enrol(bench)
    request = bench.renewal(old, message_type=19)
    reply = read(request.send(bench))
    assert reply.status == "0"
    (renewed,) = opened(reply, request, bench)
    assert read_certificate(renewed).subject == read_certificate(old.certificate).subject
    assert read_certificate(renewed).serial != read_certificate(old.certificate).serial


def test_renewal_req_renews_where_the_endpoint_says_so(bench: Bench) -> None:
    old = enrol(bench)
    request = bench.renewal(old, message_type=RENEWAL_REQ, endpoint="renewal-req")
    assert read(request.send(bench)).status == "0"


def test_a_good_challenge_makes_an_initial_request_whoever_signs(bench: Bench) -> None:
    old = enrol(bench)
    subject = bench.subject()
    request = bench.renewal(old, message_type=19, csr={"subject": subject}, challenge=bench.new_challenge())
    reply = read(request.send(bench))
    assert reply.status == "0"
    (issued,) = opened(reply, request, bench)
    assert read_certificate(issued).subject == subject


@pytest.mark.parametrize("message_type", [21, 22])
def test_get_cert_and_get_crl_are_bad_requests(bench: Bench, message_type: int) -> None:
    old = enrol(bench)
    ask = bench.get_cert if message_type == 21 else bench.get_crl
    reply = read(ask(old.certificate, old).send(bench))
    assert (reply.status, reply.fail_info, decimal_of(reply)) == ("2", 2, -2147024809)


@pytest.mark.parametrize(
    ("bits", "template"),
    [
        ((0,), "SCEP-Client-Auth"),
        ((2,), None),
        ((0, 2), "IPSECIntermediateOffline"),
        ((), "IPSECIntermediateOffline"),
    ],
    ids=["signature", "encryption", "both", "none"],
)
def test_template_follows_the_requested_key_usage(
    bench: Bench, bits: tuple[int, ...], template: str | None
) -> None:
    csr = {"extensions": [key_usage(*bits)]} if bits else {}
    request = bench.request(endpoint="by-usage", csr=csr)
    reply = read(request.send(bench))
    if template is None:
        assert decimal_of(reply) == -2146875392
        return
    assert reply.status == "0"
    assert stand_of(bench).scep_lab.certificates()[-1].template == template


def test_get_next_ca_certificate_is_an_unknown_operation(bench: Bench) -> None:
    found = wire.get(bench.url(), "operation=GetNextCACert")
    unknown = wire.get(bench.url(), "operation=GetCAChain")
    assert (found.status, found.body) == (unknown.status, unknown.body)


# -- the same with the lab's own strict client -----------------------------------------


OUR_CLIENT: dict[str, tuple[str, str | None, str, int, int]] = {
    # endpoint, challenge (None: a good one), key, failInfo, HRESULT
    "challenge-unknown": ("default", "0123456789ABCDEF", "rsa-2048", 1, 0x80070490),
    "challenge-missing": ("default", "", "rsa-2048", 1, 0x80096004),
    "short-key": ("default", None, "rsa-1024", 2, 0x80094811),
    "unpublished-template": ("withdrawn", None, "rsa-2048", 2, 0x80094800),
    "no-enroll-right": ("forbidden", None, "rsa-2048", 2, 0x80094012),
}


def _client(bench: Bench, endpoint: str = "default") -> ScepClient:
    root = stand_of(bench).scep_lab.root_sha256
    return ScepClient(
        HttpTransport(url=bench.url(endpoint)),
        CaTrust(fingerprints=(root,)),
        clock=stand_of(bench).clock,
        entropy=os.urandom,
        sleep=lambda _: None,
    )


@pytest.mark.parametrize("situation", OUR_CLIENT)
def test_our_client_reads_fail_info_and_hresult(bench: Bench, situation: str) -> None:
    endpoint, challenge, key_type, fail_info, hresult = OUR_CLIENT[situation]
    password = bench.new_challenge() if challenge is None else challenge
    order = Order(
        key=generate_key(key_type),
        subject_der=parse_subject(f"CN={situation}.lab.example"),
        challenge_password=password or None,
    )
    refused = _client(bench, endpoint).enrol(order)
    assert isinstance(refused, Refused)
    assert refused.fail_info.value == fail_info
    assert refused.hresult is not None
    assert refused.hresult.code == hresult


def test_our_client_gets_a_certificate_and_waits_where_it_has_to(bench: Bench) -> None:
    for endpoint, kind in (("default", Issued), ("manual", Pending)):
        order = Order(
            key=generate_key("rsa-2048"),
            subject_der=parse_subject(f"CN=ours-{endpoint}.lab.example"),
            challenge_password=bench.new_challenge(),
        )
        assert isinstance(_client(bench, endpoint).enrol(order), kind)


# -- rows about the service and its pages ----------------------------------------------


@pytest.fixture(params=PROFILES)
def fresh(request: pytest.FixtureRequest) -> Iterator[NdesStand]:
    stand = NdesStand(request.param)
    yield stand
    stand.close()


def test_expired_ra_certificate_is_500_on_both_urls_with_events_2_and_10(fresh: NdesStand) -> None:
    assert _status(fresh.scep_lab.mscep_url) == 200  # loaded, and goes on when the certificate ends
    fresh.advance(timedelta(days=3 * 365))
    assert _status(f"{fresh.scep_lab.mscep_url}?operation=GetCACaps") == 200
    fresh.world.recycle()
    before = fresh.last_event()
    for url in (fresh.scep_lab.mscep_url, fresh.scep_lab.mscep_admin_url):
        assert _status(url, user=ADMIN) == 500
        events = fresh.events_since(before)
        assert [(event.id, event.error_code) for event in events] == [(2, E_INVALIDARG), (10, E_INVALIDARG)]
        assert events[0].text.endswith("cannot be started (0x80070057).  The parameter is incorrect.")
        before = fresh.last_event()


def test_user_without_enroll_gets_the_page_and_event_6(fresh: NdesStand) -> None:
    before = fresh.last_event()
    status, page = _page(fresh.scep_lab.mscep_admin_url, user=STRANGER)
    assert status == 200
    assert "You do not have sufficient permission to enroll with SCEP." in page
    assert [event.id for event in fresh.events_since(before)] == [6]


def test_sixth_password_gets_the_page_of_the_full_cache_and_no_event(fresh: NdesStand) -> None:
    before = fresh.last_event()
    for _ in range(5):
        assert "The enrollment challenge password is" in _page(fresh.scep_lab.mscep_admin_url, user=ADMIN)[1]
    status, page = _page(fresh.scep_lab.mscep_admin_url, user=ADMIN)
    assert status == 200
    assert "The password cache is full." in page
    assert fresh.events_since(before) == []


@pytest.mark.parametrize("profile", PROFILES)
def test_policy_module_that_says_no_is_a_failure(profile: str, key_pool: KeyPool, log: Log) -> None:
    stand = NdesStand(profile, ndes={"policy_module": "subject-bound"})
    try:
        bench = Bench(stand, key_pool, log)  # type: ignore[arg-type]
        reply = read(bench.request(challenge="0123456789ABCDEF").send(bench))
        assert (reply.status, reply.fail_info) == ("2", 1)
        told = [line.item.text for line in stand.world.ndes_logs.trace.lines()]
        assert "Verify challenge returns false" in told
    finally:
        stand.close()


def test_every_row_outside_the_table_has_its_test() -> None:
    assert all(callable(globals()[name]) for name in PAGES.values())
    assert len({row.id for row in ROWS}) == len(ROWS)


def _status(url: str, *, user: str | None = None) -> int:
    return _page(url, user=user)[0]


def _page(url: str, *, user: str | None = None) -> tuple[int, str]:
    headers = {}
    if user is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as response:
            return response.status, response.read().decode("utf-16-le", "replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""
