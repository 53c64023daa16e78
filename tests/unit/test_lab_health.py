"""Health: a lab of one's own looked at, and small PKIs in which exactly one thing is wrong."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote, urlsplit

import pytest
from ca_world import HandClock
from chain_samples import AIA, DAY, LEAF, NOW, Shape, crl, issue, new_key
from click.testing import CliRunner
from cryptography import x509
from cryptography.x509 import ocsp
from metrics_text import samples
from prometheus_client.parser import text_string_to_metric_families
from revocation_samples import CDP, DELTA, OCSP, Web, answering, base, damaged, delta, responder

from ca.folders import PkiFolder
from ca.records import StoreUnavailable
from ca.renewal import renew_issuing
from ca.root import OfflineRoot
from crl_publisher import PublisherState
from lab import ScepLab
from lab.admin.remote import RemoteDesk
from lab.commands.health import health
from lab.health import AuthoritySubject, HealthReport, HealthRow, HealthWord, PkiSubjects, RaSubject
from lab.health.examine import examine
from lab.health.page import render_page
from lab.health.report import State, time_states
from lab.health.watch import database_row, publication_row
from lab.running import RunningLab
from lab.settings import LabSettings
from lab.trust import X509Certificate

NDES_LAB = Path(sys.executable).with_name("ndes-lab")
ROOT_CDP, ROOT_AIA = "http://pki.test/root.crl", "http://pki.test/root.crt"


class SmallPki:
    """Root, issuing CA, and an RA certificate whose locations are answered from ``answers``."""

    def __init__(self, **ra):
        self.root = issue("Root", None)
        self.issuing = issue("Issuing", self.root, Shape(cdp=ROOT_CDP, aia=ROOT_AIA))
        self.leaf = issue("ra", self.issuing, Shape(**LEAF | {"cdp": CDP, "aia": AIA, "ocsp": OCSP} | ra))
        self.answers = {
            ROOT_CDP: crl(self.root),
            ROOT_AIA: self.root.der,
            CDP: base(self.issuing, this_update=NOW - DAY, next_update=NOW + 7 * DAY),
            DELTA: delta(self.issuing, 4),
            AIA: self.issuing.der,
            OCSP: answering(self, responder(self)),
        }

    def look(self, at=NOW):
        ra = self.leaf.read
        return examine(
            PkiSubjects(
                authorities=(
                    AuthoritySubject(certificate=self.root.read, issuer=None, issued=(self.issuing.read,)),
                    AuthoritySubject(certificate=self.issuing.read, issuer=self.root.read, issued=(ra,)),
                ),
                ra=(RaSubject(role="signing", certificate=ra),),
            ),
            fetcher=Web(self.answers),
            at=at,
        )

    def row(self, name, authority="Issuing"):
        (found,) = [row for row in self.look().rows if (row.authority, row.name) == (authority, name)]
        return found


def test_a_sound_pki_is_ok_from_root_to_ra():
    report = SmallPki().look()
    assert report.status == "OK", [row for row in report.rows if row.states]
    assert [(row.authority, row.name) for row in report.rows] == [
        ("Root", "CA Certificate"),
        ("Root", "AIA Location #1"),
        ("Root", "CDP Location #1"),
        ("Issuing", "CA Certificate"),
        ("Issuing", "AIA Location #1"),
        ("Issuing", "CDP Location #1"),
        ("Issuing", "DeltaCRL Location #1"),
        ("Issuing", "OCSP Location #1"),
        ("Issuing", "OCSP Responder Certificate #1"),
        ("Issuing", "RA Certificate (signing)"),
    ]


def not_there(pki, url):
    del pki.answers[url]


WRONG = {
    "cdp not there": (
        "CDP Location #1", HealthWord.UNABLE_TO_DOWNLOAD, State.FAILED_TO_DOWNLOAD,
        lambda pki: not_there(pki, CDP),
    ),
    "html at the cdp": (
        "CDP Location #1", HealthWord.ERROR, State.UNREADABLE,
        lambda pki: pki.answers.update({CDP: b"<html>"}),
    ),
    "crl expired": (
        "CDP Location #1", HealthWord.EXPIRED, State.EXPIRED,
        lambda pki: pki.answers.update({CDP: crl(pki.issuing, this_update=NOW - 3 * DAY, next_update=NOW)}),
    ),
    "crl to come": (
        "CDP Location #1", HealthWord.ERROR, State.NOT_YET_VALID,
        lambda pki: pki.answers.update(
            {CDP: crl(pki.issuing, this_update=NOW + DAY, next_update=NOW + 2 * DAY)}
        ),
    ),
    "crl expiring": (
        "CDP Location #1", HealthWord.EXPIRING, State.EXPIRING,
        lambda pki: pki.answers.update({CDP: base(pki.issuing, this_update=NOW - 9 * DAY)}),
    ),
    "crl overdue": (
        "CDP Location #1", HealthWord.EXPIRING, State.SCHEDULE_EXPIRED,
        lambda pki: pki.answers.update({CDP: overdue(pki.issuing)}),
    ),
    "crl of another": (
        "CDP Location #1", HealthWord.ERROR, State.INVALID_ISSUER,
        lambda pki: pki.answers.update({CDP: crl(pki.root)}),
    ),
    "crl badly signed": (
        "CDP Location #1", HealthWord.ERROR, State.INVALID_SIGNATURE,
        lambda pki: pki.answers.update({CDP: crl(pki.issuing, key=new_key())}),
    ),
    "delta at the cdp": (
        "CDP Location #1", HealthWord.ERROR, State.INVALID_CRL_TYPE,
        lambda pki: pki.answers.update({CDP: delta(pki.issuing, 4)}),
    ),
    "base where the delta belongs": (
        "DeltaCRL Location #1", HealthWord.ERROR, State.INVALID_CRL_TYPE,
        lambda pki: pki.answers.update({DELTA: base(pki.issuing)}),
    ),
    "delta not there": (
        "DeltaCRL Location #1", HealthWord.UNABLE_TO_DOWNLOAD, State.FAILED_TO_DOWNLOAD,
        lambda pki: not_there(pki, DELTA),
    ),
    "delta of a later base": (
        "DeltaCRL Location #1", HealthWord.ERROR, State.INVALID_BASE,
        lambda pki: pki.answers.update({DELTA: delta(pki.issuing, 9, number=9)}),
    ),
    "delta older than its base": (
        "DeltaCRL Location #1", HealthWord.ERROR, State.STALE_DELTA,
        lambda pki: pki.answers.update({DELTA: delta(pki.issuing, 2, number=3)}),
    ),
    "delta indicator not critical": (
        "DeltaCRL Location #1", HealthWord.ERROR, State.NON_CRITICAL_DELTA_INDICATOR,
        lambda pki: pki.answers.update({DELTA: delta(pki.issuing, 4, critical=False)}),
    ),
    "another certificate at the aia": (
        "AIA Location #1", HealthWord.ERROR, State.INVALID_CERTIFICATE,
        lambda pki: pki.answers.update({AIA: pki.root.der}),
    ),
    "nothing readable at the aia": (
        "AIA Location #1", HealthWord.ERROR, State.UNREADABLE,
        lambda pki: pki.answers.update({AIA: b"nothing"}),
    ),
    "aia not there": (
        "AIA Location #1", HealthWord.UNABLE_TO_DOWNLOAD, State.FAILED_TO_DOWNLOAD,
        lambda pki: not_there(pki, AIA),
    ),
    "responder silent": (
        "OCSP Location #1", HealthWord.UNABLE_TO_DOWNLOAD, State.FAILED_TO_DOWNLOAD,
        lambda pki: not_there(pki, OCSP),
    ),
    "responder signs badly": (
        "OCSP Location #1", HealthWord.ERROR, State.INVALID_RESPONSE,
        lambda pki: pki.answers.update({OCSP: damaged(answering(pki, pki.issuing))}),
    ),
    "responder's answer run out": (
        "OCSP Location #1", HealthWord.EXPIRED, State.EXPIRED,
        lambda pki: pki.answers.update(
            {OCSP: answering(pki, pki.issuing, this_update=NOW - DAY, next_update=NOW - timedelta(hours=1))}
        ),
    ),
    "responder knows nothing": (
        "OCSP Location #1", HealthWord.ERROR, State.UNKNOWN_CERTIFICATE,
        lambda pki: pki.answers.update(
            {OCSP: answering(pki, pki.issuing, status=ocsp.OCSPCertStatus.UNKNOWN)}
        ),
    ),
    "responder's certificate expiring": (
        "OCSP Responder Certificate #1", HealthWord.EXPIRING, State.EXPIRING,
        lambda pki: pki.answers.update({OCSP: answering(pki, responder(pki, end=NOW + timedelta(hours=1)))}),
    ),
    "ra revoked": (
        "RA Certificate (signing)", HealthWord.ERROR, State.REVOKED,
        lambda pki: pki.answers.update({CDP: crl(pki.issuing, revoked=[pki.leaf])}),
    ),
}  # fmt: skip


def overdue(issuer):
    from ca import der, oids

    publish = x509.UnrecognizedExtension(
        x509.ObjectIdentifier(oids.MS_NEXT_CRL_PUBLISH), der.time(NOW - timedelta(minutes=1))
    )
    return crl(issuer, extra=((publish, False),), this_update=NOW - DAY, next_update=NOW + 9 * DAY)


@pytest.mark.parametrize("what", WRONG)
def test_says_in_pkiviews_words_what_is_wrong(what):
    name, word, state, spoil = WRONG[what]
    pki = SmallPki()
    assert pki.row(name).status is HealthWord.OK
    spoil(pki)
    row = pki.row(name)
    assert (row.status, row.states) == (word, (state,)), row
    warning = word is HealthWord.EXPIRING
    assert pki.look().status == ("Warning" if warning else "Error")


@pytest.mark.parametrize(
    ("end", "word"),
    [
        (NOW - DAY, HealthWord.EXPIRED),
        (NOW + 7 * DAY, HealthWord.EXPIRING),
        (NOW + 8 * DAY, HealthWord.OK),
    ],
)
def test_the_ra_certificate_expires_at_the_end_and_expiring_from_four_fifths_on(end, word):
    pki = SmallPki(end=end)
    assert pki.row("RA Certificate (signing)").status is word


def test_exactly_four_fifths_are_not_yet_expiring():
    begins = NOW - 8 * DAY
    assert time_states(begins, NOW + 2 * DAY, NOW) == ()
    assert time_states(begins, NOW + 2 * DAY, NOW + timedelta(seconds=1)) == (State.EXPIRING,)
    assert time_states(begins, NOW, NOW) == (State.EXPIRED,)
    assert time_states(begins, None, NOW) == ()


def test_a_missing_ra_certificate_has_its_row():
    pki = SmallPki()
    subjects = PkiSubjects(
        authorities=(AuthoritySubject(certificate=pki.root.read, issuer=None),),
        ra=(RaSubject(role="signing", certificate=None, problem="no such file"),),
    )
    row = examine(subjects, fetcher=Web({}), at=NOW).rows[-1]
    assert (row.status, row.states, row.detail) == (HealthWord.ERROR, (State.MISSING,), "no such file")


def test_failing_publication_is_an_error_that_says_since_when():
    state = PublisherState(failures=3, failing_since=NOW, last_error="disk full", due=NOW)
    row = publication_row(state, SmallPki().look())
    assert row.status is HealthWord.ERROR
    assert "3 failures in a row since 2030-01-01 00:00:00Z" in row.detail
    assert "disk full" in row.detail


def test_a_database_that_is_away_is_an_error_that_says_why():
    def away():
        raise StoreUnavailable("the disk is gone")

    row = database_row(SimpleNamespace(reading=away), SmallPki().look())
    assert (row.name, row.status, row.detail) == ("CA Database", HealthWord.ERROR, "the disk is gone")


# -- a lab -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(scope="module")
def running(clock: HandClock) -> Iterator[ScepLab]:
    with ScepLab(clock=clock) as scep_lab:
        yield scep_lab


@pytest.fixture
def scep_lab(running: ScepLab) -> ScepLab:
    running.reset()
    return running


def ask(url, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
        return answer.headers.get_content_type(), answer.read().decode()


class Page(HTMLParser):
    """Reads a page, and remembers what it would load."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.loads += [value for name, value in attrs if name in {"src", "href"}]
        assert tag not in {"script", "link", "img", "iframe"}

    def handle_data(self, data):
        self.texts.append(data)


