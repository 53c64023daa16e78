"""An OCSP responder over a CA as the ceremony makes it, questions to it, and openssl as a judge."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ca_world import CaWorld, ca_world
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from ca import names
from ca.certificates import CertificateInfo
from ca.folders import to_pem
from ca.keys import KeyKind, PrivateKey, generate_key
from ca.ocsp_credentials import CredentialSource, ResponderCredential, ResponderCredentials
from ca.ocsp_responder import OcspResponder, ServedIssuer
from ca.opening import open_ocsp_credentials
from ca.pkcs10 import parse_request, sign_request
from ca.records import CertificateRecord, RevocationReason, Store


class CountingKey:
    """A key that counts what it signs."""

    def __init__(self, key: PrivateKey) -> None:
        self._key = key
        self.signatures = 0
        self.public_key_der = key.public_key_der
        self.subject_key_id = key.subject_key_id
        self.signature_algorithm_der = key.signature_algorithm_der

    def signature_algorithm(self, hash_name: str) -> bytes:
        return self._key.signature_algorithm(hash_name)

    def sign(self, data: bytes, hash_name: str | None = None) -> bytes:
        self.signatures += 1
        return self._key.sign(data, hash_name)


class CountingCredentials:
    """A source whose credential counts its signatures, or that fails as it is told to."""

    def __init__(self, source: ResponderCredentials) -> None:
        self._source = source
        self._keys: dict[str, CountingKey] = {}
        self.failure: Exception | None = None

    def current(self) -> ResponderCredential:
        if self.failure is not None:
            raise self.failure
        found = self._source.current()
        assert isinstance(found.key, PrivateKey)
        key = self._keys.setdefault(found.certificate.sha1, CountingKey(found.key))
        return ResponderCredential(certificate=found.certificate, key=key)

    @property
    def signatures(self) -> int:
        return sum(key.signatures for key in self._keys.values())


@dataclass(kw_only=True)
class OcspWorld(CaWorld):
    """A CA with a responder."""

    credentials: CountingCredentials
    responder: OcspResponder

    def leaf(self) -> CertificateRecord:
        """Issue one more certificate."""
        request = parse_request(sign_request(names.build_name("CN=device"), generate_key(KeyKind.ECDSA_P256)))
        with self.store.transaction() as transaction:
            prepared = self.authority.prepare(
                transaction, request, template="SCEP-Client-Auth", requester="device"
            )
            return self.authority.issue(transaction, prepared)

    def revoke(self, record: CertificateRecord, reason: RevocationReason) -> CertificateRecord:
        with self.store.transaction() as transaction:
            return self.authority.revoke(transaction, record.id, reason)

    def release(self, record: CertificateRecord) -> None:
        with self.store.transaction() as transaction:
            self.authority.release(transaction, record.id)

    def new_responder(self, *credentials: CredentialSource, **settings: Any) -> OcspResponder:
        """Return another responder, with other settings."""
        return responder_of(self, [self.authority.certificate], credentials or [self.credentials], **settings)

    def ask(self, serial_number: int, **options: Any) -> bytes:
        return question(self.authority.certificate, serial_number, **options)


def responder_of(
    world: CaWorld,
    issuers: Sequence[CertificateInfo],
    credentials: Sequence[CredentialSource],
    *,
    store: Store | None = None,
    **settings: Any,
) -> OcspResponder:
    return OcspResponder(
        issuers=[
            ServedIssuer(certificate=issuer, credentials=source)
            for issuer, source in zip(issuers, credentials, strict=True)
        ],
        store=store or world.store,
        clock=world.clock,
        settings=world.settings.ocsp.model_copy(update=settings),
        clock_skew=world.settings.clock_skew,
    )


def credentials_of(world: CaWorld) -> ResponderCredentials:
    return open_ocsp_credentials(
        world.folder, world.settings, authority=world.authority, store=world.store, clock=world.clock
    )


@contextmanager
def ocsp_world(path: Path, **settings: Any) -> Iterator[OcspWorld]:
    """Hold a ceremony in ``path`` and set up a responder; ECDSA keys, unless told otherwise."""
    settings = {
        "issuing_key": "ecdsa-p256",
        "root_key": "ecdsa-p256",
        "ocsp": {"key": "ecdsa-p256"},
    } | settings
    with ca_world(path, **settings) as made:
        credentials = CountingCredentials(credentials_of(made))
        yield OcspWorld(
            **vars(made),
            credentials=credentials,
            responder=responder_of(made, [made.authority.certificate], [credentials]),
        )


def question(
    issuer: CertificateInfo,
    serial_number: int,
    *,
    nonce: bytes | None = None,
    digest: hashes.HashAlgorithm | None = None,
) -> bytes:
    """Return a request about one certificate, made by cryptography."""
    algorithm = digest or hashes.SHA1()
    key = x509.SubjectKeyIdentifier.from_public_key(
        x509.load_der_x509_certificate(issuer.der).public_key()
    ).digest
    name_hash, key_hash = hashes.Hash(algorithm), hashes.Hash(algorithm)
    name_hash.update(issuer.subject_der)
    key_hash.update(_key_bits(issuer))
    if isinstance(algorithm, hashes.SHA1):
        assert key_hash.copy().finalize() == key
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
        name_hash.finalize(), key_hash.finalize(), serial_number, algorithm
    )
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def _key_bits(issuer: CertificateInfo) -> bytes:
    from asn1crypto.keys import PublicKeyInfo

    bits: bytes = PublicKeyInfo.load(issuer.public_key_der)["public_key"].contents[1:]
    return bits


class OpensslJudge:
    """Asks with ``openssl ocsp`` and lets it verify the answers against the root alone."""

    def __init__(self, world: CaWorld, folder: Path) -> None:
        self._world = world
        self._folder = folder
        (folder / "root.pem").write_bytes(world.folder.issuing_root_certificate.read_bytes())
        (folder / "issuing.pem").write_bytes(to_pem(world.authority.certificate.der))

    def question(self, *options: str, **certificates: bytes) -> bytes:
        """Return a request for the certificates, which are named in the verdict."""
        command = ["openssl", "ocsp", "-issuer", "issuing.pem", *options, "-reqout", "request.der"]
        for name, octets in certificates.items():
            (self._folder / f"{name}.pem").write_bytes(to_pem(octets))
            command += ["-cert", f"{name}.pem"]
        self._run(command)
        return (self._folder / "request.der").read_bytes()

    def verdict(self, answer: bytes, *options: str, **certificates: bytes) -> str:
        """Return what openssl says of an answer; it must verify."""
        (self._folder / "answer.der").write_bytes(answer)
        command = [
            "openssl", "ocsp", "-respin", "answer.der", "-issuer", "issuing.pem", "-CAfile", "root.pem",
            "-verify_other", "issuing.pem", "-attime", str(int(self._world.clock.now().timestamp())),
            "-validity_period", "999999999", *options,
        ]  # fmt: skip
        for name in certificates:
            command += ["-cert", f"{name}.pem"]
        said = self._run(command)
        assert "Response verify OK" in said, said
        return said

    def _run(self, command: list[str]) -> str:
        done = subprocess.run(command, cwd=self._folder, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr
