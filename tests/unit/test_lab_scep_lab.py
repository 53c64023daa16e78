"""A lab in process: what it gives, what a reset forgets, what is left when it is gone."""

from __future__ import annotations

import gc
import http.client
import inspect
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from lab_client import client_of, order

from ca.folders import PkiFolder
from ca.process.settings import UnusableSettings
from ca.records import CertificateStatus
from lab import ScepLab
from lab.client import Issued, Refused, ReplyRejected
from lab.faults.registry import BadParameter, Fault, UnknownFault, catalogue
from lab.lab_faults import LabFaults
from lab.listeners import ListenerError
from lab.running import RunningLab
from lab.settings import LabSettings


@pytest.fixture(scope="module")
def running() -> Iterator[ScepLab]:
    with ScepLab() as scep_lab:
        yield scep_lab


@pytest.fixture
def scep_lab(running: ScepLab) -> ScepLab:
    running.reset()
    return running


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        content: bytes = answer.read()
    return content


def openssl(*arguments: str | Path, given: bytes = b"") -> str:
    done = subprocess.run(["openssl", *arguments], input=given, capture_output=True, check=False)
    return (done.stdout + done.stderr).decode()


# -- what it gives ---------------------------------------------------------------------


def test_every_listener_answers(scep_lab: ScepLab) -> None:
    assert b"SCEPStandard" in fetch(f"{scep_lab.scep_url}?operation=GetCACaps")
    assert b"SCEPStandard" in fetch(f"{scep_lab.mscep_url}/pkiclient.exe?operation=GetCACaps")
    assert fetch(f"{scep_lab.admin_url}/health/ready") == b'{"status": "ok"}\n'
    assert fetch(f"{scep_lab.admin_url}/roots/0").decode() == scep_lab.root_pem


def test_the_root_is_told_in_every_form(scep_lab: ScepLab) -> None:
    assert scep_lab.root_pem_path.read_text() == scep_lab.root_pem
    parsed = x509.load_pem_x509_certificate(scep_lab.root_pem.encode())
    der = parsed.public_bytes(Encoding.DER)
    assert sha256(der).hexdigest() == scep_lab.root_sha256


def test_openssl_follows_the_urls_in_the_certificates(scep_lab: ScepLab, tmp_path: Path) -> None:
    ra = scep_lab.certificates()[0]
    issuing = fetch(urls_in(ra.pem)["caIssuers"])
    (tmp_path / "issuing.pem").write_text(openssl("x509", "-inform", "DER", given=issuing))
    crls = [
        openssl("crl", "-inform", "DER", given=fetch(urls_in(pem)["crl"]))
        for pem in (ra.pem, (tmp_path / "issuing.pem").read_text())
    ]
    (tmp_path / "crls.pem").write_text("".join(crls))
    (tmp_path / "ra.pem").write_text(ra.pem)
    checked = (
        "verify",
        "-crl_check_all",
        "-CAfile",
        scep_lab.root_pem_path,
        "-untrusted",
        tmp_path / "issuing.pem",
    )
    said = openssl(*checked, "-CRLfile", tmp_path / "crls.pem", tmp_path / "ra.pem")
    assert said.strip() == f"{tmp_path / 'ra.pem'}: OK"
    scep_lab.revoke(ra, "superseded")
    crls[0] = openssl("crl", "-inform", "DER", given=fetch(urls_in(ra.pem)["crl"]))
    (tmp_path / "crls.pem").write_text("".join(crls))
    assert "certificate revoked" in openssl(*checked, "-CRLfile", tmp_path / "crls.pem", tmp_path / "ra.pem")


def urls_in(pem: str) -> dict[str, str]:
    extensions = x509.load_pem_x509_certificate(pem.encode()).extensions
    points = extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    access = extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    (name,) = points[0].full_name or ()
    return {"crl": name.value, "caIssuers": access[0].access_location.value}


