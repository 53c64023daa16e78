"""CA certificates as certs-only messages: what goes out, and what is refused."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ca_world import HandClock, ca_world
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from ca.certificates import certs_only
from ca.opening import open_root_certificate
from crl_publisher import CaCertificates, Publication, PublicationRefused

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ROOT_KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(name: str, *, issuer: str = "Root", serial: int = 1, is_ca: bool = True) -> bytes:
    subject, by = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]) for text in (name, issuer))
    key = ROOT_KEY if name == "Root" else ec.generate_private_key(ec.SECP256R1())
    return (
        x509.CertificateBuilder(by, subject, key.public_key(), serial, NOW, NOW + timedelta(days=9))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .sign(ROOT_KEY, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )


ROOT, FIRST, SECOND = certificate("Root"), certificate("CA", serial=2), certificate("CA", serial=3)
OTHER, LEAF = certificate("Other", serial=4), certificate("CA", serial=5, is_ca=False)


@pytest.fixture
def publication(tmp_path: Path) -> Publication:
    return Publication(tmp_path / "published", HandClock())


def bag(der: bytes, *issuers: bytes, name: str = "host_CA.p7c") -> CaCertificates:
    return CaCertificates(name=name, der=der, issuers=issuers or (ROOT,))


def test_openssl_and_cryptography_read_the_certificates(tmp_path: Path) -> None:
    message = certs_only([FIRST, SECOND])
    read = pkcs7.load_der_pkcs7_certificates(message)
    assert {found.public_bytes(Encoding.DER) for found in read} == {FIRST, SECOND}
    (tmp_path / "x.p7c").write_bytes(message)
    command = ["openssl", "pkcs7", "-inform", "DER", "-in", tmp_path / "x.p7c", "-print_certs"]
    said = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert said.count("subject=CN = CA") == 2
    command = ["openssl", "cms", "-verify", "-inform", "DER", "-in", tmp_path / "x.p7c", "-noverify"]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert "no content" in done.stderr  # it is a SignedData that says nothing


def test_all_certificates_of_one_ca_go_out_as_pkcs7_mime(publication: Publication) -> None:
    message = certs_only([FIRST, SECOND])
    publication.publish(bag(message))
    file = publication.find("HOST_ca.P7C")
    assert file is not None
    assert (file.content, file.media_type) == (message, "application/pkcs7-mime")


def test_each_may_have_another_issuer_key(publication: Publication) -> None:
    publication.publish(bag(certs_only([FIRST, SECOND]), OTHER, ROOT))
    assert publication.find("host_CA.p7c") is not None


@pytest.mark.parametrize(
    ("item", "why"),
    [
        (bag(b"nonsense"), "not a certs-only CMS message"),
        (bag(FIRST), "not a certs-only CMS message"),
        (bag(certs_only([])), "host_CA.p7c: "),
        (bag(certs_only([FIRST, OTHER])), "expected those of one CA"),
        (bag(certs_only([FIRST, LEAF])), "not a CA certificate"),
        (bag(certs_only([FIRST]), OTHER), "not signed by CN=Other"),
        (bag(certs_only([FIRST]), name="CA.crt"), "no file name for a .p7c"),
        (bag(certs_only([FIRST]), name="../CA.p7c"), "no file name for a .p7c"),
        (CaCertificates(name="CA.p7c", der=certs_only([FIRST]), issuers=()), "no issuer"),
    ],
)
def test_what_is_no_such_message_is_refused(publication: Publication, item: CaCertificates, why: str) -> None:
    with pytest.raises(PublicationRefused, match=why):
        publication.publish(item)
    assert publication.files() == ()


def test_root_and_issuing_ca_of_a_ceremony_go_out(publication: Publication, tmp_path: Path) -> None:
    with ca_world(tmp_path / "pki") as world:
        root, issuing = open_root_certificate(world.folder).der, world.authority.certificate.der
    publication.publish(
        bag(certs_only([root]), root, name="root.p7c"), bag(certs_only([issuing]), root, name="issuing.p7c")
    )
    assert [file.name for file in publication.files()] == ["issuing.p7c", "root.p7c"]
