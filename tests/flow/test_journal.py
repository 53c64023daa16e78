"""The journal of a lab that runs: what clients did, as seen in process, over HTTP and at the command line."""

from __future__ import annotations

import base64
import json
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from lab_client import client_key, client_of, enrol, order
from ndes_world import FLEETS_EXPRESSION
from peers import require_peer

from lab import ScepLab
from lab.admin.desk import DeskRefused, NotFound
from lab.admin.journal import EntryListQuery, EntryPage, EntryQuery
from lab.admin.journal_local import FolderJournalDesk, LocalJournalDesk
from lab.admin.remote import RemoteDesk
from lab.client import Issued, Refused
from lab.commands import main
from lab.decoding import EnvelopeKeys
from lab.journal import Journal, JournalEntry
from lab.journal.settings import journal_folder
from lab.journal.trees import entry_trees
from scep_server.checks import Verdict

WRONG = "a-challenge-that-nobody-made"


@pytest.fixture(scope="module")
def running() -> Iterator[ScepLab]:
    with ScepLab({"journal": {"files": True}}) as scep_lab:
        yield scep_lab


@pytest.fixture
def scep_lab(running: ScepLab) -> ScepLab:
    running.reset()
    return running


@pytest.fixture
def desk(scep_lab: ScepLab) -> RemoteDesk:
    return RemoteDesk.at(scep_lab.admin_url)


def run(scep_lab: ScepLab, *words: str, **options: Any) -> Result:
    words = words if "--data-dir" in words else (*words, "--admin-url", scep_lab.admin_url)
    return CliRunner().invoke(main, ["journal", *words], **options)


def refused(scep_lab: ScepLab, subject: str = "CN=mine") -> None:
    outcome = client_of(scep_lab).enrol(order(subject, challenge=WRONG, key=1))
    assert isinstance(outcome, Refused)


# -- what is kept ----------------------------------------------------------------------


def test_a_refusal_names_the_check_and_the_values_compared(scep_lab: ScepLab) -> None:
    refused(scep_lab)
    entry = scep_lab.journal[-1]
    assert entry.verdict.refused_by == "challenge-unknown"
    assert not entry.verdict.accepted
    assert entry.verdict.word == "FAILURE badRequest"
    assert (entry.operation, entry.message_type, entry.subject) == ("PKIOperation", "PKCSReq", "CN=mine")
    check = entry.failed("challenge")
    assert check is not None
    assert (check.found, check.expected, check.clause) == ("unknown", "accepted", "RFC 8894 2.4")
    assert [each.verdict for each in entry.checks[:-1]] == [Verdict.PASSED] * (len(entry.checks) - 1)
    assert entry.certificate is None
    assert [stage for stage, _ in entry.timings] == ["parse", "open", "decide", "reply"]


def test_an_enrolment_leaves_its_certificate_and_three_entries(scep_lab: ScepLab) -> None:
    outcome = enrol(scep_lab, subject="CN=device")
    assert isinstance(outcome, Issued)
    assert [entry.what for entry in scep_lab.journal] == ["GetCACaps", "GetCACert", "PKIOperation PKCSReq"]
    entry = scep_lab.journal[-1]
    assert entry.verdict.pki_status == "SUCCESS"
    assert entry.certificate is not None
    assert entry.certificate.der == outcome.certificate.der
    (view,) = scep_lab.certificates(subject="CN=device")
    assert (entry.certificate.id, entry.certificate.serial_number) == (view.id, view.serial_number)


def test_the_message_is_explained_down_to_what_was_in_its_envelope(scep_lab: ScepLab) -> None:
    enrol(scep_lab, subject="CN=device")
    trees = entry_trees(scep_lab.journal[-1], EnvelopeKeys(private_keys=(client_key(0),)))
    (request,), (answer,) = trees.request, trees.answer
    assert request.name == "SCEP pkiMessage: PKCSReq (19)"
    plaintext = request.find("plaintext")
    assert plaintext is not None
    assert plaintext.children[0].value == "CN=device"
    assert answer.name == "SCEP pkiMessage: CertRep (3)"
    issued = answer.find("SignedData, degenerate (certificates and CRLs only)")
    assert issued is not None
    assert issued.children[-1].value == "CN=device"


