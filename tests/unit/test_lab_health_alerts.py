"""Alerts: each once for every change, to the log, to a webhook, by mail; nobody waits for a sender."""

from __future__ import annotations

import base64
import contextlib
import json
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog
from ca_world import HandClock
from chain_samples import DAY, NOW
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from ca.pkcs10 import parse_request
from ca.records import CertificateRecord
from crl_publisher import PublisherState
from lab import ScepLab
from lab.health import HealthReport, HealthRow, HealthWord
from lab.health.alerts import (
    Alert,
    AlertBook,
    AlertStatus,
    Condition,
    condition_of_certificate,
    conditions_of,
)
from lab.health.report import State
from lab.health.senders import Dispatcher, MailSender, NotSent, WebhookSender, payload
from lab.health.settings import AlertSettings, MailSettings
from lab.health.watch import HealthService, HealthWatch
from lab.settings import LabSettings, load_settings

SECRET = "correct horse battery staple"
FIRING, RESOLVED = AlertStatus.FIRING, AlertStatus.RESOLVED


def row(name="CDP Location #1", *, kind="cdp", states=(State.FAILED_TO_DOWNLOAD,), word=None, **more):
    status = word or HealthWord.UNABLE_TO_DOWNLOAD
    return HealthRow(authority="CA", name=name, kind=kind, status=status, states=states, **more)


def report(*rows, at=NOW):
    return HealthReport(checked_at=at, rows=rows)


def condition(key="a", state="Expired", severity="error"):
    return Condition(key=key, name="PkiExpired", severity=severity, state=state, summary=f"{key} {state}")


def told(alerts):
    return [(alert.condition.key, alert.condition.state, alert.status) for alert in alerts]


# -- what is told ----------------------------------------------------------------------


def test_each_state_is_told_once_and_so_is_its_end():
    book = AlertBook()
    assert told(book.changes([condition()], NOW)) == [("a", "Expired", FIRING)]
    assert book.changes([condition()], NOW) == []
    assert told(book.changes([condition(state="Error"), condition("b")], NOW)) == [
        ("a", "Error", FIRING),
        ("b", "Expired", FIRING),
    ]
    assert told(book.changes([condition("b")], NOW)) == [("a", "Error", RESOLVED)]
    assert told(book.changes([], NOW)) == [("b", "Expired", RESOLVED)]
    assert book.changes([], NOW) == []


def test_a_restart_does_not_tell_it_again(tmp_path):
    file = tmp_path / "alerts.json"
    AlertBook(file).changes([condition()], NOW)
    assert AlertBook(file).changes([condition()], NOW) == []
    assert told(AlertBook(file).changes([], NOW)) == [("a", "Expired", RESOLVED)]


@pytest.mark.parametrize("content", ["", "[1]", '[{"key": "a"}]', "{"])
def test_a_damaged_memory_is_replaced(tmp_path, content):
    file = tmp_path / "alerts.json"
    file.write_text(content)
    assert told(AlertBook(file).changes([condition()], NOW)) == [("a", "Expired", FIRING)]
    assert AlertBook(file).changes([condition()], NOW) == []


def test_a_row_that_is_not_ok_is_a_condition():
    (found,) = conditions_of(report(row(detail="HTTP 404"), row("fine", states=(), word=HealthWord.OK)))
    assert (found.key, found.name, found.severity) == ("CA: CDP Location #1", "PkiUnableToDownload", "error")
    assert found.summary == "CA: CDP Location #1: Unable To Download; FailedToDownload; HTTP 404"


@pytest.mark.parametrize(
    ("what", "quiet"),
    [
        ({"kind": "cdp", "next_publish": NOW + DAY}, True),
        ({"kind": "delta", "next_publish": NOW}, True),
        ({"kind": "cdp", "next_publish": NOW - timedelta(seconds=1)}, False),
        ({"kind": "cdp"}, False),
        ({"kind": "ocsp"}, True),
        ({"kind": "ra", "name": "RA Certificate (signing)"}, False),
        ({"kind": "ca", "name": "CA Certificate"}, False),
    ],
)
def test_a_crl_whose_successor_is_not_due_yet_is_no_reason_to_wake_anybody(what, quiet):
    found = list(conditions_of(report(row(states=(State.EXPIRING,), word=HealthWord.EXPIRING, **what))))
    assert (not found) is quiet


def record(*, begins, ends):
    return CertificateRecord(
        id=1, issuer_key_id="ab", serial_number=0x4500, subject="CN=device", template="SCEP-Client-Auth",
        requester="device", not_before=begins, not_after=ends, public_key_sha256="", sha1="", der=b"",
        issued_at=begins,
    )  # fmt: skip


