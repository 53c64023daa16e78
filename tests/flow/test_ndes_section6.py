"""How NDES fails: every situation of the reference's table, over HTTP, under both NDES profiles.

A row says what the client sees (CertRep or HTTP status), failInfo, HRESULT and event. Requests come
from the forge and replies are read by its cursor, not by the product's codec. Where the reference calls
a value unconfirmed the profile's field holds it, and the row shows the field's value.
"""

from __future__ import annotations

import base64
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from flow.ndes_stand import ADMIN, PASSWORD, STRANGER, NdesStand
from forge import asn1, wire
from forge.bench import Bench, Enrolment, Log, PkiRequest
from forge.certificates import common_name, key_usage, read_certificate
from forge.keys import KeyPool
from forge.message import RENEWAL_REQ
from forge.reply import Reply, open_reply, read_reply

PROFILES = ("ndes-2012r2", "ndes-2019")
E_FAIL, E_INVALIDARG = "0x80004005", "0x80070057"
MEDIA_TYPE = "application/x-pki-message"
DENIED = "Denied by Policy Module"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the client and the administrator see.

    ``hresult`` is the signed decimal of 21.33, ``message`` that of 21.38, None where it is not there.
    ``event`` is id, %1 and %2.
    """

    http: int = 200
    status: str | None = "2"
    fail_info: int | None = None
    hresult: int | None = None
    message: str | None = None
    event: tuple[int, str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One situation: ``send`` brings it about and returns the HTTP response."""

    id: str
    send: Callable[[Bench], wire.Response]
    seen: Seen


def _challenge(hresult: int = -2147023728) -> Seen:
    return Seen(fail_info=1, hresult=hresult, event=(29, "", ""))


def _denial(hresult: int, words: str, message: str = DENIED) -> Seen:
    """A denial by the CA: event 31 has the words where the number belongs, and E_FAIL behind them."""
    return Seen(fail_info=2, hresult=hresult, message=message, event=(31, words, E_FAIL))


# -- situations ------------------------------------------------------------------------


def _unknown_challenge(bench: Bench) -> wire.Response:
    return bench.request(challenge="0123456789ABCDEF").send(bench)


def _used_challenge(endpoint: str) -> Callable[[Bench], wire.Response]:
    def send(bench: Bench) -> wire.Response:
        challenge = bench.new_challenge()
        assert _read(bench.request(challenge=challenge).send(bench)).status == "0"
        return bench.request(challenge=challenge, endpoint=endpoint).send(bench)

    return send


def _expired_challenge(bench: Bench) -> wire.Response:
    challenge = bench.new_challenge(validity=timedelta(minutes=60))
    bench.desk.advance(timedelta(minutes=61))
    return bench.request(challenge=challenge).send(bench)


def _utf8_challenge(bench: Bench) -> wire.Response:
    return bench.request(csr={"challenge_tag": asn1.UTF8}).send(bench)


def _short_key(bench: Bench) -> wire.Response:
    return bench.request(key=bench.keys.rsa(1024)).send(bench)


def _long_subject(bench: Bench) -> wire.Response:
    return bench.request(csr={"subject": common_name("x" * 65)}).send(bench)


def _at(endpoint: str, **options: Any) -> Callable[[Bench], wire.Response]:
    return lambda bench: bench.request(endpoint=endpoint, **options).send(bench)


def _ca_down(bench: Bench) -> wire.Response:
    stand = _stand(bench)
    stand.stop_the_ca()
    try:
        return bench.request().send(bench)
    finally:
        stand.start_the_ca()


def _revocation_offline(bench: Bench) -> wire.Response:
    bench.desk.advance(timedelta(days=30))
    challenge = bench.new_challenge()
    return bench.request(challenge=challenge).send(bench)


def _garbage(bench: Bench) -> wire.Response:
    return wire.post(bench.url(), b"\x30\x82\x01\x00 this is no PKCS7 message")


def _bad_base64(bench: Bench) -> wire.Response:
    return wire.get(bench.url(), "operation=PKIOperation&message=%%%%")


def _wrong_recipient(bench: Bench) -> wire.Response:
    recipient = bench.recipient(certificate=bench.signing_certificate)
    return bench.request(envelope={"recipients": [recipient]}).send(bench)