def test_the_page_shows_every_row_and_loads_nothing(scep_lab):
    kind, text = ask(f"{scep_lab.admin_url}/health", Accept="text/html,*/*;q=0.8")
    assert kind == "text/html"
    page = Page(text)
    assert page.loads == []
    rows = scep_lab.health().rows
    assert len(rows) >= 12
    for row in rows:
        assert row.name in page.texts
        assert row.url is None or row.url in page.texts
    assert "OK" in page.texts


def test_nobody_gets_markup_into_the_page():
    row = HealthRow(
        authority="<script>1</script>", name="<b>", kind="ca", status=HealthWord.OK, detail='"><img src=x>'
    )
    text = render_page(HealthReport(checked_at=NOW, rows=(row,)))
    assert Page(text).loads == []
    assert "<script>1" not in text


@pytest.mark.parametrize("path", ["/api/v1/health", "/health"])
def test_json_is_what_machines_get(scep_lab, path):
    kind, text = ask(scep_lab.admin_url + path, Accept="application/json")
    assert kind == "application/json"
    document = json.loads(text)
    assert document["status"] == "OK"
    assert {row["name"] for row in document["rows"]} >= {"CA Certificate", "CDP Location #1"}


def test_the_remote_desk_reads_the_same_report(scep_lab):
    report = RemoteDesk.at(scep_lab.admin_url).health()
    assert report.status == "OK"
    names = [row.source for row in report.rows]
    assert names == [row.source for row in scep_lab.health().rows]
    assert len(set(names)) == len(names)


