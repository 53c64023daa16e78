"""Evidence of the faults on the wire: raw octets, and how the connection ended."""

from __future__ import annotations

import gzip
import re
import socket
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from forge import openssl, wire

from faults.evidence import shows
from faults.stand import Side

_LONG_PATIENCE = 10.0
_SHORT_PATIENCE = 1.0  # seconds after which a server that says nothing is silent
_LONG = "operation=PKIOperation&message=" + "A" * 3000


@dataclass(frozen=True, kw_only=True)
class Heard:
    """All octets that came, in how many pieces, and how it ended: closed, reset, silent."""

    octets: bytes
    ending: str
    pieces: int

    @property
    def head(self) -> bytes:
        """Status line and header lines."""
        return self.octets.partition(b"\r\n\r\n")[0]

    @property
    def body(self) -> bytes:
        """What follows the head, codings and all."""
        return self.octets.partition(b"\r\n\r\n")[2]

    def field(self, name: str) -> list[str]:
        """Return the values of the fields of a name."""
        return re.findall(rf"(?im)^{name}:[ \t]*(.*?)\r?$", self.head.decode("latin-1"))

    def status(self) -> int:
        """Return the status code."""
        return int(self.octets.split(b" ", 2)[1])


def hear(
    side: Side,
    query: str = "operation=GetCACert",
    *,
    body: bytes | None = None,
    patience: float = _LONG_PATIENCE,
) -> Heard:
    """Send one request on a connection of its own, and listen until it ends or falls silent."""
    top = wire.request_line(side.url, "GET" if body is None else "POST", query)
    length = b"" if body is None else b"Content-Length: %d\r\n" % len(body)
    parts = urlsplit(side.url)
    received, pieces = bytearray(), 0
    with socket.create_connection((parts.hostname, parts.port), timeout=patience) as connection:
        connection.sendall(top + length + b"Connection: close\r\n\r\n" + (body or b""))
        try:
            while part := connection.recv(65536):
                received += part
                pieces += 1
            ending = "closed"
        except ConnectionResetError:
            ending = "reset"
        except TimeoutError:
            ending = "silent"
    return Heard(octets=bytes(received), ending=ending, pieces=pieces)


def whole(side: Side, operation: str = "GetCACert") -> bytes:
    """Return the body that the lab has for an operation where nothing is wrong."""
    return Side.clean_of(side).get(operation).body


def is_degenerate(body: bytes) -> bool:
    """Tell whether openssl reads certificates in a body."""
    try:
        return b"subject=" in openssl.run("pkcs7", "-print_certs", "-inform", "DER", "-noout", stdin=body)
    except openssl.Refused:
        return False


def enrolled_again(side: Side, heard: str) -> bool:
    """Tell whether a PKIOperation ended so, and the same octets sent again bring the one certificate."""
    before = len(side.scep_lab.certificates())
    sent = side.enrol()
    if sent.response.status == 200 and is_signed(sent.reply):
        return False
    assert hear(side, "operation=PKIOperation", body=sent.message).ending == heard
    certificates = side.scep_lab.certificates()
    assert len(certificates) == before + 1
    answered = Side.clean_of(side).again(sent)
    assert certificates[-1].pem.split() == _leaf(answered.issued_pem()).split()
    assert len(side.scep_lab.certificates()) == before + 1
    return True


def _leaf(pem: bytes) -> str:
    return openssl.run("x509", stdin=pem).decode()


def is_signed(body: bytes) -> bool:
    """Tell whether openssl verifies a pkiMessage."""
    try:
        openssl.run("cms", "-verify", "-noverify", "-inform", "DER", "-out", "/dev/null", stdin=body)
    except openssl.Refused:
        return False
    return True


# -- before the service -----------------------------------------------------------------------


@shows("wire::unauthorized")
def _(side: Side) -> bool:
    heard = hear(side)
    return heard.status() == 401 and heard.field("WWW-Authenticate") == ["Negotiate", "NTLM"]


@shows("wire::forbidden")
def _(side: Side) -> bool:
    heard = hear(side)
    return heard.status() == 403 and b"403.0 - Forbidden" in heard.body


@shows("wire::not-found")
def _(side: Side) -> bool:
    heard = hear(side)
    return heard.status() == 404 and b"404.0 - Not Found" in heard.body


@shows("wire::query-too-long", transport="get")
def _(side: Side) -> bool:
    assert hear(side).status() == 200
    assert side.enrol().response.status == 200  # by POST
    heard = hear(side, _LONG)
    return heard.status() == 404 and b"HTTP Error 404.15" in heard.body


@shows("wire::body-too-long")
def _(side: Side) -> bool:
    before = len(side.scep_lab.certificates())
    sent = side.enrol()
    refused = sent.response.status == 413 and b"HTTP Error 413.1" in sent.reply
    assert len(side.scep_lab.certificates()) == before + (not refused)
    return refused


@shows("wire::internal-server-error")
def _(side: Side) -> bool:
    heard = hear(side)
    return heard.status() == 500 and b"HTTP Error 500.0" in heard.body