def test_an_issued_certificate_is_told_of_after_four_fifths():
    assert condition_of_certificate(record(begins=NOW - 8 * DAY, ends=NOW + 2 * DAY), NOW) is None
    found = condition_of_certificate(record(begins=NOW - 9 * DAY, ends=NOW + DAY), NOW)
    assert found is not None
    assert found.summary.startswith("CN=device (SCEP-Client-Auth, serial number 4500) expires 2030-01-02")


# -- webhook ---------------------------------------------------------------------------


class Receiver(ThreadingHTTPServer):
    """Remembers what is POSTed; answers with the statuses it was given, then 200."""

    daemon_threads = True

    def __init__(self, *statuses):
        super().__init__(("127.0.0.1", 0), Hook)
        self.statuses = list(statuses)
        self.received = []
        self.got_one = threading.Event()


class Hook(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.headers["Content-Type"], json.loads(body)))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.server.got_one.set()

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serving(server) -> Iterator:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def url_of(server):
    return f"http://127.0.0.1:{server.server_address[1]}/hook?token={SECRET.split()[0]}"


def alert(status=FIRING):
    return Alert(condition=condition(), status=status, at=NOW)


def hook(server):
    return WebhookSender(url_of(server), timedelta(seconds=20))


def test_the_webhook_gets_what_alertmanager_would_send():
    with serving(Receiver()) as server:
        hook(server).send([alert(), alert(RESOLVED)])
    ((kind, document),) = server.received
    assert kind == "application/json"
    assert (document["version"], document["status"]) == ("4", "firing")
    first, second = document["alerts"]
    assert first["labels"] == {"alertname": "PkiExpired", "severity": "error"}
    assert first["annotations"] == {"summary": "a Expired"}
    assert first["startsAt"] == "2030-01-01T00:00:00+00:00"
    assert (second["status"], second["endsAt"]) == ("resolved", "2030-01-01T00:00:00+00:00")
    assert payload([alert(RESOLVED)])["status"] == "resolved"


def test_what_failed_is_tried_again_and_told_once():
    with serving(Receiver(500, 404)) as server:
        dispatcher = Dispatcher(hook(server), attempts=3, retry=timedelta(0))
        dispatcher.start()
        dispatcher.tell([alert()])
        dispatcher.wait()
        dispatcher.stop()
    assert len(server.received) == 3


def test_what_keeps_failing_is_given_up_and_the_log_holds_no_secret():
    with serving(Receiver(500, 500, 500)) as server, structlog.testing.capture_logs() as logs:
        dispatcher = Dispatcher(hook(server), attempts=2, retry=timedelta(0))
        dispatcher.start()
        dispatcher.tell([alert()])
        dispatcher.wait()
        dispatcher.stop()
    assert len(server.received) == 2
    assert [one["event"] for one in logs] == ["alerts not sent", "alerts not sent", "alerts given up"]
    assert "HTTP 500" in logs[0]["reason"]
    assert SECRET.split()[0] not in repr(logs)


class Stuck:
    """A sender that hangs until it is let go."""

    name = "stuck"

    def __init__(self):
        self.begun, self.go = threading.Event(), threading.Event()

    def send(self, alerts):
        self.begun.set()
        self.go.wait(30)
        raise NotSent("no")


def test_nobody_waits_for_a_sender_that_hangs_and_what_is_too_much_is_dropped():
    sender = Stuck()
    dispatcher = Dispatcher(sender, attempts=5, retry=timedelta(hours=1))
    dispatcher.start()
    with structlog.testing.capture_logs() as logs:
        dispatcher.tell([alert()])
        assert sender.begun.wait(10)
        for _ in range(101):
            dispatcher.tell([alert()])
        assert [one["event"] for one in logs] == ["alerts dropped: too many wait"]
    sender.go.set()
    dispatcher.stop()  # does not wait the hour before the next attempt


# -- mail ------------------------------------------------------------------------------


class MailSink(socketserver.ThreadingTCPServer):
    """Takes mail for everybody, and remembers it: STARTTLS and AUTH PLAIN as they are wanted."""

    def __init__(self, context=None, *, refuse=False):
        super().__init__(("127.0.0.1", 0), _MailSession)
        self.context, self.refuse = context, refuse
        self.mails, self.logins, self.over_tls = [], [], []


