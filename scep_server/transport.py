"""What SCEP asks of HTTP: which endpoint a path means, and what a query string says.

The raw query string is read here, octet by octet, because a framework's parser turns ``+`` into a
space and keeps the last of two equal parameters, and deployed clients send Base64 in half a dozen
spellings (RFC 8894 4.1 and what clients make of it). Does not live here: any web framework.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from .exchange import Operation

if TYPE_CHECKING:
    from collections.abc import Iterable

DEFAULT_ENDPOINT = "default"

# /scep/cgi-bin/pkiclient.exe: a client that appends SCEPPATH to the base it was given (RFC 8894 4.1)
_SUFFIX_WORDS = frozenset({"pkiclient.exe", "mscep.dll", "cgi-bin"})
_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,63}")
_MAXIMUM_SEGMENTS = 6
_SPACES = bytes.maketrans(b" -_", b"++/")
_OPERATIONS = {operation.value.lower(): operation for operation in Operation}


class TransportError(Exception):
    """A request that is answered below SCEP; raised by its leaves only."""


class UnknownPath(TransportError):
    """No endpoint has this path."""


class MethodNotAllowed(TransportError):
    """SCEP is spoken by GET and POST."""


class BadQuery(TransportError):
    """The query string, the Base64 in it, or the framing of the body cannot be understood."""


class BadMessageEncoding(BadQuery):
    """The message is there, and its Base64 or percent-encoding cannot be undone."""


class BodyTooLarge(TransportError):
    """The body is, or says it is, longer than the limit."""


class UrlTooLong(TransportError):
    """Path and query are longer than the limit."""


class UnsupportedEncoding(TransportError):
    """The body is compressed; nothing is ever inflated here."""


class TooManyRequests(TransportError):
    """The client sends more requests than one address may (RFC 6585 4)."""

    def __init__(self, message: str, *, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class NoNextCaCertificate(TransportError):
    """GetNextCACert, and no next CA certificate exists (RFC 8894 4.7)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """The two parameters SCEP knows; ``message`` is still percent-encoded."""

    operation: Operation
    message: str | None


class Router:
    """Says which endpoint a path means, without regard to case, as IIS does.

    Whatever ordinary segments follow an endpoint are taken as part of it: Windows appends
    ``/pkiclient.exe``, Cisco ``/cgi-bin/pkiclient.exe``, others a slash.
    """

    def __init__(self, endpoints: Iterable[str]) -> None:
        self._endpoints = {name.lower(): name for name in endpoints}

    def endpoint(self, path: str) -> str | None:
        """Return the name of the endpoint at the percent-decoded ``path``, or None."""
        segments = path.lower().removesuffix("/").split("/")
        if segments[0] or len(segments) > _MAXIMUM_SEGMENTS:
            return None
        if not all(map(_SEGMENT.fullmatch, segments[1:])):
            return None
        match segments[1:]:
            case ["certsrv", "mscep", *_] | ["cgi-bin", "pkiclient.exe"] | ["scep"]:
                return DEFAULT_ENDPOINT
            case ["scep", first, *_]:
                return DEFAULT_ENDPOINT if first in _SUFFIX_WORDS else self._endpoints.get(first)
        return None


def read_query(query: str) -> Query:
    """Return the operation and the raw message parameter of a query string.

    Parameters may come in any order; unknown ones are ignored. The name ``operation`` is compared
    with its case, its value without (RFC 8894 4.1 writes both; every measured client keeps them).

    Raises:
        BadQuery: no operation, an unknown one, or one of the two parameters twice.

    """
    found: dict[str, str] = {}
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name in ("operation", "message"):
            if name in found:
                raise BadQuery(f"parameter {name} is there twice, expected once (RFC 8894 4.1)")
            found[name] = value
    wanted = found.get("operation", "")
    operation = _OPERATIONS.get(wanted.lower())
    if operation is None:
        raise BadQuery(
            f"operation is {wanted[:40]!r}, expected one of "
            f"{', '.join(each.value for each in Operation)} (RFC 8894 4.1)"
        )
    return Query(operation=operation, message=found.get("message"))


def decode_message(raw: str | None) -> bytes:
    """Return the octets of a GET's ``message`` parameter.

    Taken besides plain RFC 4648 section 4: unescaped ``+ / =`` (jscep), spaces that were ``+``
    (macOS), base64url (scepclient 2.1.0), line ends (sscep, Cisco IOS), missing padding, and a
    second percent-encoding (proxies). Refused: other characters, set trailing bits, octets after
    the padding, and nothing at all.

    Raises:
        BadQuery: as above.

    """
    if not raw:
        raise BadQuery("parameter message is absent or empty, expected a pkiMessage (RFC 8894 4.1)")
    octets = unquote_to_bytes(raw.encode("latin-1", "replace"))
    if b"%" in octets:
        octets = unquote_to_bytes(octets)
    return decode_base64(octets)


def decode_base64(octets: bytes) -> bytes:
    """Return what Base64 ``octets`` stand for, lenient as `decode_message` says.

    Raises:
        BadMessageEncoding: they are no Base64, or not the only encoding of what they stand for.

    """
    text = octets.translate(_SPACES, b"\r\n\t").rstrip(b"=")
    padding = octets.count(b"=")
    padded = text + b"=" * (-len(text) % 4)
    try:
        decoded = binascii.a2b_base64(padded, strict_mode=True)
    except binascii.Error as error:
        raise BadMessageEncoding(f"message is no Base64: {error} (RFC 4648 4)") from error
    if not decoded or padding > 2 or binascii.b2a_base64(decoded, newline=False) != padded:
        raise BadMessageEncoding("message is not the one Base64 encoding of its octets (RFC 4648 3.5)")
    return decoded
