"""What openssl says of a reply, as values that a look can compare."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from forge import openssl

if TYPE_CHECKING:
    from faults.stand import Sent, Side

MESSAGE_TYPE = "2.16.840.1.113733.1.9.2"
PKI_STATUS = "2.16.840.1.113733.1.9.3"
FAIL_INFO = "2.16.840.1.113733.1.9.4"
SENDER_NONCE = "2.16.840.1.113733.1.9.5"
RECIPIENT_NONCE = "2.16.840.1.113733.1.9.6"
TRANSACTION_ID = "2.16.840.1.113733.1.9.7"
FAIL_INFO_TEXT = "1.3.6.1.5.5.7.24.1"
PRINTABLE = "PRINTABLESTRING"

_LINE = re.compile(
    r"\s*\d+:d=(\d+)\s+hl=\d+\s+l=\s*(\d+|inf) +(?:cons|prim): (.{18})(?:\[HEX DUMP\])?(?::(.*))?$"
)
Value = tuple[str, str]


def values_of(sent: Sent, oid: str) -> list[list[Value]]:
    """Return, for every attribute of this type, its values as (type, text), by ``openssl asn1parse``.

    ``oid`` is in the words of openssl: a name where it knows one. Octets that are no text are in hex.
    """
    lines = [found.groups("") for line in sent.parsed().splitlines() if (found := _LINE.match(line))]
    attributes = []
    for at, (depth, _, kind, text) in enumerate(lines[:-1]):
        if kind.strip() != "OBJECT" or text != oid or lines[at + 1][2].strip() != "SET":
            continue
        values = []
        for inner_depth, _, inner_kind, inner_text in lines[at + 2 :]:
            if int(inner_depth) <= int(depth):
                break
            if int(inner_depth) == int(depth) + 1:
                values.append((inner_kind.strip(), inner_text))
        attributes.append(values)
    return attributes


def status_of(sent: Sent) -> str:
    """Return the pkiStatus of a validly signed reply; failInfo behind it where there is one."""
    assert_valid(sent)
    texts = [text for oid in (PKI_STATUS, FAIL_INFO) for value in values_of(sent, oid) for _, text in value]
    return "/".join(texts)


def assert_valid(sent: Sent) -> None:
    """Fail unless ``openssl cms`` verifies the signature with the certificate in the reply."""
    openssl.run("cms", "-verify", "-noverify", "-binary", "-inform", "DER", stdin=sent.reply)


def refusal(*arguments: str, stdin: bytes) -> str:
    """Return why openssl fails, empty where it does not."""
    try:
        openssl.run(*arguments, stdin=stdin)
    except openssl.Refused as refused:
        return str(refused)
    return ""


def verdict(sent: Sent, *options: str) -> str:
    """Return why ``openssl cms`` does not verify a reply, empty where it does."""
    return refusal("cms", "-verify", "-noverify", "-binary", "-inform", "DER", *options, stdin=sent.reply)


def envelope_of(sent: Sent) -> bytes:
    """Return the content of a reply that openssl verifies."""
    return openssl.run("cms", "-verify", "-noverify", "-binary", "-inform", "DER", stdin=sent.reply)


def envelope_printed(sent: Sent) -> str:
    """Return the envelope as ``openssl cms -cmsout -print`` shows it."""
    options = ("cms", "-cmsout", "-print", "-noout", "-inform", "DER")
    return openssl.run(*options, stdin=envelope_of(sent)).decode()


def closed(sent: Sent) -> str:
    """Return why openssl does not open the envelope of a validly signed reply, empty where it does."""
    assert_valid(sent)
    try:
        sent.opened()
    except openssl.Refused as refused:
        return str(refused)
    return ""


def subjects(octets: bytes) -> list[str]:
    """Return the subjects of the certificates in a SignedData, by ``openssl pkcs7``."""
    listed = openssl.run("pkcs7", "-print_certs", "-noout", "-inform", "DER", stdin=octets).decode()
    return re.findall(r"^subject=(.*)$", listed, re.MULTILINE)


def field_of(printed: str, name: str) -> list[str]:
    """Return the values of all fields of this name in what openssl has printed."""
    return re.findall(rf"^\s*{re.escape(name)}:\s*(\S.*)$", printed, re.MULTILINE)


def says(oid: str, deviates: Callable[[list[list[Value]], Sent], bool]) -> Callable[[Side], bool]:
    """Return a look at one attribute of a validly signed reply to an enrolment."""

    def look(side: Side) -> bool:
        sent = side.enrol()
        assert_valid(sent)
        return deviates(values_of(sent, oid), sent)

    return look


def signer_infos(sent: Sent) -> str:
    """Return signerInfos of a reply as ``openssl cms -cmsout -print`` shows them."""
    return sent.printed().partition("    signerInfos:\n")[2]


def decrypted(envelope: bytes, key_pem: bytes, *options: str) -> bytes:
    """Return what ``openssl cms -decrypt`` gets out of an envelope with a key, whoever is named in it."""
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder, "key.pem")
        key.write_bytes(key_pem)
        arguments = ("cms", "-decrypt", "-binary", "-inform", "DER", "-inkey", str(key), *options)
        return openssl.run(*arguments, stdin=envelope)


def raised(number: bytes, key_pem: bytes, *, public: bool = False) -> bytes:
    """Return what RSA makes of octets without looking at any padding, by ``openssl pkeyutl``."""
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder, "key.pem")
        key.write_bytes(key_pem)
        how = ("-verifyrecover", "-pubin") if public else ("-decrypt",)
        return openssl.run(
            "pkeyutl", *how, "-inkey", str(key), "-pkeyopt", "rsa_padding_mode:none", stdin=number
        )


def last_octets(parsed: str) -> bytes:
    """Return the last OCTET STRING that ``openssl asn1parse`` shows: the signature of a reply."""
    return bytes.fromhex(re.findall(r"OCTET STRING +\[HEX DUMP\]:([0-9A-F]+)", parsed)[-1])


def parsed(octets: bytes) -> str:
    """Return what ``openssl asn1parse`` shows of octets."""
    return openssl.run("asn1parse", "-inform", "DER", stdin=octets).decode(errors="replace")
