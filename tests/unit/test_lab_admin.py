"""The desk, at it directly and over HTTP: both do the same, and both refuse the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from admin_client import management
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from ca.pkcs10 import parse_request
from ca.records import CertificateStatus, RequestStatus
from lab import ScepLab
from lab.admin import Desk, DeskRefused, DeskUnavailable, Invalid, NotFound
from lab.admin.models import CertificateOrder, CertificateQuery, ChallengeOrder, DenialOrder, RevocationOrder
from lab.admin.remote import RemoteDesk

KEY = rsa.generate_private_key(65537, 2048)
TOKEN = "0123456789abcdef"


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


def waiting_request(scep_lab: ScepLab, name: str = "device") -> int:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    csr = x509.CertificateSigningRequestBuilder(subject).sign(KEY, hashes.SHA256())
    world = scep_lab.world
    with world.store.transaction() as transaction:
        prepared = world.authority.prepare(
            transaction,
            parse_request(csr.public_bytes(serialization.Encoding.DER)),
            template="SCEP-Client-Auth",
            requester="Authenticated Users",
        )
        return world.authority.submit(transaction, prepared).id


def issued(desk: Desk, scep_lab: ScepLab, name: str = "device") -> str:
    return str(desk.approve(waiting_request(scep_lab, name)).id)


def test_a_new_challenge_is_listed_without_its_password(desk: Desk) -> None:
    made = desk.new_challenge(ChallengeOrder(subject="CN=a", template="WebServer", label="for a"))
    (listed,) = desk.challenges()
    assert listed == made.challenge
    assert (listed.status, listed.subject, listed.template, listed.label) == (
        "usable",
        "CN=a",
        "WebServer",
        "for a",
    )
    assert len(made.password) == 32
    assert made.password not in repr(desk.challenges()) + repr(made)


def test_a_given_password_is_taken_once(desk: Desk) -> None:
    order = ChallengeOrder.model_validate({"password": "sesame", "kind": "static", "validity_minutes": None})
    made = desk.new_challenge(order)
    assert (made.password, made.challenge.expires_at) == ("sesame", None)
    with pytest.raises(DeskRefused):
        desk.new_challenge(order)


def test_validity_is_that_of_the_settings_unless_told(desk: Desk) -> None:
    for order, minutes in ((ChallengeOrder(), 60), (ChallengeOrder(validity_minutes=5), 5)):
        made = desk.new_challenge(order).challenge
        assert made.expires_at is not None
        assert (made.expires_at - made.created_at).total_seconds() == minutes * 60


def test_a_revoked_challenge_is_no_longer_usable_and_not_revoked_twice(desk: Desk) -> None:
    made = desk.new_challenge(ChallengeOrder()).challenge
    assert desk.revoke_challenge(made.id).status == "revoked"
    assert not desk.challenges(usable_only=True)
    with pytest.raises(DeskRefused, match="is revoked, expected usable"):
        desk.revoke_challenge(made.id)


@pytest.mark.parametrize(
    ("order", "says"),
    [
        ({"template": "Nope"}, "no template 'Nope'"),
        ({"endpoint": "nope"}, "no endpoint 'nope'; known: default"),
        ({"subject": "no name"}, "subject: "),
    ],
)
def test_refuses_a_challenge_that_could_never_be_used(desk: Desk, order: dict[str, str], says: str) -> None:
    with pytest.raises(Invalid, match=says):
        desk.new_challenge(ChallengeOrder.model_validate(order))
    assert not desk.challenges()


@pytest.mark.parametrize(
    "make",
    [
        lambda text: ChallengeOrder(label=text),
        lambda text: ChallengeOrder(subject=text),
        lambda text: CertificateOrder(csr="", requester=text),
        lambda text: DenialOrder(message=text),
    ],
)
def test_refuses_a_text_that_not_every_database_can_hold(make: Callable[[str], object]) -> None:
    make("a b")
    with pytest.raises(ValidationError, match="character NUL"):
        make("a\0b")


@pytest.mark.parametrize(
    "act",
    [
        lambda desk: desk.revoke_challenge(99),
        lambda desk: desk.certificate("99"),
        lambda desk: desk.certificate("zz"),
        lambda desk: desk.certificate("a/b%2f"),
        lambda desk: desk.revoke_certificate("ab" * 20, RevocationOrder()),
        lambda desk: desk.approve(99),
        lambda desk: desk.deny(99, DenialOrder()),
    ],
)
def test_says_that_there_is_no_such_thing(desk: Desk, act: Callable[[Desk], object]) -> None:
    with pytest.raises(NotFound):
        act(desk)


def test_approval_issues_the_certificate_once(desk: Desk, scep_lab: ScepLab) -> None:
    number = waiting_request(scep_lab)
    assert [one.status for one in desk.requests(RequestStatus.PENDING)] == [RequestStatus.PENDING]
    certificate = desk.approve(number)
    assert x509.load_pem_x509_certificate(certificate.pem.encode()).public_key() == KEY.public_key()
    (resolved,) = desk.requests()
    assert (resolved.status, resolved.certificate_id) == (RequestStatus.ISSUED, certificate.id)
    with pytest.raises(DeskRefused, match="is issued, expected pending"):
        desk.approve(number)
    assert not desk.requests(RequestStatus.PENDING)


def test_denial_is_final_and_says_why(desk: Desk, scep_lab: ScepLab) -> None:
    number = waiting_request(scep_lab)
    denied = desk.deny(number, DenialOrder(message="not ours"))
    assert (denied.status, denied.disposition_message) == (RequestStatus.DENIED, "not ours")
    with pytest.raises(DeskRefused):
        desk.approve(number)


def test_a_certificate_is_found_by_whatever_names_it(desk: Desk, scep_lab: ScepLab) -> None:
    found = desk.certificate(issued(desk, scep_lab))
    parsed = x509.load_pem_x509_certificate(found.pem.encode())
    sha1 = parsed.fingerprint(hashes.SHA1()).hex()
    sha256 = parsed.fingerprint(hashes.SHA256()).hex()
    for selector in (
        f"{parsed.serial_number:x}",
        f"0x{parsed.serial_number:X}",
        sha1,
        sha256.upper(),
        ":".join(sha1[start : start + 2] for start in range(0, 40, 2)),
        " ".join(sha256[start : start + 2] for start in range(0, 64, 2)),
    ):
        assert desk.certificate(selector) == found


def test_certificates_come_in_pages_and_by_filter(desk: Desk, scep_lab: ScepLab) -> None:
    issued(desk, scep_lab, "Alpha")
    first = desk.certificates(CertificateQuery(limit=2))
    assert (len(first.certificates), first.total, first.next_after_id) == (2, 3, 2)
    last = desk.certificates(CertificateQuery(limit=2, after_id=2))
    assert ([one.id for one in last.certificates], last.next_after_id) == ([3], None)
    for query, count in (
        (CertificateQuery(template="SCEP-Client-Auth"), 1),
        (CertificateQuery(subject="aLpHa"), 1),
        (CertificateQuery(status=CertificateStatus.REVOKED), 0),
        (CertificateQuery(status=CertificateStatus.VALID), 3),
        (CertificateQuery(expiring_within_days=400), 1),
        (CertificateQuery(expiring_within_days=1), 0),
    ):
        assert desk.certificates(query).total == count


def test_a_revocation_is_in_the_published_crl_at_once(desk: Desk, scep_lab: ScepLab) -> None:
    certificate = desk.certificate(issued(desk, scep_lab))
    since = datetime(2026, 1, 1, tzinfo=UTC)
    done = desk.revoke_certificate(
        str(certificate.id), RevocationOrder(reason="keyCompromise", invalidity_date=since)
    )
    assert (done.certificate.status, done.certificate.revocation_reason) == (
        CertificateStatus.REVOKED,
        "keyCompromise",
    )
    assert done.crl is not None
    (published,) = [one for one in desk.crls(pem=True) if one.file == done.crl.file]
    assert (published.number, done.crl.pem) == (done.crl.number, None)
    crl = x509.load_pem_x509_crl((published.pem or "").encode())
    entry = crl.get_revoked_certificate_by_serial_number(int(certificate.serial_number, 16))
    assert entry is not None
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value == "keyCompromise"
    assert entry.extensions.get_extension_for_class(x509.InvalidityDate).value.invalidity_date_utc == since
    with pytest.raises(DeskRefused, match="revoked already: keyCompromise"):
        desk.revoke_certificate(str(certificate.id), RevocationOrder())


def test_a_hold_can_be_released(desk: Desk, scep_lab: ScepLab) -> None:
    number = issued(desk, scep_lab)
    held = desk.revoke_certificate(number, RevocationOrder(reason="certificateHold"))
    released = desk.revoke_certificate(number, RevocationOrder(reason="removeFromCRL"))
    assert (held.crl.entries, released.crl.entries) == (1, 0)
    assert released.certificate.status is CertificateStatus.VALID
    assert released.crl.number == held.crl.number + 1


def test_publishing_raises_the_number_of_the_issuing_cas_crl_only(desk: Desk) -> None:
    before = {crl.issuer: crl.number for crl in desk.crls()}
    after = {crl.issuer: crl.number for crl in desk.publish_crls()}
    assert sorted(after[issuer] - before[issuer] for issuer in before) == [0, 1]


# -- HTTP only -------------------------------------------------------------------------


PATHS = ["/version", "/roots/0", "/intermediates/0", "/api/v1/challenges", "/api/v1/crls", "/nothing"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("given", [None, "", "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \xe4"])
def test_a_token_is_wanted_for_everything_but_probes_and_documentation(
    scep_lab: ScepLab, path: str, given: str | None
) -> None:
    headers = {} if given is None else {"Authorization": given}
    reply = management(scep_lab, token=TOKEN).get(path, headers=headers)
    assert reply.status_code == 401
    assert reply.headers["WWW-Authenticate"].startswith("Bearer")
    assert TOKEN not in reply.text


@pytest.mark.parametrize("path", PATHS[:-1])
def test_the_token_opens(scep_lab: ScepLab, path: str) -> None:
    reply = management(scep_lab, token=TOKEN).get(path, headers={"Authorization": f"bearer {TOKEN}"})
    assert reply.status_code == 200


def test_health_is_told_to_probes_without_a_token(scep_lab: ScepLab) -> None:
    assert management(scep_lab, token=TOKEN).get("/health/live").json == {"status": "ok"}
    assert management(scep_lab, token=TOKEN).get("/health/ready").status_code == 200
    unready = management(scep_lab, token=TOKEN, ready="the CRL has run out").get("/health/ready")
    assert (unready.status_code, unready.json) == (503, {"status": "the CRL has run out"})


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8082", "10.0.0.1", "localhost.x"])
def test_without_a_token_no_other_name_reaches_the_listener(scep_lab: ScepLab, host: str) -> None:
    assert management(scep_lab).get("/version", headers={"Host": host}).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1:8082", "localhost", "LOCALHOST:1", "[::1]:8082", "127.9.9.9"])
def test_loopback_names_do(scep_lab: ScepLab, host: str) -> None:
    assert management(scep_lab).get("/version", headers={"Host": host}).status_code == 200


REVOKE = "/api/v1/certificates/1/revoke"
SAME = {"Host": "127.0.0.1:8082", "Origin": "http://127.0.0.1:8082", "Sec-Fetch-Site": "same-origin"}


@pytest.mark.parametrize("path", ["/api/v1/challenges", REVOKE, "/api/v1/crls"])
@pytest.mark.parametrize(
    "page", [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
             {"Origin": "http://127.0.0.1:3000", "Sec-Fetch-Site": "same-site"}]
)  # fmt: skip
def test_no_page_of_another_site_gets_anything_done(
    scep_lab: ScepLab, path: str, page: dict[str, str]
) -> None:
    numbers = [crl.number for crl in scep_lab.desk.crls()]
    reply = management(scep_lab).post(path, headers={"Host": "127.0.0.1:8082", **page})
    assert reply.status_code == 403
    assert scep_lab.desk.challenges() == []
    assert [crl.number for crl in scep_lab.desk.crls()] == numbers
    assert management(scep_lab).post("/api/v1/challenges", headers=SAME).status_code == 201


@pytest.mark.parametrize(
    ("method", "path", "body", "kind", "status"),
    [
        ("POST", "/api/v1/challenges", b"{}", "text/plain", 415),
        ("POST", "/api/v1/challenges", b"label=x", "application/x-www-form-urlencoded", 415),
        ("POST", "/api/v1/challenges", b"{", "application/json", 400),
        ("POST", "/api/v1/challenges", b"[" * 100_000, "application/json", 400),
        ("POST", "/api/v1/challenges", b"[]", "application/json", 400),
        ("POST", "/api/v1/challenges", b'{"colour": 1}', "application/json", 400),
        ("POST", "/api/v1/challenges", b'{"kind": "x"}', "application/json", 400),
        ("POST", "/api/v1/challenges", b'{"label": "' + b"x" * 2_000_000 + b'"}', "application/json", 413),
        ("GET", "/api/v1/challenges?usable=maybe", b"", "", 400),
        ("GET", "/api/v1/certificates?limit=0", b"", "", 400),
        ("GET", "/api/v1/certificates?limit=9999", b"", "", 400),
        ("GET", "/api/v1/certificates?colour=red", b"", "", 400),
        ("GET", "/api/v1/requests?status=lost", b"", "", 400),
        ("POST", "/api/v1/certificates/1/revoke", b'{"reason": "bored"}', "application/json", 400),
        ("POST", REVOKE, b'{"invalidity_date": "2026-01-01T00:00"}', "application/json", 400),
        ("POST", REVOKE, b'{"invalidity_date": "0001-01-01T00:00:00+14:00"}', "application/json", 400),
        ("POST", "/api/v1/challenges", b'{"password": "\\ud800"}', "application/json", 400),
        ("GET", f"/api/v1/certificates?after_id={1 << 64}", b"", "", 400),
        ("DELETE", f"/api/v1/challenges/{1 << 64}", b"", "", 400),
        ("POST", f"/api/v1/requests/{1 << 64}/approve", b"", "", 400),
        ("PUT", "/api/v1/challenges", b"{}", "application/json", 405),
        ("GET", "/api/v1/nothing", b"", "", 404),
    ],
)  # fmt: skip
def test_says_what_is_wrong_with_a_call_and_changes_nothing(
    scep_lab: ScepLab, method: str, path: str, body: bytes, kind: str, status: int
) -> None:
    reply = management(scep_lab).open(path, method=method, data=body, content_type=kind)
    assert reply.status_code == status
    assert reply.json is not None
    assert set(reply.json["error"]) == {"code", "message"}
    assert scep_lab.desk.challenges() == []
    assert not [one for one in scep_lab.certificates() if one.status is CertificateStatus.REVOKED]


def test_an_error_names_ad_cs_s_reason(scep_lab: ScepLab) -> None:
    reply = management(scep_lab).post("/api/v1/requests/9/approve")
    assert reply.json == {"error": {"code": "CERTSRV_E_NO_REQUEST", "message": "there is no request 9"}}


def test_the_management_application_serves_no_scep(scep_lab: ScepLab) -> None:
    assert management(scep_lab).get("/scep?operation=GetCACaps").status_code == 404


# -- a desk that is not there ----------------------------------------------------------


@pytest.mark.parametrize("url", ["", "127.0.0.1:8082", "ftp://127.0.0.1", "http://", "http://x:port"])
def test_refuses_a_url_that_is_none(url: str) -> None:
    with pytest.raises(Invalid):
        RemoteDesk.at(url)


def test_says_what_to_do_when_no_lab_answers() -> None:
    with pytest.raises(DeskUnavailable, match=r"no lab answers at .*start one with `ndes-lab up`"):
        RemoteDesk.at("http://127.0.0.1:1").crls()


def test_says_that_something_else_answers(scep_lab: ScepLab) -> None:
    with pytest.raises(DeskUnavailable, match="is no lab"):
        RemoteDesk.at(scep_lab.pki_url).crls()


def test_says_that_a_token_is_wanted() -> None:
    settings = {"admin": {"token": TOKEN}}
    with ScepLab(settings) as scep_lab:
        with pytest.raises(DeskUnavailable, match="wants a bearer token"):
            RemoteDesk.at(scep_lab.admin_url).crls()
        assert len(RemoteDesk.at(scep_lab.admin_url, TOKEN).crls()) == 3


def test_bodies_are_json_in_both_directions(scep_lab: ScepLab) -> None:
    reply = management(scep_lab).post("/api/v1/challenges", json={"label": "x"})
    assert (reply.status_code, reply.mimetype) == (201, "application/json")
    assert reply.headers["Cache-Control"] == "no-store"
    assert json.loads(reply.data)["challenge"]["label"] == "x"
