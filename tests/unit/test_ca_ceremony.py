"""The key ceremony: what it leaves is judged by openssl, and it leaves all or nothing."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from ca_world import NOW, HandClock, ca_world, openssl, openssl_verify, ready_keys
from cryptography import x509
from cryptography.x509.oid import ExtensionOID
from pydantic import SecretStr

from ca import ceremony, oids
from ca.ceremony import ensure_pki, hold_ceremony
from ca.certificates import read_certificate
from ca.errors import BadRequestStatus, NoSuchRequest
from ca.folders import NoPki, PkiExists, PkiFolder, PkiUnreadable, read_certificate_file
from ca.keys import KeyKind, PrivateKey, UnusableKey, generate_key, read_key_file
from ca.opening import (
    open_authority,
    open_challenge_digest_key,
    open_registration_keys,
    open_root_certificate,
    open_root_crl,
    open_store,
    root_locations,
)
from ca.records import CertificateFilter, CrlKind, RevocationReason
from ca.root import OfflineRoot
from ca.settings import PkiSettings
from ca.store import SqlStore
from ca.templates import BadTemplate

SETTINGS = PkiSettings()
RSA = (KeyKind.RSA_2048, KeyKind.RSA_3072, KeyKind.RSA_4096)


def hold(folder: PkiFolder, settings: PkiSettings = SETTINGS) -> None:
    hold_ceremony(folder, settings, clock=HandClock(), entropy=os.urandom, make_keys=own_keys, durable=False)


def own_keys(kinds: Sequence[KeyKind]) -> list[PrivateKey]:
    """Return ready keys for what is RSA, and fresh ones for what is not: those are quickly made."""
    ready = iter(ready_keys([kind for kind in kinds if kind in RSA]))
    return [next(ready) if kind in RSA else generate_key(kind) for kind in kinds]


def elsewhere(database_url: str) -> PkiSettings:
    """Return the settings of a PKI with a database outside its folder, and with CA keys of its own."""
    return PkiSettings(
        database_url=SecretStr(database_url), root_key=KeyKind.ECDSA_P256, issuing_key=KeyKind.ECDSA_P256
    )


@pytest.mark.parametrize(
    "kinds",
    [
        {},
        {"root_key": KeyKind.ECDSA_P384, "issuing_key": KeyKind.ECDSA_P256},
        {"root_key": KeyKind.RSA_4096, "issuing_key": KeyKind.RSA_3072, "ra_key": KeyKind.RSA_3072},
        {"root_key": KeyKind.RSA_2048, "issuing_key": KeyKind.ECDSA_P384},
    ],
    ids=["rsa", "ecdsa", "large-rsa", "mixed"],
)
def test_openssl_verifies_chain_and_crls_for_each_kind_of_key(
    tmp_path: Path, kinds: dict[str, KeyKind]
) -> None:
    with ca_world(tmp_path / "pki", **kinds) as world:
        for path in (world.folder.ra_signing_certificate, world.folder.ra_encryption_certificate):
            assert "OK" in openssl_verify(world, read_certificate_file(path), tmp_path)
        folder, settings = world.folder, world.settings
        for path, passphrase, kind in (
            (folder.root_key, folder.root_passphrase, settings.root_key),
            (folder.issuing_key, folder.key_passphrase, settings.issuing_key),
            (folder.ra_signing_key, folder.key_passphrase, settings.ra_key),
            (folder.ra_encryption_key, folder.key_passphrase, settings.ra_key),
        ):
            assert path.read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
            assert read_key_file(path, passphrase.read_bytes()).kind is kind
        assert {name: getattr(settings, name) for name in kinds} == kinds


def test_ra_certificates_are_those_of_ndes(tmp_path: Path) -> None:
    with ca_world(tmp_path / "pki") as world:
        expected = (
            (world.folder.ra_signing_certificate, "EnrollmentAgentOffline", "Digital Signature"),
            (world.folder.ra_encryption_certificate, "CEPEncryption", "Key Encipherment"),
        )
        for path, template, usage in expected:
            certificate = x509.load_pem_x509_certificate(path.read_bytes())
            assert certificate.subject.rfc4514_string() == "CN=NDES-LAB-MSCEP-RA,C=US"
            assert certificate.not_valid_before_utc == NOW - timedelta(minutes=10)
            assert certificate.not_valid_after_utc == certificate.not_valid_before_utc.replace(year=2028)
            assert [one.oid.dotted_string for one in certificate.extensions] == [
                oids.MS_TEMPLATE_NAME,
                oids.EXTENDED_KEY_USAGE,
                oids.KEY_USAGE,
                oids.SUBJECT_KEY_IDENTIFIER,
                oids.AUTHORITY_KEY_IDENTIFIER,
                oids.CRL_DISTRIBUTION_POINTS,
                oids.AUTHORITY_INFORMATION_ACCESS,
            ]
            raw = certificate.extensions[0].value.public_bytes()
            assert raw == bytes((0x1E, 2 * len(template))) + template.encode("utf-16-be")
            assert [one.dotted_string for one in certificate.extensions[1].value] == [
                oids.CERTIFICATE_REQUEST_AGENT
            ]
            text = openssl("x509", "-in", path, "-noout", "-ext", "keyUsage")
            assert text.splitlines()[0].endswith("critical")
            assert text.splitlines()[1].strip() == usage
        with world.store.reading() as transaction:
            known = transaction.find_certificates(CertificateFilter(), now=NOW)
        assert [record.template for record in known] == ["EnrollmentAgentOffline", "CEPEncryption"]


def test_issuing_ca_says_where_the_roots_crl_and_certificate_are(tmp_path: Path) -> None:
    with ca_world(
        tmp_path / "pki", public_url="http://pki.lab.example:8081", server_dns_name="ca01"
    ) as world:
        certificate = x509.load_pem_x509_certificate(world.folder.issuing_certificate.read_bytes())
        points = certificate.extensions.get_extension_for_oid(ExtensionOID.CRL_DISTRIBUTION_POINTS).value
        access = certificate.extensions.get_extension_for_oid(ExtensionOID.AUTHORITY_INFORMATION_ACCESS).value
        base = "http://pki.lab.example:8081/CertEnroll/"
        assert points[0].full_name[0].value == base + "NDES%20Lab%20Test%20Root%20CA.crl"
        assert access[0].access_location.value == base + "ca01_NDES%20Lab%20Test%20Root%20CA.crt"
        locations = root_locations(world.folder, world.settings)
        assert locations.crl_file == "NDES Lab Test Root CA.crl"
        assert locations.certificate_file == "ca01_NDES Lab Test Root CA.crt"
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)
        assert certificate.not_valid_after_utc == (NOW - timedelta(minutes=10)).replace(year=2031)
        root = x509.load_pem_x509_certificate(world.folder.root_certificate.read_bytes())
        assert root.not_valid_after_utc == (NOW - timedelta(minutes=10)).replace(year=2036)
        for missing in (ExtensionOID.CRL_DISTRIBUTION_POINTS, ExtensionOID.AUTHORITY_INFORMATION_ACCESS):
            with pytest.raises(x509.ExtensionNotFound):
                root.extensions.get_extension_for_oid(missing)


def test_issuing_ca_does_not_outlive_the_root(tmp_path: Path) -> None:
    with ca_world(tmp_path / "pki", root_validity="1 Years", issuing_validity="5 Years") as world:
        root = open_root_certificate(world.folder)
        assert world.authority.certificate.not_after == root.not_after


def test_private_files_are_the_owners_alone(tmp_path: Path) -> None:
    with ca_world(tmp_path / "pki") as world:
        folder = world.folder
        for path in (
            folder.root_key, folder.root_passphrase, folder.root_index, folder.issuing_key,
            folder.ra_signing_key, folder.ra_encryption_key, folder.key_passphrase,
            folder.challenge_digest_key, folder.store,
        ):  # fmt: skip
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        minutes = json.loads(folder.minutes.read_bytes())
        assert minutes["issuing"]["sha1"] == world.authority.certificate.sha1
        assert folder.key_passphrase.read_text() not in folder.minutes.read_text()
        world.store.close()
        assert sorted(path.name for path in folder.path.iterdir()) == [
            "ceremony", "issuing", "published", "ra", "root", "secrets", "store.sqlite3", "templates",
        ]  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX file modes")
def test_nobody_else_may_write_anywhere_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with ca_world(tmp_path / "pki") as world:
            everything = [world.folder.path, *world.folder.path.rglob("*")]
            assert [path for path in everything if path.stat().st_mode & 0o022] == []
    finally:
        os.umask(before)


def test_serving_needs_nothing_of_the_root(tmp_path: Path) -> None:
    with ca_world(tmp_path / "pki") as world:
        for path in world.folder.root.iterdir():
            path.unlink()
        world.folder.root.rmdir()
        authority = open_authority(world.folder, world.settings, clock=world.clock, entropy=os.urandom)
        assert authority.chain == (open_root_certificate(world.folder).der,)
        assert open_root_crl(world.folder)
        assert open_registration_keys(world.folder, world.settings).signing.certificate.serial_number
        with pytest.raises(PkiUnreadable):
            OfflineRoot.open(world.folder, world.settings, clock=world.clock)


def test_secrets_of_the_settings_are_not_written_down(tmp_path: Path) -> None:
    secrets = {
        "root_passphrase": "root passphrase",
        "key_passphrase": "key passphrase",
        "challenge_digest_key": "digest key of challenges",
    }
    with ca_world(tmp_path / "pki", **secrets) as world:
        folder = world.folder
        assert not folder.root_passphrase.exists()
        assert not folder.key_passphrase.exists()
        assert not folder.challenge_digest_key.exists()
        assert open_challenge_digest_key(folder, world.settings) == b"digest key of challenges"
        for path in folder.path.rglob("*"):
            if path.is_file():
                assert not any(secret.encode() in path.read_bytes() for secret in secrets.values()), path
        wrong = PkiSettings(key_passphrase="another one")  # type: ignore[arg-type]
        with pytest.raises(UnusableKey) as refusal:
            open_authority(folder, wrong, clock=world.clock, entropy=os.urandom)
        assert "another one" not in str(refusal.value)
        openssl("pkey", "-in", folder.issuing_key, "-passin", "pass:key passphrase", "-noout")


def test_generated_secrets_open_what_they_should(tmp_path: Path) -> None:
    with ca_world(tmp_path / "pki") as world:
        folder = world.folder
        assert len(open_challenge_digest_key(folder, world.settings)) == 64
        openssl("pkey", "-in", folder.root_key, "-passin", f"file:{folder.root_passphrase}", "-noout")
        openssl(
            "pkey",
            "-in",
            folder.root_key,
            "-passin",
            f"file:{folder.key_passphrase}",
            "-noout",
            succeeds=False,
        )


def test_a_second_ceremony_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    folder = PkiFolder(tmp_path / "pki")
    hold(folder)
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    with pytest.raises(PkiExists, match="not overwritten"):
        hold(folder)
    assert before == {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}


def test_a_stray_key_is_not_overwritten(tmp_path: Path) -> None:
    folder = PkiFolder(tmp_path)
    folder.root.mkdir()
    folder.root_key.write_text("mine")
    with pytest.raises(PkiExists, match=r"root\.key"):
        hold(folder)
    assert folder.root_key.read_text() == "mine"


def test_opening_an_empty_folder_says_that_there_is_no_pki(tmp_path: Path) -> None:
    folder = PkiFolder(tmp_path)
    for opening in (
        lambda: open_authority(folder, SETTINGS, clock=HandClock(), entropy=os.urandom),
        lambda: open_registration_keys(folder, SETTINGS),
        lambda: open_store(folder, PkiSettings()),
        lambda: OfflineRoot.open(folder, SETTINGS, clock=HandClock()),
    ):
        with pytest.raises(NoPki, match="no PKI"):
            opening()


def test_a_ceremony_that_fails_leaves_nothing_and_the_next_succeeds(tmp_path: Path) -> None:
    folder = PkiFolder(tmp_path)
    folder.templates.mkdir()
    (folder.templates / "CEPEncryption.toml").write_text("nonsense = 1")
    with pytest.raises(BadTemplate, match="nonsense"):
        hold(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["templates"]
    (folder.templates / "CEPEncryption.toml").unlink()
    hold(folder)
    assert folder.settle()


def test_a_file_swapped_for_another_is_noticed(tmp_path: Path) -> None:
    with ca_world(tmp_path / "pki") as world:
        folder = world.folder
        folder.ra_signing_certificate.write_bytes(folder.ra_encryption_certificate.read_bytes())
        with pytest.raises(PkiUnreadable, match="is not the key of"):
            open_registration_keys(folder, world.settings)
        folder.issuing_certificate.write_text("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----")
        with pytest.raises(PkiUnreadable, match=r"issuing\.crt"):
            open_authority(folder, world.settings, clock=world.clock, entropy=os.urandom)


# -- kill -9 ---------------------------------------------------------------------------

_TOUCHES = frozenset({"open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "shutil.rmtree", "os.chmod"})


def _killed_ceremony(folder: PkiFolder, settings: PkiSettings, at: int) -> bool:
    """Hold a ceremony in a child that dies at its n-th touch of the file system; tell whether it died."""
    ready_keys((SETTINGS.root_key, SETTINGS.issuing_key, SETTINGS.ra_key, SETTINGS.ra_key))
    child = os.fork()
    if child == 0:
        touches = 0

        def watch(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal touches
            if event in _TOUCHES and str(folder.path) in str(arguments[0]):
                touches += 1
                if touches == at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        try:
            hold(folder, settings)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def _finish(folder: PkiFolder, settings: PkiSettings) -> bool:
    """Do what the next process does that needs a PKI here; tell whether there was one."""
    complete = folder.settle()
    if complete:
        with pytest.raises(PkiExists):
            hold(folder, settings)
    else:
        hold(folder, settings)
    authority = open_authority(folder, settings, clock=HandClock(), entropy=os.urandom)
    keys = open_registration_keys(folder, settings)
    store = open_store(folder, settings, durable=False)
    with store.reading() as transaction:
        ours = CertificateFilter(issuer_key_id=authority.issuer_key_id)
        assert len(transaction.find_certificates(ours, now=NOW)) == 2
        assert transaction.latest_crl(authority.issuer_key_id, CrlKind.BASE) is not None
    store.close()
    assert keys.signing.certificate.issuer_key_id == authority.issuer_key_id
    assert OfflineRoot.open(folder, settings, clock=HandClock()).index.certificates
    assert not folder.unfinished()
    return complete


_PARTS = ["ceremony", "issuing", "published", "ra", "root", "secrets", "templates"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_any_moment_it_leaves_all_or_nothing_and_a_second_run_finishes(tmp_path: Path) -> None:
    outcomes = set()
    died, at = True, 0
    while died:
        at += 1 if True in outcomes else 6  # the moments after the commit matter one by one
        folder = PkiFolder(tmp_path / str(at))
        folder.path.mkdir()
        died = _killed_ceremony(folder, SETTINGS, at)
        outcomes.add(_finish(folder, SETTINGS))
        names = sorted(path.name for path in folder.path.iterdir() if path.name[0] != ".")
        assert names == sorted([*_PARTS, "store.sqlite3"])
    assert outcomes == {True, False}
    assert at > 30


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_ceremony_keeps_no_database_elsewhere_from_the_next_one_in_its_folder(
    tmp_path: Path, database_url: str
) -> None:
    """What it remembered there is known by the key in its working folder: nobody else's records are."""
    settings = elsewhere(database_url)
    remembered, at, complete = 0, 6, False
    while not complete:
        at += 1
        folder = PkiFolder(tmp_path / str(at))
        assert _killed_ceremony(folder, settings, at)
        store = SqlStore.open(database_url)
        with store.reading() as transaction:
            remembered += transaction.count_certificates(CertificateFilter(), now=NOW) > 0
        complete = folder.settle()
        if not complete and remembered:
            with pytest.raises(PkiExists, match="not in this folder"):
                hold(PkiFolder(tmp_path / f"{at} elsewhere"), settings)
        _finish(folder, settings)
        store.reset()
        store.close()
    assert remembered > 3


