"""Telling what octets are, and explaining them."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from asn1crypto import core, x509

from ca import der
from lab.trust.certificates import name_text
from lab.trust.render import serial_hex
from scep_server.protocol.ber import BerError, BerLimits, normalise

from .cms_tree import content_info_node
from .opening import EnvelopeKeys
from .tree import Node, hexadecimal
from .words import generic
from .x509_tree import certificate_node, crl_node, request_node

if TYPE_CHECKING:
    from collections.abc import Callable

_PEM: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
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
    """Return one tree per object in ``octets``: DER, BER, PEM (any number), Base64, percent-escaped or not.

    Raises:
        NotUnderstood: they are nothing of that, or hold nothing we know.

    """
    blocks = _PEM.findall(octets)
    if blocks:
        return [_of_pem(label.decode(), body, keys) for label, body in blocks]
    if not octets.strip():
        raise NotUnderstood("there is nothing: no octets, or white space only")
    if octets[:1] not in {b"\x30", b"\x24"}:
        octets = _from_base64(octets)
    return [_of_ber(octets, keys)]


def _of_pem(label: str, body: bytes, keys: EnvelopeKeys) -> Node:
    if label.endswith("PRIVATE KEY"):
        raise NotUnderstood(f"this is a {label.lower()}: it is not shown; use it with --key")
    lines = [line for line in body.splitlines() if b":" not in line]
    return _of_ber(_from_base64(b"".join(lines)), keys)


def _from_base64(text: bytes) -> bytes:
    """Return what Base64 text stands for; percent escapes and the URL alphabet are undone."""
    compact = b"".join(unquote_to_bytes(text).split()).translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return base64.b64decode(compact + b"=" * (-len(compact) % 4), validate=True)
    except ValueError as error:
        raise NotUnderstood(
            f"{len(text)} octets beginning {text[:24]!r} are neither ASN.1, PEM nor Base64"
        ) from error


def _of_ber(octets: bytes, keys: EnvelopeKeys) -> Node:
    try:
        encoding = normalise(octets, _LIMITS)
    except BerError as error:
        raise NotUnderstood(f"{len(octets)} octets beginning {octets[:8].hex()}: {error}") from error
    note = "" if encoding == octets else "BER, shown in its DER form"
    node = _explain_der(encoding, keys)
    return Node(name=node.name, value=node.value, note=node.note or note, children=node.children)


def _explain_der(encoding: bytes, keys: EnvelopeKeys) -> Node:
    kind = _kind(encoding)
    if kind is None:
        raise NotUnderstood(
            f"{len(encoding)} octets of ASN.1 that are no CMS, certificate, certificate request or CRL: "
            f"they begin {encoding[:12].hex()}"
        )
    try:
        return _makers(keys)[kind](encoding)
    except _FAILURES as error:
        raise NotUnderstood(f"it looks like a {kind} and cannot be read as one: {error}") from error


def _makers(keys: EnvelopeKeys) -> dict[str, Callable[[bytes], Node]]:
    return {
        "CMS message": lambda octets: content_info_node(octets, keys, lambda inner: _nested(inner, keys)),
        "certificate": certificate_node,
        "certificate request": request_node,
        "CRL": crl_node,
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
