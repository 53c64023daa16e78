"""Sending a recorded request again, to any server."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

from lab.http_exchange import DEFAULT_LIMITS, HttpFailure, http_exchange
from lab.recorded import RecordedAnswer

from .difference import compare
from .secrets import HIDDEN_WORD
from .trees import answer_trees, entry_trees, http_answer_node

if TYPE_CHECKING:
    import ssl

    from lab.decoding import EnvelopeKeys, Node
    from lab.http_exchange import HttpLimits, HttpReply

    from .difference import Difference
    from .entry import JournalEntry

_NOT_SENT: Final = frozenset({"host", "content-length", "connection", "keep-alive", "transfer-encoding"})
_OF_THE_SERVER: Final = frozenset({"connection", "date", "keep-alive", "server", "transfer-encoding"})
_FAULT: Final = re.compile(r"^/fault/[^/]+", re.IGNORECASE)
_SCEP_TAIL: Final = re.compile(r"(?:/cgi-bin)?/pkiclient\.exe$", re.IGNORECASE)
_CREDENTIALS: Final = re.compile(r"(?<=/)[^/?#]*@|^[^/?#]*@")
_OCSP_TAIL: Final = re.compile(r"(?<=/ocsp)/.+$", re.IGNORECASE)


class CannotReplay(Exception):
    """The request cannot be sent again; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """A request sent again: to which URL, and what came back."""

    url: str
    answer: RecordedAnswer = field(repr=False)
    seconds: float


def replay(
    entry: JournalEntry, url: str, *, limits: HttpLimits = DEFAULT_LIMITS, tls: ssl.SSLContext | None = None
) -> Replayed:
    """Send the request of an entry to ``url`` and return the answer.

    Method, body, query, Content-Type and the other headers are the recorded ones, but for credentials and
    for those about the connection.

    Raises:
        CannotReplay: the journal has not kept all of the request, ``url`` is no http or https URL, or no
            answer came.

    """
    request = entry.request
    if len(request.body) < entry.request_octets:
        raise CannotReplay(
            f"of the {entry.request_octets} octets of its body the journal has kept {len(request.body)}"
        )
    target = target_url(entry, url)
    headers = {
        name: value
        for name, value in request.headers
        if name.lower() not in _NOT_SENT and HIDDEN_WORD not in value
    }
    try:
        reply = http_exchange(
            request.method, target, body=request.body or None, headers=headers, limits=limits, tls=tls
        )
    except HttpFailure as error:  # whose text has the URL, with the whole message of a GET in it
        raise CannotReplay(str(error).replace(target, target.partition("?")[0])) from error
    return Replayed(url=target, answer=_recorded(reply), seconds=reply.elapsed.total_seconds())


def target_url(entry: JournalEntry, url: str) -> str:
    """Return where the request goes if it is sent to ``url``.

    The query is the recorded one. A URL without a path gets the recorded path, without the ``/fault/<id>``
    that a lab's may begin with. Any other keeps its own, with the end that the client had appended to the
    path it was given: ``/pkiclient.exe``, or the request of an OCSP GET.

    Raises:
        CannotReplay: ``url`` is no http or https URL.

    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise CannotReplay(f"{_without_credentials(url)!r} is no http or https URL")
    if "@" in parts.netloc:
        raise CannotReplay(f"{_without_credentials(url)!r} is given with user or password; none are sent")
    if parts.query:
        raise CannotReplay(f"{url!r} has a query; the recorded one is sent, so give the URL without")
    recorded, _, query = _FAULT.sub("", entry.request.target).partition("?")
    path = parts.path
    if path in ("", "/"):
        path = recorded or "/"
    else:
        tail = (_SCEP_TAIL if entry.listener == "scep" else _OCSP_TAIL).search(recorded)
        if tail is not None and not path.lower().endswith((".exe", ".dll")):
            path = path.rstrip("/") + tail[0]
    return urlunsplit((parts.scheme, parts.netloc, path, query, ""))


def differences(
    entry: JournalEntry, done: Replayed, keys: EnvelopeKeys, *, everything: bool = False
) -> tuple[Difference, ...]:
    """Return how the answer differs from the recorded one, in HTTP and in what it says.

    Left out are headers that a web server adds about itself and the connection: none are recorded.
    """
    before = (_http(entry.answer), *entry_trees(entry.without_secrets(), keys).answer)
    return compare(before, (_http(done.answer), *answer_trees(done.answer.body, keys)), everything=everything)


def _without_credentials(url: str) -> str:
    return _CREDENTIALS.sub("...@", url)


def _http(answer: RecordedAnswer) -> Node:
    headers = tuple(each for each in answer.headers if each[0].lower() not in _OF_THE_SERVER)
    return http_answer_node(replace(answer, headers=headers))


def _recorded(reply: HttpReply) -> RecordedAnswer:
    return RecordedAnswer(status=reply.status, reason=reply.reason, headers=reply.headers, body=reply.body)
