"""NDES's pages over HTTP, judged by curl and by what public clients of NDES look for on them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from peers import require_peer

from interop.clients.base import Endpoint, EnrolmentRefused
from interop.clients.scepclient import ScepClient
from interop.lab_process import lab_process
from interop.process import run_well
from lab import ScepLab

pytestmark = pytest.mark.interop

FLEETS = r"(?i)The enrollment challenge password is: <B> (\S*)"
CACHE_FULL = "The password cache is full."
NO_PERMISSION = "You do not have sufficient permission to enroll with SCEP."
GUEST = {"name": "guest", "password": "guest word", "enroll": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The last reply curl got, and the status of each before it."""

    statuses: list[int]
    headers: str
    body: bytes

    @property
    def status(self) -> int:
        return self.statuses[-1]

    @property
    def page(self) -> str:
        """The page as Fleet decodes it: UTF-16LE without a byte order mark."""
        return self.body.decode("utf-16-le")

    def offers(self) -> list[str]:
        return re.findall(r"(?im)^WWW-Authenticate: (.*?)\r?$", self.headers)


def curl(*options: str) -> Answer:
    """Run curl and take apart what it saw; redirects are not followed, proxies not asked."""
    done = run_well([require_peer("curl"), "-sS", "-i", "--noproxy", "*", "--max-time", "20", *options])
    rest, statuses, headers = done.stdout, [], ""
    while rest.startswith(b"HTTP/"):
        head, _, rest = rest.partition(b"\r\n\r\n")
        headers = head.decode("latin-1")
        statuses.append(int(headers.split(" ")[1]))
        length = re.search(r"(?im)^Content-Length: (\d+)", headers)
        skipped = int(length.group(1)) if length else 0
        if rest[skipped:].startswith(b"HTTP/"):
            rest = rest[skipped:]
    return Answer(statuses=statuses, headers=headers, body=rest)


@pytest.fixture
def scep_lab(request: pytest.FixtureRequest) -> Iterator[ScepLab]:
    with ScepLab({"ndes": getattr(request, "param", {})}) as running:
        yield running


def scepclient_enrols(url: str, folder: Path, password: str) -> bool:
    """Tell whether Debian's scepclient gets a certificate for the password."""
    names = itertools.count()
    work = next(path for number in names if not (path := folder / f"client{number}").exists())
    work.mkdir()
    with ScepClient(work, Endpoint(scep_url=url, root_pem=folder / "unused")) as client:
        try:
            client.obtain(work.name, password)
        except EnrolmentRefused:
            return False
    return True


def credentials(running: ScepLab) -> tuple[str, str]:
    return "-u", f"{running.ndes_user}:{running.ndes_password}"


