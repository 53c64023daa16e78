"""NDES's web side: pages, log on, IIS's refusals, and SCEP behind all of it."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from ndes_world import ADMIN, FLEETS_EXPRESSION, PASSWORD, USER, Browser, NdesWorld, offers, page_text
from scep_world import Client

from ca.templates import Template, TemplateSet
from scep_server.exchange import HttpReply
from scep_server.ndes.profiles import NDES_2012R2, NDES_2019, profile_with

MSCEP_PATHS = [
    "/certsrv/mscep",
    "/certsrv/mscep/",
    "/certsrv/mscep/mscep.dll",
    "/CertSrv/MSCEP/MSCEP.DLL",
    "/certsrv/mscep/mscep.dll/pkiclient.exe",
]
ADMIN_PATHS = [
    path.replace("mscep", "mscep_admin", 1).replace("MSCEP", "MSCEP_ADMIN", 1) for path in MSCEP_PATHS
]
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@pytest.fixture
def world(tmp_path: Path) -> NdesWorld:
    return NdesWorld(tmp_path)


@pytest.mark.parametrize("path", MSCEP_PATHS)
def test_bare_browse_of_mscep_shows_the_information_page(world: NdesWorld, path: str) -> None:
    text = page_text(world.get(path, host="ndes01:8080"))
    assert "This URL is used by network devices to submit certificate requests." in text
    assert 'HREF="http://ndes01:8080/CertSrv/mscep_admin"' in text


def test_information_page_names_the_configured_host_and_directory(tmp_path: Path) -> None:
    world = NdesWorld(tmp_path, computer_name="NDES01", PasswordVDir="Secret/door")
    assert 'HREF="http://NDES01/Secret/door"' in page_text(world.get("/certsrv/mscep/", host="<x>"))


@pytest.mark.parametrize("path", MSCEP_PATHS)
@pytest.mark.parametrize("query", ["", "x=1", "message=abc"])
def test_no_operation_is_a_bare_browse(world: NdesWorld, path: str, query: str) -> None:
    assert "submit certificate requests" in page_text(world.get(path, query))


@pytest.mark.parametrize("path", ADMIN_PATHS)
def test_every_shape_of_the_admin_url_gives_a_new_password_each_time(world: NdesWorld, path: str) -> None:
    browser = Browser(world)
    first, second = (re.findall(FLEETS_EXPRESSION, page_text(browser.get(path)))[0] for _ in range(2))
    assert first != second
    assert re.fullmatch("[0-9A-F]{16}", first)
    assert page_text(browser.get(path)).count("A656FA66 AB12B433 A2DA5CF7 CC153D9A") == 1


def test_password_directory_follows_its_setting(tmp_path: Path) -> None:
    world = NdesWorld(tmp_path, PasswordVDir="Secret/door")
    assert "challenge password is" in page_text(Browser(world).get("/secret/DOOR/"))
    assert world.get("/secret/door").status == 401
    assert world.get(ADMIN).status == 404


def test_other_paths_below_certsrv_are_not_found(world: NdesWorld) -> None:
    for path in ("/certsrv", "/certsrv/", "/certsrv/mscep_adminx", "/certsrv/mscep/../x", "/certsrv/other"):
        assert world.get(path).status == 404, path


def test_anonymous_gets_401_with_negotiate_and_ntlm_in_this_order(world: NdesWorld) -> None:
    reply = world.get(ADMIN)
    assert (reply.status, reply.substatus, reply.win32_status) == (401, 2, 5)
    assert offers(reply) == ["Negotiate", "NTLM"]


def test_basic_is_offered_last_and_only_when_switched_on(tmp_path: Path, world: NdesWorld) -> None:
    assert world.get(ADMIN, authorization=BASIC).status == 401
    world.restart(basic_authentication=True)
    assert offers(world.get(ADMIN)) == ["Negotiate", "NTLM", 'Basic realm="NDES"']
    assert "challenge password is" in page_text(world.get(ADMIN, authorization=BASIC))
    world.restart(basic_authentication=True, windows_authentication=False)
    assert offers(world.get(ADMIN)) == ['Basic realm="NDES"']
    assert Browser(world).get().status == 401


@pytest.mark.parametrize("scheme", ["NTLM", "Negotiate"])
@pytest.mark.parametrize("name", [USER, f"CORP\\{USER.upper()}", f"{USER}@corp.example"])
def test_windows_authentication_logs_on_with_any_domain(world: NdesWorld, scheme: str, name: str) -> None:
    reply = Browser(world, user=name, scheme=scheme).get()
    assert "challenge password is" in page_text(reply)
    assert reply.user == USER


@pytest.mark.parametrize("scheme", ["NTLM", "Negotiate"])
@pytest.mark.parametrize(("user", "password"), [(USER, "wrong"), ("nobody", PASSWORD), (USER, "")])
def test_wrong_credentials_get_401_and_no_password(
    world: NdesWorld, scheme: str, user: str, password: str
) -> None:
    reply = Browser(world, user=user, password=password, scheme=scheme).get()
    assert (reply.status, reply.substatus, reply.win32_status) == (401, 1, 1326)
    assert offers(reply) == ["Negotiate", "NTLM"]
    assert cached(world) == 0


def test_head_makes_no_password(world: NdesWorld) -> None:
    world.restart(basic_authentication=True)
    reply = world.handle(method="HEAD", path=ADMIN, authorization=BASIC)
    assert reply.status == 200
    assert cached(world) == 0


def test_byte_order_mark_is_a_choice(world: NdesWorld) -> None:
    assert Browser(world).get().body[:2] == b"<\0"
    world.restart(byte_order_mark=True)
    assert Browser(world).get().body[:4] == b"\xff\xfe<\0"


# -- who may have a password ------------------------------------------------------------


def test_user_without_enroll_gets_the_page_and_event_6(tmp_path: Path) -> None:
    guest = {"name": "guest", "password": "guest pass", "enroll": False}
    world = NdesWorld(tmp_path, users=[guest])
    text = page_text(Browser(world, user="guest", password="guest pass").get())
    assert "You do not have sufficient permission to enroll with SCEP.  Please contact" in text
    assert world.events.ids == [6]
    assert cached(world) == 0


def restricted(name: str, enroll: tuple[str, ...], *, published: bool = True) -> Template:
    template = TemplateSet.load().find("SCEP-Client-Auth")
    assert template is not None
    security = template.security.model_copy(update={"enroll": enroll})
    return template.model_copy(update={"name": name, "security": security, "published": published})


@pytest.mark.parametrize("setting", ["SignatureTemplate", "EncryptionTemplate", "GeneralPurposeTemplate"])
def test_enroll_on_each_configured_template_counts(tmp_path: Path, setting: str) -> None:
    member = {"name": "member", "password": "p", "groups": ["NDES Admins"]}
    world = NdesWorld(tmp_path)
    templates = {each.name: each for each in TemplateSet.load()}
    world.authority.templates = TemplateSet(
        templates
        | {
            "Restricted": restricted("Restricted", ("ndes admins",)),
            "Hidden": restricted("Hidden", ("Everyone",), published=False),
        }
    )
    world.restart(users=[member], **{setting: "Restricted"})
    assert "sufficient permission" in page_text(Browser(world).get())
    assert "challenge password is" in page_text(Browser(world, user="member", password="p").get())
    for unusable in ("Hidden", "Unknown"):
        world.restart(users=[member], **{setting: unusable})
        assert "sufficient permission" in page_text(Browser(world, user="member", password="p").get())
    assert world.events.ids == [6, 6, 6]


@pytest.mark.parametrize("path", ["/certsrv/mscep/", ADMIN])
def test_addresses_outside_the_list_get_403_6(tmp_path: Path, path: str) -> None:
    world = NdesWorld(tmp_path, allowed_addresses=["192.0.2.0/24", "2001:db8::/32"])
    assert world.get(path, remote_address="192.0.2.9").status in (200, 401)
    assert world.get(path, remote_address="::ffff:192.0.2.9").status in (200, 401)
    assert world.get(path, remote_address="2001:db8::1%eth0").status in (200, 401)
    for address in ("198.51.100.1", "2001:db9::1", "", "garbage"):
        reply = world.get(path, remote_address=address)
        assert (reply.status, reply.substatus) == (403, 6), address


# -- IIS and HTTP.sys -------------------------------------------------------------------


def limited(world: NdesWorld, **iis: int) -> None:
    world.restart(iis=iis)


def test_query_longer_than_max_query_string_gets_404_15(world: NdesWorld) -> None:
    limited(world, maxQueryString=100)
    assert world.get("/certsrv/mscep/", "operation=GetCACaps&x=" + "a" * 78).status == 200
    reply = world.get("/certsrv/mscep/", "operation=GetCACaps&x=" + "a" * 79)
    assert (reply.status, reply.substatus) == (404, 15)
    assert b"HTTP Error 404.15 - Not Found" in reply.body
    assert world.recorder.exchanges[-1].reply.substatus == 15


def test_path_longer_than_max_url_gets_404_14(world: NdesWorld) -> None:
    limited(world, maxUrl=40)
    assert world.get("/certsrv/mscep/" + "a" * 25).status == 200
    assert world.get("/certsrv/mscep/" + "a" * 26).substatus == 14


def test_body_longer_than_max_allowed_content_length_gets_413_1(world: NdesWorld) -> None:
    limited(world, maxAllowedContentLength=1000)
    reply = world.handle(
        method="POST", path="/certsrv/mscep/", query="operation=PKIOperation", declared_length=1001
    )
    assert (reply.status, reply.substatus) == (413, 1)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"longest_field_octets": 501, "header_octets": 501}, 400),
        ({"header_octets": 1000}, 400),
        ({"query": "x=" + "a" * 500}, 414),
        ({"longest_field_octets": 500, "header_octets": 900}, 200),
    ],
)
def test_http_sys_refuses_what_is_too_long_for_it(world: NdesWorld, fields: dict, status: int) -> None:
    limited(world, MaxFieldLength=500, MaxRequestBytes=1000)
    reply = world.handle(path="/certsrv/mscep/", **fields)
    assert reply.status == status
    if status != 200:
        assert reply.kernel
        assert ("Server", "Microsoft-HTTPAPI/2.0") in reply.headers
        assert b"Too Long" in reply.body


def test_stopped_pool_answers_503_until_it_is_started(tmp_path: Path) -> None:
    world = NdesWorld(tmp_path, application_pool="stopped")
    for path in ("/certsrv/mscep/", ADMIN):
        reply = world.get(path)
        assert (reply.status, reply.kernel) == (503, True)
        assert b"HTTP Error 503. The service is unavailable." in reply.body
    assert world.get("/scep", "operation=GetCACaps").status == 200
    world.face.pool_is_stopped = False
    assert world.get("/certsrv/mscep/").status == 200


def test_missing_impersonation_right_is_500_with_win32_status_1346(tmp_path: Path) -> None:
    reply = NdesWorld(tmp_path, impersonation_right=False).get("/certsrv/mscep/")
    assert (reply.status, reply.substatus, reply.win32_status) == (500, 0, 1346)


def test_what_cannot_be_started_answers_500_on_both_urls(world: NdesWorld) -> None:
    world.behind.broken = HttpReply(status=500, content_type="text/plain", body=b"x")
    assert {world.get(path).status for path in ("/certsrv/mscep/", ADMIN)} == {500}


@pytest.mark.parametrize(
    ("profile", "server", "most"), [(NDES_2019, "10.0", 65536), (NDES_2012R2, "8.5", 2048)]
)
def test_ndes_profiles_have_iis_server_header_and_limits(tmp_path, profile, server: str, most: int) -> None:
    world = NdesWorld(tmp_path, profile, iis={"MaxFieldLength": 0, "MaxRequestBytes": 0})
    for path, query in (
        ("/certsrv/mscep/", ""),
        ("/certsrv/mscep/", "operation=GetCACaps"),
        ("/nowhere", ""),
    ):
        assert ("Server", f"Microsoft-IIS/{server}") in world.get(path, query).headers
    missing = world.get("/nowhere")
    assert (missing.status, missing.content_type) == (404, "text/html; charset=utf-8")
    assert b"HTTP Error 404.0 - Not Found" in missing.body
    caps = "operation=GetCACaps&message="
    assert world.get("/certsrv/mscep/", caps + "a" * (most - 20 - len(caps))).status == 200
    assert world.get("/certsrv/mscep/", caps + "a" * (most + 1 - len(caps))).substatus == 15


def test_modern_profile_has_no_iis_about_it(world: NdesWorld) -> None:
    reply = world.get("/nowhere")
    assert reply.content_type == "text/plain"
    assert not any(name == "Server" for name, _ in reply.headers)
    assert world.get("/certsrv/mscep/", "operation=GetCACaps&x=" + "a" * 50_000).status == 200


def test_unknown_operation_is_a_bad_request_or_the_page_as_the_profile_says(tmp_path: Path) -> None:
    world = NdesWorld(tmp_path)
    assert world.get("/certsrv/mscep/", "operation=Nonsense").status == 400
    world.restart(profile_with("ndes-2019", {"unknown_operation": "information-page"}))
    assert "submit certificate" in page_text(world.get("/certsrv/mscep/", "operation=Nonsense"))
    assert world.get("/certsrv/mscep/", "operation=GetCACaps").content_type == "text/plain"


# -- SCEP behind --------------------------------------------------------------------------


def test_scep_below_mscep_admin_needs_a_log_on_and_works_with_one(world: NdesWorld) -> None:
    assert world.get(ADMIN, "operation=GetCACaps").status == 401
    reply = Browser(world).get(ADMIN + "mscep.dll", "operation=GetCACaps")
    assert b"POSTPKIOperation" in reply.body
    assert reply.user == USER


def test_enrolment_with_a_password_from_the_page(world: NdesWorld) -> None:
    client = Client(world=world)
    assert client.obtain(client.request(world.password()), path="/certsrv/mscep/mscep.dll/pkiclient.exe")


def test_exchanges_of_pages_are_observed_without_the_password(world: NdesWorld) -> None:
    password = world.password()
    seen = world.recorder.exchanges
    assert [(one.reply.status, one.reply.substatus) for one in seen] == [(401, 1), (200, 0)]
    assert seen[-1].reply.user == USER
    assert seen[-1].refused_by is None
    assert password not in repr(seen)


def cached(world: NdesWorld) -> int:
    with world.store.reading() as transaction:
        return world.challenges.count(transaction, label="mscep_admin")