def test_published_files_come_over_http_1_0_without_host(scep_lab: ScepLab) -> None:
    path = urlsplit(urls_in(scep_lab.certificates()[0].pem)["crl"]).path
    port = urlsplit(scep_lab.pki_url).port
    with socket.create_connection(("127.0.0.1", port or 0), timeout=30) as client:
        client.sendall(f"GET {path.upper()} HTTP/1.0\r\n\r\n".encode())
        answer = b""
        while part := client.recv(65536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert b"\r\nContent-Type: application/pkix-crl\r\n" in head
    assert b"\r\nContent-Length: %d\r\n" % len(body) in head
    x509.load_der_x509_crl(body)


def test_unchanged_files_are_not_sent_twice(scep_lab: ScepLab) -> None:
    url = urlsplit(urls_in(scep_lab.certificates()[0].pem)["crl"])
    connection = http.client.HTTPConnection(url.netloc, timeout=30)
    connection.request("GET", url.path)
    first = connection.getresponse()
    first.read()
    connection.request("GET", url.path, headers={"If-None-Match": first.headers["ETag"]})
    assert connection.getresponse().status == 304
    connection.close()


@pytest.mark.parametrize("options", [{"static": True}, {"password": "sesame"}, {"validity_minutes": None}])
def test_challenges_are_made_as_wanted(scep_lab: ScepLab, options: dict[str, object]) -> None:
    password = scep_lab.new_challenge(**options)  # type: ignore[arg-type]
    (made,) = scep_lab.desk.challenges()
    assert (made.kind.value == "static") == ("static" in options)
    assert (password == "sesame") == ("password" in options)
    assert (made.expires_at is None) == ("validity_minutes" in options)


# -- reset -----------------------------------------------------------------------------


def state(scep_lab: ScepLab) -> object:
    world = scep_lab.world
    with world.store.reading() as transaction:
        return (
            scep_lab.certificates(),
            transaction.challenges(),
            transaction.requests(),
            world.latest_crl(),
            [(file.name, file.content) for file in world.publication.files()],
        )


def test_reset_forgets_everything_but_the_pki(scep_lab: ScepLab) -> None:
    fresh, urls = state(scep_lab), (scep_lab.scep_url, scep_lab.root_sha256)
    scep_lab.new_challenge()
    scep_lab.revoke(scep_lab.certificates()[1], "keyCompromise")
    scep_lab.publish_crls()
    assert state(scep_lab) != fresh
    scep_lab.reset()
    assert state(scep_lab) == fresh
    assert (scep_lab.scep_url, scep_lab.root_sha256) == urls


def test_numbers_begin_again_after_a_reset(scep_lab: ScepLab) -> None:
    runs = []
    for _ in range(2):
        scep_lab.new_challenge()
        revoked = scep_lab.revoke("1", "superseded")
        crl = next(crl for crl in scep_lab.desk.crls() if "Issuing" in crl.issuer)
        runs.append(([one.id for one in scep_lab.desk.challenges()], revoked.id, crl.number))
        scep_lab.reset()
    assert runs[0] == runs[1] == ([1], 1, 2)


# -- the clock -------------------------------------------------------------------------


class SetClock:
    """A clock that a test sets."""

    def __init__(self, instant: datetime) -> None:
        self.instant = instant

    def now(self) -> datetime:
        return self.instant


def test_goes_by_the_clock_it_is_given_and_republishes_by_it() -> None:
    clock = SetClock(datetime(2031, 5, 5, 12, tzinfo=UTC))
    published = threading.Event()
    with ScepLab(clock=clock) as scep_lab:
        first = scep_lab.world.latest_crl()
        assert first is not None
        scep_lab.world.on_publication(lambda _: published.set())
        clock.instant += timedelta(days=7)
        scep_lab.look_at_the_clock()
        assert published.wait(timeout=30)
        second = scep_lab.world.latest_crl()
        assert second is not None
        assert (first.number, second.number) == (1, 2)
        clock.instant += timedelta(days=3650)
        assert scep_lab.certificates(status=CertificateStatus.VALID) == []


# -- what is left ----------------------------------------------------------------------


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files that nobody else uses."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_leaves_no_thread_no_folder_and_no_open_file(temporary: Path) -> None:
    threads = set(threading.enumerate())
    with ScepLab() as scep_lab:
        assert list(temporary.iterdir()) == [scep_lab.root_pem_path.parent]
        fetch(f"{scep_lab.scep_url}?operation=GetCACaps")
        fetch(f"{scep_lab.admin_url}/version")
        port = urlsplit(scep_lab.scep_url).port
    gc.collect()  # an unclosed socket or database would warn here, and warnings are errors
    assert set(threading.enumerate()) == threads
    assert list(temporary.iterdir()) == []
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port or 0))


def test_leaves_nothing_when_it_cannot_start(temporary: Path) -> None:
    threads = set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = {"server": {"pki_port": taken.getsockname()[1]}}
        with pytest.raises(ListenerError, match="in use"):
            ScepLab(settings).start()
    gc.collect()
    assert set(threading.enumerate()) == threads
    assert list(temporary.iterdir()) == []


