"""Faults of GetCACaps: what is left out, what is promised and not kept, and how it is written down.

The answer is not authenticated (RFC 8894 7.5): whoever sits between can do all of this to a client.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from lab.faults.registry import ClientMust, Range, Seam, Step, fault
from lab.faults.values import Arrival, CapabilitiesAnswer, Close, HttpAnswer, OpenedRequest
from scep_server.ndes import iis
from scep_server.protocol import errors
from scep_server.protocol.algorithms import ContentCipher, DigestAlgorithm
from scep_server.protocol.messages import MessageType

if TYPE_CHECKING:
    from lab.faults.tools import Tools

_NEVER_TEXT: Final = bytes(range(128, 256)) * 4
_SHA_2: Final = frozenset({"SHA-256", "SHA-384", "SHA-512"})
_AES: Final = frozenset({ContentCipher.AES_128_CBC, ContentCipher.AES_192_CBC, ContentCipher.AES_256_CBC})
_capabilities = partial(fault, seam=Seam.CAPABILITIES, takes=CapabilitiesAnswer, step=Step.CAPABILITIES)
_lie = partial(fault, seam=Seam.CAPABILITIES, step=Step.ENROL)


def _without(answer: CapabilitiesAnswer, *words: str) -> CapabilitiesAnswer:
    kept = [word for word in answer.words if word not in words]
    return answer if len(kept) == len(answer.words) else answer.with_words(kept)


def _with_body(answer: CapabilitiesAnswer, body: bytes) -> CapabilitiesAnswer:
    return answer if body == answer.body else replace(answer, body=body)


# -- left out -----------------------------------------------------------------------------


@_capabilities(clause="RFC 8894 3.5.2, 7.5", client_must=ClientMust.MAY)
def aes_not_announced(answer: CapabilitiesAnswer, tools: Tools) -> CapabilitiesAnswer:
    """Neither AES nor SCEPStandard, which stands for it, is announced.

    A server of before 2015, or somebody who wants triple DES to be used. A client falls back to it, or
    refuses: RFC 8894 asks for neither.
    """
    del tools
    return _without(answer, "AES", "SCEPStandard")


@_capabilities(clause="RFC 8894 3.5.2", client_must=ClientMust.SUCCEED)
def des3_not_announced(answer: CapabilitiesAnswer, tools: Tools) -> CapabilitiesAnswer:
    """DES3 is not announced: the server has put triple DES away. AES is there as ever."""
    del tools
    return _without(answer, "DES3")


@_capabilities(clause="RFC 8894 4.1", client_must=ClientMust.SUCCEED)
def post_not_announced(answer: CapabilitiesAnswer, tools: Tools) -> CapabilitiesAnswer:
    """Neither POSTPKIOperation nor SCEPStandard, which stands for it, is announced.

    The client has to send its messages by GET, and so meets every limit for the length of a URL on its
    way.
    """
    del tools
    return _without(answer, "POSTPKIOperation", "SCEPStandard")


@_capabilities(clause="RFC 8894 3.5.2", client_must=ClientMust.SUCCEED)
def renewal_not_announced(answer: CapabilitiesAnswer, tools: Tools) -> CapabilitiesAnswer:
    """Renewal is not announced.

    A client that renews sends a PKCSReq in place of a RenewalReq. macOS says that renewal is not
    supported.
    """
    del tools
    return _without(answer, "Renewal")


@_capabilities(clause="RFC 8894 3.5.2", client_must=ClientMust.SUCCEED)
def sha_1_not_announced(answer: CapabilitiesAnswer, tools: Tools) -> CapabilitiesAnswer:
    """SHA-1 is not announced: the server has put it away. SHA-256 is there as ever."""
    del tools
    return _without(answer, "SHA-1")


@_capabilities(clause="RFC 8894 3.5.2", client_must=ClientMust.SUCCEED)
def sha_256_not_announced(answer: CapabilitiesAnswer, tools: Tools) -> CapabilitiesAnswer:
    """Neither SHA-256 nor SCEPStandard is announced, but SHA-512 is.

    A client that knows no SHA-512 falls back to SHA-1 before a server that is able to do much better.
    """
    del tools
    return _without(answer, "SHA-256", "SCEPStandard") if "SHA-512" in answer.words else answer


@_capabilities(clause="RFC 8894 3.5.2, 7.5", client_must=ClientMust.MAY)
def sha_2_not_announced(answer: CapabilitiesAnswer, tools: Tools) -> CapabilitiesAnswer:
    """SHA-1 is the only digest that is announced.

    An old server, or a downgrade on the way. A client uses SHA-1, or refuses.
    """
    del tools
    return _without(answer, *_SHA_2, "SCEPStandard")


@_capabilities(clause="RFC 8894 3.5.2, 7.5", client_must=ClientMust.MAY)
def no_digest_announced(answer: CapabilitiesAnswer, tools: Tools) -> CapabilitiesAnswer:
    """No digest is announced at all.

    RFC 8894 7.5 has every known server support SHA-1, announced or not. iOS says that the CA does not
    have the required capability.
    """
    del tools
    return _without(answer, *_SHA_2, "SHA-1", "SCEPStandard")


@_capabilities(clause="RFC 8894 3.5.2", client_must=ClientMust.SUCCEED)
def scep_standard_not_announced(answer: CapabilitiesAnswer, tools: Tools) -> CapabilitiesAnswer:
    """SCEPStandard is not announced, and everything that it stands for is.

    Every server from before RFC 8894. The single keywords say the same.
    """
    del tools
    return _without(answer, "SCEPStandard")


@_capabilities(clause="RFC 8894 3.5.2, 2.9", client_must=ClientMust.SUCCEED)
def only_scep_standard(answer: CapabilitiesAnswer, tools: Tools) -> CapabilitiesAnswer:
    """SCEPStandard is all that is announced.

    It stands for AES, SHA-256 and POSTPKIOperation, which need not be announced besides. Clients that have
    never heard of it fall back to the worst they know.
    """
    del tools
    return answer.with_words(["SCEPStandard"])


@_capabilities(clause="RFC 8894 3.5.2, 7.5", client_must=ClientMust.MAY)
def only_sha_1_and_triple_des(answer: CapabilitiesAnswer, tools: Tools) -> CapabilitiesAnswer:
    """SHA-1, DES3 and POSTPKIOperation are all that is announced.

    NDES of 2008 R2, or a downgrade on the way. RFC 8894 7.5 has a client go this far back, and no
    further; a strict one refuses.
    """
    del tools
    return answer.with_words(["POSTPKIOperation", "SHA-1", "DES3"])


@_capabilities(clause="RFC 8894 2.9, 7.5", client_must=ClientMust.MAY)
def only_md5_and_des(answer: CapabilitiesAnswer, tools: Tools) -> CapabilitiesAnswer:
    """MD5 and DES, keywords of old drafts, are all that is announced.

    A client must use neither. It may try SHA-1 and triple DES, which every known server takes.
    """
    del tools
    return answer.with_words(["MD5", "DES"])


@_capabilities(clause="RFC 8894 3.5.2", client_must=ClientMust.MAY)
def empty(answer: CapabilitiesAnswer, tools: Tools) -> CapabilitiesAnswer:
    """The answer is empty: none of the capabilities.

    What a server sends that has none. A client falls back to SHA-1, triple DES and GET, or refuses; jscep
    and sscep fall back to MD5 or single DES, which no server of today takes.
    """
    del tools
    return _with_body(answer, b"")


@_lie(
    takes=HttpAnswer,
    clause="RFC 8894 3.5.2",
    client_must=ClientMust.MAY,
    operations={"GetCACaps"},
)
def not_implemented(answer: HttpAnswer, tools: Tools) -> HttpAnswer:
    """GetCACaps is answered 404: the server has never heard of it.

    To be read as none of the capabilities: SHA-1, triple DES and GET, or no enrolment.
    """
    del tools
    refused = replace(answer, status=404, reason="")
    return refused.with_body(b"unknown operation\n", "text/plain")


@_lie(
    takes=HttpAnswer,
    clause="RFC 8894 3.5.2",
    client_must=ClientMust.MAY,
    operations={"GetCACaps"},
)
def connection_closed(answer: HttpAnswer, tools: Tools) -> HttpAnswer:
    """The connection is closed when GetCACaps is asked for, always.

    The widely deployed server of which RFC 8894 3.5.2 tells. A client goes on without the answer, or
    gives up after a few attempts.
    """
    del tools
    return answer.delivered("closed without an answer", lambda _: (Close(),))


# -- promised and not kept ------------------------------------------------------------------


@_lie(takes=Arrival, clause="RFC 8894 4.1", client_must=ClientMust.MAY, operations={"PKIOperation"})
def post_announced_and_refused(arrival: Arrival, tools: Tools) -> Arrival:
    """POSTPKIOperation is announced, and a POST is refused: 405.

    The server knows POST, and the web server before it does not let it pass. A client may try GET.
    """
    del tools
    if arrival.method != "POST":
        return arrival
    refused = iis.error_reply(iis.METHOD)
    return arrival.answered(
        refused.status, refused.body, refused.content_type, (*refused.headers, ("Allow", "GET"))
    )


@_lie(
    takes=OpenedRequest,
    clause="RFC 8894 3.5.2",
    client_must=ClientMust.MAY,
    step=Step.RENEW,
    operations={"PKIOperation"},
)
def renewal_announced_and_refused(request: OpenedRequest, tools: Tools) -> OpenedRequest:
    """Renewal is announced, and a RenewalReq is refused: badRequest.

    A server whose keywords nobody compared with what it does. A client may renew by PKCSReq. Nothing is
    issued.
    """
    del tools
    if request.message.message.message_type is not MessageType.RENEWAL_REQ:
        return request
    return replace(request, refusal=errors.BadRequest("messageType 17 (RenewalReq) is not supported"))


@_lie(
    takes=OpenedRequest,
    clause="RFC 8894 3.5.2",
    client_must=ClientMust.MAY,
    operations={"PKIOperation"},
)
def aes_announced_and_refused(request: OpenedRequest, tools: Tools) -> OpenedRequest:
    """AES is announced, and a request enciphered with it is refused: badAlg.

    Microsoft's server has announced what it could not do (RFC 8894 3.5.2). A client may try triple DES, or
    tell its user. Nothing is issued, no challenge spent.
    """
    del tools
    if request.message.cipher not in _AES:
        return request
    return replace(request, refusal=errors.BadAlgorithm("AES is not supported"))


@_lie(
    takes=OpenedRequest,
    clause="RFC 8894 3.5.2",
    client_must=ClientMust.MAY,
    operations={"PKIOperation"},
)
def sha_2_announced_and_refused(request: OpenedRequest, tools: Tools) -> OpenedRequest:
    """SHA-2 is announced, and a request signed with it is refused: badAlg.

    A client may try SHA-1, or tell its user. Nothing is issued, no challenge spent.
    """
    del tools
    if request.message.message.digest in (DigestAlgorithm.SHA_1, DigestAlgorithm.MD5):
        return request
    return replace(request, refusal=errors.BadAlgorithm("SHA-2 is not supported"))


@_capabilities(clause="RFC 8894 3.5.2, 4.7", client_must=ClientMust.SUCCEED)
def next_ca_announced_and_missing(answer: CapabilitiesAnswer, tools: Tools) -> CapabilitiesAnswer:
    """GetNextCACert is announced, and there is no next CA certificate: GetNextCACert is answered 404.

    Enrolment goes on; a client that asks is told no, and must not take that for the end of the CA.
    """
    del tools
    announced = "GetNextCACert" in answer.words
    return answer if announced else answer.with_words([*answer.words, "GetNextCACert"])


# -- written down otherwise -----------------------------------------------------------------


@_capabilities(clause="RFC 8894 3.5.2", client_must=ClientMust.SUCCEED)
def no_newline_at_end(answer: CapabilitiesAnswer, tools: Tools) -> CapabilitiesAnswer:
    """The last keyword is not followed by a line end.

    The keywords are separated by line ends; that one follows the last is nowhere said.
    """
    del tools
    return _with_body(answer, answer.body.rstrip(b"\r\n"))


@_capabilities(clause="RFC 8894 3.5.2", client_must=ClientMust.SUCCEED)
def crlf(answer: CapabilitiesAnswer, tools: Tools) -> CapabilitiesAnswer:
    """Lines end in CR LF, as they may. A client that splits at LF keeps a CR at each keyword."""
    del tools
    return _with_body(answer, b"".join(word.encode() + b"\r\n" for word in answer.words))


@_capabilities(clause="RFC 8894 3.5.2", client_must=ClientMust.MAY)
def on_one_line(answer: CapabilitiesAnswer, tools: Tools, *, separator: str = " ") -> CapabilitiesAnswer:
    """All keywords are on one line, separated by spaces, or by what ``separator`` says.

    Somebody has read "a list" and not how it is written. To a client it is one unknown word.
    """
    del tools
    return _with_body(answer, separator.join(answer.words).encode("latin-1", "replace") + b"\n")


@_capabilities(clause="RFC 8894 3.5.2", client_must=ClientMust.SUCCEED)
def blank_lines(answer: CapabilitiesAnswer, tools: Tools) -> CapabilitiesAnswer:
    """There are blank lines before, between and after the keywords.

    An empty line is no keyword. strongSwan takes it for the beginning of every one, and so for all of them.
    """
    del tools
    return _with_body(answer, b"\n" + b"".join(word.encode() + b"\n\n" for word in answer.words))


@_capabilities(clause="RFC 8894 3.5.2", client_must=ClientMust.SUCCEED)
def lower_case(answer: CapabilitiesAnswer, tools: Tools) -> CapabilitiesAnswer:
    """The keywords are in lower case.

    A server must use the case that RFC 8894 uses, and a client should not care.
    """
    del tools
    return _with_body(answer, answer.body.lower())


@_capabilities(clause="RFC 8894 3.5.2", client_must=ClientMust.SUCCEED)
def unknown_words(answer: CapabilitiesAnswer, tools: Tools) -> CapabilitiesAnswer:
    """Among the keywords are some that no client knows, one with a space in it, one very like a known one.

    A client must be able to ignore them: tomorrow's keywords are unknown today.
    """
    del tools
    strange = ["Example.com-Escrow", "SHA-256-but-not-really", "AES GCM", "ECDH", "X" * 200]
    return answer.with_words([*strange[:3], *answer.words, *strange[3:]])


@_capabilities(clause="RFC 8894 3.5.2", client_must=ClientMust.SUCCEED, limits={"words": Range(1, 100_000)})
def ten_thousand_words(
    answer: CapabilitiesAnswer, tools: Tools, *, words: int = 10_000
) -> CapabilitiesAnswer:
    """Ten thousand unknown words come before the known ones.

    A quarter of a megabyte. Nothing limits the list; certmonger refuses what is longer than a kilobyte.
    """
    del tools
    return answer.with_words([*(f"Example.com-Word-{number:05}" for number in range(words)), *answer.words])


@_capabilities(clause="RFC 8894 3.5.2", client_must=ClientMust.SUCCEED)
def content_type_html(
    answer: CapabilitiesAnswer, tools: Tools, *, value: str = "text/html"
) -> CapabilitiesAnswer:
    """Content-Type is text/html, or what ``value`` says; the list is as ever.

    Older servers send all kinds of types, and clients should ignore this one.
    """
    del tools
    return replace(answer, content_type=value)


@_capabilities(clause="RFC 8894 3.5.2", client_must=ClientMust.MAY)
def garbage(answer: CapabilitiesAnswer, tools: Tools) -> CapabilitiesAnswer:
    """The answer is 512 octets that are no text in any encoding clients expect.

    To a client they are unknown words: none of the capabilities. It falls back, or refuses.
    """
    del tools
    return _with_body(answer, _NEVER_TEXT)


@_capabilities(clause="RFC 8894 3.5.2", client_must=ClientMust.MAY)
def html_page(answer: CapabilitiesAnswer, tools: Tools) -> CapabilitiesAnswer:
    """The answer is an HTML page with status 200 that mentions keywords in a sentence.

    An error page that forgot its status. Keywords stand on lines of their own: a client that searches the
    text for them finds what nobody has announced.
    """
    del tools
    words = ", ".join(answer.words)
    page = f"<html><head><title>SCEP</title></head>\n<body><p>Not available: {words}</p></body></html>\n"
    return replace(answer, body=page.encode("latin-1"), content_type="text/html")


@_capabilities(clause="RFC 8894 3.5.2", client_must=ClientMust.SUCCEED)
def byte_order_mark(answer: CapabilitiesAnswer, tools: Tools) -> CapabilitiesAnswer:
    """A UTF-8 byte order mark comes first, so that the first keyword is none.

    The list was edited with Notepad. The first word is unknown, the others are as ever.
    """
    del tools
    return _with_body(answer, b"\xef\xbb\xbf" + answer.body)


@_capabilities(clause="RFC 8894 3.5.2", client_must=ClientMust.MAY)
def utf_16(answer: CapabilitiesAnswer, tools: Tools) -> CapabilitiesAnswer:
    """The list is in UTF-16, as NDES writes its web pages.

    There is a zero octet in every other place: to a client none of it is a keyword.
    """
    del tools
    return _with_body(answer, answer.body.decode("latin-1").encode("utf-16-le"))