def _unknown_digest(bench: Bench) -> wire.Response:
    request = bench.request()
    assert request.forged is not None
    sha3 = "2.16.840.1.101.3.4.2.8"
    octets = request.message.replace(asn1.oid("2.16.840.1.101.3.4.2.1"), asn1.oid(sha3))
    return request.with_message(octets).send(bench)


def _unknown_cipher(bench: Bench) -> wire.Response:
    return bench.request(envelope={"cipher": "unknown"}).send(bench)


def _renewal(change: Callable[[Bench, Enrolment], Any] | None = None, **options: Any) -> Any:
    """A renewal as Windows sends it: PKCSReq signed by the old certificate, no challenge."""

    def send(bench: Bench) -> wire.Response:
        old = _enrol(bench)
        if change is not None:
            change(bench, old)
        return bench.renewal(old, **{"message_type": 19, **options}).send(bench)

    return send


def _foreign_signer(bench: Bench) -> wire.Response:
    """Signed by a certificate of another CA that names itself differently."""
    key = bench.keys.fresh()
    signer = {"issuer": common_name("Another CA"), "issuer_key": bench.keys.other}
    return bench.request(key=key, challenge=None, signer=signer).send(bench)


# -- the table -------------------------------------------------------------------------

ROWS = (
    Row(id="challenge-unknown", send=_unknown_challenge, seen=_challenge()),
    Row(id="challenge-used-is-gone-from-the-cache", send=_used_challenge("default"), seen=_challenge()),
    Row(
        id="challenge-used-other-explanation",
        send=_used_challenge("spent-wrong-usage"),
        seen=_challenge(-2146762480),
    ),
    Row(id="challenge-expired", send=_expired_challenge, seen=_challenge()),
    Row(id="challenge-missing", send=_at("default", challenge=None), seen=_challenge(-2146869244)),
    Row(
        id="challenge-utf8string", send=_utf8_challenge, seen=Seen(fail_info=2, hresult=-2147024809)
    ),  # captured; the event is unknown
    Row(
        id="ca-denies-short-key",
        send=_short_key,
        seen=_denial(
            -2146875375,
            "The public key does not meet the minimum size required by the specified certificate template.",
        ),
    ),
    Row(
        id="ca-denies-unpublished-template",
        send=_at("withdrawn"),
        seen=_denial(
            -2146875392,
            "The requested certificate template is not supported by this CA.",
            "The request was for a certificate template that is not supported by the Active Directory "
            "Certificate Services Policy: Withdrawn",
        ),
    ),
    Row(
        id="ca-denies-unknown-template",
        send=_at("unknown-template"),
        seen=_denial(
            -2146875392,
            "The requested certificate template is not supported by this CA.",
            "The request was for a certificate template that is not supported by the Active Directory "
            "Certificate Services Policy: Nowhere",
        ),
    ),
    Row(
        id="ca-denies-without-enroll-right",
        send=_at("forbidden"),
        seen=_denial(
            -2146877422,
            "The permissions on the certificate template do not allow the current user to enroll for this "
            "type of certificate.",
        ),
    ),
    Row(
        id="ca-denies-subject",
        send=_long_subject,
        seen=_denial(-2146877439, "The request subject name is invalid or too long."),
    ),
    Row(
        id="ca-down",
        send=_ca_down,
        seen=Seen(
            fail_info=2, hresult=-2147023174, event=(31, "0x800706ba", "The RPC server is unavailable.")
        ),
    ),
    Row(
        id="ca-cannot-check-revocation",
        send=_revocation_offline,
        seen=_denial(
            -2146885613,
            "The revocation function was unable to check revocation because the revocation server was "
            "offline.",
        ),
    ),
    Row(id="pending", send=_at("manual"), seen=Seen(status="3", message="Taken Under Submission")),
    Row(
        id="unparseable-message",
        send=_garbage,
        seen=Seen(http=500, status=None, event=(17, "0x8009310b", "ASN1 bad tag value met.")),
    ),
    Row(
        id="undecodable-base64",
        send=_bad_base64,
        seen=Seen(http=500, status=None, event=(16, E_INVALIDARG, "The parameter is incorrect.")),
    ),
    Row(
        id="wrong-recipient",
        send=_wrong_recipient,
        seen=Seen(http=500, status=None, event=(18, "0x80090005", "Bad Data.")),
    ),
    Row(
        id="unsupported-digest",
        send=_unknown_digest,
        seen=Seen(http=500, status=None, event=(17, "0x80090008", "Invalid algorithm specified.")),
    ),
    Row(
        id="unsupported-cipher",
        send=_unknown_cipher,
        seen=Seen(http=500, status=None, event=(18, "0x80090008", "Invalid algorithm specified.")),
    ),
    Row(
        id="renewal-other-subject",
        send=_renewal(csr={"subject": common_name("somebody else")}),
        seen=Seen(
            fail_info=2,
            hresult=-2146877439,
            event=(28, "0x80094001", "The request subject name is invalid or too long."),
        ),
    ),
    Row(
        id="renewal-the-ca-does-not-do",  # as on a standalone CA of 2019
        send=_renewal(endpoint="no-renewal"),
        seen=Seen(fail_info=2, hresult=-2147024891, event=(28, "0x80070005", "Access is denied.")),
    ),
    Row(
        id="renewal-with-expired-certificate",
        send=_renewal(lambda bench, _: bench.desk.advance(timedelta(days=400))),
        seen=Seen(
            fail_info=1,
            hresult=-2146762495,
            event=(
                28,
                "0x800b0101",
                "A required certificate is not within its validity period when verifying against the current "
                "system clock or the timestamp in the signed file.",
            ),
        ),
    ),
    Row(
        id="renewal-with-revoked-certificate",
        send=_renewal(lambda bench, old: bench.desk.revoke(old.certificate)),
        seen=Seen(fail_info=1, hresult=-2146885616, event=(28, "0x80092010", "The certificate is revoked.")),
    ),
    Row(
        id="renewal-with-foreign-certificate",
        send=_foreign_signer,
        seen=Seen(
            fail_info=1,
            hresult=-2146762487,
            event=(
                28,
                "0x800b0109",
                "A certificate chain processed, but terminated in a root certificate which is not trusted by "
                "the trust provider.",
            ),
        ),
    ),
    Row(
        id="renewal-by-message-type-17",
        send=_renewal(message_type=RENEWAL_REQ),
        seen=Seen(fail_info=2, hresult=-2147024809, event=(28, E_INVALIDARG, "The parameter is incorrect.")),
    ),
)

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
        _stand(request.getfixturevalue("bench")).clock.begin_again()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_situation_looks_as_the_table_says(row: Row, bench: Bench) -> None:
    stand = _stand(bench)
    before = stand.last_event()
    response = row.send(bench)

    assert response.status == row.seen.http, response.body[:200]
    if row.seen.status is None:
        assert response.header("Content-Type") != MEDIA_TYPE
    else:
        reply = _read(response)
        assert (reply.status, reply.fail_info) == (row.seen.status, row.seen.fail_info)
        assert _decimal(reply) == row.seen.hresult
        assert _message(reply) == row.seen.message
    events = [(event.id, event.error_code, event.error_message) for event in stand.events_since(before)]
    assert events == ([] if row.seen.event is None else [row.seen.event])