def test_runs_again_after_it_was_stopped() -> None:
    scep_lab = ScepLab()
    for _ in range(2):
        with scep_lab, pytest.raises(RuntimeError, match="running already"):
            scep_lab.start()
    with pytest.raises(RuntimeError, match="not running"):
        _ = scep_lab.scep_url
    scep_lab.stop()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"nothing": {}}, "nothing: no such setting; known: pki, server, publisher"),
        ({"server": {"prot": 1}}, "server.prot: no such setting; known: host, data_dir"),
        ({"server": {"port": -1}}, "server.port: .*greater than or equal to 0"),
        (
            {"scep": {"profile": "nonsense"}},
            "scep.profile: found 'nonsense', expected 'modern', 'ndes-2012r2'",
        ),
        (
            {"scep": {"endpoints": {"default": {"challnge": "none"}}}},
            "scep.endpoints.default.challnge: no such setting; known: .*challenge",
        ),
    ],
)
def test_refuses_settings_that_are_none_and_says_what_is_known(
    settings: dict[str, object], says: str
) -> None:
    with pytest.raises(UnusableSettings, match=says) as caught:
        ScepLab(settings)
    assert "pydantic" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_a_fault_before_http_leads_to_its_url(scep_lab: ScepLab) -> None:
    with pytest.raises(BadParameter, match=r"scep_lab\.fault_url\('wire::connection-refused'\)"):
        scep_lab.fault("wire::connection-refused")


# -- a folder that is kept -------------------------------------------------------------

FREE = {"server": {"port": 0, "pki_port": 0}, "admin": {"port": 0}}


def kept(folder: Path, settings: dict[str, object] | None = None) -> RunningLab:
    chosen = LabSettings.model_validate(settings or FREE)
    clock = SetClock(datetime(2031, 5, 5, 12, tzinfo=UTC))
    return RunningLab(chosen, folder, clock=clock, entropy=os.urandom, durable=False)


def test_a_second_start_serves_the_same_pki_and_names_urls_that_lead_elsewhere(tmp_path: Path) -> None:
    first = kept(tmp_path / "pki")
    root, url = first.root_pem, first.pki_url
    assert first.world.misdirections() == ()
    first.stop()
    second = kept(tmp_path / "pki")
    try:
        assert second.root_pem == root
        said = second.world.misdirections()
        assert len(said) == 2
        assert all(url in one and second.pki_url in one for one in said)
    finally:
        second.stop()


def test_serves_without_the_offline_roots_folder(tmp_path: Path) -> None:
    kept(tmp_path / "pki").stop()
    shutil.rmtree(PkiFolder(tmp_path / "pki").root)
    again = kept(tmp_path / "pki")
    try:
        assert len(again.desk.publish_crls()) == 3
    finally:
        again.stop()


def test_publishes_what_a_crash_kept_from_being_published(tmp_path: Path) -> None:
    first = kept(tmp_path / "pki")
    with first.world.store.transaction() as transaction:
        signed = first.world.authority.sign_crl(transaction)  # and dies before publishing it
    first.stop()
    again = kept(tmp_path / "pki")
    try:
        assert signed.number in [crl.number for crl in again.desk.crls()]
    finally:
        again.stop()


def test_an_explicit_public_url_goes_into_certificates(tmp_path: Path) -> None:
    running = kept(tmp_path / "pki", FREE | {"pki": {"public_url": "http://pki.example"}})
    try:
        assert running.pki_url == "http://pki.example"
        assert running.desk.crls()[0].url.startswith("http://pki.example/CertEnroll/")
    finally:
        running.stop()


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_will_not_open_management_to_others_without_a_token(tmp_path: Path, host: str) -> None:
    settings = {"server": FREE["server"] | {"host": host}, "admin": FREE["admin"]}
    with pytest.raises(UnusableSettings, match=r"set admin\.token"):
        kept(tmp_path / "pki", settings)
    assert not (tmp_path / "pki").exists()


def test_opens_to_others_with_a_token(tmp_path: Path) -> None:
    settings = {
        "server": FREE["server"] | {"host": "0.0.0.0", "public_host": "lab.example"},
        "admin": FREE["admin"] | {"token": "0123456789abcdef"},
    }
    running = kept(tmp_path / "pki", settings)
    try:
        facts = running.ready_facts()
        assert facts.scep_url.startswith("http://lab.example:")
        assert facts.admin_token == "0123456789abcdef"
        running.check_answers()
    finally:
        running.stop()


# -- what goes wrong on purpose --------------------------------------------------------

NONCE = "reply::wrong-recipient-nonce"


