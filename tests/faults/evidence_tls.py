"""Evidence of the faults before HTTP: by sockets, the resolver and ``openssl s_client``."""

from __future__ import annotations

import socket
import subprocess
from urllib.parse import urlsplit

from faults.evidence import shows
from faults.stand import PATIENCE, Side

_CLEAN_REQUEST = b"GET /scep?operation=GetCACaps HTTP/1.0\r\n\r\n"


def address(side: Side) -> tuple[str, int]:
    """Return host and port of a side, as its URL has them."""
    parts = urlsplit(side.url)
    return parts.hostname or "", parts.port or 0


def tls_address(side: Side) -> tuple[str, int]:
    """Return where a side speaks TLS: the clean one at the listener for SCEP over TLS."""
    url = side.url if side.url != side.scep_lab.scep_url else side.scep_lab._lab.scep_tls_url
    parts = urlsplit(url or "")
    return parts.hostname or "", parts.port or 0


def s_client(side: Side, *options: str, request: bytes = _CLEAN_REQUEST) -> str:
    """Return what ``openssl s_client`` says about a side's TLS, and what is answered to a request."""
    host, port = tls_address(side)
    words = ["openssl", "s_client", "-connect", f"{host}:{port}", "-verify_ip", host, "-ign_eof"]
    root = str(side.scep_lab.root_pem_path)
    done = subprocess.run(
        [*words, "-CAfile", root, "-no-CApath", "-no-CAstore", *options],
        input=request,
        capture_output=True,
        timeout=20,
        check=False,
    )
    return (done.stdout + done.stderr).decode("latin-1")


def verdict(side: Side) -> str:
    """Return openssl's verdict about the certificate."""
    lines = [line for line in s_client(side).splitlines() if "Verify return code:" in line]
    return lines[0].partition(":")[2].strip() if lines else ""


@shows("wire::name-not-resolved")
def name_not_resolved(side: Side) -> bool:
    try:
        socket.getaddrinfo(*address(side))
    except socket.gaierror:
        return True
    return False


@shows("wire::connection-refused")
def connection_refused(side: Side) -> bool:
    try:
        socket.create_connection(address(side), timeout=PATIENCE).close()
    except ConnectionRefusedError:
        return True
    return False


@shows("wire::connection-never-made")
def connection_never_made(side: Side) -> bool:
    try:
        socket.create_connection(address(side), timeout=PATIENCE).close()
    except TimeoutError:
        return True
    return False


@shows("wire::plain-http-behind-https")
def plain_http_behind_https(side: Side) -> bool:
    with socket.create_connection(tls_address(side), timeout=PATIENCE) as connection:
        connection.sendall(_CLEAN_REQUEST)
        answer = connection.recv(15)
    return answer == b"HTTP/1.1 200 OK" and "no peer certificate available" in s_client(side)


@shows("wire::https-behind-plain-http")
def https_behind_plain_http(side: Side) -> bool:
    if not side.raw_get().startswith(b"HTTP/1.1 400 "):
        return False
    return side.url.startswith("http:") and verdict(side) == "0 (ok)"


@shows("wire::tls-wrong-name")
def tls_wrong_name(side: Side) -> bool:
    return verdict(side) == "64 (IP address mismatch)"


@shows("wire::tls-expired")
def tls_expired(side: Side) -> bool:
    return verdict(side) == "10 (certificate has expired)"


@shows("wire::tls-not-yet-valid")
def tls_not_yet_valid(side: Side) -> bool:
    return verdict(side) == "9 (certificate is not yet valid)"


@shows("wire::tls-untrusted")
def tls_untrusted(side: Side) -> bool:
    return verdict(side) == "19 (self-signed certificate in certificate chain)"


@shows("wire::tls-self-signed")
def tls_self_signed(side: Side) -> bool:
    return verdict(side) == "18 (self-signed certificate)"


@shows("wire::tls-not-a-servers-certificate")
def tls_not_a_servers_certificate(side: Side) -> bool:
    return verdict(side) == "26 (unsuitable certificate purpose)"


@shows("wire::tls-chain-incomplete")
def tls_chain_incomplete(side: Side) -> bool:
    shown = s_client(side, "-showcerts").count("BEGIN CERTIFICATE")
    return shown == 1 and verdict(side).startswith("21 (unable to verify the first certificate")


@shows("wire::tls-1-3-only")
def tls_1_3_only(side: Side) -> bool:
    assert "TLSv1.3, Cipher is" in s_client(side, "-tls1_3")
    return "alert protocol version" in s_client(side, "-tls1_2")


@shows("wire::tls-1-2-only")
def tls_1_2_only(side: Side) -> bool:
    assert "TLSv1.2, Cipher is" in s_client(side, "-tls1_2")
    return "alert protocol version" in s_client(side, "-tls1_3")


@shows("wire::tls-1-0-only")
def tls_1_0_only(side: Side) -> bool:
    old = s_client(side, "-tls1", "-cipher", "ALL:@SECLEVEL=0")
    return "Protocol  : TLSv1\n" in old and "unsupported protocol" in s_client(side, "-tls1_2")


@shows("wire::tls-client-certificate-required")
def tls_client_certificate_required(side: Side) -> bool:
    with_none = s_client(side)
    return "Requested Signature Algorithms" in with_none and "certificate required" in with_none


@shows("wire::tls-client-certificate-wanted")
def tls_client_certificate_wanted(side: Side) -> bool:
    with_none = s_client(side)
    assert "200 OK" in with_none
    return "Requested Signature Algorithms" in with_none
