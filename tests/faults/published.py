"""What is published at one side of a lab, as openssl sees it."""

from __future__ import annotations

import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from forge import openssl, wire

from ca.clock import SystemClock
from faults.stand import Side


def path(file: str) -> str:
    """Return where a published file is, below the base of a side."""
    return f"/CertEnroll/{quote(file, safe='()+')}"


def crl(side: Side) -> wire.Response:
    """Fetch the issuing CA's CRL."""
    return side.fetch(path(side.scep_lab.world.authority.locations.crl_file))


def delta_crl(side: Side) -> wire.Response:
    """Fetch its delta CRL."""
    return side.fetch(path(side.scep_lab.world.authority.locations.delta_crl_file))


def aia(side: Side) -> wire.Response:
    """Fetch its certificate."""
    return side.fetch(path(side.scep_lab.world.authority.locations.certificate_file))


def pem_files(side: Side, folder: Path) -> tuple[Path, Path, Path]:
    """Write root, issuing CA and a certificate that it issued into a folder."""
    world = side.scep_lab.world
    written = []
    for name, octets in (
        ("root", world.root.der),
        ("issuing", world.authority.certificate.der),
        ("leaf", world.registration_authority.signing.der),
    ):
        file = folder / f"{name}.pem"
        file.write_bytes(openssl.run("x509", "-inform", "DER", stdin=octets))
        written.append(file)
    return written[0], written[1], written[2]


def crl_text(octets: bytes) -> str:
    """Return a CRL as ``openssl crl -text`` shows it."""
    return openssl.run("crl", "-inform", "DER", "-noout", "-text", stdin=octets).decode(errors="replace")


def crl_verdict(side: Side, octets: bytes) -> str:
    """Return what ``openssl crl -CAfile`` says of a CRL's signature under the issuing CA's key."""
    with tempfile.TemporaryDirectory() as name:
        _, issuing, _ = pem_files(side, Path(name))
        return said("crl", "-inform", "DER", "-noout", "-CAfile", str(issuing), stdin=octets)


def crl_verifies(side: Side, octets: bytes) -> bool:
    """Tell whether openssl finds the CRL signed by the issuing CA."""
    return "verify OK" in crl_verdict(side, octets)


def instant(octets: bytes, which: str) -> datetime | None:
    """Return a CRL's thisUpdate or nextUpdate, as ``openssl crl -lastupdate`` or ``-nextupdate`` says."""
    printed = openssl.run("crl", "-inform", "DER", "-noout", f"-{which}", stdin=octets).decode()
    text = printed.strip().partition("=")[2]
    if text == "NONE":
        return None
    return datetime.strptime(text, "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)


def now() -> datetime:
    """Return the time that the lab goes by."""
    return SystemClock().now()


def verify(side: Side, crls: bytes) -> str:
    """Return what ``openssl verify -crl_check`` says of a certificate by CRLs in DER."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root, issuing, leaf = pem_files(side, folder)
        pem = folder / "crl.pem"
        pem.write_bytes(openssl.run("crl", "-inform", "DER", stdin=crls))
        trusted = ("-CAfile", str(root), "-untrusted", str(issuing))
        return said("verify", "-crl_check", *trusted, "-CRLfile", str(pem), str(leaf))


OCSP_FIELDS = {"Content-Type": "application/ocsp-request"}


def ocsp_request(side: Side, *options: str) -> bytes:
    """Return a question about a certificate of the lab, as ``openssl ocsp -reqout`` writes it."""
    with tempfile.TemporaryDirectory() as name:
        _, issuing, leaf = pem_files(side, Path(name))
        request = Path(name) / "request.der"
        about = ("-issuer", str(issuing), "-cert", str(leaf))
        openssl.run("ocsp", *options, *about, "-reqout", str(request))
        return request.read_bytes()


def ask(side: Side) -> str:
    """Ask the side's OCSP responder by openssl; return all that openssl says of its response.

    Asked and judged are two calls, so that the octets that went over the wire are those that are judged.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root, issuing, _ = pem_files(side, folder)
        request, response = folder / "request.der", folder / "response.der"
        request.write_bytes(ocsp_request(side))
        answer = wire.post(f"{side.pki}/ocsp", request.read_bytes(), "", fields=OCSP_FIELDS)
        response.write_bytes(answer.body)
        files = ("-issuer", str(issuing), "-reqin", str(request), "-respin", str(response))
        printed = said("ocsp", *files, "-resp_text", "-CAfile", str(root), "-verify_other", str(issuing))
        return f"HTTP {answer.status} {answer.header('Content-Type')}\n{printed}"


def said(*arguments: str, stdin: bytes = b"") -> str:
    """Return all that openssl prints, whatever comes of it."""
    done = subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, check=False)
    return (done.stdout + done.stderr).decode(errors="replace")