def test_crls_certificates_and_ocsp_are_explained_too(scep_lab: ScepLab, tmp_path: Path) -> None:
    outcome = enrol(scep_lab)
    assert isinstance(outcome, Issued)
    scep_lab.journal.clear()
    (tmp_path / "leaf.der").write_bytes(outcome.certificate.der)
    (tmp_path / "issuer.pem").write_bytes(
        urllib.request.urlopen(f"{scep_lab.admin_url}/intermediates/0").read()
    )
    crl = next(iter(scep_lab.desk.crls())).url
    urllib.request.urlopen(crl).close()
    asked = ["openssl", "ocsp", "-issuer", "issuer.pem", "-cert", "leaf.der", "-noverify"]
    subprocess.run([*asked, "-url", scep_lab.ocsp_url], cwd=tmp_path, check=True, capture_output=True)
    subprocess.run([*asked, "-reqout", "q.der"], cwd=tmp_path, check=True, capture_output=True)
    question = base64.b64encode((tmp_path / "q.der").read_bytes()).decode()
    urllib.request.urlopen(f"{scep_lab.ocsp_url}/{urllib.request.quote(question, safe='')}").close()
    listed, posted, got = scep_lab.journal
    (tree,) = entry_trees(listed).answer
    assert tree.name == "certificate revocation list"
    serial = outcome.certificate.serial_number
    for entry in (posted, got):
        trees = entry_trees(entry)
        assert [node.name for node in (*trees.request, *trees.answer)] == ["OCSP request", "OCSP response"]
        number = trees.request[0].find("serialNumber")
        assert number is not None
        assert int(number.value, 16) == serial
        assert trees.answer[0].find("response").value == "good"  # type: ignore[union-attr]


def test_a_fault_is_named_with_its_parameters(scep_lab: ScepLab) -> None:
    with scep_lab.fault("reply::fail-info-bad-time", times=1, text="so it is"):
        outcome = enrol(scep_lab)
    assert isinstance(outcome, Refused)
    (entry,) = scep_lab.journal.find(fault="reply::fail-info-bad-time")
    assert entry.verdict.fail_info == "badTime"
    assert entry.faults[0].parameters == {"text": "so it is"}
    assert entry.faults[0].rule_id is not None
    listed = run(scep_lab, "list", "--fault", "bad-time").stdout
    assert "reply::fail-info-bad-time" in listed
    assert "text=so it is" in run(scep_lab, "show", str(entry.number), "--brief").stdout


def test_what_no_service_was_reached_by_is_kept_as_well(scep_lab: ScepLab) -> None:
    with pytest.raises(urllib.error.HTTPError) as told:
        urllib.request.urlopen(f"{scep_lab.scep_url.removesuffix('/scep')}/nowhere")
    told.value.close()
    entry = scep_lab.journal[-1]
    assert (entry.verdict.status, entry.verdict.refused_by, entry.what) == (
        404,
        "unknown-path",
        "GET /nowhere",
    )


def test_a_reset_begins_the_journal_anew(scep_lab: ScepLab) -> None:
    enrol(scep_lab)
    scep_lab.reset()
    assert len(scep_lab.journal) == 0
    enrol(scep_lab)
    assert [entry.number for entry in scep_lab.journal] == [1, 2, 3]


def test_the_management_listener_is_not_recorded(scep_lab: ScepLab, desk: RemoteDesk) -> None:
    desk.journal.entries(EntryListQuery())
    assert len(scep_lab.journal) == 0


def test_a_lab_that_looks_at_its_own_health_leaves_no_entry(scep_lab: ScepLab, desk: RemoteDesk) -> None:
    done = CliRunner().invoke(main, ["health", "--admin-url", scep_lab.admin_url])
    assert done.exit_code == 0
    assert desk.health().rows
    assert list(scep_lab.journal) == []


def test_a_lab_that_is_watched_has_an_empty_journal_after_the_watch_has_looked() -> None:
    with ScepLab({"alerts": {"check_seconds": 86400}}) as scep_lab:
        watch = scep_lab._lab.health._watch
        assert watch is not None
        watch.look()
        assert list(scep_lab.journal) == []


