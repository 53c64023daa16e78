"""What ``--curl`` prints works when it is pasted into a shell, for every command that can print it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from admin_client import csr
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from lab_client import client_key
from peers import require_peer

from lab import ScepLab
from lab.admin.models import CertificateOrder
from lab.admin.templates import TemplateChange
from lab.commands import main
from lab.faults.rules import RuleOrder
from lab.ready import write_ready_file

TOKEN = "0123456789abcdef'\"$x"
PASSWORD = "se\"sa\\me $HOME `id` 'x"
TEMPLATE = """
display_name = "Lab Client"
oid = "1.3.6.1.4.1.311.21.8.1.2.3"
schema_version = 2
subject_type = "computer"

[extensions]
key_usage = ["digitalSignature"]
application_policies = ["Client Authentication"]
"""
SET = """
clock = "+1d"

[[challenges]]
password = 'x"y'
kind = "static"

[[certificates]]
csr = '''
{csr}
'''
"""


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name), command


def prints_curl(command: click.Command) -> bool:
    return any("--curl" in parameter.opts for parameter in command.params)


NO_CALL = {("journal", "replay")}  # what it is about is sent to another server
COMMANDS = [path for path, command in leaves(main) if prints_curl(command) and path not in NO_CALL]


@dataclass(frozen=True, slots=True)
class Stand:
    """A lab with one of everything, its ready file, and files to give to commands."""

    scep_lab: ScepLab
    folder: Path

    @property
    def ready_file(self) -> Path:
        return self.folder / "it's ready.json"

    def words(self, path: tuple[str, ...]) -> list[str]:
        """Return what each command is given; an untested command has nothing here."""
        serial = self.scep_lab.desk.certificate("3").serial_number
        given = {
            "cert issue": [str(self.folder / "c.csr")],
            "cert list": ["--subject", "it's me & you", "--limit", "7"],
            "cert revoke": ["--subject", "CN=device", "--all", "--publish", "delta"],
            "cert show": [serial],
            "challenge list": ["--usable"],
            "challenge new": ["--password-file", str(self.folder / "pass word"), "--label", "it's"],
            "challenge revoke": ["1"],
            "clock": ["-2h"],
            "config show": [],
            "crl publish": ["--delta"],
            "crl show": ["--pem"],
            "fault clear": [],
            "fault list": ["--seam", "wire"],
            "fault set": ["reply::wrong-recipient-nonce", "--match", "subject=*it's*", "--times", "2"],
            "fault show": ["reply::wrong-recipient-nonce"],
            "health": [],
            "journal clear": [],
            "journal diff": ["1", "2"],
            "journal export": ["1"],
            "journal follow": [],
            "journal list": ["--last", "3", "--path", "a&b"],
            "journal show": ["1"],
            "ndes events": [],
            "ndes log": [],
            "ndes recycle": [],
            "ndes trace": [],
            "populate": [str(self.folder / "the set.toml")],
            "ra issue": ["signing", "--out", str(self.folder / "ra")],
            "ra list": [],
            "ra renew": ["all"],
            "ra replace": [
                "signing",
                "--certificate",
                str(self.folder / "s.crt"),
                "--key",
                str(self.folder / "s.key"),
            ],
            "ready": [],
            "request approve": ["1"],
            "request deny": ["1", "--message", "it's not ours"],
            "request list": ["--status", "pending"],
            "reset": [],
            "template change": ["WebServer", "--enroll", "Domain Users", "--validity-period", "3 Months"],
            "template list": [],
            "template publish": ["webserver"],
            "template put": ["Lab Client", str(self.folder / "t.toml")],
            "template show": ["webserver"],
            "template unpublish": ["webserver"],
        }
        return given[" ".join(path)]

    def replacement(self) -> list[str]:
        return ["--certificate", str(self.folder / "s.crt"), "--key", str(self.folder / "s.key")]

    def lines(self, *words: str) -> str:
        done = CliRunner().invoke(main, [*words, "--ready-file", str(self.ready_file), "--curl"])
        assert done.exit_code == 0, done.output
        return done.stdout

    def shell(self, lines: str) -> subprocess.CompletedProcess[str]:
        require_peer("curl")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("NDES_LAB_")}
        return subprocess.run(
            ["sh", "-eu", "-c", lines], capture_output=True, text=True, check=False, env=environment
        )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with ScepLab({"admin": {"token": TOKEN}}) as scep_lab:
        desk = scep_lab.desk
        desk.templates.change("WebServer", TemplateChange(manager_approval=True, enroll=("Everyone",)))
        for number, template in enumerate(("SCEP-Client-Auth", "SCEP-Client-Auth", "WebServer")):
            desk.issue_certificate(CertificateOrder(csr=csr(key=number), template=template))
        scep_lab.new_challenge()
        stand = Stand(scep_lab, tmp_path_factory.mktemp("a folder"))
        write_ready_file(stand.ready_file, scep_lab._lab.ready_facts())
        scep_lab.remember()
        key = client_key(4).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        for name, text in {
            "c.csr": csr(key=3),
            "pass word": PASSWORD + "\n",
            "s.key": key,
            "s.crt": scep_lab.root_pem,
            "t.toml": TEMPLATE,
            "the set.toml": SET.format(csr=csr(key=3)),
        }.items():
            (stand.folder / name).write_text(text)
        yield stand


@pytest.fixture
def stand(running: Stand) -> Stand:
    running.scep_lab.reset()
    running.scep_lab.desk.faults.add(RuleOrder(fault="reply::wrong-recipient-nonce"))
    return running


def changes_nothing(stand: Stand) -> tuple[object, ...]:
    desk = stand.scep_lab.desk
    lists = desk.challenges(), desk.requests(), desk.templates.list(), desk.faults.rules(), desk.crls()
    return (*map(tuple, lists), tuple(stand.scep_lab.certificates()), desk.clock.show().offset)


def test_whatever_works_at_a_running_lab_can_print_its_calls() -> None:
    for path, command in leaves(main):
        names = {option for parameter in command.params for option in parameter.opts}
        assert ("--admin-url" in names) == ("--curl" in names), path


REFUSED = {"ra replace": "not that of the certificate"}  # the two files do not belong together


@pytest.mark.parametrize("path", COMMANDS, ids="-".join)
def test_what_is_printed_works_in_a_shell_and_printing_it_changes_nothing(
    stand: Stand, path: tuple[str, ...]
) -> None:
    if path[0] == "journal":
        exchange(stand)
    before = changes_nothing(stand)
    lines = stand.lines(*path, *stand.words(path))
    assert changes_nothing(stand) == before
    assert lines.count("curl ") >= 1
    for secret in (TOKEN, PASSWORD, "PRIVATE KEY", 'x"y'):
        assert secret not in lines
    done = stand.shell(lines)
    expected = REFUSED.get(" ".join(path))
    if expected is None:
        assert done.returncode == 0, lines + done.stdout + done.stderr
        assert '"error": {' not in done.stdout
    else:
        assert expected in done.stdout


def exchange(stand: Stand) -> None:
    import urllib.request

    for operation in ("GetCACaps", "GetCACert"):
        urllib.request.urlopen(f"{stand.scep_lab.scep_url}?operation={operation}").close()


def test_a_password_comes_from_its_file_when_the_line_is_run(stand: Stand) -> None:
    done = stand.shell(stand.lines("challenge", "new", *stand.words(("challenge", "new"))))
    assert json.loads(done.stdout)["password"] == PASSWORD


def test_a_fault_is_set_by_one_call(stand: Stand) -> None:
    (line,) = stand.lines("fault", "set", *stand.words(("fault", "set"))).splitlines()
    assert "-X POST" in line


def test_every_call_of_a_command_is_printed(stand: Stand) -> None:
    lines = stand.lines("cert", "revoke", "--subject", "CN=device", "--all").splitlines()
    assert [line.rpartition("/api/v1/")[2].split("?")[0] for line in lines] == [
        "certificates",
        "certificates/3/revoke",
        "certificates/4/revoke",
    ]
    stand.shell("\n".join(lines))
    revoked = stand.scep_lab.certificates(subject="CN=device")
    assert [one.revocation_reason for one in revoked] == ["unspecified", "unspecified"]
    assert max(crl.entries for crl in stand.scep_lab.desk.crls()) == 2


def test_a_list_is_checked_and_then_made_and_published(stand: Stand, tmp_path: Path) -> None:
    listed = tmp_path / "listed"
    listed.write_text(
        "".join(f"{one.serial_number}\n" for one in stand.scep_lab.certificates(subject="CN=device"))
    )
    lines = stand.lines("cert", "revoke", "--from-file", str(listed), "--reason", "superseded")
    assert [line.rpartition("/api/v1/")[2] for line in lines.splitlines()] == [
        "revocations",
        "revocations",
        "crls",
    ]
    assert lines.count('"dry_run": true') == 1
    assert stand.shell(lines).returncode == 0
    revoked = stand.scep_lab.certificates(subject="CN=device")
    assert [one.revocation_reason for one in revoked] == ["superseded", "superseded"]


def test_a_long_body_is_handed_over_on_standard_input(stand: Stand, tmp_path: Path) -> None:
    file = tmp_path / "long.toml"
    file.write_text('# it\'s `long`, "as" $long as \\n can be\n' * 500 + TEMPLATE)
    lines = stand.lines("template", "put", "Long", str(file))
    assert " -d @- " in lines
    done = stand.shell(lines)
    assert json.loads(done.stdout)["name"] == "Long", done.stdout + done.stderr


def test_without_a_lab_a_single_call_is_printed_all_the_same() -> None:
    words = ["challenge", "list", "--admin-url", "http://127.0.0.1:1", "--curl"]
    done = CliRunner().invoke(main, words, env={"NDES_LAB_ADMIN__TOKEN": TOKEN})
    assert done.stdout == (
        'curl -sS --fail-with-body -H "Authorization: Bearer $NDES_LAB_ADMIN__TOKEN" '
        "http://127.0.0.1:1/api/v1/challenges\n"
    )


def test_says_that_further_calls_depend_on_an_answer() -> None:
    done = CliRunner().invoke(main, ["ndes", "log", "--admin-url", "http://127.0.0.1:1", "--curl"])
    assert done.exit_code == 0
    assert done.stdout.count("curl ") == 1
    assert "depend on an answer" in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [(["--data-dir", "x"], "names a folder"), (["--follow"], "goes on for ever")],
)
def test_refuses_what_has_no_calls_or_no_end(words: list[str], says: str) -> None:
    done = CliRunner().invoke(main, ["ndes", "log", "--curl", *words])
    assert done.exit_code == 2
    assert says in done.output
