"""An entry explained: the request's message, its envelope's content and the answer, as trees."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from lab.decoding import EnvelopeKeys, Node, NotUnderstood, explain

if TYPE_CHECKING:
    from lab.recorded import Headers, RecordedAnswer

    from .entry import JournalEntry

_NO_KEYS: Final = EnvelopeKeys()
_OPENED: Final = "as the server opened it"
_TEXT_SHOWN: Final = 4000
_LINES_SHOWN: Final = 100
_SHORT_LINE: Final = 100
_OCSP_GET: Final = re.compile(r"/ocsp/([^?#]+)", re.IGNORECASE)
_BINARY: Final = re.compile(r"[^\t\r\n\x20-\x7e\xa0-\U0010ffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryTrees:
    """What an entry's octets say; empty where there are none.

    In ``request`` an envelope has the content that the server saw in it.
    """

    request: tuple[Node, ...]
    answer: tuple[Node, ...]


def entry_trees(entry: JournalEntry, keys: EnvelopeKeys = _NO_KEYS) -> EntryTrees:
    """Return an entry explained; ``keys`` open what they can."""
    request = _explained(_asked(entry), keys, len(entry.request.body), entry.request_octets)
    if entry.opened is not None:
        opened = Node(name="plaintext", note=_OPENED, children=_explained(entry.opened, keys))
        request = tuple(_with_plaintext(node, opened) for node in request)
    return EntryTrees(
        request=request,
        answer=_explained(entry.answer.body, keys, len(entry.answer.body), entry.answer_octets),
    )


def http_request_node(entry: JournalEntry) -> Node:
    """Return the HTTP around a request: method, path, operation, headers."""
    request = entry.request
    path, _, query = request.target.partition("?")
    parameters = [part for part in query.split("&") if part and not part.startswith("message=")]
    children = (
        Node(name="path", value=path),
        *(Node(name=f"parameter {name}", value=value) for name, _, value in _split(parameters)),
        Node(name="protocol", value=request.protocol),
        *_headers(request.headers),
    )
    return Node(name="HTTP request", value=request.method, children=children)


def http_answer_node(answer: RecordedAnswer) -> Node:
    """Return the HTTP around an answer: status, headers, how it was delivered."""
    delivery = (Node(name="delivery", value=answer.delivery),) if answer.delivery else ()
    value = f"{answer.status} {answer.reason}".rstrip()
    return Node(name="HTTP answer", value=value, children=(*delivery, *_headers(answer.headers)))


def answer_trees(body: bytes, keys: EnvelopeKeys = _NO_KEYS) -> tuple[Node, ...]:
    """Return an answer's body explained."""
    return _explained(body, keys)


def _split(parameters: list[str]) -> list[tuple[str, str, str]]:
    return [part.partition("=") for part in parameters]


def _headers(headers: Headers) -> list[Node]:
    return [Node(name=name, value=value) for name, value in sorted(headers)]


def _with_plaintext(node: Node, opened: Node) -> Node:
    """Return a tree with an envelope's content in the place of a note that it was not opened."""
    if node.name == "plaintext" and not node.children:
        return opened
    children = tuple(_with_plaintext(child, opened) for child in node.children)
    return replace(node, children=children)


def _asked(entry: JournalEntry) -> bytes:
    """Return the octets of the message in a request, of SCEP or OCSP; nothing where it has none."""
    request = entry.request
    if entry.listener == "scep":
        return entry.message or request.body
    found = _OCSP_GET.search(request.target)
    if request.method == "GET" and found is not None:
        return unquote_to_bytes(found[1])  # Base64, RFC 6960 A.1
    return request.body


def _explained(octets: bytes, keys: EnvelopeKeys, kept: int = 0, whole: int = 0) -> tuple[Node, ...]:
    if not octets.strip():
        return ()
    try:
        return tuple(explain(octets, keys))
    except NotUnderstood as error:
        text = _text(octets)
        if text:
            return (_text_node(text),)
        cut = f"; only the first {kept} of {whole} octets are kept" if kept < whole else ""
        return (Node(name="not understood", note=f"{error}{cut}"),)


def _text_node(text: str) -> Node:
    """Return a text; one of several short lines, such as a list of capabilities, as a node for each."""
    lines = [line for line in text.splitlines() if line.strip()]
    if 1 < len(lines) <= _LINES_SHOWN and max(map(len, lines)) <= _SHORT_LINE:
        return Node(name="text", children=tuple(Node(name=line) for line in lines))
    return Node(name="text", value=text.strip()[:_TEXT_SHOWN])


def _text(octets: bytes) -> str:
    """Return octets as the text they are, NDES's UTF-16LE included; nothing where they are none."""
    encodings = ("utf-8", "utf-16-le") if b"\x00" not in octets[:2] else ("utf-16-le",)
    for encoding in encodings:
        try:
            text = octets.decode(encoding).lstrip("\ufeff")
        except UnicodeDecodeError:
            continue
        if not _BINARY.search(text):
            return text
    return ""
