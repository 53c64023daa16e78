"""Faults of an answer's form in HTTP: lengths, types, codings, lines. What the server says is all there."""

from __future__ import annotations

import gzip
import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from lab.faults.registry import ClientMust, Range, Seam, Step, fault
from lab.faults.values import Close, HttpAnswer, Send, Wait, WireStep

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.faults.tools import Tools

_wire = partial(fault, seam=Seam.WIRE, takes=HttpAnswer)
_MESSAGES = frozenset({"GetCACert", "GetNextCACert", "PKIOperation"})  # binary ones


def _with_head(answer: HttpAnswer, manner: str, change: Callable[[bytes], bytes]) -> HttpAnswer:
    """Return the answer, to be sent with another head, and the connection closed after it."""
    return answer.delivered(manner, lambda whole: (Send(change(whole.head()) + whole.body), Close()))


# -- Content-Length -------------------------------------------------------------------------


@_wire(clause="RFC 9112 6.3", client_must=ClientMust.SUCCEED)
def content_length_missing(answer: HttpAnswer, tools: Tools) -> HttpAnswer:
    """There is no Content-Length: the body ends with the connection.

    HTTP/1.0's way, and a proxy's that does not know the length when it begins.
    """
    del tools
    return _with_head(answer.with_header("Content-Length", None), "without Content-Length", lambda head: head)


