"""What OpenSSL says: the judge that neither the product nor the forge can persuade."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path


class Refused(AssertionError):
    """OpenSSL did not accept the octets; the text is its own."""


def run(*arguments: str, stdin: bytes = b"") -> bytes:
    """Run openssl and return its standard output; raises `Refused` when it fails."""
    done = subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, check=False)
    if done.returncode:
        raise Refused(f"openssl {' '.join(arguments)}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def verify_cms(message: bytes) -> bytes:
    """Verify a SignedData under the certificate it carries with both APIs; return its content.

    ``cms`` insists on contentType and ``smime`` uses the older PKCS#7 API; deployed clients use either.
    """
    content = run("cms", "-verify", "-noverify", "-binary", "-inform", "DER", stdin=message)
    older = run("smime", "-verify", "-noverify", "-binary", "-inform", "DER", stdin=message)
    if content != older:
        raise Refused("openssl cms and openssl smime read different contents")
    return content


def decrypt(envelope: bytes, *, key_pem: bytes, certificate: bytes) -> bytes:
    """Open an EnvelopedData with the key of the certificate it is made out to."""
    with tempfile.TemporaryDirectory() as folder:
        key, cert = Path(folder, "key.pem"), Path(folder, "cert.der")
        key.write_bytes(key_pem)
        cert.write_bytes(certificate)
        cert_pem = Path(folder, "cert.pem")
        cert_pem.write_bytes(run("x509", "-inform", "DER", stdin=certificate))
        return run(
            "cms", "-decrypt", "-binary", "-inform", "DER",
            "-inkey", str(key), "-recip", str(cert_pem),
            stdin=envelope,
        )  # fmt: skip


def decrypt_with_password(envelope: bytes, password: bytes) -> bytes:
    """Open an EnvelopedData made out to a password."""
    return run(
        "cms", "-decrypt", "-binary", "-inform", "DER", "-pwri_password", password.decode(), stdin=envelope
    )


def verify_chain(leaf: bytes, root_pem: bytes, untrusted: list[bytes], *, at: int | None = None) -> None:
    """Verify a certificate chain up to a root, optionally at a Unix time."""
    with tempfile.TemporaryDirectory() as folder:
        root, middle, end = (Path(folder, name) for name in ("root.pem", "middle.pem", "leaf.pem"))
        root.write_bytes(root_pem)
        middle.write_bytes(b"".join(run("x509", "-inform", "DER", stdin=one) for one in untrusted))
        end.write_bytes(run("x509", "-inform", "DER", stdin=leaf))
        when = ["-attime", str(at)] if at is not None else []
        run("verify", *when, "-CAfile", str(root), "-untrusted", str(middle), str(end))


def check_request(csr: bytes) -> str:
    """Verify a PKCS#10 request's own signature and return its text."""
    return run("req", "-inform", "DER", "-verify", "-noout", "-text", stdin=csr).decode()
