"""A representation as a client may have it: whole, unchanged, or a part (RFC 9110 13 and 14).

The order in which conditions count is that of RFC 9110 13.2.2, which the framework's own helper does
not keep when a Range comes with them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from flask import Response
from werkzeug.http import http_date, parse_date, parse_etags, quote_etag, unquote_etag

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_ONE_RANGE: Final = re.compile(r"bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Representation:
    """What is at a URL now. ``etag`` is strong and without its quotes; ``modified`` has whole seconds."""

    content: bytes = field(repr=False)
    media_type: str
    etag: str
    modified: datetime
    divisible: bool = True  # whether byte ranges of it are served
    dated: bool = True  # whether a client's date alone may confirm that nothing has changed


def respond(environ: Mapping[str, object], found: Representation) -> Response:
    """Return what a GET or HEAD with these headers gets: 200, 206, 304, 412 or 416."""
    headers = {name: value for name, value in environ.items() if isinstance(value, str)}
    status = _unmet_condition(headers, found)
    part = None
    if status is None and found.divisible and headers["REQUEST_METHOD"] == "GET" and found.content:
        part = _wanted_part(headers, found)
    if part is not None and not part:
        status = 416
    response = Response(found.content, status=status or 200, mimetype=found.media_type)
    if part:
        response = Response(found.content[part.start : part.stop], status=206, mimetype=found.media_type)
        response.headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{len(found.content)}"
    elif status in (412, 416):
        response = Response(b"", status=status, mimetype="text/plain")
        if status == 416:
            response.headers["Content-Range"] = f"bytes */{len(found.content)}"
    response.headers["ETag"] = quote_etag(found.etag)
    response.headers["Last-Modified"] = http_date(found.modified)
    if found.divisible:
        response.headers["Accept-Ranges"] = "bytes"
    return response


def _unmet_condition(headers: Mapping[str, str], found: Representation) -> int | None:
    """Return 304 or 412 when a condition says so (RFC 9110 13.2.2, steps 1 to 4)."""
    if "HTTP_IF_MATCH" in headers:
        wanted = parse_etags(headers["HTTP_IF_MATCH"])
        if not wanted.star_tag and not wanted.is_strong(found.etag):
            return 412
    elif (before := parse_date(headers.get("HTTP_IF_UNMODIFIED_SINCE"))) and found.modified > before:
        return 412
    if "HTTP_IF_NONE_MATCH" in headers:
        return 304 if parse_etags(headers["HTTP_IF_NONE_MATCH"]).contains_weak(found.etag) else None
    since = parse_date(headers.get("HTTP_IF_MODIFIED_SINCE"))
    return 304 if found.dated and since and found.modified <= since else None


def _wanted_part(headers: Mapping[str, str], found: Representation) -> range | None:
    """Return the octets asked for: None for all of them, an empty range where there are none.

    Several ranges at once, other units and what cannot be read get the whole (RFC 9110 14.2).
    """
    match = _ONE_RANGE.fullmatch(headers.get("HTTP_RANGE", "").strip())
    if match is None or not _is_unchanged(headers.get("HTTP_IF_RANGE"), found):
        return None
    first, last = match.groups()
    length = len(found.content)
    if not first:
        return range(max(0, length - int(last)), length) if last else None
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1, length) if last else length)


def _is_unchanged(validator: str | None, found: Representation) -> bool:
    """Tell whether If-Range names what is there now (RFC 9110 13.1.5): a strong tag, or its exact date."""
    if validator is None:
        return True
    date = parse_date(validator)
    if date is not None:
        return date == found.modified
    tag, weak = unquote_etag(validator.strip())
    return tag == found.etag and not weak
