"""The octets of a reply as they came."""

from __future__ import annotations

import base64

from forge import openssl

from faults.evidence import shows
from faults.looks import assert_valid, decrypted, refusal, subjects
from faults.stand import Sent, Side

_VERIFY = ("cms", "-verify", "-noverify", "-binary")


def _claimed(octets: bytes) -> int:
    """Return how long the element is that begins with ``30 82``."""
    assert octets[:2] == b"\x30\x82"
    return 4 + int.from_bytes(octets[2:4], "big")


def _received(side: Side) -> Sent:
    sent = side.enrol()
    assert sent.response.status == 200
    assert sent.response.header("Content-Type") == "application/x-pki-message"
    return sent


@shows("encoding::indefinite-length")
def lengths_are_indefinite(side: Side) -> bool:
    sent = _received(side)
    assert_valid(sent)
    return sent.reply[:2] == b"\x30\x80" and sent.parsed().count("l=inf") == 8


@shows("encoding::content-in-segments")
def content_is_constructed(side: Side) -> bool:
    sent = _received(side)
    assert_valid(sent)
    assert "l=inf" not in sent.parsed()
    return "cons: OCTET STRING" in sent.parsed()


@shows("encoding::lengths-not-minimal")
def lengths_begin_with_a_zero_octet(side: Side) -> bool:
    sent = _received(side)
    assert_valid(sent)
    return sent.reply[:3] == b"\x30\x83\x00"


@shows("encoding::trailing-octets")
def octets_follow(side: Side) -> bool:
    sent = _received(side)
    assert_valid(sent)
    return len(sent.reply) - _claimed(sent.reply) == 16


@shows("encoding::cut-off")
def octets_are_missing(side: Side) -> bool:
    sent = _received(side)
    missing = _claimed(sent.reply) - len(sent.reply)
    assert (missing == 0) == (refusal(*_VERIFY, "-inform", "DER", stdin=sent.reply) == "")
    return missing == 100


@shows("encoding::empty-body")
def there_is_nothing(side: Side) -> bool:
    return _received(side).reply == b""


@shows("encoding::length-beyond-the-end")
def length_is_huge(side: Side) -> bool:
    return _received(side).reply[:6] == b"\x30\x84\x7f\xff\xff\xff"


@shows("encoding::pem")
def reply_is_pem(side: Side) -> bool:
    reply = _received(side).reply
    pem = reply.startswith(b"-----BEGIN PKCS7-----\n")
    openssl.run(*_VERIFY, "-inform", "PEM" if pem else "DER", stdin=reply)
    return pem


@shows("encoding::base64-body")
def reply_is_base64(side: Side) -> bool:
    reply = _received(side).reply
    encoded = reply.startswith(b"MII")
    openssl.run(*_VERIFY, "-inform", "DER", stdin=base64.b64decode(reply) if encoded else reply)
    return encoded


@shows("encoding::called-data")
def content_type_is_data(side: Side) -> bool:
    return _received(side).parsed().splitlines()[1].endswith(":pkcs7-data")


@shows("encoding::not-signed")
def reply_is_an_envelope(side: Side) -> bool:
    sent = _received(side)
    if not sent.printed().startswith("CMS_ContentInfo: \n  contentType: pkcs7-envelopedData"):
        return False
    return len(subjects(decrypted(sent.reply, sent.key.pem))) == 1


@shows("encoding::certs-only")
def certificate_is_in_the_clear(side: Side) -> bool:
    sent = side.enrol(name="seen-by-all")
    return subjects(sent.reply) == ["CN = seen-by-all"]


@shows("encoding::csr-echoed")
def reply_is_the_request(side: Side) -> bool:
    sent = side.enrol(name="echo")
    return "CN = echo" in (
        "" if refusal("req", "-inform", "DER", stdin=sent.reply) else openssl.check_request(sent.reply)
    )