def test_no_client_gets_out_of_the_journal_by_the_name_of_the_health_watch(scep_lab: ScepLab) -> None:
    name = {"User-Agent": "ndes-lab health"}
    with urllib.request.urlopen(
        urllib.request.Request(f"{scep_lab.scep_url}?operation=GetCACaps", headers=name)
    ):
        pass
    assert [entry.operation for entry in scep_lab.journal] == ["GetCACaps"]


def test_many_clients_at_once_leave_an_entry_each(scep_lab: ScepLab) -> None:
    url = f"{scep_lab.scep_url}?operation=GetCACaps&n="
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(lambda n: urllib.request.urlopen(f"{url}{n}").close(), range(40)))
    assert [entry.number for entry in scep_lab.journal] == list(range(1, 41))
    targets = {entry.request.target for entry in scep_lab.journal}
    assert targets == {f"/scep?operation=GetCACaps&n={n}" for n in range(40)}


# -- secrets ---------------------------------------------------------------------------


def test_challenges_and_credentials_are_seen_only_where_asked_for(
    scep_lab: ScepLab, desk: RemoteDesk
) -> None:
    challenge = scep_lab.new_challenge()
    assert isinstance(client_of(scep_lab).enrol(order(challenge=challenge)), Issued)
    user = f"{scep_lab.ndes_user}:{scep_lab.ndes_password}"
    page = subprocess.run(
        [require_peer("curl"), "--silent", "--ntlm", "--user", user, scep_lab.mscep_admin_url],
        check=True,
        capture_output=True,
    ).stdout.decode("utf-16-le")
    (handed_out,) = re.findall(FLEETS_EXPRESSION, page)
    secrets = [
        text.encode(encoding) for text in (challenge, handed_out) for encoding in ("ascii", "utf-16-le")
    ]
    everything = secrets_in_everything(scep_lab, desk)
    assert len(everything) > 50_000
    for secret in secrets:
        assert secret not in everything
        assert base64.b64encode(secret)[2:-4] not in everything
    assert b"TlRMTVNTUAAD" not in everything  # what NTLM answers with the user's password
    by_number = {entry.what: entry.number for entry in scep_lab.journal}
    wanted = ("--with-secrets", "--whole")
    assert challenge in run(scep_lab, "show", str(by_number["PKIOperation PKCSReq"]), *wanted).stdout
    assert handed_out in run(scep_lab, "show", "last", *wanted).stdout
    assert "--with-secrets" not in run(scep_lab, "show", "last").stdout


def secrets_in_everything(scep_lab: ScepLab, desk: RemoteDesk) -> bytes:
    """All that can be read without asking for secrets, Base64 undone where a document has it."""
    texts = [
        run(scep_lab, *words).stdout
        for words in (["list", "--json"], ["export"], ["export", "--format", "har"], ["show", "--json"])
    ]
    found = [text.encode() for text in texts]
    folder = journal_folder(scep_lab.world.folder.path)
    found += [path.read_bytes() for path in folder.iterdir()]
    for entry in scep_lab.journal:
        view = desk.journal.entry(entry.number, EntryQuery())
        found += [view.request.body, view.answer.body, view.opened or b"", view.model_dump_json().encode()]
        found.append(run(scep_lab, "show", str(entry.number), "--whole").stdout.encode())
    for kept in Journal.read(folder):
        found += [kept.request.body, kept.answer.body, kept.opened or b""]
    return b"\n".join(found)


# -- over HTTP and from a folder -------------------------------------------------------


def test_the_desk_over_http_tells_what_the_one_in_process_tells(scep_lab: ScepLab, desk: RemoteDesk) -> None:
    enrol(scep_lab)
    refused(scep_lab)
    assert desk.journal.entries(EntryListQuery()) == scep_lab.desk.journal.entries(EntryListQuery())
    for entry in scep_lab.journal:
        for secrets in (False, True):
            query = EntryQuery(secrets=secrets)
            assert desk.journal.entry(entry.number, query) == scep_lab.desk.journal.entry(entry.number, query)
    assert desk.journal.entry(3, EntryQuery(secrets=True)).entry() == scep_lab.journal[2]


