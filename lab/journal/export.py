"""Handing entries on: as fixtures in JSON, as files of what was sent, as an HTTP archive for browsers."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from .records import EntryRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lab.recorded import Headers

    from .entry import JournalEntry

FORMAT: Final = "ndes-lab journal 1"
_PORTS: Final = {"scep": 8080, "pki": 8081}
_TEXT: Final = ("text/", "application/json")


class NotExported(ValueError):
    """The text is nothing that `as_json` has made; it says why."""


def as_json(entries: Iterable[JournalEntry]) -> str:
    """Return entries as one JSON document: everything of them, octets in Base64."""
    records = [EntryRecord.of(entry).model_dump(mode="json") for entry in entries]
    return json.dumps({"format": FORMAT, "entries": records}, indent=2)


def is_exported(octets: bytes) -> bool:
    """Tell whether octets look like what `as_json` makes."""
    return octets.lstrip()[:1] == b"{" and FORMAT.encode() in octets[:200]


def from_json(octets: bytes) -> list[JournalEntry]:
    """Return the entries of what `as_json` has made.

    Raises:
        NotExported: it is something else.

    """
    try:
        document = json.loads(octets)
        found, records = document["format"], [json.dumps(each) for each in document["entries"]]
        if found == FORMAT:
            return [EntryRecord.model_validate_json(record).entry() for record in records]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise NotExported(f"it is no exported journal: {' '.join(str(error).split())}") from error
    raise NotExported(f"its format is {found!r}, expected {FORMAT!r}")


# -- files -----------------------------------------------------------------------------


def as_files(entries: Iterable[JournalEntry]) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents: the HTTP messages whole, and what they carry.

    ``N-request.http`` and ``N-answer.http`` are what was on the wire, ``N-request.der`` is the SCEP or OCSP
    message of the request, ``N-answer.der`` the body where it is ASN.1, ``N-certificate.der`` what was
    issued.
    """
    for entry in entries:
        request, answer = entry.request, entry.answer
        start = f"{request.method} {request.target} {request.protocol}"
        yield f"{entry.number}-request.http", _http(start, request.headers, request.body)
        message = entry.message if entry.listener == "scep" else request.body
        if message:
            yield f"{entry.number}-request.der", message
        start = f"HTTP/1.1 {answer.status} {answer.reason}"
        yield f"{entry.number}-answer.http", _http(start, answer.headers, answer.body)
        if answer.body[:1] == b"\x30":
            yield f"{entry.number}-answer.der", answer.body
        if entry.certificate is not None:
            yield f"{entry.number}-certificate.der", entry.certificate.der


def _http(start: str, headers: Headers, body: bytes) -> bytes:
    lines = [start, *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body


# -- HTTP archive ----------------------------------------------------------------------


def as_har(entries: Iterable[JournalEntry], *, version: str) -> str:
    """Return entries as an HTTP archive (HAR 1.2); ``version`` is ours.

    Octets are in Base64. What HAR has no field for is in ``_ndesLab``: verdict, checks, faults.
    """
    log = {
        "version": "1.2",
        "creator": {"name": "ndes-lab", "version": version},
        "entries": [_har_entry(entry) for entry in entries],
    }
    return json.dumps({"log": log}, indent=2)


def _har_entry(entry: JournalEntry) -> dict[str, Any]:
    request, answer, milliseconds = entry.request, entry.answer, entry.seconds * 1000
    record = EntryRecord.of(entry).model_dump(mode="json")
    host = request.header("Host") or f"127.0.0.1:{_PORTS[entry.listener]}"
    har_request: dict[str, Any] = {
        "method": request.method,
        "url": f"{request.scheme}://{host}{request.target}",
        "httpVersion": request.protocol,
        "cookies": [],
        "headers": _har_headers(request.headers),
        "queryString": [
            {"name": name, "value": value}
            for name, value in parse_qsl(request.target.partition("?")[2], keep_blank_values=True)
        ],
        "headersSize": -1,
        "bodySize": entry.request_octets,
    }
    if request.body:
        kind = request.header("Content-Type") or "application/octet-stream"
        har_request["postData"] = {
            "mimeType": kind,
            "params": [],
            **_har_text(request.body, kind, "_encoding"),
        }
    return {
        "startedDateTime": entry.received_at.isoformat(),
        "time": milliseconds,
        "request": har_request,
        "response": _har_response(entry),
        "cache": {},
        "timings": {"send": 0, "wait": milliseconds, "receive": 0},
        "comment": f"{entry.number}: {entry.what}, {entry.verdict.word}"
        + (f", refused by {entry.verdict.refused_by}" if entry.verdict.refused_by else "")
        + (f"; {answer.delivery}" if answer.delivery else ""),
        "_ndesLab": {
            name: record[name]
            for name in ("number", "verdict", "checks", "faults", "transaction_id", "subject", "timings")
        },
    }


def _har_response(entry: JournalEntry) -> dict[str, Any]:
    answer = entry.answer
    kind = next((value for name, value in answer.headers if name.lower() == "content-type"), "")
    return {
        "status": answer.status,
        "statusText": answer.reason,
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _har_headers(answer.headers),
        "content": {
            "size": entry.answer_octets,
            "mimeType": kind or "application/octet-stream",
            **_har_text(answer.body, kind, "encoding"),
        },
        "redirectURL": next((value for name, value in answer.headers if name.lower() == "location"), ""),
        "headersSize": -1,
        "bodySize": entry.answer_octets,
    }


def _har_headers(headers: Headers) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in headers]


def _har_text(octets: bytes, kind: str, encoding_field: str) -> dict[str, str]:
    if kind.startswith(_TEXT):
        try:
            return {"text": octets.decode()}
        except UnicodeDecodeError:
            pass
    return {"text": b64encode(octets).decode(), encoding_field: "base64"}