class _MailSession(socketserver.StreamRequestHandler):
    timeout = 30

    def handle(self):
        self.tls = False
        with contextlib.suppress(OSError):  # a client that goes away
            self.converse()

    def finish(self):
        with contextlib.suppress(OSError):
            super().finish()
        self.request.close()

    def converse(self):
        self.say("220 sink")
        while line := self.rfile.readline():
            word = line.split()[0].upper()
            if word == b"QUIT":
                self.say("221 bye")
                return
            getattr(self, f"on_{word.decode().lower()}", lambda _: self.say("250 ok"))(line)

    def say(self, text):
        self.wfile.write(f"{text}\r\n".encode())

    def on_ehlo(self, _):
        offers = ["sink", *(["STARTTLS"] if self.server.context and not self.tls else []), "AUTH PLAIN"]
        for offer in offers[:-1]:
            self.say(f"250-{offer}")
        self.say(f"250 {offers[-1]}")

    def on_starttls(self, _):
        self.say("220 go on")
        self.request = self.server.context.wrap_socket(self.request, server_side=True)
        self.rfile.close()
        self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb", 0)
        self.tls = True

    def on_auth(self, line):
        self.server.logins.append(base64.b64decode(line.split()[2]).split(b"\0")[1:])
        if self.server.refuse:
            self.say(f"535 no such thing as {SECRET}")
        else:
            self.say("235 welcome")

    def on_data(self, _):
        self.say("354 go on")
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line)
        self.server.mails.append(b"".join(lines).decode())
        self.server.over_tls.append(self.tls)
        self.say("250 taken")


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory):
    """A certificate for 127.0.0.1, and the context that serves with it."""
    folder = tmp_path_factory.mktemp("mail")
    key = rsa.generate_private_key(65537, 2048)
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    subprocess.run(
        ["openssl", "req", "-x509", "-key", folder / "key.pem", "-out", folder / "cert.pem", "-days", "2",
         "-subj", "/CN=sink", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return folder / "cert.pem", context


def mail_settings(server, **more):
    given = {"sender": "lab@pki.test", "recipients": ["a@pki.test", "b@pki.test"], "security": "none"} | more
    return MailSettings.model_validate({"host": "127.0.0.1", "port": server.server_address[1]} | given)


def test_one_mail_tells_it_all():
    with serving(MailSink()) as server:
        MailSender(mail_settings(server)).send([alert(), alert(RESOLVED)])
    (mail,) = server.mails
    assert "Subject: ndes-lab: 1 firing, 1 resolved" in mail
    assert "To: a@pki.test, b@pki.test" in mail
    assert "FIRING [error] a Expired\r\nRESOLVED [error] a Expired" in mail


def test_mail_goes_over_tls_and_logs_in_there(certified):
    ca_file, context = certified
    with serving(MailSink(context)) as server:
        MailSender(
            mail_settings(server, security="starttls", ca_file=ca_file, username="lab", password=SECRET)
        ).send([alert()])
    assert server.over_tls == [True]
    assert server.logins == [[b"lab", SECRET.encode()]]


@pytest.mark.parametrize("why", ["no starttls", "strange certificate", "login refused", "nobody there"])
def test_mail_that_cannot_be_sent_is_said_so_without_the_password(certified, why):
    ca_file, context = certified
    login = {"security": "starttls", "username": "lab", "password": SECRET}
    with serving(MailSink(None if why == "no starttls" else context, refuse=True)) as server:
        settings = mail_settings(
            server, **login, **({} if why == "strange certificate" else {"ca_file": ca_file})
        )
        if why == "nobody there":
            settings = settings.model_copy(update={"port": 1})
        with pytest.raises(NotSent) as caught:
            MailSender(settings).send([alert()])
    assert server.mails == []
    assert SECRET not in str(caught.value)
    assert (server.logins != []) is (why == "login refused")


# -- settings --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"mail": {"host": "mail"}}, "recipients is empty"),
        ({"mail": {"username": "lab"}}, "belong together"),
        ({"mail": {"username": "lab", "password": "x", "security": "none"}}, "not sent without TLS"),
        ({"mail": {"recipients": ["a@b\nBcc: c@d"]}}, "one line"),
        ({"webhook_url": "ftp://x"}, "no http or https URL"),
        ({"check_seconds": 0}, "greater than or equal"),
        ({"nonsense": 1}, "Extra inputs"),
    ],
)
def test_settings_that_make_no_sense_are_refused(given, says):
    with pytest.raises(ValidationError, match=says):
        AlertSettings.model_validate(given)


