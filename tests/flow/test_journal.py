"""What the journal of a running lab keeps of what clients did, and what it keeps to itself."""

from __future__ import annotations

import base64
import json
import re
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner
from forge import wire
from journal_lab import refused, run
from lab_client import client_key, client_of, enrol, order
from ndes_world import FLEETS_EXPRESSION
from peers import require_peer

from lab import ScepLab
from lab.admin.journal import EntryListQuery, EntryQuery
from lab.admin.remote import RemoteDesk
from lab.client import Issued, Refused
from lab.commands import main
from lab.decoding import EnvelopeKeys
from lab.journal import Journal
from lab.journal.export import as_har
from lab.journal.settings import journal_folder
from lab.journal.trees import entry_trees
from scep_server.checks import Verdict


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


def test_an_archive_names_the_urls_that_were_asked_over_tls_too() -> None:
    with ScepLab({"server": {"tls_port": 0}}) as scep_lab:
        context = ssl.create_default_context(cadata=scep_lab.root_pem)
        urls = [f"{url}?operation=GetCACaps" for url in (scep_lab.scep_url, scep_lab.scep_tls_url)]
        for url in urls:
            urllib.request.urlopen(url, context=context).close()
        wire.exchange(urls[0], b"GET https://elsewhere.example/scep HTTP/1.0\r\nHost: x.example\r\n\r\n")
        archive = json.loads(as_har(scep_lab.journal, version="1"))["log"]["entries"]
    assert [entry["request"]["url"] for entry in archive] == [*urls, "http://x.example/scep"]


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
