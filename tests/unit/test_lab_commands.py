"""The command line: what it prints where, and with which exit status it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ca.folders import PkiFolder
from lab.commands import main
from lab.ready import ReadyFacts

NDES_LAB = Path(sys.executable).with_name("ndes-lab")
FREE = ("--port", "0", "--pki-port", "0", "--admin-port", "0")
DEADLINE = 120


def run(*arguments: str | Path, given: str = "", env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments], input=given, env=env)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "pki"
    assert run("init", "--data-dir", folder).exit_code == 0
    return folder


@pytest.fixture
def pki(made: Path, tmp_path: Path) -> Path:
    """A PKI of one's own, to be damaged."""
    return Path(shutil.copytree(made, tmp_path / "pki"))


# -- results and manners ---------------------------------------------------------------


def test_challenge_new_prints_the_challenge_and_nothing_else(pki: Path) -> None:
    done = run("challenge", "new", "--data-dir", pki)
    assert done.exit_code == 0
    assert len(done.stdout.strip()) == 32
    assert bytes.fromhex(done.stdout.strip())
    assert done.stdout.endswith("\n")


@pytest.mark.parametrize("words", [["fault", "list"], ["config", "show"], ["scenario", "list", "--json"]])
def test_who_reads_no_further_is_told_nothing(words: list[str]) -> None:
    environment = {**os.environ, "NDES_LAB_ADMIN__PORT": "1"}
    with subprocess.Popen(
        [NDES_LAB, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        command.stdout.close()
        told = command.stderr.read()
        assert command.wait(DEADLINE) == 1
    assert told == b""


def test_challenges_are_listed_without_passwords_and_revoked(pki: Path) -> None:
    password = run("challenge", "new", "--data-dir", pki, "--label", "mine", "--minutes", "5").stdout.strip()
    listed = run("challenge", "list", "--data-dir", pki)
    header, row = listed.stdout.splitlines()
    assert header.split("\t")[:3] == ["ID", "STATUS", "KIND"]
    assert row.split("\t")[:3] == ["1", "usable", "one-time"]
    assert password not in listed.stdout
    assert run("challenge", "revoke", "1", "--data-dir", pki).exit_code == 0
    assert json.loads(run("challenge", "list", "--json", "--data-dir", pki).stdout)[0]["status"] == "revoked"
    assert len(run("challenge", "list", "--usable", "--data-dir", pki).stdout.splitlines()) == 1


def test_a_given_password_comes_from_a_file_or_standard_input(pki: Path) -> None:
    done = run("challenge", "new", "--data-dir", pki, "--password-file", "-", "--static", given="sesame\n")
    assert done.stdout == "sesame\n"


def test_certificates_are_listed_shown_and_revoked(pki: Path) -> None:
    page = run("cert", "list", "--data-dir", pki, "--limit", "1")
    assert page.stdout.splitlines()[1].split("\t")[3] == "EnrollmentAgentOffline"
    assert "1 of 2; the next page: --after 1" in page.stderr
    found = json.loads(run("cert", "list", "--data-dir", pki, "--after", "1", "--json").stdout)
    assert [one["template"] for one in found["certificates"]] == ["CEPEncryption"]
    serial = found["certificates"][0]["serial_number"]
    assert "CEPEncryption" in run("cert", "show", serial, "--data-dir", pki).stdout
    assert run("cert", "show", serial, "--pem", "--data-dir", pki).stdout.startswith("-----BEGIN CERT")
    done = run("cert", "revoke", serial, "--reason", "keycompromise", "--data-dir", pki)
    assert "is revoked (keyCompromise)" in done.stdout
    assert len(run("cert", "list", "--status", "revoked", "--data-dir", pki).stdout.splitlines()) == 2
    crl = json.loads(run("crl", "show", "--json", "--data-dir", pki).stdout)[0]
    assert (crl["number"], crl["entries"]) == (2, 1)


def test_the_root_signs_its_crl_only_with_its_passphrase(pki: Path, tmp_path: Path) -> None:
    folder = PkiFolder(pki)
    passphrase = folder.root_passphrase.rename(tmp_path / "passphrase")
    assert run("crl", "sign-root", "--data-dir", pki).exit_code == 2
    done = run("crl", "sign-root", "--data-dir", pki, "--passphrase-file", passphrase, "--json")
    root = next(crl for crl in json.loads(done.stdout) if "Root" in crl["issuer"])
    assert root["number"] == 2
    (tmp_path / "wrong").write_text("not the passphrase")
    wrong = run("crl", "sign-root", "--data-dir", pki, "--passphrase-file", tmp_path / "wrong")
    assert (wrong.exit_code, wrong.stdout) == (2, "")


def test_init_says_what_it_made_and_makes_it_once(tmp_path: Path) -> None:
    done = run("init", "--data-dir", tmp_path / "a", "--json", "--host", "::1", "--pki-port", "99")
    told = json.loads(done.stdout)
    assert told["public_url"] == "http://[::1]:99"
    assert told["root"]["sha256"]
    again = run("init", "--data-dir", tmp_path / "a")
    assert again.exit_code == 2
    assert "it is not overwritten" in again.stderr


def test_config_show_names_origins_and_hides_secrets() -> None:
    env = {"NDES_LAB_ADMIN__TOKEN": "0123456789abcdef", "NDES_LAB_SERVER__PORT": "99"}
    done = run("config", "show", env=env)
    assert "server.port\t99\tNDES_LAB_SERVER__PORT" in done.stdout.splitlines()
    assert "0123456789abcdef" not in done.output
    assert len(run("config", "show", "--section", "challenges", env=env).stdout.splitlines()) == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ("nothing",),
        ("up", "--prot", "1"),
        ("up", "--port", "65536"),
        ("up", "--ephemeral", "--data-dir", "x"),
        ("config", "show", "--section", "nothing"),
        ("challenge", "new", "--minutes", "1", "--no-expiry", "--data-dir", "x"),
        ("cert", "list", "--data-dir", "x", "--admin-url", "http://127.0.0.1:1"),
        ("cert", "revoke", "1", "--reason", "bored"),
        ("cert", "list", "--admin-url", "http://127.0.0.1:1"),
        ("cert", "list", "--ready-file", "does-not-exist"),
        ("cert", "list", "--config", "does-not-exist"),
        ("challenge", "new", "--data-dir", "does-not-exist"),
    ],
)
def test_what_cannot_run_ends_with_2_and_says_why_on_standard_error(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Error: " in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def damage_key(folder: PkiFolder) -> None:
    folder.issuing_key.write_bytes(folder.issuing_key.read_bytes()[:300])


def lose_key(folder: PkiFolder) -> None:
    folder.ra_signing_key.unlink()


def swap_keys(folder: PkiFolder) -> None:
    shutil.copy(folder.ra_signing_key, folder.ra_encryption_key)


def damage_certificate(folder: PkiFolder) -> None:
    folder.issuing_certificate.write_text("junk")


def lose_ceremony(folder: PkiFolder) -> None:
    shutil.rmtree(folder.ceremony)


def damage_database(folder: PkiFolder) -> None:
    folder.store.write_text("junk")


def lose_database(folder: PkiFolder) -> None:
    folder.store.unlink()


def lose_passphrase(folder: PkiFolder) -> None:
    folder.key_passphrase.unlink()


def change_passphrase(folder: PkiFolder) -> None:
    folder.key_passphrase.write_text("another one")


def spoil_template(folder: PkiFolder) -> None:
    (folder.templates / "Mine.toml").write_text("colour = 'red'\n")


@pytest.mark.parametrize(
    ("damage", "names"),
    [
        (damage_key, "issuing.key"),
        (lose_key, "signing.key"),
        (swap_keys, "encryption.key"),
        (damage_certificate, "issuing.crt"),
        (lose_ceremony, "no ceremony put it there"),
        (damage_database, "database"),
        (lose_database, "store.sqlite3"),
        (lose_passphrase, "key-passphrase"),
        (change_passphrase, "passphrase"),
        (spoil_template, "Mine.toml"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_damaged_pki_is_one_sentence_and_stays_as_it_is(pki: Path, damage: Any, names: str) -> None:
    damage(PkiFolder(pki))
    before = contents(pki)
    done = run("up", "--data-dir", pki, *FREE)
    assert (done.exit_code, done.stdout) == (2, "")
    (sentence,) = done.stderr.strip().splitlines()
    assert sentence.startswith("Error: ")
    assert names in sentence
    assert contents(pki) == before


def contents(folder: Path) -> dict[Path, bytes]:
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith((".", "store.sqlite3-"))
    }


def test_a_port_in_use_is_one_sentence_and_leaves_no_pki(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run(
            "up", "--data-dir", tmp_path / "pki", "--port", port, "--pki-port", "0", "--admin-port", "0"
        )
    assert done.exit_code == 2
    assert done.stderr.startswith(f"Error: port {port} on 127.0.0.1 is in use")
    assert not (tmp_path / "pki").exists()


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("up", "--data-dir", tmp_path / "file" / "pki", *FREE)
    assert done.exit_code == 2
    assert done.stderr.strip() == f"Error: {tmp_path / 'file' / 'pki'}: Not a directory"


def test_what_is_done_at_a_folder_names_where_the_ceremony_was_told_to_publish(tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    assert run("init", "--data-dir", folder, "--pki-port", "9381").exit_code == 0
    published = run("crl", "publish", "--json", "--data-dir", folder)
    assert {crl["url"].rpartition("/CertEnroll/")[0] for crl in json.loads(published.stdout)} == {
        "http://127.0.0.1:9381"
    }
    elsewhere = run("crl", "show", "--data-dir", folder, env={"NDES_LAB_SERVER__PKI_PORT": "9382"})
    assert "http://127.0.0.1:9382/" in elsewhere.stdout
    (folder / "ceremony" / "minutes.json").write_text("{}")
    broken = run("crl", "show", "--data-dir", folder)
    assert (broken.exit_code, broken.stderr.count("\n")) == (2, 1)


# -- up, as a process ------------------------------------------------------------------


@contextmanager
def up(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run ``ndes-lab up``; yield it and its first output line once it is ready."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("NDES_LAB_")}
    process = subprocess.Popen(
        [NDES_LAB, "up", *FREE, "--ready-file", "ready.json", *options],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        first = process.stdout.readline()  # printed once everything answers
        yield process, first
    finally:
        process.kill()
        process.communicate(timeout=DEADLINE)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_up_serves_until_a_signal_and_stops_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with up(tmp_path) as (process, first):
        assert first.startswith("ndes-lab: a test PKI, not for production")
        ready = tmp_path / "ready.json"
        assert ready.stat().st_mode & 0o777 == 0o600
        facts = ReadyFacts.model_validate_json(ready.read_text())
        assert facts.pid == process.pid
        made = run("challenge", "new", "--ready-file", ready)
        assert made.exit_code == 0
        assert run("cert", "list", "--admin-url", facts.admin_url).exit_code == 0
        process.send_signal(number)
        assert process.wait(timeout=DEADLINE) == 0
        assert process.stdout is not None
        assert process.stderr is not None
        out, err = process.stdout.read(), process.stderr.read()
    assert not ready.exists()
    assert "Traceback" not in err
    assert "scep" not in err  # nobody has asked for anything yet, and our own question is no exchange
    for said in (facts.scep_url, facts.pki_url, facts.admin_url, facts.challenge):
        assert said in out
    for thumbprint in (facts.root_sha256, facts.root_sha1, facts.root_md5):
        assert thumbprint in out
    assert f"scepclient -server-url {facts.scep_url} -challenge {facts.challenge}" in out
    assert "lab-data" in out
    assert PkiFolder(tmp_path / "lab-data").minutes.exists()


def test_ephemeral_up_keeps_nothing(tmp_path: Path) -> None:
    with up(tmp_path, "--ephemeral", "--json") as (process, first):
        facts = json.loads(first)
        process.terminate()
        process.communicate(timeout=DEADLINE)
    assert set(facts) >= {
        "scep_url",
        "mscep_url",
        "mscep_admin_url",
        "ndes_user",
        "ndes_password",
        "admin_token",
    }
    assert list(tmp_path.iterdir()) == []


def test_a_killed_up_leaves_a_pki_that_serves_again(tmp_path: Path) -> None:
    with up(tmp_path, "--json") as (process, first):
        root = json.loads(first)["root_sha256"]
        process.kill()
        process.communicate(timeout=DEADLINE)
    assert (tmp_path / "ready.json").exists()
    with up(tmp_path, "--json") as (process, first):
        assert json.loads(first)["root_sha256"] == root
        process.terminate()
        _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0
    assert "Warning: the issuing CA's certificate names http://127.0.0.1:" in err


# -- start-up --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (["--version"], ["flask", "sqlalchemy", "cryptography", "pydantic", "rich"]),
        (["challenge", "new", "--help"], ["flask", "sqlalchemy", "lab.client", "lab.trust"]),
        (["cert", "list", "--admin-url", "http://127.0.0.1:1"], ["flask", "sqlalchemy", "lab.client"]),
    ],
)
def test_a_command_loads_only_what_it_uses(arguments: list[str], unwanted: list[str]) -> None:
    script = (
        "import sys\nfrom lab.commands import main\n"
        f"try: main({arguments!r})\nexcept SystemExit: pass\n"
        f"print(sorted(set({unwanted!r}) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"
