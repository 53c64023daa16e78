"""Faults of what is published, below the level of what it says: nothing comes, late, or something else."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING
from urllib.parse import quote

from crl_publisher.publication import PublishedFile
from lab.faults.published import CHAINING, OFFLINE, with_content
from lab.faults.registry import ClientMust, Range, Seam, Step, fault
from lab.faults.values import Arrival, Close, HttpAnswer, Send, Wait

if TYPE_CHECKING:
    from lab.faults.tools import Tools

_CDP, _AIA, _A1 = "RFC 5280 4.2.1.13", "RFC 5280 4.2.2.1", "RFC 6960 A.1"
_fault = functools.partial(fault, seam=Seam.PUBLICATION, step=Step.VERIFY)
_NOT_FOUND = b"<html><head><title>404 - File or directory not found.</title></head></html>\r\n"
_FAILED = b"<html><head><title>500 - Internal server error.</title></head></html>\r\n"
_PORTAL = (
    b"<!DOCTYPE html>\r\n<html><head><title>Sign in to the network</title></head>"
    b"<body><form action='/login'><input name='user'></form></body></html>\r\n"
)


# -- nothing is there ----------------------------------------------------------------------


@_fault(
    takes=Arrival,
    clause=_CDP,
    client_must=ClientMust.RETRY,
    operations={"CRL"},
    symptom=OFFLINE,
)
def crl_not_found(arrival: Arrival, tools: Tools) -> Arrival:
    """The place of the CRL answers 404.

    The file was never copied there, or is called otherwise than the certificate says: a plus sign or a
    space in its name is a frequent reason. A client that knows no other source has no revocation status.
    """
    del tools
    return arrival.answered(404, _NOT_FOUND)


@_fault(
    takes=Arrival,
    clause="RFC 5280 5.2.6",
    client_must=ClientMust.MAY,
    operations={"DeltaCRL"},
)
def delta_crl_not_found(arrival: Arrival, tools: Tools) -> Arrival:
    """The place of the delta CRL answers 404, as IIS does unless double escaping is allowed.

    Its request filter refuses the plus sign in the name by default. A client that uses delta CRLs falls
    back on the base CRL, or has no status.
    """
    del tools
    return arrival.answered(404, _NOT_FOUND)


@_fault(
    takes=Arrival,
    clause=_AIA,
    client_must=ClientMust.RETRY,
    operations={"AIA"},
    symptom=CHAINING,
)
def aia_not_found(arrival: Arrival, tools: Tools) -> Arrival:
    """The place of the CA's certificate answers 404.

    Who has the issuing CA's certificate from elsewhere does not notice; others build no chain.
    """
    del tools
    return arrival.answered(404, _NOT_FOUND)


@_fault(
    takes=Arrival,
    clause=_A1,
    client_must=ClientMust.RETRY,
    operations={"OCSP"},
)
def ocsp_not_found(arrival: Arrival, tools: Tools) -> Arrival:
    """The place of the OCSP responder answers 404.

    Its web application is not installed, or under another path. Clients go by the CRL, if they may.
    """
    del tools
    return arrival.answered(404, _NOT_FOUND)


@_fault(
    takes=Arrival,
    clause=_CDP,
    client_must=ClientMust.RETRY,
    operations={"CRL"},
    symptom=OFFLINE,
    limits={"status": Range(400, 599)},
)
def crl_server_error(arrival: Arrival, tools: Tools, *, status: int = 500) -> Arrival:
    """The place of the CRL answers 500, or another status.

    The share behind the web server is gone, or its account may not read it.
    """
    del tools
    return arrival.answered(status, _FAILED)


@_fault(
    takes=Arrival,
    clause=_A1,
    client_must=ClientMust.RETRY,
    operations={"OCSP"},
    limits={"status": Range(400, 599)},
)
def ocsp_server_error(arrival: Arrival, tools: Tools, *, status: int = 503) -> Arrival:
    """The OCSP responder answers 503, or another status.

    Its application pool is stopped. That is no OCSP response, and says nothing about any certificate.
    """
    del tools
    return arrival.answered(status, _FAILED)


@_fault(
    takes=Arrival,
    clause=_CDP,
    client_must=ClientMust.MAY,
    operations={"CRL"},
)
def crl_redirected(arrival: Arrival, tools: Tools) -> Arrival:
    """The place of the CRL sends clients on to another URL (302), where the good CRL is.

    A web server that forces a host name or moves a folder does that. RFC 5280 says nothing of redirection.
    """
    return _sent_on(arrival, f"{tools.lab.pki.public_url}{quote(arrival.path)}")


@_fault(
    takes=Arrival,
    clause="RFC 5280 8",
    client_must=ClientMust.REJECT,
    operations={"CRL"},
    symptom=OFFLINE,
)
def crl_redirected_to_itself(arrival: Arrival, tools: Tools) -> Arrival:
    """The place of the CRL redirects to itself, for ever.

    Whoever follows redirections must stop: section 8 warns of fetching without end.
    """
    own = tools.circumstances.pinned
    prefix = "" if own is None else own.prefix
    return _sent_on(arrival, f"{tools.lab.pki.public_url}{prefix}{quote(arrival.path)}")


def _sent_on(arrival: Arrival, url: str) -> Arrival:
    return arrival.answered(302, b"", headers=(("Location", url),))


# -- late ----------------------------------------------------------------------------------


def _late(answer: HttpAnswer, seconds: float) -> HttpAnswer:
    return answer.delivered(
        f"after {seconds:g} seconds",
        lambda whole: (Wait(seconds), Send(whole.head() + whole.body), Close()),
    )


@_fault(
    takes=HttpAnswer,
    clause=_CDP,
    client_must=ClientMust.RETRY,
    operations={"CRL"},
    symptom=OFFLINE,
)
def crl_slow(answer: HttpAnswer, tools: Tools, *, seconds: float = 20.0) -> HttpAnswer:
    """The CRL comes after twenty seconds: later than Windows waits for it (15 seconds).

    Nothing is sent before. Clients that wait for ever stand still as long; all others have no CRL.
    """
    del tools
    return _late(answer, seconds)


@_fault(
    takes=HttpAnswer,
    clause="RFC 5280 5.2.6",
    client_must=ClientMust.MAY,
    operations={"DeltaCRL"},
)
def delta_crl_slow(answer: HttpAnswer, tools: Tools, *, seconds: float = 20.0) -> HttpAnswer:
    """The delta CRL comes after twenty seconds: later than Windows waits for it (15 seconds).

    The base CRL came at once, and holds without it.
    """
    del tools
    return _late(answer, seconds)


@_fault(
    takes=HttpAnswer,
    clause=_AIA,
    client_must=ClientMust.RETRY,
    operations={"AIA"},
    symptom=CHAINING,
)
def aia_slow(answer: HttpAnswer, tools: Tools, *, seconds: float = 20.0) -> HttpAnswer:
    """The CA's certificate comes after twenty seconds: later than Windows waits for it (15 seconds)."""
    del tools
    return _late(answer, seconds)