def test_metrics_have_the_names_of_x509_certificate_exporter(scep_lab, clock):
    families = {
        family.name: family
        for family in text_string_to_metric_families(ask(f"{scep_lab.admin_url}/metrics")[1])
    }
    assert set(families) >= {
        "x509_cert_not_before", "x509_cert_not_after", "x509_cert_expired", "x509_cert_expires_in_seconds",
        "x509_cert_error", "x509_crl_this_update", "x509_crl_next_update", "x509_crl_number",
        "x509_crl_stale", "x509_source_up", "x509_exporter_build_info",
    }  # fmt: skip
    root = X509Certificate.read(scep_lab.world.root.der)
    (sample,) = [
        sample
        for sample in families["x509_cert_not_after"].samples
        if sample.labels["source_name"] == "NDES Lab Test Root CA: CA Certificate"
    ]
    assert sample.value == root.not_after.timestamp()
    assert sample.labels["subject_CN"] == "NDES Lab Test Root CA"
    assert sample.labels["serial_number"] == f"{root.serial_number:x}"
    for sample in families["x509_cert_expires_in_seconds"].samples:
        assert sample.value > 0
    assert {sample.value for sample in families["x509_source_up"].samples} == {1}
    assert [sample.value for sample in families["crl_publication_failing"].samples] == [0]
    numbers = {sample.value for sample in families["x509_crl_number"].samples}
    assert numbers
    assert min(numbers) >= 1


