"""pkilint, an independent linter, finds nothing against RFC 5280 in what the CA writes.

No finding is excused: Microsoft's extensions are unknown to it, and none of them is critical.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ca_world import NOW, CaWorld, ca_world
from forge import certificates as forged
from forge import keys as forged_keys
from forge.csr import CsrForge
from pkilint.bin import lint_crl, lint_pkix_cert, lint_pkix_signer_signee_cert_chain

from ca import names
from ca.folders import to_pem
from ca.keys import KeyKind
from ca.opening import open_registration_keys, open_root_certificate, open_root_crl
from ca.records import CertificateFilter, RevocationReason

# The linter's command line leaves its input open.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")

NAMES = [
    forged.dns("a.lab.example"),
    forged.email("a@lab.example"),
    forged.ip(b"\x0a\0\0\1"),
    forged.uri("https://device.lab.example/1"),
]


def lint(path: Path, octets: bytes, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what the linter finds in a certificate, from notices on."""
    path.write_bytes(to_pem(octets))
    assert lint_pkix_cert.main(["lint", "-s", "NOTICE", str(path)]) in (0, 1)
    return capsys.readouterr().out.strip()


def lint_list(path: Path, octets: bytes, kind: str, capsys: pytest.CaptureFixture[str]) -> str:
    path.write_bytes(octets)
    lint_crl.main(["lint", "-t", kind, "-p", "PKIX", "-s", "NOTICE", str(path)])
    return capsys.readouterr().out.strip()


@pytest.fixture(
    scope="module",
    params=[(KeyKind.RSA_2048, KeyKind.RSA_2048), (KeyKind.ECDSA_P384, KeyKind.ECDSA_P256)],
    ids=["rsa", "ecdsa"],
)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CaWorld]:
    root, issuing = request.param
    path = tmp_path_factory.mktemp("lint") / "pki"
    with ca_world(
        path, root_key=root, issuing_key=issuing, ocsp={"url": "http://127.0.0.1:8081/ocsp"}
    ) as made:
        yield made


def test_the_linter_is_awake(world: CaWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tampered = bytearray(world.authority.certificate.der)
    at = tampered.rindex(b"\x55\x1d\x0e")  # subjectKeyIdentifier becomes an extension that is not there
    tampered[at + 2] = 0x7E
    assert "skid_ca_missing" in lint(tmp_path / "c.pem", bytes(tampered), capsys)


def test_ca_certificates_are_clean(
    world: CaWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for certificate in (open_root_certificate(world.folder), world.authority.certificate):
        assert lint(tmp_path / "c.pem", certificate.der, capsys) == ""


def test_ra_certificates_are_clean(
    world: CaWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = open_registration_keys(world.folder, world.settings)
    for pair in (keys.signing, keys.encryption):
        assert lint(tmp_path / "c.pem", pair.certificate.der, capsys) == ""


@pytest.mark.parametrize(
    ("template", "requester"),
    [
        ("SCEP-Client-Auth", "device"),
        ("IPSECIntermediateOffline", "device"),
        ("WebServer", "Domain Admins"),
        ("OCSPResponseSigning", "Enterprise Admins"),
    ],
)
def test_leaves_of_every_template_are_clean(
    world: CaWorld, template: str, requester: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    granted = world.authority.templates.published(template).subject_name.alternative_names
    alternative = [name for name in NAMES if template == "SCEP-Client-Auth" or name[0] == 0x82]
    extensions = [forged.subject_alt_name(*alternative)] if granted else []
    csr = CsrForge(
        key=forged_keys.KeyPool(primes=2).fresh(),
        subject=names.build_name("CN=device 1,OU=Lab,O=Example,C=US"),
        extensions=extensions,
    )
    leaf = world.issue(csr.encode(), template, requester)
    assert lint(tmp_path / "c.pem", leaf, capsys) == ""
    for name, certificate in (("issuer.pem", world.authority.certificate.der), ("leaf.pem", leaf)):
        (tmp_path / name).write_bytes(to_pem(certificate))
    arguments = ["lint", "-s", "NOTICE", str(tmp_path / "issuer.pem"), str(tmp_path / "leaf.pem")]
    assert lint_pkix_signer_signee_cert_chain.main(arguments) == 0
    assert capsys.readouterr().out.strip() == ""


def test_leaves_with_ec_keys_are_clean(
    world: CaWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leaf = world.issue(CsrForge(key=forged_keys.KeyPool(primes=0).ec()).encode())
    assert lint(tmp_path / "c.pem", leaf, capsys) == ""


def test_crls_are_clean_empty_and_with_entries(
    world: CaWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lint_list(tmp_path / "root.crl", open_root_crl(world.folder), "ARL", capsys) == ""
    world.issue(CsrForge(key=forged_keys.KeyPool(primes=0).ec()).encode())
    with world.store.transaction() as transaction:
        [*_, record] = transaction.find_certificates(CertificateFilter(), now=NOW)
        empty = world.authority.sign_crl(transaction)
        world.authority.revoke(
            transaction, record.id, RevocationReason.KEY_COMPROMISE, invalidity_date=NOW.replace(month=2)
        )
        full = world.authority.sign_crl(transaction)
    assert (empty.entries, full.entries) == (0, 1)
    for crl in (empty, full):
        assert lint_list(tmp_path / "issuing.crl", crl.der, "CRL", capsys) == ""