@shows("wire::too-many-requests")
def _(side: Side) -> bool:
    heard = hear(side)
    return heard.status() == 429 and heard.field("Retry-After") == ["5"]


@shows("wire::bad-gateway")
def _(side: Side) -> bool:
    heard = hear(side)
    return heard.status() == 502 and b"<center>nginx</center>" in heard.body


@shows("wire::application-pool-stopped")
def _(side: Side) -> bool:
    heard = hear(side)
    kernel = heard.field("Server") == ["Microsoft-HTTPAPI/2.0"] and not heard.field("Retry-After")
    return heard.status() == 503 and kernel and b"HTTP Error 503" in heard.body


@shows("wire::overloaded")
def _(side: Side) -> bool:
    heard = hear(side)
    return heard.status() == 503 and heard.field("Retry-After") == ["2"]


@shows("wire::gateway-timeout")
def _(side: Side) -> bool:
    return hear(side).status() == 504 and enrolled_again(side, "closed")


@shows("wire::reset-on-arrival")
def _(side: Side) -> bool:
    before = len(side.scep_lab.certificates())
    if side.enrol().response.status == 200:
        return False
    assert len(side.scep_lab.certificates()) == before  # it was never looked at
    heard = hear(side)
    return heard.ending == "reset" and not heard.octets


@shows("wire::redirect")
def _(side: Side) -> bool:
    heard = hear(side)
    return heard.status() == 302 and heard.field("Location") == ["/scep?operation=GetCACert"]


@shows("wire::redirect-loop")
def _(side: Side) -> bool:
    heard = hear(side)
    asked = urlsplit(side.url).path + "?operation=GetCACert"
    return heard.status() == 302 and heard.field("Location") == [asked]


@shows("wire::login-page")
def _(side: Side) -> bool:
    heard = hear(side)
    is_page = heard.field("Content-Type") == ["text/html; charset=utf-8"] and b"<form" in heard.body
    return heard.status() == 200 and is_page


# -- lost and cut off ---------------------------------------------------------------------------


@shows("wire::reset-before-headers")
def _(side: Side) -> bool:
    return enrolled_again(side, "reset")


@shows("wire::closed-before-headers")
def _(side: Side) -> bool:
    return enrolled_again(side, "closed")


@shows("wire::reset-within-headers")
def _(side: Side) -> bool:
    if not enrolled_again(side, "reset"):
        return False
    octets = hear(side, "operation=PKIOperation", body=b"?").octets
    return octets.startswith(b"HTTP/1.1 ") and b"\r\n\r\n" not in octets


@shows("wire::reset-after-headers")
def _(side: Side) -> bool:
    heard = hear(side)
    return heard.ending == "reset" and heard.octets.endswith(b"\r\n\r\n") and heard.status() == 200


@shows("wire::reset-within-body")
def _(side: Side) -> bool:
    heard = hear(side)
    return heard.ending == "reset" and heard.body == _half(whole(side))


@shows("wire::truncated")
def _(side: Side) -> bool:
    heard, right = hear(side), whole(side)
    announced = heard.field("Content-Length") == [str(len(right))]
    return announced and heard.ending == "closed" and heard.body == _half(right)


@shows("wire::truncated-without-length")
def _(side: Side) -> bool:
    heard = hear(side)
    return not heard.field("Content-Length") and heard.body == _half(whole(side))


@shows("wire::chunked-without-end")
def _(side: Side) -> bool:
    heard, right = hear(side), whole(side)
    return heard.field("Transfer-Encoding") == ["chunked"] and heard.body == (
        b"%x\r\n%b\r\n" % (len(right), right)
    )


