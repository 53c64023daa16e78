"""The OCSP responder's own certificate: made when wanted, kept, renewed in time, shared."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import ocsp_process
import pytest
from ca_world import NOW, CaWorld, ca_world
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from ocsp_world import credentials_of
from structlog.testing import capture_logs

from ca.errors import CaError, InvalidCaCertificate, TemplateDenied, UnsupportedCertType
from ca.folders import read_file
from ca.keys import KeyKind, PrivateKey, generate_key
from ca.ocsp_credentials import TEMPLATE, ResponderCredentials
from ca.records import CertificateFilter, CertificateRecord, StoreTransaction, StoreUnavailable
from ca.templates import TemplateSet

TEMPLATE_TEXT = """
display_name = "OCSP"
oid = "1.2.3.4"
schema_version = 2
subject_type = "computer"
validity_period = "{validity}"
renewal_period = "1 Seconds"
[cryptography]
key_algorithms = ["RSA", "ECDSA_P256"]
[subject_name]
enrollee_supplies_subject = false
[extensions]
key_usage = ["digitalSignature"]
application_policies = ["{purpose}"]
[security]
enroll = ["{enroll}"]
"""


def template(
    *, validity: str = "2 Weeks", purpose: str = "OCSP Signing", enroll: str = "NDES-LAB-OCSP$"
) -> str:
    return TEMPLATE_TEXT.format(validity=validity, purpose=purpose, enroll=enroll)


@contextmanager
def pki(path: Path, own_template: str | None = None, **settings: object) -> Iterator[CaWorld]:
    if own_template:
        (path / "templates").mkdir(parents=True)
        (path / "templates" / f"{TEMPLATE}.toml").write_text(own_template)
    quick = {"issuing_key": "ecdsa-p256", "root_key": "ecdsa-p256", "ocsp": {"key": "ecdsa-p256"}}
    with ca_world(path, **(quick | settings)) as made:
        yield made


@pytest.fixture
def world(tmp_path: Path) -> Iterator[CaWorld]:
    with pki(tmp_path / "pki") as made:
        yield made


def issued(world: CaWorld) -> Sequence[CertificateRecord]:
    with world.store.reading() as transaction:
        return transaction.find_certificates(CertificateFilter(template=TEMPLATE), now=world.clock.now())


# -- kept ------------------------------------------------------------------------------


def test_nothing_is_made_before_somebody_asks(world: CaWorld) -> None:
    credentials_of(world)
    assert not world.folder.ocsp.exists()
    assert not issued(world)


def test_key_and_certificate_are_one_private_encrypted_file(world: CaWorld) -> None:
    made = credentials_of(world).current()
    (file,) = world.folder.ocsp.glob("*.pem")
    assert file.stem == world.authority.issuer_key_id
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    content = file.read_bytes()
    assert x509.load_pem_x509_certificate(content).serial_number == made.certificate.serial_number
    with pytest.raises(TypeError, match="encrypted"):
        load_pem_private_key(content, None)
    assert load_pem_private_key(content, read_file(world.folder.key_passphrase))


def test_a_later_process_uses_the_same(world: CaWorld) -> None:
    first = credentials_of(world).current()
    world.clock.advance(days=5)
    second = credentials_of(world).current()
    assert second.certificate.der == first.certificate.der
    assert second.key.public_key_der == first.certificate.public_key_der
    assert len(issued(world)) == 1


@pytest.mark.parametrize("kind", [KeyKind.RSA_2048, KeyKind.ECDSA_P384])
def test_the_key_is_of_the_kind_in_the_settings(kind: KeyKind, tmp_path: Path) -> None:
    with pki(tmp_path / "pki", ocsp={"key": kind.value}) as world:
        key = credentials_of(world).current().key
        assert isinstance(key, PrivateKey)
        assert key.kind is kind


def _broken(file: Path, world: CaWorld) -> None:
    file.write_bytes(b"-----BEGIN CERTIFICATE-----\nx")


def _foreign_passphrase(file: Path, world: CaWorld) -> None:
    certificate = file.read_bytes().partition(b"-----BEGIN CERTIFICATE")
    file.write_bytes(
        generate_key(KeyKind.ECDSA_P256).encrypted_pem(b"another one") + b"".join(certificate[1:])
    )


def _another_key(file: Path, world: CaWorld) -> None:
    certificate = file.read_bytes().partition(b"-----BEGIN CERTIFICATE")
    passphrase = read_file(world.folder.key_passphrase)
    file.write_bytes(generate_key(KeyKind.ECDSA_P256).encrypted_pem(passphrase) + b"".join(certificate[1:]))


def _another_certificate(file: Path, world: CaWorld) -> None:
    key = file.read_bytes().partition(b"-----BEGIN CERTIFICATE")[0]
    file.write_bytes(key + world.folder.ra_signing_certificate.read_bytes())


@pytest.mark.parametrize("spoil", [_broken, _foreign_passphrase, _another_key, _another_certificate])
def test_a_file_that_is_of_no_use_is_replaced(world: CaWorld, spoil: object) -> None:
    first = credentials_of(world).current()
    (file,) = world.folder.ocsp.glob("*.pem")
    spoil(file, world)  # type: ignore[operator]
    with capture_logs() as logs:
        second = credentials_of(world).current()
    assert second.certificate.serial_number != first.certificate.serial_number
    assert any(line["event"] == "OCSP responder credential is replaced" for line in logs)
    assert credentials_of(world).current().certificate.der == second.certificate.der


def test_a_folder_that_cannot_be_written_does_not_silence_the_responder(world: CaWorld) -> None:
    world.folder.ocsp.write_text("in the way")
    credentials = credentials_of(world)
    with capture_logs() as logs:
        first = credentials.current()
    assert any(line["event"] == "OCSP responder credential cannot be kept" for line in logs)
    assert credentials.current() is first
    assert len(issued(world)) == 1


# -- renewed ---------------------------------------------------------------------------


def test_it_is_renewed_two_days_before_its_end_and_never_earlier(world: CaWorld) -> None:
    credentials = credentials_of(world)
    first = credentials.current()
    due = first.certificate.not_after - timedelta(days=2)
    world.clock.time = due - timedelta(seconds=1)
    assert credentials.current() is first
    world.clock.time = due
    second = credentials.current()
    assert second.certificate.not_after > first.certificate.not_after
    assert second.certificate.public_key_der != first.certificate.public_key_der
    assert credentials_of(world).current().certificate.der == second.certificate.der


def test_after_a_long_sleep_it_is_new(world: CaWorld) -> None:
    credentials = credentials_of(world)
    credentials.current()
    world.clock.advance(days=400)
    found = credentials.current().certificate
    assert found.not_before <= world.clock.now() < found.not_after


def test_a_clock_put_back_gets_a_certificate_of_its_own_time(world: CaWorld) -> None:
    world.clock.advance(days=30)
    credentials = credentials_of(world)
    credentials.current()
    world.clock.time = NOW
    found = credentials.current().certificate
    assert found.not_before <= NOW < found.not_after


def test_one_that_lasts_as_long_as_the_ca_is_not_renewed_in_vain(tmp_path: Path) -> None:
    with pki(tmp_path / "pki", issuing_validity="3 Days") as world:
        credentials = credentials_of(world)
        end = world.authority.certificate.not_after
        assert credentials.current().certificate.not_after == end
        world.clock.time = end - timedelta(seconds=1)
        credentials.current()
        assert len(issued(world)) == 1
        world.clock.time = end
        with pytest.raises(InvalidCaCertificate):
            credentials.current()


def test_a_new_key_of_the_ca_gets_a_certificate_of_its_own(world: CaWorld, tmp_path: Path) -> None:
    first = credentials_of(world).current()
    with pki(tmp_path / "renewed", issuing_key="rsa-2048") as renewed:
        credentials = ResponderCredentials(
            folder=world.folder.ocsp,
            authority=renewed.authority,
            store=renewed.store,
            clock=renewed.clock,
            passphrase=read_file(world.folder.key_passphrase),
            key_kind=KeyKind.ECDSA_P256,
        )
        second = credentials.current().certificate
        assert second.issuer_key_id == renewed.authority.issuer_key_id != first.certificate.issuer_key_id
    assert len(list(world.folder.ocsp.glob("*.pem"))) == 2
    assert credentials_of(world).current().certificate.der == first.certificate.der


# -- when it cannot be had -------------------------------------------------------------


class MovedStore:
    """A store that can be away."""

    def __init__(self, world: CaWorld) -> None:
        self._store = world.store
        self.away = False
        self.tries = 0

    @contextmanager
    def transaction(self) -> Iterator[StoreTransaction]:
        self.tries += 1
        if self.away:
            raise StoreUnavailable("the database cannot be used")
        with self._store.transaction() as transaction:
            yield transaction

    reading = transaction

    def reset(self) -> None: ...
    def close(self) -> None: ...


def test_the_old_one_serves_on_while_the_store_is_away(world: CaWorld) -> None:
    store = MovedStore(world)
    credentials = ResponderCredentials(
        folder=world.folder.ocsp,
        authority=world.authority,
        store=store,
        clock=world.clock,
        passphrase=b"passphrase",
        key_kind=KeyKind.ECDSA_P256,
    )
    first = credentials.current()
    store.away, store.tries = True, 0
    world.clock.time = first.certificate.not_after - timedelta(days=1)
    with capture_logs() as logs:
        assert [credentials.current() for _ in range(5)] == [first] * 5
    assert store.tries == len(logs) == 1  # tried once a minute, not for each question
    world.clock.advance(minutes=1)
    credentials.current()
    assert store.tries == 2
    world.clock.time = first.certificate.not_after
    with pytest.raises(StoreUnavailable):
        credentials.current()
    store.away = False
    assert credentials.current() is not first


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (template(enroll="Domain Admins"), TemplateDenied),
        (template(purpose="Client Authentication"), UnsupportedCertType),
        ("published = false\n" + template(), UnsupportedCertType),
    ],
    ids=["no-permission", "another-purpose", "not-published"],
)
def test_a_template_that_does_not_serve_is_refused_before_anything_is_issued(
    tmp_path: Path, text: str, error: type[CaError]
) -> None:
    with pki(tmp_path / "pki", text) as world:
        keys: list[PrivateKey] = []

        def make_key(kind: KeyKind) -> PrivateKey:
            keys.append(generate_key(kind))
            return keys[-1]

        credentials = ResponderCredentials(
            folder=world.folder.ocsp,
            authority=world.authority,
            store=world.store,
            clock=world.clock,
            passphrase=b"passphrase",
            key_kind=KeyKind.ECDSA_P256,
            make_key=make_key,
        )
        for _ in range(3):
            with pytest.raises(error):
                credentials.current()
        assert len(keys) == 1
        assert not issued(world)
        assert not list(world.folder.ocsp.glob("*.pem"))


def test_the_built_in_template_lets_the_responder_enrol() -> None:
    found = TemplateSet.load().published(TEMPLATE)
    assert found.permits("NDES-LAB-OCSP$")
    assert not found.permits("device")


# -- together --------------------------------------------------------------------------


def test_many_threads_get_one_and_the_same(world: CaWorld) -> None:
    credentials, ready = credentials_of(world), threading.Barrier(8)

    def ask(_: int) -> bytes:
        ready.wait()
        return credentials.current().certificate.der

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1
    assert len(issued(world)) == 1


def test_many_processes_get_one_and_the_same(tmp_path: Path) -> None:
    with ca_world(tmp_path / "pki") as world:
        command = [sys.executable, ocsp_process.__file__, world.folder.path]
        processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(4)
        ]
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        said = [process.communicate()[0] for process in processes]
        assert [process.returncode for process in processes] == [0] * 4
        (record,) = issued(world)
        assert all(f"serial={record.serial_number}\n" in text for text in said)


def test_nobody_waits_for_a_renewal_while_the_old_one_is_good(world: CaWorld) -> None:
    making, go_on = threading.Event(), threading.Event()

    def slowly(kind: KeyKind) -> PrivateKey:
        making.set()
        assert go_on.wait(30)
        return generate_key(kind)

    go_on.set()
    credentials = ResponderCredentials(
        folder=world.folder.ocsp,
        authority=world.authority,
        store=world.store,
        clock=world.clock,
        passphrase=b"passphrase",
        key_kind=KeyKind.ECDSA_P256,
        make_key=slowly,
    )
    first = credentials.current()
    world.clock.time = first.certificate.not_after - timedelta(days=1)
    making.clear()
    go_on.clear()
    with ThreadPoolExecutor(1) as pool:
        renewing = pool.submit(credentials.current)
        assert making.wait(30)
        assert credentials.current() is first
        go_on.set()
        assert renewing.result(30) is not first