@_fault(
    takes=HttpAnswer,
    clause=_A1,
    client_must=ClientMust.RETRY,
    operations={"OCSP"},
)
def ocsp_slow(answer: HttpAnswer, tools: Tools, *, seconds: float = 20.0) -> HttpAnswer:
    """The OCSP response comes after twenty seconds: later than Windows waits for it (15 seconds)."""
    del tools
    return _late(answer, seconds)


# -- something else ------------------------------------------------------------------------


@_fault(
    takes=PublishedFile,
    clause=_CDP,
    client_must=ClientMust.REJECT,
    operations={"CRL"},
    symptom=OFFLINE,
)
def crl_html(file: PublishedFile, tools: Tools) -> PublishedFile:
    """In place of the CRL comes a web page, with status 200.

    Captive portals and proxies answer so whatever they are asked for.
    """
    del tools
    return with_content(file, _PORTAL, "text/html")


@_fault(
    takes=PublishedFile,
    clause="RFC 5280 5.2.6",
    client_must=ClientMust.MAY,
    operations={"DeltaCRL"},
)
def delta_crl_html(file: PublishedFile, tools: Tools) -> PublishedFile:
    """In place of the delta CRL comes a web page, with status 200."""
    del tools
    return with_content(file, _PORTAL, "text/html")


@_fault(
    takes=PublishedFile,
    clause=_AIA,
    client_must=ClientMust.REJECT,
    operations={"AIA"},
    symptom=CHAINING,
)
def aia_html(file: PublishedFile, tools: Tools) -> PublishedFile:
    """In place of the CA's certificate comes a web page, with status 200.

    Captive portals and proxies answer so whatever they are asked for.
    """
    del tools
    return with_content(file, _PORTAL, "text/html")


@_fault(
    takes=Arrival,
    clause=_A1,
    client_must=ClientMust.REJECT,
    operations={"OCSP"},
)
def ocsp_html(arrival: Arrival, tools: Tools) -> Arrival:
    """In place of an OCSP response comes a web page, with status 200.

    Captive portals and proxies answer so whatever they are asked for.
    """
    del tools
    return arrival.answered(200, _PORTAL)


@_fault(
    takes=PublishedFile,
    clause=_CDP,
    client_must=ClientMust.REJECT,
    operations={"CRL"},
    symptom=OFFLINE,
)
def crl_empty(file: PublishedFile, tools: Tools) -> PublishedFile:
    """The CRL is a file of no octets, with status 200 and the right type.

    A copy that ran out of disk leaves such a file. Nothing revoked is something else: a CRL without
    entries is still a signed CRL.
    """
    del tools
    return with_content(file, b"")


@_fault(
    takes=PublishedFile,
    clause=_AIA,
    client_must=ClientMust.REJECT,
    operations={"AIA"},
    symptom=CHAINING,
)
def aia_empty(file: PublishedFile, tools: Tools) -> PublishedFile:
    """The CA's certificate is a file of no octets, with status 200 and the right type."""
    del tools
    return with_content(file, b"")


@_fault(
    takes=Arrival,
    clause="RFC 6960 4.2.1",
    client_must=ClientMust.REJECT,
    operations={"OCSP"},
)
def ocsp_empty(arrival: Arrival, tools: Tools) -> Arrival:
    """The OCSP response has no octets, with status 200 and the right type."""
    del tools
    return arrival.answered(200, b"", "application/ocsp-response")


@_fault(
    takes=PublishedFile,
    clause="RFC 2585 4.2",
    client_must=ClientMust.SUCCEED,
    operations={"CRL"},
)
def crl_media_type(file: PublishedFile, tools: Tools) -> PublishedFile:
    """The CRL comes as text/plain, not as application/pkix-crl.

    Web servers that know no type for .crl say so. The octets are those of the CRL, and its signature proves
    it.
    """
    del tools
    return with_content(file, file.content, "text/plain")


@_fault(
    takes=PublishedFile,
    clause=_CDP,
    client_must=ClientMust.RETRY,
    operations={"CRL"},
    symptom=OFFLINE,
)
def crl_unreadable(file: PublishedFile, tools: Tools) -> PublishedFile:
    """The publisher cannot read the CRL from its disk, and says so with 503.

    This is the lab's own publisher at a loss, not a web page in its place: folder gone, permission lost.
    """
    del tools
    raise PermissionError(13, "Permission denied", file.name)