def _half(octets: bytes) -> bytes:
    return octets[: len(octets) // 2]


# -- late ---------------------------------------------------------------------------------------


@shows("wire::stalled-before-headers")
def _(side: Side) -> bool:
    heard = hear(side, patience=_SHORT_PATIENCE)
    return heard.ending == "silent" and not heard.octets


@shows("wire::stalled-within-body")
def _(side: Side) -> bool:
    heard = hear(side, patience=_SHORT_PATIENCE)
    return heard.ending == "silent" and heard.body == _half(whole(side))


@shows("wire::slow")
def _(side: Side) -> bool:
    sent = time.monotonic()
    assert side.get("GetCACert").body == whole(side)
    return time.monotonic() - sent >= 0.5


@shows("wire::drip-fed")
def _(side: Side) -> bool:
    heard = hear(side)
    assert heard.body == whole(side)
    return heard.pieces > 5


@shows("wire::headers-without-end")
def _(side: Side) -> bool:
    with socket.create_connection(
        (urlsplit(side.url).hostname, urlsplit(side.url).port), timeout=2
    ) as connection:
        connection.sendall(wire.request_line(side.url, "GET", "operation=GetCACert") + b"\r\n")
        received = b""
        while received.count(b"\r\nX-Padding-") < 3 and b"\r\n\r\n" not in received:
            received += connection.recv(65536)
    return b"\r\n\r\n" not in received


@shows("wire::body-without-end")
def _(side: Side) -> bool:
    heard, right = hear(side), whole(side)
    assert heard.body.startswith(right)
    return len(heard.body) == len(right) + 64 * 1024 * 1024


# -- form ---------------------------------------------------------------------------------------


@shows("wire::content-length-missing")
def _(side: Side) -> bool:
    heard = hear(side)
    assert heard.body == whole(side)
    return not heard.field("Content-Length") and not heard.field("Transfer-Encoding")


@shows("wire::content-length-too-short")
def _(side: Side) -> bool:
    heard, right = hear(side), whole(side)
    assert heard.body == right
    return heard.field("Content-Length") == [str(len(right) // 2)]


@shows("wire::content-length-too-long")
def _(side: Side) -> bool:
    heard, right = hear(side, patience=_SHORT_PATIENCE), whole(side)
    assert heard.body == right
    return heard.field("Content-Length") == [str(len(right) + 16)] and heard.ending == "silent"


@shows("wire::content-length-twice")
def _(side: Side) -> bool:
    heard, right = hear(side), whole(side)
    assert heard.body == right
    return heard.field("Content-Length") == [str(len(right)), str(len(right) + 1)]


@shows("wire::content-length-no-number")
def _(side: Side) -> bool:
    return hear(side).field("Content-Length") == ["unknown"]


@shows("wire::content-type-wrong")
def _(side: Side) -> bool:
    heard = hear(side)
    assert heard.body == whole(side)
    sent = side.enrol()
    assert is_signed(sent.reply)
    types = heard.field("Content-Type") == ["application/octet-stream"]
    return types and sent.response.header("Content-Type") == "application/octet-stream"


@shows("wire::content-type-missing")
def _(side: Side) -> bool:
    return all(
        not hear(side, f"operation={each}").field("Content-Type") for each in ("GetCACaps", "GetCACert")
    )


@shows("wire::content-type-with-charset")
def _(side: Side) -> bool:
    return hear(side).field("Content-Type") == ["application/x-x509-ca-ra-cert; charset=utf-8"]


@shows("wire::gzip-unasked")
def _(side: Side) -> bool:
    heard = hear(side)
    return heard.field("Content-Encoding") == ["gzip"] and gzip.decompress(heard.body) == whole(side)


@shows("wire::gzip-announced-and-not-done")
def _(side: Side) -> bool:
    heard = hear(side)
    return heard.field("Content-Encoding") == ["gzip"] and heard.body == whole(side)


@shows("wire::chunked")
def _(side: Side) -> bool:
    heard, right = hear(side), whole(side)
    assert side.get("GetCACert").body == right
    return heard.body.startswith(b"64\r\n" + right[:100] + b"\r\n64\r\n") and heard.body.endswith(
        b"\r\n0\r\n\r\n"
    )


@shows("wire::chunk-size-no-number")
def _(side: Side) -> bool:
    heard = hear(side)
    return heard.field("Transfer-Encoding") == ["chunked"] and heard.body == b"chunk\r\n" + whole(side)


@shows("wire::empty-body")
def _(side: Side) -> bool:
    assert b"POST" in hear(side, "operation=GetCACaps").body
    heard = hear(side)
    return heard.status() == 200 and heard.field("Content-Length") == ["0"] and not heard.body


@shows("wire::no-content")
def _(side: Side) -> bool:
    heard = hear(side)
    return heard.status() == 204 and not heard.body


@shows("wire::good-reply-with-error-status")
def _(side: Side) -> bool:
    sent = side.enrol()
    assert b"-----BEGIN CERTIFICATE-----" in sent.issued_pem()
    return sent.response.status == 500


@shows("wire::line-ends-converted")
def _(side: Side) -> bool:
    heard, right = hear(side), whole(side)
    if is_degenerate(heard.body):
        return False
    return heard.body == right.replace(b"\n", b"\r\n") and heard.field("Content-Length") == [
        str(len(heard.body))
    ]


@shows("wire::line-end-after-body")
def _(side: Side) -> bool:
    return hear(side).body == whole(side) + b"\r\n"


@shows("wire::interim-answers")
def _(side: Side) -> bool:
    octets = hear(side).octets
    lines = re.findall(rb"(?m)^HTTP/1\.1 (\d+)", octets.partition(b"\x30\x82")[0])
    return lines == [b"100", b"103", b"200"] and octets.endswith(whole(side))


@shows("wire::http-1-0")
def _(side: Side) -> bool:
    return hear(side).octets.startswith(b"HTTP/1.0 200 OK\r\n")


@shows("wire::not-http")
def _(side: Side) -> bool:
    return hear(side).octets == b"SSH-2.0-OpenSSH_9.6\r\n"


@shows("wire::bare-line-feeds")
def _(side: Side) -> bool:
    octets = hear(side).octets
    right = whole(side)
    return octets.endswith(b"\n\n" + right) and b"\r" not in octets.removesuffix(right)


@shows("wire::header-names-in-lower-case")
def _(side: Side) -> bool:
    names = re.findall(rb"(?m)^([A-Za-z0-9-]+):", hear(side).head)
    return len(names) > 2 and all(name == name.lower() for name in names)
