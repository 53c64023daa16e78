"""Telling what octets are, and explaining them.

Objects may come bare, as PEM among any other text, in Base64 or hexadecimal, in the URL of a GET or a
line of a log that has one, or as the body of an HTTP message.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import unquote_to_bytes

from asn1crypto import core, x509

from ca import der
from lab.trust.certificates import name_text
from lab.trust.render import serial_hex
from scep_server.protocol.ber import BerError, BerLimits, normalise
from scep_server.transport import BadQuery, decode_message

from .cms_tree import content_info_node
from .ocsp_tree import ocsp_request_node, ocsp_response_node
from .opening import EnvelopeKeys
from .stopping import tag_name, where_it_stops
from .tree import Node, hexadecimal
from .words import generic
from .x509_tree import certificate_node, crl_node, request_node

if TYPE_CHECKING:
    from collections.abc import Callable

_Part = TypeVar("_Part")
_PEM: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_MESSAGE: Final = re.compile(rb"(?:^|[?&\s])message=([^&\s#\"]+)")
_HTTP_MESSAGE: Final = re.compile(
    rb"(?:HTTP/1\.[01] \d{3}|[A-Z]+ \S+ HTTP/1\.[01])[^\r\n]*\r?\n(?:[^\r\n]+\r?\n)*\r?\n"
)
_HEX: Final = re.compile(rb"\s*(?:3[01]|24)[0-9A-Fa-f\s:]+")
_CONSTRUCTED: Final = (b"\x30", b"\x24")
_ENUMERATED: Final = 0x0A
_LIMITS: Final = BerLimits(depth=64, elements=20_000_000, integer_octets=1 << 20)
_NO_KEYS: Final = EnvelopeKeys()
_FAILURES: Final = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    RecursionError,
)


class NotUnderstood(Exception):
    """The octets are none of what `explain` knows; the text says what was found."""


def explain(octets: bytes, keys: EnvelopeKeys = _NO_KEYS) -> list[Node]:
    """Return one tree per object in ``octets``, in the order they are there.

    What is no object among several PEM blocks or URLs is a node that says so.

    Raises:
        NotUnderstood: they are nothing of that, or hold nothing we know.

    """
    if not octets.strip():
        raise NotUnderstood("there is nothing: no octets, or white space only")
    blocks = _PEM.findall(octets)
    if blocks:
        return _each(blocks, lambda block: _of_pem(block[0].decode(), block[1], keys))
    if octets[:1] in _CONSTRUCTED:
        return [_of_ber(octets, keys)]
    messages = _MESSAGE.findall(octets)
    if messages:
        return _each(messages, lambda message: _of_ber(_from_url(message), keys))
    message = _HTTP_MESSAGE.match(octets)
    if message is not None:
        return explain(octets[message.end() :], keys)
    if _HEX.fullmatch(octets):
        return [_of_ber(_from_hex(octets), keys)]
    return [_of_text(octets, keys)]


def _of_text(text: bytes, keys: EnvelopeKeys) -> Node:
    """Explain what nothing says the form of: Base64, if it is anything."""
    octets = _from_base64(text)
    try:
        return _of_ber(octets, keys)
    except NotUnderstood as error:
        raise NotUnderstood(
            f"the text {text[:24].decode()!r}, {len(text)} octets, was taken for Base64: {error}"
        ) from error


def _each(parts: list[_Part], explain_one: Callable[[_Part], Node]) -> list[Node]:
    """Explain several; raises NotUnderstood only where none of them is understood."""
    trees, failures = [], []
    for part in parts:
        try:
            trees.append(explain_one(part))
        except NotUnderstood as error:
            failures.append(str(error))
            trees.append(Node(name="not understood", note=str(error)))
    if len(failures) == len(parts):
        raise NotUnderstood("; ".join(dict.fromkeys(failures)))
    return trees


def _of_pem(label: str, body: bytes, keys: EnvelopeKeys) -> Node:
    if label.endswith("PRIVATE KEY"):
        raise NotUnderstood(f"this is a {label.lower()}: it is not shown; use it with --key")
    lines = [line for line in body.splitlines() if b":" not in line]
    octets = _from_base64(b"".join(lines))
    if label == "TRUSTED CERTIFICATE":  # openssl's: the certificate, then what it may be used for
        octets = _first_element(octets)
    return _of_ber(octets, keys)


def _first_element(octets: bytes) -> bytes:
    try:
        return der.Reader(octets).element().raw
    except der.DerError as error:
        raise NotUnderstood(f"{len(octets)} octets beginning {octets[:8].hex()}: {error}") from error


def _from_url(message: bytes) -> bytes:
    """Return what the message parameter of a GET stands for (RFC 8894 4.1)."""
    try:
        return decode_message(message.decode("latin-1"))
    except BadQuery as error:
        raise NotUnderstood(f"the parameter message of the URL: {error}") from error


def _from_hex(text: bytes) -> bytes:
    digits = b"".join(text.replace(b":", b"").split())
    if len(digits) % 2:
        raise NotUnderstood(f"{len(digits)} hexadecimal digits, expected an even number")
    return bytes.fromhex(digits.decode())


def _from_base64(text: bytes) -> bytes:
    """Return what Base64 text stands for; percent escapes and the URL alphabet are undone."""
    compact = b"".join(unquote_to_bytes(text).split()).translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return base64.b64decode(compact + b"=" * (-len(compact) % 4), validate=True)
    except ValueError as error:
        raise NotUnderstood(
            f"{len(text)} octets beginning {text[:24]!r} are neither ASN.1, PEM, Base64 nor hexadecimal"
        ) from error


def _of_ber(octets: bytes, keys: EnvelopeKeys) -> Node:
    try:
        encoding = normalise(octets, _LIMITS)
    except BerError as error:
        why = where_it_stops(octets) or str(error)
        raise NotUnderstood(f"{len(octets)} octets beginning {octets[:8].hex()}: {why}") from error
    note = "" if encoding == octets else "BER, shown in its DER form"
    node = _explain_der(encoding, keys)
    return Node(name=node.name, value=node.value, note=node.note or note, children=node.children)


def _explain_der(encoding: bytes, keys: EnvelopeKeys) -> Node:
    kind = _kind(encoding)
    if kind is None:
        raise NotUnderstood(
            f"{len(encoding)} octets of ASN.1 that are no CMS, certificate, certificate request, CRL or OCSP "
            f"message: they begin {encoding[:12].hex()}, a {_first_tags(encoding)}"
        )
    try:
        return _makers(keys)[kind](encoding)
    except _FAILURES as error:
        why = " ".join(str(error).split()) or type(error).__name__
        article = "an" if kind[0] in "IO" else "a"
        raise NotUnderstood(f"it looks like {article} {kind} and cannot be read as one: {why}") from error


def _first_tags(encoding: bytes) -> str:
    """Return the outermost tags in words."""
    try:
        element = der.Reader(encoding).element()
        inner = [tag_name(field.tag) for field in element.reader().elements()] if element.tag & 0x20 else []
    except der.DerError:
        return tag_name(encoding[0])
    shown = ", ".join(inner[:6]) + (", ..." if len(inner) > 6 else "")
    return tag_name(element.tag) + (f" of {shown}" if shown else "")


def _makers(keys: EnvelopeKeys) -> dict[str, Callable[[bytes], Node]]:
    return {
        "CMS message": lambda octets: content_info_node(octets, keys, lambda inner: _nested(inner, keys)),
        "certificate": certificate_node,
        "certificate request": request_node,
        "CRL": crl_node,
        "OCSP request": ocsp_request_node,
        "OCSP response": ocsp_response_node,
        "IssuerAndSubject": _issuer_and_subject,
        "IssuerAndSerialNumber": _issuer_and_serial,
    }


def _nested(octets: bytes, keys: EnvelopeKeys) -> Node:
    """Explain octets found inside; what is not understood is shown, not refused."""
    try:
        return _of_ber(octets, keys)
    except NotUnderstood as error:
        try:
            return generic(core.load(octets, strict=True), "ASN.1")
        except _FAILURES:
            return Node(name="octets", value=hexadecimal(octets, 256), note=str(error))


def _kind(encoding: bytes) -> str | None:
    """Tell by the outermost tags; no more is read than is needed."""
    try:
        fields = list(der.one(encoding).elements())
        tags = [field.tag for field in fields]
        if tags[:1] == [der.OBJECT_IDENTIFIER]:
            return "CMS message"
        if tags == [der.SEQUENCE, der.SEQUENCE, der.BIT_STRING]:
            return _kind_of_signed(fields[0].content)
        if tags == [der.SEQUENCE, der.SEQUENCE]:
            return "IssuerAndSubject"
        if tags == [der.SEQUENCE, der.INTEGER]:
            return "IssuerAndSerialNumber"
        if tags in ([_ENUMERATED], [_ENUMERATED, 0xA0]):
            return "OCSP response"
        if tags in ([der.SEQUENCE], [der.SEQUENCE, 0xA0]):
            return "OCSP request"
    except der.DerError:
        return None
    return None


def _kind_of_signed(to_be_signed: bytes) -> str | None:
    """Tell certificate, request and CRL apart by the order of their first fields."""
    tags = [field.tag for field in der.Reader(to_be_signed).elements()]
    if tags[:1] == [der.INTEGER]:
        tags = tags[1:]
        if tags[:2] == [der.SEQUENCE, der.SEQUENCE] and tags[2:3] in ([], [0xA0]):
            return "certificate request"
    times = {der.UTC_TIME, der.GENERALIZED_TIME}
    if tags[:2] == [der.SEQUENCE, der.SEQUENCE] and len(tags) > 2 and tags[2] in times:
        return "CRL"
    return "certificate" if tags.count(der.SEQUENCE) >= 4 else None


def _issuer_and_subject(encoding: bytes) -> Node:
    issuer, subject = (field.raw for field in der.one(encoding).elements())
    return Node(
        name="IssuerAndSubject",
        children=(
            Node(name="issuer", value=name_text(x509.Name.load(issuer))),
            Node(name="subject", value=name_text(x509.Name.load(subject))),
        ),
    )


def _issuer_and_serial(encoding: bytes) -> Node:
    reader = der.one(encoding)
    issuer = reader.element(der.SEQUENCE).raw
    return Node(
        name="IssuerAndSerialNumber",
        children=(
            Node(name="issuer", value=name_text(x509.Name.load(issuer))),
            Node(name="serialNumber", value=serial_hex(reader.integer())),
        ),
    )
