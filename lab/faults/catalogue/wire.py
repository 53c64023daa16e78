"""Faults below HTTP: an answer that is lost, cut off, late or never whole. The server has done its work."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from lab.faults.registry import ClientMust, Range, Seam, Step, fault
from lab.faults.values import Close, HttpAnswer, Reset, Send, Wait, WireStep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.faults.tools import Tools

_MEGABYTE: Final = 1024 * 1024
_wire = partial(fault, seam=Seam.WIRE, takes=HttpAnswer)
_TERMINATED: Final = "0x80072EFE CONNECTION_ERROR (12030) (windows-client.md 1.3)"
_TIMEOUT: Final = "0x80072EE2 ERROR_WINHTTP_TIMEOUT (12002) (windows-client.md 1.3)"


def _half(octets: bytes) -> bytes:
    return octets[: len(octets) // 2]


# -- lost: processed, and the reply never arrives ---------------------------------------------


@_wire(
    clause="RFC 9112 9.6",
    client_must=ClientMust.RETRY,
    operations={"PKIOperation"},
    symptom=_TERMINATED,
)
def reset_before_headers(answer: HttpAnswer, tools: Tools) -> HttpAnswer:
    """The PKIOperation was done and the connection is reset before any octet of the answer.

    A certificate has been issued that the client knows nothing of. Who sends the same message again gets
    the same certificate; who makes a new key and a new transaction leaves one that nobody holds.
    """
    del tools
    return answer.delivered("reset before the headers", lambda _: (Reset(),))


@_wire(
    clause="RFC 9112 9.6",
    client_must=ClientMust.RETRY,
    operations={"PKIOperation"},
)
def closed_before_headers(answer: HttpAnswer, tools: Tools) -> HttpAnswer:
    """The PKIOperation was done and the connection is closed, in order, without an answer.

    The worker was recycled while it answered. To a client it looks like a connection that timed out idle:
    the same message is to be sent again.
    """
    del tools
    return answer.delivered("closed before the headers", lambda _: (Close(),))


@_wire(clause="RFC 9112 9.6", client_must=ClientMust.RETRY, operations={"PKIOperation"})
def reset_within_headers(answer: HttpAnswer, tools: Tools) -> HttpAnswer:
    """The connection is reset within the header section of a PKIOperation's answer.

    The server has worked on the request: whoever sends it again gets the same certificate.
    """
    del tools
    return answer.delivered("reset within the headers", lambda whole: (Send(_half(whole.head())), Reset()))


@_wire(clause="RFC 9112 8", client_must=ClientMust.RETRY, symptom=_TERMINATED)
def reset_after_headers(answer: HttpAnswer, tools: Tools) -> HttpAnswer:
    """The connection is reset between the headers and the body.

    The status was 200, which is not to be taken for success: nothing has come yet.
    """
    del tools
    return answer.delivered("reset after the headers", lambda whole: (Send(whole.head()), Reset()))


@_wire(clause="RFC 9112 8", client_must=ClientMust.RETRY, symptom=_TERMINATED)
def reset_within_body(answer: HttpAnswer, tools: Tools) -> HttpAnswer:
    """The connection is reset after half of the body."""
    del tools
    return answer.delivered(
        "reset within the body", lambda whole: (Send(whole.head() + _half(whole.body)), Reset())
    )


# -- cut off ------------------------------------------------------------------------------


@_wire(clause="RFC 9112 8", client_must=ClientMust.RETRY)
def truncated(answer: HttpAnswer, tools: Tools) -> HttpAnswer:
    """Half of the body is sent, and the connection closed in order: less than Content-Length says.

    A proxy lost its server. The message is incomplete, whatever of it can be read.
    """
    del tools
    return answer.delivered(
        "closed within the body", lambda whole: (Send(whole.head() + _half(whole.body)), Close())
    )


@_wire(clause="RFC 9112 6.3", client_must=ClientMust.REJECT, step=Step.CA_CERTIFICATES)
def truncated_without_length(answer: HttpAnswer, tools: Tools) -> HttpAnswer:
    """Half of the body is sent, without Content-Length, and the connection closed: HTTP cannot tell.

    Where the end of the connection is the end of the body nobody notices but who reads the DER. Half a
    GetCACaps is a shorter list, and nobody notices at all.
    """
    del tools
    return answer.with_header("Content-Length", None).delivered(
        "half of the body, without Content-Length",
        lambda whole: (Send(whole.head() + _half(whole.body)), Close()),
    )


@_wire(clause="RFC 9112 7.1", client_must=ClientMust.RETRY)
def chunked_without_end(answer: HttpAnswer, tools: Tools) -> HttpAnswer:
    """The body is sent in chunks, and the connection closed before the last, empty one.

    All octets of the body have come. Without the last chunk they may as well be some of them.
    """
    del tools
    return (
        answer.with_header("Content-Length", None)
        .with_header("Transfer-Encoding", "chunked")
        .delivered(
            "chunked, without the last chunk",
            lambda whole: (Send(whole.head() + b"%x\r\n%b\r\n" % (len(whole.body), whole.body)), Close()),
        )
    )


# -- late ---------------------------------------------------------------------------------


@_wire(clause="RFC 9110 9.2.2", client_must=ClientMust.RETRY, symptom=_TIMEOUT)
def stalled_before_headers(answer: HttpAnswer, tools: Tools, *, seconds: float = 120.0) -> HttpAnswer:
    """The server is silent for two minutes before it answers.

    A CA that waits for a domain controller, a database that is locked. Meant to be longer than a client
    waits; who comes back with the same message gets what was made for it.
    """
    del tools
    return answer.delivered(
        f"after {seconds:g} s", lambda whole: (Wait(seconds), Send(whole.head() + whole.body))
    )


@_wire(clause="RFC 9112 8", client_must=ClientMust.RETRY, symptom=_TIMEOUT)
def stalled_within_body(answer: HttpAnswer, tools: Tools, *, seconds: float = 120.0) -> HttpAnswer:
    """The server falls silent for two minutes in the middle of the body.

    Time limits for the connection and for the first octet do not help: one for the whole is needed.
    """
    del tools

    def delivery(whole: HttpAnswer) -> tuple[WireStep, ...]:
        first = _half(whole.body)
        return Send(whole.head() + first), Wait(seconds), Send(whole.body[len(first) :])

    return answer.delivered(f"{seconds:g} s of silence within the body", delivery)


@_wire(clause="RFC 9110 9.2.2", client_must=ClientMust.SUCCEED)
def slow(answer: HttpAnswer, tools: Tools, *, seconds: float = 0.5) -> HttpAnswer:
    """The answer takes half a second longer.

    Nothing is wrong; ``seconds`` finds out how long a client waits.
    """
    del tools
    return answer.delivered(
        f"after {seconds:g} s", lambda whole: (Wait(seconds), Send(whole.head() + whole.body))
    )


@_wire(
    clause="RFC 9112 2.2",
    client_must=ClientMust.SUCCEED,
    limits={"octets": Range(1, 1_000_000), "pause": Range(0, 3600)},
)
def drip_fed(answer: HttpAnswer, tools: Tools, *, octets: int = 200, pause: float = 0.01) -> HttpAnswer:
    """The answer comes in small pieces with pauses between them, headers and body alike.

    A narrow link. A client that takes one read for the whole answer sees a part of it.
    """
    del tools

    def delivery(whole: HttpAnswer) -> Iterator[WireStep]:
        stream = whole.head() + whole.body
        for at in range(0, len(stream), octets):
            yield Send(stream[at : at + octets])
            yield Wait(pause)

    return answer.delivered(f"in pieces of {octets} octets", delivery)


@_wire(clause="RFC 9110 5.4", client_must=ClientMust.RETRY, symptom=_TIMEOUT)
def headers_without_end(answer: HttpAnswer, tools: Tools, *, seconds: float = 120.0) -> HttpAnswer:
    """A header line comes every tenth of a second, for two minutes: the headers never end.

    Something is always coming, so that time limits for single reads never strike.
    """
    del tools

    def delivery(whole: HttpAnswer) -> Iterator[WireStep]:
        yield Send(whole.head()[:-2])
        for number in range(int(seconds * 10)):
            yield Wait(0.1)
            yield Send(b"X-Padding-%d: x\r\n" % number)
        yield Close()

    return answer.delivered("headers without an end", delivery)


@_wire(clause="RFC 9110 17.5", client_must=ClientMust.REJECT, limits={"megabytes": Range(1, 1024)})
def body_without_end(answer: HttpAnswer, tools: Tools, *, megabytes: int = 64) -> HttpAnswer:
    """The body is followed by 64 megabytes of zeros, without Content-Length.

    A client that reads until the connection ends runs out of memory where it can: it needs a limit.
    """
    del tools

    def delivery(whole: HttpAnswer) -> Iterator[WireStep]:
        yield Send(whole.head() + whole.body)
        zeros = Send(bytes(_MEGABYTE))
        yield from (zeros for _ in range(megabytes))
        yield Close()

    return answer.with_header("Content-Length", None).delivered(f"{megabytes} MB more", delivery)