def enrols(scep_lab: ScepLab, url: str | None = None) -> bool:
    try:
        outcome = client_of(scep_lab, url=url).enrol(order(challenge=scep_lab.new_challenge()))
    except ReplyRejected:
        return False
    assert isinstance(outcome, Issued)
    return True


def test_a_fault_lasts_as_long_as_its_block(scep_lab: ScepLab) -> None:
    with scep_lab.fault(NONCE) as rule:
        assert not enrols(scep_lab)
        assert not enrols(scep_lab)
    assert enrols(scep_lab)
    assert rule.hits == 2
    assert scep_lab.faults.rules() == ()


def test_a_fault_is_applied_as_often_as_wanted(scep_lab: ScepLab) -> None:
    rule = scep_lab.faults.set(NONCE, times=1, after=1, match={"operation": "pkioperation"})
    assert [enrols(scep_lab) for _ in range(3)] == [True, False, True]
    assert (rule.hits, rule.left) == (1, 0)


def test_a_sequence_is_applied_in_turn(scep_lab: ScepLab) -> None:
    with scep_lab.fault([NONCE, None, NONCE]):
        assert [enrols(scep_lab) for _ in range(4)] == [False, True, False, True]


def test_a_fault_that_only_others_are_to_meet_is_met_by_nobody_else(scep_lab: ScepLab) -> None:
    with scep_lab.fault(NONCE, match={"subject": "CN=other*"}) as rule:
        assert enrols(scep_lab)
    assert rule.hits == 0


def test_a_fault_url_is_always_broken_and_the_other_never(scep_lab: ScepLab) -> None:
    assert not enrols(scep_lab, scep_lab.fault_url(NONCE))
    assert enrols(scep_lab)


def test_an_unknown_fault_is_refused_with_near_ones(scep_lab: ScepLab) -> None:
    with pytest.raises(UnknownFault, match=NONCE):
        scep_lab.fault("reply::wrong-recipient-nonces")
    with pytest.raises(BadParameter, match="colour"):
        scep_lab.fault(NONCE, colour="red")
    with pytest.raises(UnknownFault):
        scep_lab.fault_url("reply::nothing")
    assert scep_lab.faults.rules() == ()


def test_a_reset_removes_faults(scep_lab: ScepLab) -> None:
    scep_lab.fault(NONCE)
    scep_lab.reset()
    assert enrols(scep_lab)


@pytest.mark.parametrize("fault", catalogue().values(), ids=lambda fault: fault.id)
def test_no_parameter_of_a_fault_is_named_like_one_of_a_rule(fault: Fault) -> None:
    words = inspect.signature(LabFaults.set).parameters
    assert not fault.parameters.keys() & words.keys()


def test_the_clock_that_is_moved_has_everything_published_that_becomes_due(scep_lab: ScepLab) -> None:
    published = threading.Event()
    scep_lab.world.on_publication(lambda _: published.set())
    before = scep_lab.clock.now()
    scep_lab.clock.shift("+8d")
    assert published.wait(timeout=30)
    crl = scep_lab.world.latest_crl()
    assert crl is not None
    assert crl.this_update > before + timedelta(days=7)
    scep_lab.reset()
    assert scep_lab.clock.offset == timedelta(0)


def test_a_request_may_choose_its_time(scep_lab: ScepLab) -> None:
    asked = urllib.request.Request(
        f"{scep_lab.scep_url}?operation=GetCACaps", headers={"X-Ndes-Lab-Time": "+3d"}
    )
    urllib.request.urlopen(asked, timeout=30).close()
    assert scep_lab.journal[-1].clock_offset == timedelta(days=3)


def test_the_journal_says_what_became_of_a_request(scep_lab: ScepLab) -> None:
    assert isinstance(client_of(scep_lab).enrol(order(challenge="guessed")), Refused)
    assert scep_lab.journal[-1].verdict.refused_by == "challenge-unknown"


def test_the_example_of_the_design_runs_as_written() -> None:
    def run_my_client(scep_url: str, challenge: str, ca_file: Path) -> None:
        assert x509.load_pem_x509_certificate(ca_file.read_bytes())
        client_of(scep_lab, url=scep_url).enrol(order(challenge=challenge))

    with ScepLab() as scep_lab:
        challenge = scep_lab.new_challenge()
        run_my_client(scep_lab.scep_url, challenge, ca_file=scep_lab.root_pem_path)
        with scep_lab.fault("reply::wrong-recipient-nonce", times=1), pytest.raises(ReplyRejected):
            run_my_client(scep_lab.scep_url, "another", ca_file=scep_lab.root_pem_path)
        assert scep_lab.journal[-1].verdict.refused_by == "challenge-unknown"