def test_event_31_of_a_denial_reads_as_in_the_knowledge_base(bench: Bench) -> None:
    before = _stand(bench).last_event()
    _at("withdrawn")(bench)
    (event,) = _stand(bench).events_since(before)
    assert event.text == (
        "The Network Device Enrollment Service cannot submit the certificate request (The requested "
        "certificate template is not supported by this CA.).  0x80004005"
    )


def test_a_pending_request_is_polled_to_its_certificate(bench: Bench) -> None:
    request = bench.request(endpoint="manual")
    assert _read(request.send(bench)).status == "3"
    assert _read(bench.poll(request).send(bench)).status == "3"
    newest = _stand(bench).scep_lab.desk.requests()[-1]
    _stand(bench).scep_lab.desk.approve(newest.id)
    assert _read(bench.poll(request).send(bench)).status == "0"


def test_a_denial_leaves_the_challenge_usable(bench: Bench) -> None:
    challenge = bench.new_challenge()
    assert _read(bench.request(challenge=challenge, endpoint="withdrawn").send(bench)).status == "2"
    assert _read(bench.request(challenge=challenge).send(bench)).status == "0"


def test_renews_as_windows_does_with_same_subject_and_no_challenge(bench: Bench) -> None:
    old = _enrol(bench)
    request = bench.renewal(old, message_type=19)
    reply = _read(request.send(bench))
    assert reply.status == "0"
    (renewed,) = _open(reply, request, bench)
    assert read_certificate(renewed).subject == read_certificate(old.certificate).subject
    assert read_certificate(renewed).serial != read_certificate(old.certificate).serial