def test_the_newest_entry_is_shown_by_the_word_last(scep_lab: ScepLab) -> None:
    url = f"{scep_lab.admin_url}/api/v1/journal/last"
    with pytest.raises(urllib.error.HTTPError) as empty:
        urllib.request.urlopen(url)
    assert empty.value.code == 404
    assert json.load(empty.value)["error"]["message"] == "the journal is empty"
    refused(scep_lab)
    with urllib.request.urlopen(url) as answer:
        assert json.load(answer)["number"] == len(scep_lab.journal) > 1
    with pytest.raises(urllib.error.HTTPError) as wrong:
        urllib.request.urlopen(url.replace("last", "first"))
    assert "number: expected the number of an entry" in json.load(wrong.value)["error"]["message"]


@pytest.mark.parametrize(
    "url",
    [
        "http://user:hunter2@127.0.0.1:9/scep",
        "ftp://user:hunter2@127.0.0.1",
        "http:/u:hunter2@h",
        "u:hunter2@h",
    ],
)
def test_replay_does_not_tell_the_password_in_a_url(good_and_bad: ScepLab, url: str) -> None:
    done = run(good_and_bad, "replay", "3", url)
    assert done.exit_code == 2
    assert "hunter2" not in done.output
    assert "user or password" in done.stderr or "no http or https URL" in done.stderr


def test_pages_lead_to_one_another(scep_lab: ScepLab, desk: RemoteDesk) -> None:
    enrol(scep_lab)
    enrol(scep_lab)

    def page(**wanted: Any) -> EntryPage:
        return desk.journal.entries(EntryListQuery(**wanted))

    first = page(limit=4)
    assert ([row.number for row in first.entries], first.last_seen, first.more) == ([1, 2, 3, 4], 4, True)
    second = page(after=4, limit=4)
    assert ([row.number for row in second.entries], second.last_seen, second.more) == ([5, 6], 6, False)
    assert [row.number for row in page(newest=True, limit=2).entries] == [5, 6]
    found = page(message_type="PKCSReq", limit=1)
    assert ([row.number for row in found.entries], found.last_seen, found.more) == ([3], 3, True)
    assert page(operation="GetNextCACert").last_seen == 6
    assert [row.number for row in page(after=99).entries] == [1, 2, 3, 4, 5, 6]  # cleared meanwhile


def test_who_waits_is_answered_by_the_next_entry_that_matches(scep_lab: ScepLab, desk: RemoteDesk) -> None:
    wanted = EntryListQuery(refused_by="challenge-unknown", wait_seconds=30)
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting = pool.submit(desk.journal.entries, wanted)
        enrol(scep_lab)
        refused(scep_lab)
        page = waiting.result(60)
    assert [row.refused_by for row in page.entries] == ["challenge-unknown"]