# -- the offline root ------------------------------------------------------------------


def test_root_signs_its_next_crl_and_hands_it_over(tmp_path: Path) -> None:
    with ca_world(tmp_path / "pki") as world:
        world.clock.advance(days=30)
        root = OfflineRoot.open(world.folder, world.settings, clock=world.clock)
        signed = root.sign_crl()
        assert signed == world.folder.root_crl.read_bytes() == open_root_crl(world.folder)
        crl = x509.load_der_x509_crl(signed)
        assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 2
        assert crl.last_update_utc == world.clock.now() - timedelta(minutes=10)
        assert crl.next_update_utc == world.clock.now() + timedelta(days=365, weeks=4, minutes=10)
        assert list(crl) == []


def test_revoking_the_issuing_ca_makes_openssl_refuse_the_chain(tmp_path: Path) -> None:
    with ca_world(tmp_path / "pki") as world:
        leaf = read_certificate_file(world.folder.ra_signing_certificate)
        issuing = world.authority.certificate
        root = OfflineRoot.open(world.folder, world.settings, clock=world.clock)
        crl = x509.load_der_x509_crl(root.revoke(issuing.serial_number, RevocationReason.CA_COMPROMISE))
        assert [entry.serial_number for entry in crl] == [issuing.serial_number]
        assert "certificate revoked" in openssl_verify(world, leaf, tmp_path, succeeds=False)
        with pytest.raises(BadRequestStatus):
            root.revoke(issuing.serial_number, RevocationReason.SUPERSEDED)
        with pytest.raises(NoSuchRequest):
            root.revoke(4711, RevocationReason.SUPERSEDED)
        assert read_certificate(root.certificate.der).is_self_issued


