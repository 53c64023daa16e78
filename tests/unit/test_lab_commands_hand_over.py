"""``ndes-lab pki hand-over``: a ceremony where there is none, and folders for those who serve."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ca_world import openssl
from click.testing import CliRunner, Result
from cryptography import x509

from ca.clock import SystemClock
from ca.folders import PkiFolder
from ca.root import root_crl_due
from lab.commands import main

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run the command with the keeper's folder and a database that others can see."""
    always = ["--data-dir", str(tmp_path / "root"), "--database-url", f"sqlite:///{tmp_path}/records.sqlite3"]

    def invoke(*words: str) -> Result:
        return CliRunner().invoke(main, ["pki", "hand-over", *always, *words], catch_exceptions=False)

    return invoke


@pytest.fixture
def keeper(tmp_path: Path) -> PkiFolder:
    return PkiFolder(tmp_path / "root")


def handed_over(done: Result) -> dict[str, list[str]]:
    assert done.exit_code == 0, done.output
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return {row["role"]: row["files"] for row in rows}


def server(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / "server.pem").read_bytes())


def test_holds_the_ceremony_once_and_hands_over_to_several(
    run: Run, keeper: PkiFolder, tmp_path: Path
) -> None:
    where = (f"scep={tmp_path / 'scep'}", f"publisher={tmp_path / 'publisher'}", f"lab={tmp_path / 'lab'}")
    first = handed_over(run("--init", "--json", *where))
    assert first["scep"] == first["lab"]
    assert set(first["scep"]) > set(first["publisher"]) > {"issuing/issuing.key"}
    certificate = keeper.root_certificate.read_bytes()
    assert handed_over(run("--init", "--json", *where)) == {"scep": [], "publisher": [], "lab": []}
    assert keeper.root_certificate.read_bytes() == certificate


def test_without_a_pki_and_the_ceremony_it_says_so(run: Run, tmp_path: Path) -> None:
    done = run(f"scep={tmp_path / 'scep'}")
    assert done.exit_code == 2
    assert "hold the key ceremony first" in done.stderr


def test_says_who_has_to_read_what_is_new(run: Run, tmp_path: Path) -> None:
    where = f"publisher={tmp_path / 'publisher'}"
    assert "SIGHUP" in run("--init", where).stderr
    again = run(where)
    assert again.stderr == ""
    assert again.stdout.splitlines()[1].split("\t") == ["publisher", str(tmp_path / "publisher"), "-"]


def test_server_gets_a_certificate_that_openssl_takes_for_each_name(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "edge"
    names = ("--server-name", "pki.example", "--server-name", "127.0.0.1")
    assert handed_over(run("--init", "--json", *names, f"server={folder}")) == {
        "server": ["root.pem", "trusted.pem", "server.pem"]
    }
    assert (folder / "server.pem").stat().st_mode & 0o777 == 0o600
    trust = ("-CAfile", folder / "root.pem", "-untrusted", folder / "trusted.pem", "-purpose", "sslserver")
    for name in (("-verify_hostname", "pki.example"), ("-verify_ip", "127.0.0.1")):
        assert "OK" in openssl("verify", *trust, *name, folder / "server.pem")
    openssl("verify", *trust, "-verify_hostname", "other.example", folder / "server.pem", succeeds=False)
    key = openssl("pkey", "-in", folder / "server.pem", "-pubout")
    assert key == openssl("x509", "-in", folder / "server.pem", "-noout", "-pubkey")


def test_server_keeps_its_certificate_until_names_or_time_want_another(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "edge"
    command = ("--json", f"server={folder}", "--server-name", "pki.example")
    run("--init", *command)
    kept = server(folder)
    assert handed_over(run(*command)) == {"server": []}
    assert handed_over(run(*command, "--server-name", "localhost")) == {"server": ["server.pem"]}
    assert server(folder) != kept


@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_server_file_that_is_none_is_replaced(run: Run, tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "edge"
    command = ("--init", "--json", f"server={folder}", "--server-name", "pki.example")
    run(*command)
    (folder / "server.pem").write_bytes(content)
    assert handed_over(run(*command)) == {"server": ["server.pem"]}


def test_server_certificate_of_another_pki_is_replaced(run: Run, tmp_path: Path) -> None:
    words = ("pki", "hand-over", "--init", "--server-name", "pki.example", f"server={tmp_path / 'edge'}")
    other = ("--data-dir", f"{tmp_path}/other", "--database-url", f"sqlite:///{tmp_path}/other.sqlite3")
    assert CliRunner().invoke(main, [*words, *other]).exit_code == 0
    before = server(tmp_path / "edge")
    run(*words[2:])
    openssl(
        *("verify", "-CAfile", tmp_path / "edge" / "root.pem"),
        *("-untrusted", tmp_path / "edge" / "trusted.pem", tmp_path / "edge" / "server.pem"),
    )
    assert server(tmp_path / "edge") != before


def test_root_crl_is_signed_when_it_is_due_and_not_before(
    run: Run, keeper: PkiFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("--json", "--sign-root", f"publisher={tmp_path / 'publisher'}")
    run("--init", *command)
    due = root_crl_due(keeper)
    assert handed_over(run(*command)) == {"publisher": []}
    monkeypatch.setattr(SystemClock, "now", lambda _: due + timedelta(seconds=1))
    assert handed_over(run(*command)) == {"publisher": ["issuing/root.crl"]}
    assert root_crl_due(keeper) > due


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("edge=folder",), "roles scep, publisher, lab, server"),
        (("scep",), "is not ROLE=DIR"),
        (("scep=",), "is not ROLE=DIR"),
        (("server=folder",), "needs a --server-name"),
        (("scep=folder", "--server-name", "x"), "goes with server=DIR"),
        ((), "Missing argument"),
    ],
)
def test_what_it_does_not_understand_is_said(run: Run, words: tuple[str, ...], said: str) -> None:
    done = run(*words)
    assert done.exit_code == 2
    assert said in done.stderr


def test_sqlite_in_the_folder_is_refused_before_anything_is_handed_over(tmp_path: Path) -> None:
    words = ["pki", "hand-over", "--init", "--data-dir", str(tmp_path / "root"), f"scep={tmp_path / 'scep'}"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert "pki.database_url" in done.stderr
    assert not (tmp_path / "scep").exists()