class Held(Journal):
    """A journal in which whoever waits is held until told to go."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.go, self.waits = threading.Event(), threading.Event(), 0

    def wait_for_new(self, after: int, seconds: float) -> tuple[JournalEntry, ...]:
        self.waits += 1
        self.entered.set()
        assert self.go.wait(60)
        return super().wait_for_new(after, 0)


def test_more_than_can_wait_are_answered_at_once() -> None:
    journal = Held()
    desk = LocalJournalDesk(journal, waiters=1)
    wanted = EntryListQuery(wait_seconds=30)
    with ThreadPoolExecutor(max_workers=1) as pool:
        first = pool.submit(desk.entries, wanted)
        assert journal.entered.wait(60)
        assert desk.entries(wanted).entries == ()
        assert journal.waits == 1
        journal.go.set()
        assert first.result(60).entries == ()
    assert desk.entries(wanted).entries == ()  # the place is free again
    assert journal.waits == 2


def test_a_lab_stops_while_somebody_waits() -> None:
    with ThreadPoolExecutor(max_workers=1) as pool:
        with ScepLab() as scep_lab:
            desk = scep_lab.desk.journal
            waiting = pool.submit(desk.entries, EntryListQuery(wait_seconds=30))
        assert waiting.result(60).entries == ()


def test_a_folder_tells_the_same_without_secrets_and_without_waiting(scep_lab: ScepLab) -> None:
    enrol(scep_lab)
    folder = FolderJournalDesk(journal_folder(scep_lab.world.folder.path))
    assert folder.entries(EntryListQuery()) == scep_lab.desk.journal.entries(EntryListQuery())
    assert folder.entry(3, EntryQuery()) == scep_lab.desk.journal.entry(3, EntryQuery())
    for refusal in (
        lambda: folder.entry(3, EntryQuery(secrets=True)),
        lambda: folder.entries(EntryListQuery(wait_seconds=1)),
        folder.clear,
    ):
        with pytest.raises(DeskRefused):
            refusal()
    with pytest.raises(NotFound, match="no entry 4; kept are 1 to 3"):
        folder.entry(4, EntryQuery())


def test_a_folder_without_a_journal_says_how_one_comes_about(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"journal\.files is true"):
        FolderJournalDesk(tmp_path / "journal").entries(EntryListQuery())


# -- the command line ------------------------------------------------------------------


@pytest.fixture
def good_and_bad(scep_lab: ScepLab) -> ScepLab:
    """Entry 3 is a good enrolment, entry 6 one that is refused."""
    enrol(scep_lab, subject="CN=good")
    refused(scep_lab, "CN=bad,O=Lab")
    return scep_lab


def test_list_shows_what_matches_in_lines_and_json(good_and_bad: ScepLab) -> None:
    lines = run(good_and_bad, "list").stdout.splitlines()
    assert len(lines) == 7
    (line,) = run(good_and_bad, "list", "--refused").stdout.splitlines()[1:]
    assert line.split("\t")[3:7] == [
        "PKIOperation PKCSReq",
        "CN=bad,O=Lab",
        "FAILURE badRequest",
        "challenge-unknown",
    ]
    (row,) = json.loads(run(good_and_bad, "list", "--message-type", "pkcsreq", "--accepted", "--json").stdout)
    assert (row["number"], row["pki_status"], row["subject"]) == (3, "SUCCESS", "CN=good")
    assert len(run(good_and_bad, "list", "--last", "2").stdout.splitlines()) == 3


@pytest.mark.parametrize("where", ["running", "folder"])
def test_show_tells_every_check_and_both_messages(good_and_bad: ScepLab, where: str) -> None:
    at = () if where == "running" else ("--data-dir", str(good_and_bad.world.folder.path))
    text = run(good_and_bad, "show", "6", *at).stdout
    assert "Verdict      not accepted: FAILURE badRequest, refused by challenge-unknown" in text
    assert re.search(r"failed +challenge +unknown, expected accepted  \(RFC 8894 2\.4\)", text)
    assert "plaintext  (as the server opened it)" in text
    assert f"challengePassword 1.2.840.113549.1.9.7: {'*' * len(WRONG)}  (PrintableString)" in text
    assert "failInfo: badRequest (2)" in text
    document = json.loads(run(good_and_bad, "show", "6", "--json", *at).stdout)
    assert document["checks"][-1]["name"] == "challenge"
    assert base64.b64decode(document["request"]["body"]) == good_and_bad.journal[5].request.body
    assert document["request_tree"][0]["name"] == "SCEP pkiMessage: PKCSReq (19)"


def test_show_opens_the_answer_with_the_clients_key(good_and_bad: ScepLab, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    key = tmp_path / "key.pem"
    key.write_bytes(
        client_key(0).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"opens"),
        )
    )
    (tmp_path / "password").write_text("opens\n")
    named = ("--key", str(key), "--key-password-file", str(tmp_path / "password"))
    text = run(good_and_bad, "show", "3", *named).stdout
    assert "SignedData, degenerate" in text
    assert "SignedData, degenerate" not in run(good_and_bad, "show", "3").stdout
    without = run(good_and_bad, "show", "3", "--key", str(key))
    assert without.exit_code == 2
    assert "no private key that can be read" in without.stderr


def test_diff_tells_what_mine_has_otherwise_than_a_good_one(good_and_bad: ScepLab) -> None:
    done = run(good_and_bad, "diff", "3", "6", "--json")
    assert done.exit_code == 1
    found = {" > ".join(each["path"]): each for each in json.loads(done.stdout)["differences"]}
    subject = found.pop(
        "SCEP pkiMessage > content > EnvelopedData > plaintext > certificate request (PKCS#10) > subject"
    )
    assert subject["kind"] == "differs"
    assert subject["left"] == "CN=good"
    assert not [place for place in found if "Nonce" in place or "signature" in place or "modulus" in place]
    everything = run(good_and_bad, "diff", "3", "6", "--all").stdout
    assert "senderNonce" in everything
    assert "modulus" in everything
    same = run(good_and_bad, "diff", "6", "last")
    assert same.exit_code == 0
    assert same.stdout == "entry 6 and entry 6 do not differ.\n"
    answers = run(good_and_bad, "diff", "3", "6", "--answer")
    assert "pkiStatus\n  entry 3  SUCCESS (0) (PrintableString)\n  entry 6  FAILURE (2)" in answers.stdout


def test_diff_takes_files_in_any_form(good_and_bad: ScepLab, tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    assert run(good_and_bad, "export", "--format", "raw", "--output", str(folder)).exit_code == 0
    assert run(good_and_bad, "export", "6", "--output", str(tmp_path / "6.json")).exit_code == 0
    exported = run(good_and_bad, "diff", "6", str(tmp_path / "6.json"))
    assert exported.exit_code == 0, exported.output
    for name in ("6-request.der", "6-request.http"):
        done = run(good_and_bad, "diff", str(folder / "6-request.der"), str(folder / name))
        assert done.exit_code == 0, done.output
    piped = run(
        good_and_bad,
        "diff",
        str(folder / "6-request.der"),
        "-",
        input=(folder / "3-request.der").read_bytes(),
    )
    assert piped.exit_code == 1
    assert "SCEP pkiMessage > certificate" in piped.stdout
    nothing = tmp_path / "nothing"
    nothing.write_bytes(b"\x00\x01")
    refusal = run(good_and_bad, "diff", "6", str(nothing))
    assert refusal.exit_code == 2
    assert "neither ASN.1" in refusal.stderr


def test_exported_messages_are_what_was_sent(good_and_bad: ScepLab, tmp_path: Path) -> None:
    assert run(good_and_bad, "export", "--format", "raw", "--output", str(tmp_path / "raw")).exit_code == 0
    names = {path.name for path in (tmp_path / "raw").iterdir()}
    assert {"1-request.http", "3-request.der", "3-answer.der", "3-certificate.der", "6-answer.http"} <= names
    judged = subprocess.run(
        ["openssl", "cms", "-cmsout", "-print", "-inform", "DER", "-in", tmp_path / "raw" / "3-request.der"],
        check=True,
        capture_output=True,
    )
    assert b"contentType: pkcs7-signedData" in judged.stdout
    har = json.loads(run(good_and_bad, "export", "--format", "har").stdout)["log"]
    assert (har["version"], len(har["entries"])) == ("1.2", 6)
    last = har["entries"][-1]
    assert base64.b64decode(last["request"]["postData"]["text"]) == good_and_bad.journal[5].request.body
    assert base64.b64decode(last["response"]["content"]["text"]) == good_and_bad.journal[5].answer.body
    assert last["_ndesLab"]["verdict"]["refused_by"] == "challenge-unknown"
    missing = run(good_and_bad, "export", "--format", "raw")
    assert missing.exit_code == 2
    assert "--output" in missing.stderr


def test_replay_sends_the_same_octets_and_compares_the_answers(good_and_bad: ScepLab, tmp_path: Path) -> None:
    again = run(good_and_bad, "replay", "3", good_and_bad.mscep_url)
    assert again.exit_code == 0, again.output
    assert "entry 3 and now do not differ." in again.stdout
    first, second = good_and_bad.journal[2], good_and_bad.journal[-1]
    assert second.request.body == first.request.body
    assert second.request.header("Content-Type") == first.request.header("Content-Type")
    assert second.request.target == "/certsrv/mscep/mscep.dll?operation=PKIOperation"
    assert second.certificate == first.certificate  # the same again, not a second one

    run(good_and_bad, "export", "6", "--output", str(tmp_path / "6.json"))
    with good_and_bad.fault("reply::fail-info-bad-time", times=1):
        changed = run(good_and_bad, "replay", str(tmp_path / "6.json"), good_and_bad.scep_url, "--json")
    assert changed.exit_code == 1
    document = json.loads(changed.stdout)
    assert document["status"] == 200
    assert [each["path"][-1] for each in document["differences"] if each["path"][-1] == "failInfo"] == [
        "failInfo"
    ]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://127.0.0.1/", "no http or https URL"),
        ("file:///etc/passwd", "no http or https URL"),
        ("http://127.0.0.1:1/scep", "cannot be connected to"),
        ("http://127.0.0.1:1/scep?operation=x", "has a query"),
    ],
)
def test_replay_says_why_it_cannot(good_and_bad: ScepLab, url: str, says: str) -> None:
    done = run(good_and_bad, "replay", "6", url)
    assert done.exit_code == 2
    assert says in done.stderr


def test_follow_prints_a_line_for_each_new_exchange_and_ends_well_on_ctrl_c(scep_lab: ScepLab) -> None:
    command = [
        Path(sys.executable).with_name("ndes-lab"),
        "journal",
        "follow",
        "--after",
        "0",
        "--admin-url",
        scep_lab.admin_url,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            enrol(scep_lab, subject="CN=good")
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(3)]
            refused(scep_lab)
            lines += [process.stdout.readline() for _ in range(3)]
            process.send_signal(signal.SIGINT)
            rest, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert [line.split("\t")[0] for line in lines] == ["1", "2", "3", "4", "5", "6"]
    assert "challenge-unknown" in lines[-1]
    assert (process.returncode, rest, errors) == (0, "", "")


def test_follow_ends_after_a_count_and_filters(good_and_bad: ScepLab) -> None:
    done = run(good_and_bad, "follow", "--after", "0", "--count", "1", "--refused", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["number"] == 6


def test_an_exported_entry_is_shown_as_the_journal_shows_it(good_and_bad: ScepLab, tmp_path: Path) -> None:
    assert run(good_and_bad, "export", "6", "--output", str(tmp_path / "6.json")).exit_code == 0
    assert run(good_and_bad, "show", str(tmp_path / "6.json")).stdout == run(good_and_bad, "show", "6").stdout


@pytest.mark.parametrize(
    ("words", "calls"),
    [
        (["list", "--last", "3"], ["/api/v1/journal?limit=3&newest=true"]),
        (["show", "6"], ["/api/v1/journal/6"]),
        (["show"], ["/api/v1/journal?limit=1&newest=true", "/api/v1/journal/6"]),
        (["diff", "3", "6"], ["/api/v1/journal/3?trees=false", "/api/v1/journal/6?trees=false"]),
        (["export", "3"], ["/api/v1/journal/3?trees=false"]),
        (["follow", "--after", "6"], ["/api/v1/journal?after=6&wait_seconds=25.0"]),
        (["clear"], ["-X DELETE"]),
    ],
    ids=lambda value: " ".join(value[:1]),
)
def test_curl_does_the_same(good_and_bad: ScepLab, words: list[str], calls: list[str]) -> None:
    done = run(good_and_bad, *words, "--curl")
    lines = done.stdout.splitlines()
    assert len(lines) == len(calls), done.output
    assert all(call in line for call, line in zip(calls, lines, strict=True)), lines
    assert len(good_and_bad.journal) == 6
    line = lines[-1].replace("wait_seconds=25.0", "wait_seconds=0")
    answer = subprocess.run(["bash", "-c", line], check=True, capture_output=True).stdout
    assert answer.startswith(b"{") or words == ["clear"]


@pytest.mark.parametrize("words", [["replay", "3", "http://127.0.0.1:1"], ["export", "--output", "x"]])
def test_what_is_no_call_is_refused_with_curl(good_and_bad: ScepLab, words: list[str]) -> None:
    done = run(good_and_bad, *words, "--curl")
    assert done.exit_code == 2
    assert "is no call of it" in done.stderr


def test_mistakes_are_told_in_one_sentence(good_and_bad: ScepLab) -> None:
    for words, says in (
        (["show", "99"], "no entry 99; kept are 1 to 6"),
        (["show", "none"], "'none' is no entry"),
        (["show", "0"], "'0' is no entry"),
        (["diff", "1", "no-such-file"], "no-such-file"),
        (["follow", "--data-dir", str(good_and_bad.world.folder.path)], "only the journal of a running lab"),
    ):
        done = run(good_and_bad, *words)
        assert done.exit_code == 2, words
        assert says in done.stderr
        assert "Traceback" not in done.stderr


def test_clear_forgets_all(good_and_bad: ScepLab) -> None:
    assert run(good_and_bad, "clear").exit_code == 0
    assert len(good_and_bad.journal) == 0
    assert run(good_and_bad, "show").exit_code == 2