def test_root_opens_with_its_own_passphrase_only(tmp_path: Path) -> None:
    with ca_world(tmp_path / "pki") as world:
        serving = world.folder.key_passphrase.read_bytes()
        with pytest.raises(UnusableKey):
            OfflineRoot.open(world.folder, world.settings, clock=world.clock, passphrase=serving)
        world.folder.root_index.write_text("{}")
        with pytest.raises(PkiUnreadable, match="index"):
            OfflineRoot.open(world.folder, world.settings, clock=world.clock).sign_crl()


def test_ceremony_remembers_in_the_database_that_the_settings_name(tmp_path: Path, database_url: str) -> None:
    settings = elsewhere(database_url)
    folder = PkiFolder(tmp_path / "pki")
    hold(folder, settings)
    assert not folder.store.exists()
    store = open_store(folder, settings)
    with store.reading() as transaction:
        assert len(transaction.find_certificates(CertificateFilter(), now=NOW)) == 2
    store.close()


def test_ceremony_is_not_held_over_the_records_of_another_pki(tmp_path: Path, database_url: str) -> None:
    settings = elsewhere(database_url)
    first, second = PkiFolder(tmp_path / "first"), PkiFolder(tmp_path / "second")
    hold(first, settings)
    store = open_store(first, settings)
    before = store.contents()
    with pytest.raises(PkiExists, match="records of a PKI whose keys are not in this folder"):
        hold(second, settings)
    assert store.contents() == before
    store.close()
    assert not second.settle()
    assert not second.unfinished()


