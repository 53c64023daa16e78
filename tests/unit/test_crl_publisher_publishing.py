"""Publishing by a lab that runs: what is due, what is wrong, and both keys of a renewed CA."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import ca.store.engines
from ca.folders import PkiFolder
from ca.keys import UnusableKey
from ca.opening import open_next_issuing
from ca.pkcs10 import parse_request
from ca.records import CertificateRecord, CrlKind, RevocationReason
from ca.renewal import activate_next, renew_issuing
from ca.root import OfflineRoot
from lab.running import RunningLab
from lab.settings import LabSettings
from lab.world import World

START = datetime(2031, 5, 5, 12, tzinfo=UTC)
SETTINGS = {"server": {"port": 0, "pki_port": 0}, "admin": {"port": 0}}


class SetClock:
    def __init__(self) -> None:
        self.instant = START

    def now(self) -> datetime:
        return self.instant


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


Start = Callable[..., RunningLab]


@pytest.fixture
def start(tmp_path: Path, clock: SetClock) -> Iterator[Start]:
    started: list[RunningLab] = []

    def begin(**pki: object) -> RunningLab:
        settings = LabSettings.model_validate(SETTINGS | {"pki": pki})
        lab = RunningLab(settings, tmp_path / "pki", clock=clock, entropy=os.urandom, durable=False)
        started.append(lab)
        return lab

    yield begin
    for lab in started:
        lab.stop()


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def served(running: RunningLab, file: str) -> bytes:
    path = file.replace(" ", "%20").replace("+", "%2B")
    with urlopen(f"{running.pki_url}/CertEnroll/{path}", timeout=10) as reply:
        octets: bytes = reply.read()
        return octets


def number(octets: bytes) -> int:
    crl = x509.load_der_x509_crl(octets)
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def numbers(running: RunningLab) -> tuple[int, int]:
    places = running.world.authority.locations
    return number(served(running, places.crl_file)), number(served(running, places.delta_crl_file))


def issue(running: RunningLab, name: str) -> CertificateRecord:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder(subject).sign(key, hashes.SHA256())
    world = running.world
    with world.store.transaction() as transaction:
        prepared = world.authority.prepare(
            transaction,
            parse_request(csr.public_bytes(serialization.Encoding.DER)),
            template="SCEP-Client-Auth",
            requester="device",
        )
        return world.authority.issue(transaction, prepared)


# -- what is due -----------------------------------------------------------------------


def test_a_delta_a_day_and_a_base_a_week(start: Start, clock: SetClock) -> None:
    running = start()
    assert numbers(running) == (1, 1)
    assert running.publisher_state.due == START + timedelta(days=1)
    for day in range(1, 8):
        clock.instant = START + timedelta(days=day)
        running.look_at_the_clock()
        wait_for(lambda: running.publisher_state.last_success == clock.instant)
        assert numbers(running) == ((1, day + 1) if day < 7 else (8, 8))
    assert running.publisher_state.due == START + timedelta(days=8)


def test_a_revocation_is_on_the_next_delta(start: Start, clock: SetClock) -> None:
    running = start()
    record = issue(running, "device")
    with running.world.store.transaction() as transaction:
        running.world.authority.revoke(transaction, record.id, RevocationReason.SUPERSEDED)
    clock.instant += timedelta(days=1)
    running.look_at_the_clock()
    wait_for(lambda: running.publisher_state.last_success is not None)
    delta = x509.load_der_x509_crl(served(running, running.world.authority.locations.delta_crl_file))
    assert [one.serial_number for one in delta] == [record.serial_number]


def test_bases_alone_where_the_settings_want_no_deltas(start: Start) -> None:
    running = start(crl_delta_period="0 Days")
    assert running.world.publication.find(running.world.authority.locations.delta_crl_file) is None
    assert running.publisher_state.due == START + timedelta(days=7)


def test_what_is_outlived_is_forgotten_when_crls_are_published(start: Start) -> None:
    running = start(retention={"superseded_crls": 1, "challenges": "1 Hours"})
    world = running.world
    for _ in range(4):
        world.publish_crl(CrlKind.DELTA)
    world.publishing.publish_due()
    with world.store.reading() as transaction:
        left = transaction.crl_summaries(world.authority.issuer_key_id, CrlKind.DELTA)
    assert [one.number for one in left] == [5, 4]


# -- what is wrong ---------------------------------------------------------------------


def fail_and_recover(running: RunningLab, clock: SetClock, says: str, repair: Callable[[], None]) -> None:
    """Let a delta become due while something is broken, and again after it is repaired."""
    before = numbers(running)
    failed_at = clock.instant = START + timedelta(days=1)
    running.look_at_the_clock()
    wait_for(lambda: not running.publisher_state.is_healthy)
    state = running.publisher_state
    assert says in state.last_error
    assert (state.failing_since, state.running) == (failed_at, True)
    assert numbers(running) == before
    repair()
    clock.instant += timedelta(minutes=2)
    running.look_at_the_clock()
    wait_for(lambda: running.publisher_state.is_healthy)
    assert running.publisher_state.last_success == clock.instant
    assert numbers(running) > before


def test_a_store_that_goes_away_and_comes_back(
    start: Start, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ca.store.engines, "_BUSY_SECONDS", 0.05)
    running = start()
    with closing(sqlite3.connect(running.world.folder.store, isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        fail_and_recover(running, clock, "locked", lambda: stranger.execute("ROLLBACK") and None)


def test_a_key_that_cannot_be_used(start: Start, clock: SetClock, monkeypatch: pytest.MonkeyPatch) -> None:
    running = start()

    def broken(*_: object) -> bytes:
        raise UnusableKey("the module that holds the key does not answer")

    monkeypatch.setattr("ca.keys.PrivateKey.sign", broken)
    fail_and_recover(running, clock, "does not answer", monkeypatch.undo)


def test_a_folder_that_takes_no_files(start: Start, clock: SetClock, monkeypatch: pytest.MonkeyPatch) -> None:
    running = start()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("crl_publisher.publication.Publication._stage", full)
    fail_and_recover(running, clock, "No space left", monkeypatch.undo)


# -- renewal ---------------------------------------------------------------------------


def renew(folder: PkiFolder, running: RunningLab, *, as_next: bool = False) -> None:
    root = OfflineRoot.open(folder, running.world.pki, clock=running.world.clock)
    renew_issuing(folder, running.world.pki, root=root, entropy=os.urandom, as_next=as_next)


def test_crls_and_certificates_of_both_keys_stay_published(
    start: Start, clock: SetClock, tmp_path: Path
) -> None:
    first = start()
    old = issue(first, "old")
    renew(PkiFolder(tmp_path / "pki"), first)
    first.stop()
    running = start()
    name = "NDES Lab Test Issuing CA"
    expected = {f"{name}{part}.crl" for part in ("", "+", "(1)", "(1)+")}
    expected |= {f"127.0.0.1_{name}{part}.{kind}" for part in ("", "(1)") for kind in ("crt", "p7c")}
    assert expected <= {file.name for file in running.world.publication.files()}
    new = issue(running, "new")
    for record in (old, new):
        running.world.authority_of(record)
    with running.world.store.transaction() as transaction:
        for record in (old, new):
            running.world.authority_of(record).revoke(transaction, record.id, RevocationReason.SUPERSEDED)
    clock.instant += timedelta(days=1)
    running.look_at_the_clock()
    wait_for(lambda: running.publisher_state.last_success is not None)
    for file, record in ((f"{name}+.crl", old), (f"{name}(1)+.crl", new)):
        delta = x509.load_der_x509_crl(served(running, file))
        assert [one.serial_number for one in delta] == [record.serial_number]


def test_an_earlier_key_signs_until_its_certificate_ends(
    start: Start, clock: SetClock, tmp_path: Path
) -> None:
    first = start(issuing_validity="30 Days")
    folder = PkiFolder(tmp_path / "pki")
    renew(folder, first)
    clock.instant += timedelta(days=20)
    renew(folder, first)
    first.stop()
    clock.instant = START + timedelta(days=31)
    settings = first.world.settings
    world = World(folder, settings, clock=clock, entropy=os.urandom, durable=False)
    try:
        name = "NDES Lab Test Issuing CA"
        assert [one.locations.crl_file for one in world.authorities] == [
            f"{name}(2).crl",
            f"{name}(1).crl",
            f"{name}.crl",
        ]
        world.publish_crl()
        published = {file.name for file in world.publication.files()}
        assert f"{name}(2).crl" in published
        assert f"{name}(1).crl" not in published
    finally:
        world.close()


def test_clients_can_ask_for_the_next_certificate_until_it_is_in_service(
    start: Start, tmp_path: Path
) -> None:
    folder = PkiFolder(tmp_path / "pki")
    first = start()
    renew(folder, first, as_next=True)
    first.stop()
    second = start()
    prepared = open_next_issuing(folder)
    assert prepared is not None
    with urlopen(f"{second.scep_url}?operation=GetNextCACert", timeout=10) as reply:
        assert reply.headers["Content-Type"] == "application/x-x509-next-ca-cert"
        assert prepared.der in reply.read()
    with urlopen(f"{second.scep_url}?operation=GetCACaps", timeout=10) as reply:
        assert b"GetNextCACert" in reply.read()
    second.stop()
    activate_next(folder)
    third = start()
    assert third.world.authority.certificate == prepared
    with urlopen(f"{third.scep_url}?operation=GetCACert", timeout=10) as reply:
        assert prepared.der in reply.read()