def test_settings_come_from_the_environment_and_hide_their_secrets():
    loaded = load_settings(
        {},
        {
            "NDES_LAB_ALERTS__WEBHOOK_URL": f"http://hook/{SECRET}",
            "NDES_LAB_ALERTS__MAIL__HOST": "mail",
            "NDES_LAB_ALERTS__MAIL__RECIPIENTS": '["a@b"]',
        },
        None,
    ).settings
    assert loaded.alerts.mail.recipients == ("a@b",)
    assert loaded.alerts.webhook_url.get_secret_value().endswith(SECRET)
    assert SECRET not in repr(loaded) + loaded.model_dump_json()


# -- the watch -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clock():
    return HandClock()


@pytest.fixture
def scep_lab(clock):
    with ScepLab(clock=clock) as running:
        yield running


def issue_certificate(scep_lab):
    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "device")])
    csr = x509.CertificateSigningRequestBuilder(subject).sign(key, hashes.SHA256())
    world = scep_lab.world
    with world.store.transaction() as transaction:
        prepared = world.authority.prepare(
            transaction,
            parse_request(csr.public_bytes(serialization.Encoding.DER)),
            template="SCEP-Client-Auth",
            requester="Authenticated Users",
        )
        return world.authority.issue(transaction, prepared)


def watch_of(scep_lab, clock, server=None, *, publisher=None):
    settings = AlertSettings.model_validate(
        {"retry_seconds": 0, **({"webhook_url": url_of(server)} if server else {})}
    )
    world = scep_lab.world
    service = HealthService(
        subjects=scep_lab._lab.health._subjects,
        clock=clock,
        entropy=world.entropy,
        publisher=publisher,
    )
    return HealthWatch(service=service, store=world.store, clock=clock, settings=settings)


def test_the_watch_tells_of_a_certificate_that_expires_and_of_its_revocation(scep_lab, clock):
    issued = issue_certificate(scep_lab)
    then = clock.time
    try:
        with serving(Receiver()) as server:
            watch = watch_of(scep_lab, clock, server)
            for dispatcher in watch.dispatchers:
                dispatcher.start()
            watch.look()
            clock.time = issued.not_after - DAY
            watch.look()
            watch.look()
            scep_lab.revoke(f"{issued.serial_number:x}")
            watch.look()
            for dispatcher in watch.dispatchers:
                dispatcher.wait()
                dispatcher.stop()
    finally:
        clock.time = then
    seen = [
        (one["status"], one["labels"].get("subject"))
        for _, document in server.received
        for one in document["alerts"]
        if one["labels"]["alertname"] == "CertificateExpiring"
    ]
    assert seen == [("firing", issued.subject), ("resolved", issued.subject)]
    names = {one["labels"]["alertname"] for _, document in server.received for one in document["alerts"]}
    assert {"PkiExpiring", "PkiExpired"} & names, "RA certificates and CRLs are told of too"


def test_a_sound_lab_wakes_nobody(scep_lab, clock):
    with structlog.testing.capture_logs() as logs:
        watch_of(scep_lab, clock).look()
    assert [one for one in logs if one["event"] == "alert"] == []


def test_failing_publication_wakes_somebody(scep_lab, clock):
    state = PublisherState(failures=1, failing_since=clock.now(), last_error="disk full")
    with structlog.testing.capture_logs() as logs:
        watch_of(scep_lab, clock, publisher=lambda: state).look()
    (one,) = [one for one in logs if one["event"] == "alert"]
    assert (one["log_level"], one["alert"]) == ("error", "PkiError")
    assert "disk full" in one["summary"]


def test_a_store_that_is_away_is_logged_and_ends_nothing(scep_lab, clock, monkeypatch):
    from ca.records import StoreUnavailable

    def away():
        raise StoreUnavailable("the database is away")

    watch = watch_of(scep_lab, clock)
    watch._store = SimpleNamespace(reading=away)
    with structlog.testing.capture_logs() as logs:
        watch.look()
    assert ("error", "health cannot be told") in [(one["log_level"], one["event"]) for one in logs]


def test_a_lab_that_is_told_to_watches_itself(clock, tmp_path: Path):
    """The threads: a first look at once, another when the clock is set, and an end."""
    then = clock.time
    with serving(Receiver()) as server:
        alerts = {"webhook_url": url_of(server), "check_seconds": 86400}
        try:
            with ScepLab({"alerts": alerts}, clock=clock) as scep_lab:
                clock.advance(days=3600)
                scep_lab.look_at_the_clock()
                assert server.got_one.wait(60)
                remembered = scep_lab.world.folder.path / "alerts.json"
                assert json.loads(remembered.read_text())
        finally:
            clock.time = then
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("health", "alerts-"))]


def test_a_lab_in_a_test_is_not_watched_unless_told(scep_lab):
    assert not [thread for thread in threading.enumerate() if thread.name == "health"]
    assert LabSettings().alerts.enabled