def test_renewal_req_renews_where_the_endpoint_says_so(bench: Bench) -> None:
    old = _enrol(bench)
    request = bench.renewal(old, message_type=RENEWAL_REQ, endpoint="renewal-req")
    assert _read(request.send(bench)).status == "0"


def test_a_good_challenge_makes_an_initial_request_whoever_signs(bench: Bench) -> None:
    old = _enrol(bench)
    subject = bench.subject()
    request = bench.renewal(old, message_type=19, csr={"subject": subject}, challenge=bench.new_challenge())
    reply = _read(request.send(bench))
    assert reply.status == "0"
    (issued,) = _open(reply, request, bench)
    assert read_certificate(issued).subject == subject


@pytest.mark.parametrize("message_type", [21, 22])
def test_get_cert_and_get_crl_are_bad_requests(bench: Bench, message_type: int) -> None:
    old = _enrol(bench)
    ask = bench.get_cert if message_type == 21 else bench.get_crl
    reply = _read(ask(old.certificate, old).send(bench))
    assert (reply.status, reply.fail_info, _decimal(reply)) == ("2", 2, -2147024809)


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
    reply = _read(request.send(bench))
    if template is None:
        assert _decimal(reply) == -2146875392
        return
    assert reply.status == "0"
    assert _stand(bench).scep_lab.certificates()[-1].template == template


def test_get_next_ca_certificate_is_an_unknown_operation(bench: Bench) -> None:
    found = wire.get(bench.url(), "operation=GetNextCACert")
    unknown = wire.get(bench.url(), "operation=GetCAChain")
    assert (found.status, found.body) == (unknown.status, unknown.body)


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
        reply = _read(bench.request(challenge="0123456789ABCDEF").send(bench))
        assert (reply.status, reply.fail_info) == ("2", 1)
        told = [line.item.text for line in stand.world.ndes_logs.trace.lines()]
        assert "Verify challenge returns false" in told
    finally:
        stand.close()


def test_every_row_outside_the_table_has_its_test() -> None:
    assert all(callable(globals()[name]) for name in PAGES.values())
    assert len({row.id for row in ROWS}) == len(ROWS)


# -- reading ---------------------------------------------------------------------------


def _stand(bench: Bench) -> NdesStand:
    assert isinstance(bench.desk, NdesStand)
    return bench.desk


def _read(response: wire.Response) -> Reply:
    assert response.status == 200, response.body[:200]
    assert response.header("Content-Type") == MEDIA_TYPE
    return read_reply(response.body)


def _decimal(reply: Reply) -> int | None:
    return int(reply.hresult) if reply.hresult else None


def _message(reply: Reply) -> str | None:
    found = reply.attributes.get("1.3.6.1.4.1.311.21.38")
    return None if found is None else found.content.decode()


def _enrol(bench: Bench) -> Enrolment:
    request = bench.request()
    reply = _read(request.send(bench))
    assert reply.status == "0", reply
    (certificate,) = _open(reply, request, bench)
    assert request.csr is not None
    return Enrolment(
        request=request,
        certificate=certificate,
        key=request.csr.key,
        subject=request.csr.subject,
        reply=reply,
    )


def _open(reply: Reply, request: PkiRequest, bench: Bench) -> tuple[bytes, ...]:
    """Open the envelope, whose cipher and key transport the profile has chosen."""
    profile = _stand(bench).world.settings.scep.ndes_profile
    oaep = "sha1" if profile.reply_key_transport == "oaep" else None
    cipher = {"des3": "3des"}.get(profile.reply_cipher, profile.reply_cipher)
    sent = request.with_message(request.message, cipher=cipher, oaep=oaep).sent
    return open_reply(reply, sent).certificates


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
