"""Faults of HTTP that something in front of the SCEP service answers: IIS, HTTP.sys, a proxy, a portal.

The service sees none of these requests, so that no challenge is spent and nothing issued, unless a fault says
otherwise.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from lab.faults.registry import ClientMust, Range, Seam, Step, fault
from lab.faults.values import Arrival, HttpAnswer, Reset
from scep_server.ndes import iis

if TYPE_CHECKING:
    from lab.faults.tools import Tools
    from scep_server.exchange import HttpReply

_IIS: Final = ("Server", "Microsoft-IIS/10.0")
_before = partial(fault, seam=Seam.WIRE, takes=Arrival, step=Step.CAPABILITIES)
_LOGIN_PAGE: Final = b"""<!DOCTYPE html>
<html><head><title>Sign in</title></head>
<body><h1>Welcome to the guest network</h1>
<form method="post" action="/login"><input name="user"><input name="password" type="password">
<button>Sign in</button></form></body></html>
"""


def _refused(arrival: Arrival, reply: HttpReply, *headers: tuple[str, str]) -> Arrival:
    """Return the arrival with a page of IIS's or HTTP.sys's."""
    named = () if any(name == "Server" for name, _ in reply.headers) else (_IIS,)
    return arrival.answered(reply.status, reply.body, reply.content_type, (*named, *reply.headers, *headers))


def _proxy_page(status: HTTPStatus) -> bytes:
    """Return the page that nginx has for a status."""
    title = f"{status.value} {status.phrase}"
    return (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
        "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    ).encode()


# -- refused ------------------------------------------------------------------------------


@_before(
    clause="RFC 9110 15.5.2",
    client_must=ClientMust.REJECT,
    symptom="0x80190191 Unauthorized (401). (windows-client.md 1.3)",
)
def unauthorized(arrival: Arrival, tools: Tools, *, schemes: str = "Negotiate, NTLM") -> Arrival:
    """IIS wants a Windows account: 401.2 with WWW-Authenticate.

    Windows authentication was switched on for the SCEP path, or a proxy authenticates first. Devices have
    no account: SCEP's authentication is in the message. ``schemes`` are separated by commas.
    """
    del tools
    offers = [("WWW-Authenticate", scheme.strip()) for scheme in schemes.split(",")]
    return _refused(arrival, iis.error_reply(iis.NO_CREDENTIALS), *offers)


@_before(
    clause="RFC 9110 15.5.4",
    client_must=ClientMust.REJECT,
    symptom="0x80190193 Forbidden (403). (windows-client.md 1.3)",
    limits={"substatus": Range(0, 999)},
)
def forbidden(arrival: Arrival, tools: Tools, *, substatus: int = 0) -> Arrival:
    """IIS, or what guards it, refuses: 403.

    A web application firewall, or "Require SSL" on a site that is asked in plain HTTP (substatus 4). To a
    browser 403.0 is the healthy sign of an NDES with Intune's policy module; to a device it is none.
    """
    del tools
    return _refused(arrival, iis.error_reply(replace(iis.FORBIDDEN, substatus=substatus)))


@_before(
    clause="RFC 9110 15.5.5",
    client_must=ClientMust.REJECT,
    symptom="Events 32 and 307 with LogError 0x80190194, Not found (404). (windows-client.md 1.1, 1.3)",
)
def not_found(arrival: Arrival, tools: Tools) -> Arrival:
    """IIS knows no such path: 404.0.

    The URL is mistyped, or the server knows no /pkiclient.exe, which Windows appends to whatever URL it is
    given.
    """
    del tools
    return _refused(arrival, iis.error_reply(iis.NOT_FOUND))


@_before(
    clause="RFC 8894 4.1",
    client_must=ClientMust.REJECT,
    step=Step.ENROL,
    operations={"PKIOperation"},
    limits={"longest": Range(0, 1_000_000)},
)
def query_too_long(arrival: Arrival, tools: Tools, *, longest: int = 2048) -> Arrival:
    """IIS's request filtering refuses a PKIOperation by GET for its long query: 404.15.

    maxQueryString is 2048 unless it is raised, and a message in Base64 is longer. Enrolment by POST goes
    on, which is why some devices enrol and others do not.
    """
    del tools
    if arrival.method != "GET" or len(arrival.query) <= longest:
        return arrival
    return _refused(arrival, iis.error_reply(iis.QUERY_TOO_LONG))


@_before(
    clause="RFC 9110 15.5.14",
    client_must=ClientMust.REJECT,
    step=Step.ENROL,
    operations={"PKIOperation"},
)
def body_too_long(arrival: Arrival, tools: Tools) -> Arrival:
    """A PKIOperation by POST is refused as too long: 413.1.

    maxAllowedContentLength was set to a number meant for web forms, or a proxy has such a limit.
    """
    del tools
    return _refused(arrival, iis.error_reply(iis.BODY_TOO_LONG)) if arrival.method == "POST" else arrival


@_before(
    clause="RFC 9110 15.6.1",
    client_must=ClientMust.REJECT,
    symptom="0x801901F4 Internal server error (500). (windows-client.md 1.3)",
)
def internal_server_error(arrival: Arrival, tools: Tools) -> Arrival:
    """IIS answers 500.0 to everything.

    What NDES does while its RA certificates have expired, its service account is locked, or IIS_IUSRS may
    not impersonate. It lasts until somebody mends it.
    """
    del tools
    return _refused(arrival, iis.error_reply(iis.INTERNAL))


# -- not now ------------------------------------------------------------------------------


@_before(clause="RFC 6585 4", client_must=ClientMust.RETRY)
def too_many_requests(arrival: Arrival, tools: Tools, *, seconds: int = 5) -> Arrival:
    """A proxy limits the rate: 429 with Retry-After.

    A thousand devices behind one address enrol after a roll-out. Nothing was done: the same message may
    be sent again after ``seconds``.
    """
    del tools
    status = HTTPStatus.TOO_MANY_REQUESTS
    return arrival.answered(status.value, _proxy_page(status), headers=(("Retry-After", str(seconds)),))


@_before(
    clause="RFC 9110 15.6.3",
    client_must=ClientMust.RETRY,
    symptom="0x801901F6 BAD_GATEWAY (502) (windows-client.md 1.3)",
)
def bad_gateway(arrival: Arrival, tools: Tools) -> Arrival:
    """A proxy cannot reach the SCEP server: 502 with the proxy's page.

    The server behind it restarts. Nothing has reached it.
    """
    del tools
    return arrival.answered(HTTPStatus.BAD_GATEWAY.value, _proxy_page(HTTPStatus.BAD_GATEWAY))


@_before(
    clause="RFC 9110 15.6.4",
    client_must=ClientMust.RETRY,
    symptom="0x801901F7 SERVICE_UNAVAIL (503) (windows-client.md 1.3)",
)
def application_pool_stopped(arrival: Arrival, tools: Tools) -> Arrival:
    """HTTP.sys answers for a stopped application pool: 503, without Retry-After.

    The pool SCEP crashed five times in five minutes, or its account may no longer log on. It
    may be back soon, and it may not.
    """
    del tools
    return _refused(arrival, iis.pool_stopped())


@_before(clause="RFC 9110 10.2.3", client_must=ClientMust.RETRY)
def overloaded(arrival: Arrival, tools: Tools, *, seconds: int = 2, as_date: bool = False) -> Arrival:
    """The server has too much to do and says when to come back: 503 with Retry-After.

    ``as_date`` says it as a date, by the lab's clock, in place of seconds. A client that comes back sooner
    makes it worse.
    """
    after = str(seconds)
    if as_date:
        after = format_datetime(tools.lab.clock.now() + timedelta(seconds=seconds), usegmt=True)
    status = HTTPStatus.SERVICE_UNAVAILABLE
    return arrival.answered(status.value, _proxy_page(status), headers=(("Retry-After", after),))


@fault(
    seam=Seam.WIRE,
    takes=HttpAnswer,
    clause="RFC 9110 15.6.5",
    client_must=ClientMust.RETRY,
    symptom="0x801901F8 GATEWAY_TIMEOUT (504) (windows-client.md 1.3)",
)
def gateway_timeout(answer: HttpAnswer, tools: Tools) -> HttpAnswer:
    """A proxy has not waited for the server's answer: 504, though the server has done its work.

    The challenge is spent and the certificate issued: who sends the same message again gets it. Entra's
    application proxy says 504 as well while its connector is stopped.
    """
    del tools
    status = HTTPStatus.GATEWAY_TIMEOUT
    page = HttpAnswer(status=status.value, headers=(), body=b"")
    return page.with_body(_proxy_page(status), "text/html")


@_before(clause="RFC 9110 9.2.2", client_must=ClientMust.RETRY)
def reset_on_arrival(arrival: Arrival, tools: Tools) -> Arrival:
    """The connection is reset as soon as the request is there, before anything is done.

    A balancer sends to a server that has just gone. A client cannot tell it from a lost answer, and need
    not: it sends the same message again.
    """
    del tools
    nothing = HttpAnswer(status=HTTPStatus.BAD_GATEWAY.value, headers=(), body=b"")
    return replace(arrival, answer=nothing.delivered("reset before any answer", lambda _: (Reset(),)))


# -- elsewhere ----------------------------------------------------------------------------


@_before(clause="RFC 9110 15.4", client_must=ClientMust.MAY)
def redirect(arrival: Arrival, tools: Tools, *, keep_method: bool = False) -> Arrival:
    """The request is redirected to where SCEP is served: 302, or 307 where ``keep_method``.

    Somebody has moved NDES. Most clients that follow 302 turn a POST into a GET and lose the message;
    307 keeps it. Nothing obliges a SCEP client to follow.
    """
    del tools
    return _to(arrival, _target(arrival), HTTPStatus.TEMPORARY_REDIRECT if keep_method else HTTPStatus.FOUND)


@_before(clause="RFC 9110 15.4", client_must=ClientMust.REJECT)
def redirect_loop(arrival: Arrival, tools: Tools) -> Arrival:
    """The request is redirected to where it came to: 302, for ever.

    http is redirected to https in front of a server that sees http. A client that follows must notice.
    """
    pinned = tools.circumstances.pinned
    return _to(arrival, ("" if pinned is None else pinned.prefix) + _target(arrival), HTTPStatus.FOUND)


@_before(clause="RFC 8894 4.2.1", client_must=ClientMust.REJECT)
def login_page(arrival: Arrival, tools: Tools) -> Arrival:
    """A captive portal answers everything with its login page: 200, text/html.

    The status says that all is well. GetCACaps in it has no keyword, and no certificate or pkiMessage is
    in it either.
    """
    del tools
    return arrival.answered(HTTPStatus.OK.value, _LOGIN_PAGE, "text/html; charset=utf-8")


def _target(arrival: Arrival) -> str:
    return arrival.path + (f"?{arrival.query}" if arrival.query else "")


def _to(arrival: Arrival, location: str, status: HTTPStatus) -> Arrival:
    return arrival.answered(status.value, _proxy_page(status), headers=(("Location", location),))