def test_two_labs_in_a_process_have_metrics_of_their_own(scep_lab):
    with ScepLab({"pki": {"root_common_name": "Another Root"}}) as other:
        texts = [ask(f"{one.admin_url}/metrics")[1] for one in (scep_lab, other)]
    assert ["Another Root" in text for text in texts] == [False, True]


def test_no_view_holds_a_secret(scep_lab):
    challenge = scep_lab.new_challenge()
    for path in ("/health", "/api/v1/health", "/metrics"):
        text = ask(scep_lab.admin_url + path)[1]
        assert challenge not in text
        assert not re.search("passphrase|password|PRIVATE KEY", text, re.IGNORECASE)


def test_a_clock_that_runs_ahead_shows_what_will_expire(scep_lab, clock):
    then = clock.time
    try:
        clock.advance(days=3660)
        report = scep_lab.health()
    finally:
        clock.time = then
    words = {row.source: row.status for row in report.rows}
    assert words["NDES Lab Test Root CA: CA Certificate"] is HealthWord.EXPIRED
    assert words["NDES Lab Test Issuing CA: CDP Location #1"] is HealthWord.EXPIRED
    assert report.status == "Error"


def test_a_withdrawn_crl_is_unable_to_download(scep_lab):
    name = scep_lab.world.authority.locations.crl_file
    file = scep_lab.world.folder.published / name
    kept = file.read_bytes()
    file.unlink()
    try:
        row = next(row for row in scep_lab.health().rows if row.url and row.url.endswith("Issuing%20CA.crl"))
        metrics = ask(f"{scep_lab.admin_url}/metrics")[1]
    finally:
        file.write_bytes(kept)
    assert row.status is HealthWord.UNABLE_TO_DOWNLOAD
    assert "HTTP_E_STATUS_NOT_FOUND 0x80190194" in row.detail
    assert re.search(r'x509_source_up\{[^}]*Issuing CA: CDP Location #1"\} 0\.0', metrics)


def test_every_certificate_of_a_renewed_ca_has_its_rows_until_it_has_ended(tmp_path):
    clock, folder = HandClock(), PkiFolder(tmp_path / "pki")

    def running_lab(pki_port):
        settings = LabSettings.model_validate(
            {
                "server": {"port": 0, "pki_port": pki_port},
                "admin": {"port": 0},
                "alerts": {"enabled": False},
            }
        )
        return contextlib.closing(
            Stopping(RunningLab(settings, folder.path, clock=clock, entropy=os.urandom, durable=False))
        )

    with running_lab(0) as first:
        pki = first.lab.world.pki
    clock.advance(days=365)
    for fresh in (True, False):
        root = OfflineRoot.open(folder, pki, clock=clock)
        renew_issuing(folder, pki, root=root, entropy=os.urandom, new_key=fresh)
    root = OfflineRoot.open(folder, pki, clock=clock)
    root.sign_crl()
    with running_lab(urlsplit(pki.public_url).port) as renewed:
        report = renewed.lab.health.look()
        clock.advance(days=4 * 365 + 2)
        later = renewed.lab.health.look()
    assert report.status == "OK", [(row.source, row.states, row.detail) for row in report.rows if row.states]
    names = [row.source for row in report.rows]
    assert len(set(names)) == len(names)
    for generation in ("", " (1)", " (2)"):
        assert f"NDES Lab Test Issuing CA{generation}: CA Certificate" in names
    assert "NDES Lab Test Issuing CA: CA Certificate" not in {row.source for row in later.rows}
    assert "NDES Lab Test Issuing CA (1): CA Certificate" in {row.source for row in later.rows}


