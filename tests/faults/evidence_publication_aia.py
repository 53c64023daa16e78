"""Evidence for faults of the CA's certificate at its place: by ``openssl x509`` and ``openssl verify``."""

from __future__ import annotations

import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from forge import openssl

from faults import published
from faults.evidence import shows
from faults.stand import Side


def _certificate(side: Side) -> bytes:
    found = published.aia(side)
    assert found.header("Content-Type") == "application/pkix-cert"
    return found.body


def _printed(octets: bytes, *options: str) -> str:
    return openssl.run("x509", "-inform", "DER", "-noout", *options, stdin=octets).decode().strip()


def _verdict(side: Side, octets: bytes) -> str:
    """Return what ``openssl verify`` says of a certificate of the lab with this one as its issuer's."""
    with tempfile.TemporaryDirectory() as name:
        root, _, leaf = published.pem_files(side, Path(name))
        fetched = Path(name) / "fetched.pem"
        fetched.write_bytes(openssl.run("x509", "-inform", "DER", stdin=octets))
        done = subprocess.run(
            ["openssl", "verify", "-CAfile", str(root), "-untrusted", str(fetched), str(leaf)],
            capture_output=True,
            check=False,
        )
        return (done.stdout + done.stderr).decode()


@shows("publication::aia-wrong-certificate")
def aia_wrong_certificate(side: Side) -> bool:
    octets = _certificate(side)
    is_roots = "Root CA" in _printed(octets, "-subject")
    assert is_roots == ("unable to get local issuer certificate" in _verdict(side, octets))
    return is_roots


@shows("publication::aia-foreign-ca")
def aia_foreign_ca(side: Side) -> bool:
    """Same subject, another key."""
    octets, own = _certificate(side), side.scep_lab.world.authority.certificate.der
    assert _printed(octets, "-subject") == _printed(own, "-subject")
    is_other = _printed(octets, "-pubkey") != _printed(own, "-pubkey")
    assert is_other == (": OK" not in _verdict(side, octets))
    return is_other


@shows("publication::aia-expired-certificate")
def aia_expired_certificate(side: Side) -> bool:
    """The same key, and an end that is past."""
    octets, own = _certificate(side), side.scep_lab.world.authority.certificate.der
    assert _printed(octets, "-pubkey") == _printed(own, "-pubkey")
    text = _printed(octets, "-enddate").partition("=")[2]
    ends = datetime.strptime(text, "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)
    has_ended = ends < published.now()
    assert has_ended == ("certificate has expired" in _verdict(side, octets))
    return has_ended


@shows("publication::aia-bad-signature")
def aia_bad_signature(side: Side) -> bool:
    """The same key, and a signature that the root did not make."""
    octets, own = _certificate(side), side.scep_lab.world.authority.certificate.der
    assert _printed(octets, "-pubkey") == _printed(own, "-pubkey")
    return "certificate signature failure" in _verdict(side, octets)


@shows("publication::aia-pem")
def aia_pem(side: Side) -> bool:
    octets = published.aia(side).body
    return octets.startswith(b"-----BEGIN CERTIFICATE-----") and b"Issuing CA" in openssl.run(
        "x509", "-noout", "-subject", stdin=octets
    )


@shows("publication::aia-certs-only")
def aia_certs_only(side: Side) -> bool:
    found = published.aia(side)
    if found.header("Content-Type") != "application/pkcs7-mime":
        return False
    printed = openssl.run("pkcs7", "-inform", "DER", "-print_certs", "-noout", stdin=found.body)
    return b"Issuing CA" in printed and printed.count(b"subject=") == 2
