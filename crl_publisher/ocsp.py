"""OCSP over HTTP (RFC 6960 A.1) with the caching of RFC 5019 6. Who answers is a collaborator.

A GET carries the request in its path as base64, whose ``/`` and ``+`` clients percent-encode or not;
the framework's own routing would merge two slashes into one, so it is not used.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol
from urllib.parse import unquote

from flask import Response
from werkzeug.http import http_date, parse_options_header

from ca.ocsp import MAXIMUM_REQUEST_OCTETS, CertStatus

from .conditional import Representation, respond

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ca.ocsp_responder import OcspAnswer

REQUEST_MEDIA_TYPE: Final = "application/ocsp-request"
RESPONSE_MEDIA_TYPE: Final = "application/ocsp-response"
_PATH: Final = re.compile(r"/+ocsp(?:/(?P<request>.*))?", re.IGNORECASE | re.DOTALL)
_MAXIMUM_PATH: Final = 2 * MAXIMUM_REQUEST_OCTETS  # base64 needs 4/3, percent-encoding a little more
_SPACE: Final = re.compile(r"[\t\r\n]+")


class OcspResponder(Protocol):
    """Who answers; `ca.ocsp_responder.OcspResponder` does."""

    def answer(self, octets: bytes) -> OcspAnswer:
        """Answer the octets of an OCSPRequest, whatever they are."""


def is_ocsp_path(path: str) -> bool:
    """Tell whether a path is the responder's or below it."""
    return _PATH.fullmatch(path) is not None


def answer_ocsp(responder: OcspResponder, environ: Mapping[str, object]) -> Response:
    """Return the answer to a request for a path of which `is_ocsp_path` is true."""
    match = _PATH.fullmatch(str(environ.get("PATH_INFO", "")))
    asked = (match["request"] if match else None) or ""
    method = environ.get("REQUEST_METHOD")
    if method in ("GET", "HEAD"):
        if len(asked) > _MAXIMUM_PATH:
            return _plain(414)
        return _wrap(responder.answer(request_in_path(asked)), environ)
    if method != "POST" or asked.strip("/"):
        response = _plain(405)
        response.headers["Allow"] = "GET, HEAD" if asked.strip("/") else "GET, HEAD, POST"
        return response
    media_type, _ = parse_options_header(str(environ.get("CONTENT_TYPE", "")))
    if media_type.lower() not in ("", REQUEST_MEDIA_TYPE):
        return _plain(415, f"The body is {media_type}, expected {REQUEST_MEDIA_TYPE} (RFC 6960 A.1)\n")
    body = _read_body(environ)
    return _plain(413) if len(body) > MAXIMUM_REQUEST_OCTETS else _wrap(responder.answer(body), environ)


def request_in_path(text: str) -> bytes:
    """Return the octets that a path carries in base64; none where it is no base64.

    Taken as well: percent-encoding of what need not be, slashes in front (a responder's URL that
    ends in one), a plus sign that became a space, the alphabet for URLs, and missing padding.
    """
    text = _SPACE.sub("", unquote(text, "latin-1")).lstrip("/").replace(" ", "+")
    text = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return b""


def _read_body(environ: Mapping[str, object]) -> bytes:
    """Return the body; of one that is too long, one octet more than the limit, of whatever value.

    One that breaks off is returned as far as it came: it is no OCSPRequest.
    """
    declared = str(environ.get("CONTENT_LENGTH") or "")
    wanted = MAXIMUM_REQUEST_OCTETS + 1
    if declared.isascii() and declared.isdigit():
        if int(declared[:18]) >= wanted:
            return bytes(wanted)  # it need not be there, and is not looked at
        wanted = int(declared[:18])
    elif not environ.get("wsgi.input_terminated"):
        return b""
    stream: BinaryIO = environ["wsgi.input"]  # type: ignore[assignment]
    parts: list[bytes] = []
    try:
        while wanted and (part := stream.read(wanted)):
            parts.append(part)
            wanted -= len(part)
    except (OSError, ValueError):  # reset or timeout; chunk sizes that are none
        return b""
    return b"".join(parts)


def _wrap(answer: OcspAnswer, environ: Mapping[str, object]) -> Response:
    """Return the answer with its headers (RFC 5019 6.2); what is for one asker only is not to be kept.

    A client's date never confirms that a certificate is still revoked: an answer about the same
    certificate that was given within the same second may have said otherwise.
    """
    freshness = answer.freshness
    if freshness is None:
        response = Response(answer.der, mimetype=RESPONSE_MEDIA_TYPE)
        response.headers["Cache-Control"] = "no-store"
        return response
    representation = Representation(
        content=answer.der,
        media_type=RESPONSE_MEDIA_TYPE,
        etag=hashlib.sha1(answer.der, usedforsecurity=False).hexdigest(),
        modified=freshness.this_update,
        divisible=False,
        dated=CertStatus.REVOKED not in answer.cert_statuses,
    )
    asked = environ if environ.get("REQUEST_METHOD") != "POST" else {"REQUEST_METHOD": "POST"}
    response = respond(asked, representation)
    seconds = int(freshness.maximum_age.total_seconds())
    response.headers["Expires"] = http_date(freshness.next_update)
    response.headers["Cache-Control"] = f"max-age={seconds}, public, no-transform, must-revalidate"
    return response


def _plain(status: int, text: str = "") -> Response:
    return Response(text or f"{status}\n", status=status, mimetype="text/plain")