class Stopping:
    """A running lab that can be closed."""

    def __init__(self, lab):
        self.lab = lab

    def close(self):
        self.lab.stop()


# -- the command -----------------------------------------------------------------------


def run(*words):
    return CliRunner().invoke(health, [str(word) for word in words], catch_exceptions=False)


def test_the_command_asks_a_running_lab(scep_lab):
    done = run("--admin-url", scep_lab.admin_url)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "CA\tNAME\tSTATUS\tEXPIRES\tLOCATION\tDETAIL"
    assert lines[-1].startswith("OK: 0 of ")
    assert "NDES Lab Test Issuing CA\tCDP Location #1\tOK\t" in done.stdout


def test_the_command_reads_a_folder_without_keys_and_fetches_from_where_it_is_told(tmp_path):
    """A real clock: the command has no other."""
    with ScepLab() as scep_lab:
        files = [f for f in scep_lab.world.folder.path.rglob("*.crt") if "ceremony" not in f.parts]
        for file in files:
            copy = tmp_path / file.relative_to(scep_lab.world.folder.path)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
        (tmp_path / "ceremony").mkdir()
        done = run("--data-dir", tmp_path, "--json")
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["status"] == "OK"
        moved = run("--data-dir", tmp_path, "--url", scep_lab.admin_url, "--json")
        assert moved.exit_code == 1
        assert {row["status"] for row in json.loads(moved.stdout)["rows"]} == {"OK", "Unable To Download"}
    gone = run("--data-dir", tmp_path)
    assert gone.exit_code == 1
    assert "ERROR_WINHTTP_CANNOT_CONNECT" in gone.stdout
    assert "Unable To Download" in gone.stdout


def test_warnings_are_no_error_unless_strict(scep_lab, clock):
    then = clock.time
    clock.advance(hours=23)  # of the delta CRL's day: more than 80 % are over, the next is not due yet
    try:
        found = [run("--admin-url", scep_lab.admin_url, *words).exit_code for words in ((), ("--strict",))]
        assert found == [0, 1]
    finally:
        clock.time = then


@pytest.mark.parametrize(
    "words",
    [
        ("--url", "http://127.0.0.1:1"),
        ("--data-dir", "nowhere", "--admin-url", "http://127.0.0.1:1"),
        ("--admin-url", "http://127.0.0.1:1"),
        ("--data-dir", "nowhere"),
    ],
)
def test_what_cannot_run_is_exit_status_2(words, tmp_path):
    done = subprocess.run([NDES_LAB, "health", *words], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 2, done
    assert b"Traceback" not in done.stderr


def test_metrics_tell_what_was_asked_of_the_lab_and_go_on_over_a_reset():
    with ScepLab() as scep_lab:
        name = quote(scep_lab.world.authority.locations.crl_file)
        before = ask(f"{scep_lab.admin_url}/metrics")[1]
        for expected in (1, 2):
            ask(f"{scep_lab.scep_url}?operation=GetCACaps")
            with pytest.raises(urllib.error.HTTPError) as caught:
                ask(f"{scep_lab.scep_url}?operation=nothing")
            caught.value.close()
            urllib.request.urlopen(f"{scep_lab.pki_url}/CertEnroll/{name}").close()
            text = ask(f"{scep_lab.admin_url}/metrics")[1]
            assert samples(text, "scep_requests_total", "operation", "outcome") == {
                ("GetCACaps", "success"): expected,
                ("-", "rejected"): expected,
            }
            assert samples(text, "scep_http_responses_total", "status") == {
                ("200",): expected,
                ("400",): expected,
            }
            assert samples(text, "crl_publisher_requests_total", "kind", "status") == {
                ("crl", "200"): expected
            }
            scep_lab.reset()
    # What the lab fetched to look at its own health is not counted.
    assert samples(before, "crl_publisher_requests_total", "kind") == {}
    assert samples(text, "crl_publisher_ocsp_answers_total", "status") == {}
