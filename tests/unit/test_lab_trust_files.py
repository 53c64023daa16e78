"""The root in every form: foreign programs read each of them, and know the same certificate."""

from __future__ import annotations

import re
import ssl
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from peers import require_peer

from lab.trust_files import TrustedRoot

KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(
    subject: str, key: ec.EllipticCurvePrivateKey, issuer: str, *, is_ca: bool
) -> x509.Certificate:
    """A certificate signed with KEY, valid for a day around the real time, by which TLS goes."""
    now = datetime.now(UTC)
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in (subject, issuer)]
    return (
        x509.CertificateBuilder()
        .subject_name(names[0])
        .issuer_name(names[1])
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("device.example")]), critical=False)
        .sign(KEY, hashes.SHA256())
    )


@pytest.fixture
def root(tmp_path: Path) -> TrustedRoot:
    made = certificate("Test Root", KEY, "Test Root", is_ca=True)
    return TrustedRoot(made.public_bytes(serialization.Encoding.DER), tmp_path)


def fingerprint(path: Path, form: str, digest: str) -> str:
    require_peer("openssl")
    command = ["openssl", "x509", "-in", path, "-inform", form, "-noout", "-fingerprint", f"-{digest}"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return said.partition("=")[2].strip().replace(":", "").lower()


@pytest.mark.parametrize("digest", ["sha256", "sha1", "md5"])
def test_openssl_finds_the_same_thumbprint_in_both_files(root: TrustedRoot, digest: str) -> None:
    expected = getattr(root, digest)
    assert fingerprint(root.pem_path, "PEM", digest) == fingerprint(root.der_path, "DER", digest) == expected


def test_openssl_opens_the_pkcs12_with_its_password_alone(root: TrustedRoot) -> None:
    require_peer("openssl")
    path = root.p12_path("changeit")

    def opened_with(password: str) -> subprocess.CompletedProcess[str]:
        command = ["openssl", "pkcs12", "-in", path, "-nokeys", "-passin", f"pass:{password}"]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert "".join(root.pem.split()) in "".join(opened_with("changeit").stdout.split())
    assert opened_with("wrong").returncode != 0


def test_java_takes_the_pkcs12_as_a_trust_store(root: TrustedRoot) -> None:
    keytool = require_peer("keytool")
    command = [keytool, "-list", "-keystore", root.p12_path("changeit"), "-storepass", "changeit"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "trustedCertEntry" in said
    assert root.sha256 in re.sub(":", "", said).lower()


def test_a_pkcs12_without_a_password_is_refused(root: TrustedRoot) -> None:
    with pytest.raises(ValueError, match="password is empty"):
        root.p12("")


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    """A TLS handshake in memory; raises what the client thinks of the server's certificate."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname="device.example"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    left: list[Callable[[], None]] = [end.do_handshake for end in ends]
    for _ in range(10):
        for step in list(left):
            try:
                step()
                left.remove(step)
            except ssl.SSLWantReadError:
                continue
    assert not left


def test_a_tls_client_trusts_what_chains_to_the_root_only_once_it_is_told_to(
    root: TrustedRoot, tmp_path: Path
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pair = tmp_path / "server.pem"
    pair.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + certificate("device.example", key, "Test Root", is_ca=False).public_bytes(
            serialization.Encoding.PEM
        )
    )
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    server.load_cert_chain(pair)
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        handshake(server, client)
    root.configure_trust(client)
    handshake(server, client)


def test_a_file_of_its_own_is_gone_afterwards(root: TrustedRoot, tmp_path: Path) -> None:
    with root.tempfile(tmp_path) as path:
        assert path.read_text() == root.pem
    assert not path.exists()
    assert list(tmp_path.iterdir()) == []


def test_files_are_made_only_when_they_are_asked_for(root: TrustedRoot, tmp_path: Path) -> None:
    assert list(tmp_path.iterdir()) == []
    assert root.pem_path == root.pem_path
    assert list(tmp_path.iterdir()) == [root.pem_path]
