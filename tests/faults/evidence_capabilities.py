"""Evidence of the faults of GetCACaps: its octets, and what becomes of who believes them."""

from __future__ import annotations

from forge import openssl, wire

from faults.evidence import shows
from faults.stand import Sent, Side

_ALL = b"AES\nDES3\nPOSTPKIOperation\nRenewal\nSHA-1\nSHA-256\nSHA-384\nSHA-512\nSCEPStandard\n"


def body(side: Side) -> bytes:
    """Return the octets of GetCACaps; the clean lab's are as they should be."""
    assert Side.clean_of(side).get("GetCACaps").body == _ALL
    return side.get("GetCACaps").body


def lines(side: Side) -> list[str]:
    """Return the lines of GetCACaps."""
    return body(side).decode("ascii").split("\n")[:-1]


def without(*words: str) -> list[str]:
    """Return the lab's keywords without some."""
    return [line for line in _ALL.decode().split("\n")[:-1] if line not in words]


@shows("capabilities::aes-not-announced")
def _(side: Side) -> bool:
    return lines(side) == without("AES", "SCEPStandard")


@shows("capabilities::des3-not-announced")
def _(side: Side) -> bool:
    return lines(side) == without("DES3")


@shows("capabilities::post-not-announced")
def _(side: Side) -> bool:
    return lines(side) == without("POSTPKIOperation", "SCEPStandard")


@shows("capabilities::renewal-not-announced")
def _(side: Side) -> bool:
    return lines(side) == without("Renewal")


@shows("capabilities::sha-1-not-announced")
def _(side: Side) -> bool:
    return lines(side) == without("SHA-1")


@shows("capabilities::sha-256-not-announced")
def _(side: Side) -> bool:
    return lines(side) == without("SHA-256", "SCEPStandard")


@shows("capabilities::sha-2-not-announced")
def _(side: Side) -> bool:
    return lines(side) == without("SHA-256", "SHA-384", "SHA-512", "SCEPStandard")


@shows("capabilities::no-digest-announced")
def _(side: Side) -> bool:
    return not any("SHA" in line or line == "SCEPStandard" for line in lines(side))


@shows("capabilities::scep-standard-not-announced")
def _(side: Side) -> bool:
    return lines(side) == without("SCEPStandard")


@shows("capabilities::only-scep-standard")
def _(side: Side) -> bool:
    return body(side) == b"SCEPStandard\n"


@shows("capabilities::only-sha-1-and-triple-des")
def _(side: Side) -> bool:
    return body(side) == b"POSTPKIOperation\nSHA-1\nDES3\n"


@shows("capabilities::only-md5-and-des")
def _(side: Side) -> bool:
    return body(side) == b"MD5\nDES\n"


@shows("capabilities::empty")
def _(side: Side) -> bool:
    return body(side) == b"" and side.get("GetCACaps").status == 200


@shows("capabilities::not-implemented")
def _(side: Side) -> bool:
    assert side.get("GetCACert").status == 200
    return side.get("GetCACaps").status == 404


@shows("capabilities::connection-closed")
def _(side: Side) -> bool:
    assert side.get("GetCACert").status == 200
    return side.raw_get("operation=GetCACaps") == b""


@shows("capabilities::post-announced-and-refused")
def _(side: Side) -> bool:
    assert "POSTPKIOperation" in lines(side)
    sent = side.enrol()
    if sent.response.status == 200:
        return False
    assert (sent.response.status, sent.response.header("Allow")) == (405, "GET")
    by_get = wire.get(side.url, f"operation=PKIOperation&message={_escaped(sent.message)}")
    return b"BEGIN CERTIFICATE" in Sent(**{**_fields(sent), "response": by_get}).issued_pem()


@shows("capabilities::renewal-announced-and-refused")
def _(side: Side) -> bool:
    assert "Renewal" in lines(side)
    first = side.enrol()
    certificate = openssl.run("x509", "-outform", "DER", stdin=first.issued_pem())
    renewed = side.renew(first, certificate)
    return _refused_as(renewed, "2")


@shows("capabilities::aes-announced-and-refused")
def _(side: Side) -> bool:
    assert "AES" in lines(side)
    return _refused_as(side.enrol(), "0")


@shows("capabilities::sha-2-announced-and-refused")
def _(side: Side) -> bool:
    assert "SHA-256" in lines(side)
    return _refused_as(side.enrol(), "0")


@shows("capabilities::next-ca-announced-and-missing")
def _(side: Side) -> bool:
    assert side.get("GetNextCACert").status == 404
    return lines(side) == [*without(), "GetNextCACert"]


@shows("capabilities::no-newline-at-end")
def _(side: Side) -> bool:
    return body(side) == _ALL.rstrip(b"\n")


@shows("capabilities::crlf")
def _(side: Side) -> bool:
    return body(side) == _ALL.replace(b"\n", b"\r\n")


@shows("capabilities::on-one-line")
def _(side: Side) -> bool:
    return body(side) == b" ".join(_ALL.split()) + b"\n"


@shows("capabilities::blank-lines")
def _(side: Side) -> bool:
    return body(side) == b"\n" + _ALL.replace(b"\n", b"\n\n")


@shows("capabilities::lower-case")
def _(side: Side) -> bool:
    return body(side) == _ALL.lower()


@shows("capabilities::unknown-words")
def _(side: Side) -> bool:
    found = lines(side)
    assert [line for line in found if line in without()] == without()
    return len(found) == len(without()) + 5 and "AES GCM" in found


@shows("capabilities::ten-thousand-words")
def _(side: Side) -> bool:
    found = lines(side)
    return len(found) == 10_000 + len(without()) and found[10_000:] == without()


@shows("capabilities::content-type-html")
def _(side: Side) -> bool:
    assert body(side) == _ALL
    return side.get("GetCACaps").header("Content-Type") == "text/html"


@shows("capabilities::garbage")
def _(side: Side) -> bool:
    found = body(side)
    return len(found) == 512 and min(found) > 127


@shows("capabilities::html-page")
def _(side: Side) -> bool:
    return b"<p>Not available: AES, DES3, " in body(side)


@shows("capabilities::byte-order-mark")
def _(side: Side) -> bool:
    return body(side) == b"\xef\xbb\xbf" + _ALL


@shows("capabilities::utf-16")
def _(side: Side) -> bool:
    return body(side) == b"".join(bytes((octet, 0)) for octet in _ALL)


def _refused_as(sent: Sent, fail_info: str) -> bool:
    """Tell whether openssl finds pkiStatus FAILURE with this failInfo, in a reply that verifies."""
    openssl.run("cms", "-verify", "-noverify", "-inform", "DER", "-out", "/dev/null", stdin=sent.reply)
    printed = sent.parsed().replace(" ", "")
    status = _attribute(printed, "2.16.840.1.113733.1.9.3")
    return status == "2" and _attribute(printed, "2.16.840.1.113733.1.9.4") == fail_info


def _attribute(printed: str, oid: str) -> str:
    """Return the PrintableString that follows an attribute's OID in what asn1parse prints."""
    _, found, rest = printed.partition(f"OBJECT:{oid}\n")
    return rest.partition("PRINTABLESTRING:")[2].partition("\n")[0] if found else ""


def _escaped(message: bytes) -> str:
    from base64 import b64encode
    from urllib.parse import quote

    return quote(b64encode(message).decode(), safe="")


def _fields(sent: Sent) -> dict[str, object]:
    return {name: getattr(sent, name) for name in sent.__dataclass_fields__}