def settings(**ndes: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("scep_lab", [ndes], indirect=True, ids=[""])


def test_curl_logs_on_by_ntlm_and_finds_the_password(scep_lab: ScepLab) -> None:
    answer = curl("--ntlm", *credentials(scep_lab), scep_lab.mscep_admin_url)
    assert answer.statuses == [401, 200]
    assert re.search(r"(?im)^Content-Type: text/html\r?$", answer.headers)
    (password,) = re.findall(FLEETS, answer.page)
    found = re.search("[A-F0-9]{16}", answer.page)  # PSCertificateEnrollment: the first match
    assert found is not None
    assert found.group() == password
    assert "charset=UTF-8" in answer.page
    assert len(answer.page) == 1251


def test_ntlm_authenticates_the_connection_and_each_get_makes_a_new_password(scep_lab: ScepLab) -> None:
    url = scep_lab.mscep_admin_url
    both = curl("--ntlm", *credentials(scep_lab), url, url)
    assert both.statuses == [401, 200, 200]
    lines = [numbered.item.split(" ") for numbered in scep_lab.world.ndes_logs.iis.lines()]
    assert [line[-4:-1] for line in lines] == [
        ["401", "1", "2148074254"],
        ["200", "0", "0"],
        ["200", "0", "0"],
    ]
    assert [scep_lab.ndes_user in line for line in lines] == [False, True, True]
    assert len(scep_lab.desk.challenges(usable_only=True)) == 2


@settings(basic_authentication=True)
def test_curl_logs_on_by_basic_where_it_is_switched_on(scep_lab: ScepLab) -> None:
    answer = curl(*credentials(scep_lab), scep_lab.mscep_admin_url)
    assert answer.statuses == [200]
    assert re.findall(FLEETS, answer.page)
    assert curl(scep_lab.mscep_admin_url).offers() == ["Negotiate", "NTLM", 'Basic realm="NDES"']


@pytest.mark.parametrize(
    "options",
    [(), ("-u", "ndes-admin:x"), ("--ntlm", "-u", "ndes-admin:x"), ("--ntlm", "-u", "nobody:x")],
    ids=["anonymous", "basic-while-off", "wrong-password", "unknown-user"],
)
def test_without_good_credentials_it_is_401_with_both_schemes(
    scep_lab: ScepLab, options: tuple[str, ...]
) -> None:
    answer = curl(*options, scep_lab.mscep_admin_url)
    assert answer.status == 401
    assert answer.offers() == ["Negotiate", "NTLM"]


def test_negotiate_without_a_ticket_stays_401(scep_lab: ScepLab) -> None:
    answer = curl("--negotiate", "-u", ":", scep_lab.mscep_admin_url)
    assert answer.status == 401
    assert answer.offers()[0] == "Negotiate"


def test_sixth_password_is_refused_as_cache_full(scep_lab: ScepLab) -> None:
    url = scep_lab.mscep_admin_url
    for _ in range(5):
        assert re.findall(FLEETS, curl("--ntlm", *credentials(scep_lab), url).page)
    assert CACHE_FULL in curl("--ntlm", *credentials(scep_lab), url).page


@settings(users=[GUEST])
def test_user_without_enroll_gets_the_page_and_event_6(scep_lab: ScepLab) -> None:
    answer = curl("--ntlm", "-u", "guest:guest word", scep_lab.mscep_admin_url)
    assert NO_PERMISSION in answer.page
    assert 6 in [event.id for event in scep_lab.world.ndes_logs.events.events()]


@settings(allowed_addresses=["192.0.2.0/24"])
def test_addresses_outside_the_list_get_403_on_both_urls(scep_lab: ScepLab) -> None:
    for url in (scep_lab.mscep_url, scep_lab.mscep_admin_url):
        answer = curl(url)
        assert answer.status == 403
        assert b"403.6" in answer.body


def test_bare_browse_of_mscep_needs_no_log_on(scep_lab: ScepLab) -> None:
    page = curl(scep_lab.mscep_url).page
    assert "This URL is used by network devices to submit certificate requests." in page
    assert f'HREF="{scep_lab.mscep_admin_url.rstrip("/")}"' in page


def test_scep_operations_work_below_mscep_admin_after_a_log_on(scep_lab: ScepLab) -> None:
    url = f"{scep_lab.mscep_admin_url}mscep.dll?operation=GetCACaps&message=default"
    assert curl(url).status == 401
    assert b"POSTPKIOperation" in curl("--ntlm", *credentials(scep_lab), url).body


def test_page_and_password_enrol_a_device_as_an_mdm_server_does(scep_lab: ScepLab, tmp_path: Path) -> None:
    (password,) = re.findall(FLEETS, curl("--ntlm", *credentials(scep_lab), scep_lab.mscep_admin_url).page)
    assert scepclient_enrols(scep_lab.mscep_url, tmp_path, password)
    assert not scepclient_enrols(scep_lab.mscep_url, tmp_path, password)


@pytest.mark.parametrize(
    ("header", "status"),
    [("x" * 17_000, 400), ("x" * 16_000, 200)],
    ids=["too-long", "not-too-long"],
)
def test_http_sys_limits_of_an_ndes_profile(header: str, status: int) -> None:
    with ScepLab({"scep": {"profile": "ndes-2019"}}) as running:
        answer = curl("-H", f"Cookie: {header}", running.mscep_url)
    assert answer.status == status
    if status == 400:
        assert "Server: Microsoft-HTTPAPI/2.0" in answer.headers
        assert b"Bad Request - Request Too Long" in answer.body
    else:
        assert "Server: Microsoft-IIS/10.0" in answer.headers


@pytest.mark.parametrize("kept", ["memory", "store"])
def test_restart_forgets_unused_passwords_unless_told_to_keep_them(tmp_path: Path, kept: str) -> None:
    config = tmp_path / "lab.toml"
    config.write_text(f'[ndes]\npassword = "always this"\npassword_cache = "{kept}"\n')
    options = ("--data-dir", str(tmp_path / "data"), "--config", str(config))
    with lab_process(tmp_path, *options) as up:
        user = f"{up.ready['ndes_user']}:{up.ready['ndes_password']}"
        (password,) = re.findall(FLEETS, curl("--ntlm", "-u", user, up.ready["mscep_admin_url"]).page)
    with lab_process(tmp_path, *options) as up:
        assert scepclient_enrols(up.ready["mscep_url"], tmp_path, password) is (kept == "store")
