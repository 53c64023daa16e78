"""Which octets of an exchange are secret, and the same exchange with them blanked.

Secret are credentials of HTTP, challenge passwords that NDES hands out on its pages, and the
challengePassword of a certificate request (RFC 2985 5.4.1) wherever it is seen in the clear: in an opened
envelope, or in a message of a client that forgot the envelope. Blanking keeps every length, so that what
is blanked can still be decoded; the signature over it no longer verifies.
"""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from scep_server.transport import BadQuery, decode_message

if TYPE_CHECKING:
    from lab.recorded import Headers, RecordedAnswer, RecordedRequest

BLANK: Final = b"*"
HIDDEN_WORD: Final = "(hidden"
_CREDENTIALS: Final = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
_SCHEMES: Final = frozenset({"basic", "bearer", "digest", "negotiate", "ntlm"})
_CHALLENGE_PASSWORD: Final = bytes.fromhex("2a864886f70d010907")
_CONSTRUCTED: Final = 0x20
_INDEFINITE: Final = 0x80
_PAGE_WORDS: Final = "challenge password is:"
_PAGE_ENCODINGS: Final = ("utf-16-le", "ascii")
_GENERATED: Final = re.compile(r"[?&]operation=ndesgeneratechallenge\b", re.IGNORECASE)
_MESSAGE: Final = re.compile(r"(?<=[?&]message=)[^&#]*")


def without_credentials(headers: Headers) -> Headers:
    """Return headers with credentials replaced by a word on what was there; such are never kept."""
    return tuple(
        (name, _hidden(value)) if name.lower() in _CREDENTIALS else (name, value) for name, value in headers
    )


def _hidden(value: str) -> str:
    scheme, _, rest = value.partition(" ")
    if rest and scheme.lower() in _SCHEMES:
        return f"{scheme} {HIDDEN_WORD}, {len(rest)} characters)"
    return f"{HIDDEN_WORD}, {len(value)} characters)"


def blanked_request(request: RecordedRequest) -> RecordedRequest:
    """Return the request with every challengePassword in the clear blanked; itself where there is none."""
    body, target = blanked_octets(request.body), _MESSAGE.sub(_blanked_message, request.target)
    if body == request.body and target == request.target:
        return request
    return replace(request, body=body, target=target)


def blanked_answer(request: RecordedRequest, answer: RecordedAnswer) -> RecordedAnswer:
    """Return the answer with every challenge password in it blanked; itself where there is none."""
    if _GENERATED.search(request.target) and answer.status == 200:
        body = BLANK * len(answer.body)
    else:
        body = blanked_octets(answer.body)
        for encoding in _PAGE_ENCODINGS:
            body = _blanked_page(body, encoding)
    return answer if body == answer.body else replace(answer, body=body)


def blanked_octets(octets: bytes) -> bytes:
    """Return ``octets`` with whatever follows the object identifier of challengePassword blanked."""
    at = octets.find(_CHALLENGE_PASSWORD)
    if at < 0:
        return octets
    blanked = bytearray(octets)
    while at >= 0:
        after = at + len(_CHALLENGE_PASSWORD)
        _blank_element(blanked, after, len(octets))
        at = octets.find(_CHALLENGE_PASSWORD, after)
    return bytes(blanked)


def _blank_element(octets: bytearray, at: int, end: int, depth: int = 0) -> int:
    """Blank the primitive values of the BER element at ``at``; return where it ends.

    What cannot be read as an element is blanked whole, up to ``end``.
    """
    header = _read_header(octets, at, end)
    if header is None or depth > 8:
        octets[at:end] = BLANK * (end - at)
        return end
    start, stop = header
    if not octets[at] & _CONSTRUCTED:
        octets[start:stop] = BLANK * (stop - start)
        return stop
    inner, indefinite = start, octets[at + 1] == _INDEFINITE
    while inner < stop and not (indefinite and octets[inner : inner + 2] == b"\x00\x00"):
        inner = _blank_element(octets, inner, stop, depth + 1)
    return inner + 2 if indefinite else stop


def _read_header(octets: bytearray, at: int, end: int) -> tuple[int, int] | None:
    """Return where content begins and ends; an indefinite length ends where its surroundings do."""
    if at + 2 > end:
        return None
    first = octets[at + 1]
    if first == _INDEFINITE:
        return (at + 2, end)
    count = first & 0x7F if first & 0x80 else 0
    start = at + 2 + count
    length = int.from_bytes(octets[at + 2 : start], "big") if count else first
    return (start, start + length) if start + length <= end else None


def _blanked_page(body: bytes, encoding: str) -> bytes:
    """Return a page with what follows NDES's words blanked, up to the end of the bold text."""
    words, bold, end = (text.encode(encoding) for text in (_PAGE_WORDS, "<B> ", " </B>"))
    at = body.find(words)
    if at < 0:
        return body
    start = body.find(bold, at + len(words))
    start = at + len(words) if start < 0 else start + len(bold)
    stop = body.find(end, start)
    stop = len(body) if stop < 0 else stop
    blank = BLANK.decode().encode(encoding)
    return body[:start] + blank * ((stop - start) // len(blank)) + body[stop:]


def _blanked_message(found: re.Match[str]) -> str:
    try:
        octets = decode_message(found[0])
    except BadQuery:
        return found[0]
    blanked = blanked_octets(octets)
    return found[0] if blanked == octets else quote(base64.b64encode(blanked), safe="")