@_wire(clause="RFC 9110 8.6", client_must=ClientMust.REJECT, operations=_MESSAGES)
def content_length_too_short(answer: HttpAnswer, tools: Tools) -> HttpAnswer:
    """Content-Length says half of what is sent.

    The body was changed after it was measured. What is left is no DER; what is beyond must not be read as
    the next answer.
    """
    del tools
    length = str(len(answer.body) // 2)
    return _with_head(
        answer.with_header("Content-Length", length), "Content-Length of half", lambda head: head
    )


@_wire(clause="RFC 9112 8", client_must=ClientMust.RETRY, limits={"octets": Range(1, 1_000_000_000)})
def content_length_too_long(
    answer: HttpAnswer, tools: Tools, *, octets: int = 16, seconds: float = 120.0
) -> HttpAnswer:
    """Content-Length says more than is sent, and the connection stays open.

    All is there and the client waits for 16 octets that never come: until its time is up, or for ever.
    """
    del tools

    def delivery(whole: HttpAnswer) -> tuple[WireStep, ...]:
        return Send(whole.head() + whole.body), Wait(seconds), Close()

    longer = answer.with_header("Content-Length", str(len(answer.body) + octets))
    return longer.delivered(f"Content-Length of {octets} octets more", delivery)


@_wire(clause="RFC 9112 6.3", client_must=ClientMust.REJECT)
def content_length_twice(answer: HttpAnswer, tools: Tools) -> HttpAnswer:
    """There are two Content-Length fields, and they contradict each other.

    Whoever stands between may keep the other one: where an answer ends is anybody's guess.
    """
    del tools
    other = b"\r\nContent-Length: %d\r\n\r\n" % (len(answer.body) + 1)
    return _with_head(answer, "with two Content-Lengths", lambda head: head[:-4] + other)


@_wire(clause="RFC 9112 6.3", client_must=ClientMust.REJECT)
def content_length_no_number(answer: HttpAnswer, tools: Tools) -> HttpAnswer:
    """Content-Length is no number: "unknown"."""
    del tools
    return _with_head(
        answer.with_header("Content-Length", "unknown"), "Content-Length: unknown", lambda head: head
    )


# -- Content-Type and codings ---------------------------------------------------------------


@_wire(clause="RFC 8894 4.2.1, 4.3.1", client_must=ClientMust.MAY, operations=_MESSAGES)
def content_type_wrong(
    answer: HttpAnswer, tools: Tools, *, value: str = "application/octet-stream"
) -> HttpAnswer:
    """Content-Type is application/octet-stream, or what ``value`` says; the body is as ever.

    A server or proxy that knows no SCEP. RFC 8894 names the types and does not say what to do about
    others: strongSwan goes on, certmonger, scepclient and sscep do not.
    """
    del tools
    return answer.with_header("Content-Type", value)


@_wire(clause="RFC 8894 4.2.1, 4.3.1", client_must=ClientMust.MAY)
def content_type_missing(answer: HttpAnswer, tools: Tools) -> HttpAnswer:
    """There is no Content-Type.

    NDES of 2008 R2 answers GetCACaps so, and jscep stops at it, although RFC 8894 3.5.2 has clients
    ignore that one.
    """
    del tools
    return answer.with_header("Content-Type", None)


@_wire(clause="RFC 9110 8.3.1", client_must=ClientMust.SUCCEED)
def content_type_with_charset(answer: HttpAnswer, tools: Tools) -> HttpAnswer:
    """Content-Type has a parameter: charset=utf-8.

    What web frameworks add to whatever they send. The media type is the same one; certmonger and
    scepclient compare the whole field, and fail.
    """
    del tools
    found = answer.header("Content-Type")
    return answer if found is None else answer.with_header("Content-Type", f"{found}; charset=utf-8")


@_wire(clause="RFC 9110 12.5.3", client_must=ClientMust.MAY)
def gzip_unasked(answer: HttpAnswer, tools: Tools) -> HttpAnswer:
    """The body is compressed with gzip, and says so, though nobody asked for it.

    Dynamic compression switched on for everything. A client that named no coding it takes may get any; one
    that can undo this one may do so.
    """
    del tools
    squeezed = answer.with_body(gzip.compress(answer.body, mtime=0))
    return squeezed.with_header("Content-Encoding", "gzip")


@_wire(clause="RFC 9110 8.4", client_must=ClientMust.REJECT)
def gzip_announced_and_not_done(answer: HttpAnswer, tools: Tools) -> HttpAnswer:
    """Content-Encoding says gzip, and the body is as ever.

    One proxy undid the coding and left the header. What cannot be decoded is not to be used.
    """
    del tools
    return answer.with_header("Content-Encoding", "gzip")


@_wire(clause="RFC 9112 7.1", client_must=ClientMust.SUCCEED, limits={"octets": Range(1, 1_000_000)})
def chunked(answer: HttpAnswer, tools: Tools, *, octets: int = 100) -> HttpAnswer:
    """The body is sent in chunks of 100 octets.

    What any HTTP/1.1 server may do; a client that speaks HTTP/1.1 must be able to read it.
    """
    del tools

    def delivery(whole: HttpAnswer) -> tuple[WireStep, ...]:
        pieces = [whole.body[at : at + octets] for at in range(0, len(whole.body), octets)]
        stream = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        return Send(whole.head() + stream + b"0\r\n\r\n"), Close()

    return _chunked(answer).delivered("chunked", delivery)


@_wire(clause="RFC 9112 7.1", client_must=ClientMust.REJECT)
def chunk_size_no_number(answer: HttpAnswer, tools: Tools) -> HttpAnswer:
    """The body is said to be in chunks, and there is no chunk size before it.

    A proxy that announces chunks and sends the body as it is.
    """
    del tools
    return _with_head(_chunked(answer), "chunked without a chunk size", lambda head: head + b"chunk\r\n")


def _chunked(answer: HttpAnswer) -> HttpAnswer:
    return answer.with_header("Content-Length", None).with_header("Transfer-Encoding", "chunked")


# -- the body -------------------------------------------------------------------------------


@_wire(clause="RFC 8894 4.2.1, 4.3.1", client_must=ClientMust.REJECT, operations=_MESSAGES)
def empty_body(answer: HttpAnswer, tools: Tools) -> HttpAnswer:
    """The status is 200, the Content-Type right, and the body empty.

    The server has done its work; a filter behind it has not.
    """
    del tools
    return answer.with_body(b"") if answer.body else answer


@_wire(clause="RFC 9110 15.3.5", client_must=ClientMust.REJECT, step=Step.CA_CERTIFICATES)
def no_content(answer: HttpAnswer, tools: Tools) -> HttpAnswer:
    """The status is 204: success, with nothing to say.

    Success as HTTP sees it; SCEP knows none but 200.
    """
    del tools
    bare = answer.with_header("Content-Length", None).with_header("Content-Type", None)
    return replace(bare, status=204, reason="", body=b"")


@_wire(clause="RFC 9110 15.6.1", client_must=ClientMust.MAY, operations={"PKIOperation"})
def good_reply_with_error_status(answer: HttpAnswer, tools: Tools) -> HttpAnswer:
    """The status is 500, and the body a pkiMessage in which nothing is wrong.

    A filter counts answers as errors. SCEP's success is in the message and HTTP's in the status; clients
    look at the status first and never see the certificate.
    """
    del tools
    return replace(answer, status=500, reason="")


@_wire(clause="RFC 9110 8.3", client_must=ClientMust.REJECT, operations=_MESSAGES)
def line_ends_converted(answer: HttpAnswer, tools: Tools) -> HttpAnswer:
    """Every LF in the binary body has become CR LF, and Content-Length fits.

    A gateway took DER for text. Where there is no LF in the body there is nothing to convert.
    """
    del tools
    return answer.with_body(answer.body.replace(b"\n", b"\r\n")) if b"\n" in answer.body else answer


@_wire(clause="RFC 8894 4.2.1, 4.3.1", client_must=ClientMust.MAY, operations=_MESSAGES)
def line_end_after_body(answer: HttpAnswer, tools: Tools) -> HttpAnswer:
    """A CR LF follows the DER, within Content-Length.

    A script that prints its answer. The message is whole, and two octets too many.
    """
    del tools
    return answer.with_body(answer.body + b"\r\n")


# -- lines ----------------------------------------------------------------------------------


@_wire(clause="RFC 9110 15.2", client_must=ClientMust.SUCCEED)
def interim_answers(answer: HttpAnswer, tools: Tools) -> HttpAnswer:
    """Before the answer come 100 Continue and 103 Early Hints.

    Nobody asked for them. A client must be able to skip any number of 1xx answers.
    """
    del tools
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </>; rel=up\r\n\r\n"
    return _with_head(answer, "after 100 and 103", lambda head: interim + head)


@_wire(clause="RFC 9110 2.5", client_must=ClientMust.SUCCEED)
def http_1_0(answer: HttpAnswer, tools: Tools) -> HttpAnswer:
    """The answer is HTTP/1.0.

    An old proxy. The request was of HTTP/1.1, and an answer of a lower version within the same major one
    is to be understood.
    """
    del tools
    return _with_head(answer, "in HTTP/1.0", lambda head: head.replace(b"HTTP/1.1", b"HTTP/1.0", 1))


@_wire(
    clause="RFC 9112 4",
    client_must=ClientMust.REJECT,
    symptom="'The server returned an invalid or unrecognized response' 0x80072F78 (12152) "
    "(windows-client.md 1.2, 1.3)",
)
def not_http(answer: HttpAnswer, tools: Tools) -> HttpAnswer:
    """The answer is not HTTP: the banner of an SSH server.

    The port is another service's.
    """
    del tools
    return answer.delivered("an SSH banner", lambda _: (Send(b"SSH-2.0-OpenSSH_9.6\r\n"), Close()))


@_wire(clause="RFC 9112 2.2", client_must=ClientMust.MAY)
def bare_line_feeds(answer: HttpAnswer, tools: Tools) -> HttpAnswer:
    """Header lines end in LF alone.

    A gateway script that prints. A client may take a single LF for the end of a line.
    """
    del tools
    return _with_head(answer, "with bare line feeds", lambda head: head.replace(b"\r\n", b"\n"))


@_wire(clause="RFC 9110 5.1", client_must=ClientMust.SUCCEED)
def header_names_in_lower_case(answer: HttpAnswer, tools: Tools) -> HttpAnswer:
    """Header names are in lower case, as proxies write them that speak HTTP/2 on the other side.

    Names have no case; clients in scripts have.
    """
    del tools
    return _with_head(
        answer,
        "with header names in lower case",
        lambda head: re.sub(rb"(?m)^[A-Za-z0-9-]+:", lambda name: name[0].lower(), head),
    )