def test_ceremony_that_fails_after_it_remembered_elsewhere_can_be_held_again(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = elsewhere(database_url)
    folder = PkiFolder(tmp_path / "pki")
    with monkeypatch.context() as broken:
        broken.setattr(ceremony.json, "dumps", lambda *_, **__: "\ud800")  # the minutes, which come last
        with pytest.raises(UnicodeEncodeError):
            hold(folder, settings)
    assert not _finish(folder, settings)


# -- several at once -------------------------------------------------------------------


class ClockThatWaits(HandClock):
    """A clock that is first looked at after the keys are made, and then lets others go first."""

    def __init__(self, told: Connection) -> None:
        super().__init__()
        self._told: Connection | None = told

    def now(self) -> datetime:
        if self._told is not None:
            self._told.send("in the middle")
            self._told.recv()
            self._told = None
        return super().now()


def _ensure_in_a_child(folder: PkiFolder, settings: PkiSettings) -> tuple[int, Connection]:
    """Have a child make sure of the PKI, and stop in the middle of a ceremony until it is told to go on."""
    here, there = Pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            ensure_pki(folder, settings, clock=ClockThatWaits(there), entropy=os.urandom, make_keys=own_keys)
            status = 0
        finally:
            os._exit(status)
    there.close()
    return child, here


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_second_of_two_waits_for_the_ceremony_and_has_the_same_pki(tmp_path: Path, database_url: str) -> None:
    folder, settings = PkiFolder(tmp_path / "pki"), elsewhere(database_url)
    first, to_first = _ensure_in_a_child(folder, settings)
    assert to_first.recv() == "in the middle"
    second, to_second = _ensure_in_a_child(folder, settings)
    assert not to_second.poll(0.2), "the second began a ceremony of its own"
    to_first.send("go on")
    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in (first, second)]
    assert statuses == [0, 0]
    assert _finish(folder, settings)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_second_of_two_holds_the_ceremony_in_which_the_first_was_killed(
    tmp_path: Path, database_url: str
) -> None:
    folder, settings = PkiFolder(tmp_path / "pki"), elsewhere(database_url)
    first, to_first = _ensure_in_a_child(folder, settings)
    assert to_first.recv() == "in the middle"
    second, to_second = _ensure_in_a_child(folder, settings)
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    assert to_second.recv() == "in the middle"
    to_second.send("go on")
    assert os.waitstatus_to_exitcode(os.waitpid(second, 0)[1]) == 0
    assert _finish(folder, settings)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_of_two_folders_with_one_database_one_has_the_pki(tmp_path: Path, database_url: str) -> None:
    settings = elsewhere(database_url)
    folders = [PkiFolder(tmp_path / name) for name in ("one", "two")]
    started = [_ensure_in_a_child(folder, settings) for folder in folders]
    for _, to_child in started:
        assert to_child.recv() == "in the middle"  # both: neither knows of the other
    for _, to_child in started:
        to_child.send("go on")
    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child, _ in started]
    assert sorted(statuses) == [0, 1]
    (winner,) = (folder for folder in folders if folder.settle())
    assert winner == folders[statuses.index(0)]
    assert _finish(winner, settings)
    with pytest.raises(PkiExists, match="share both"):
        hold(folders[statuses.index(1)], settings)
