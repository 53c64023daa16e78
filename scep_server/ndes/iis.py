"""How IIS and HTTP.sys refuse: status, substatus and the shape of their error pages.

Status and substatus are documented by Microsoft and are what administrators search for; the markup of
the pages is ours, in IIS's manner, and the wording *unconfirmed* on a live NDES. Win32 codes are those
that IIS writes beside the substatus.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from scep_server.exchange import HttpReply

if TYPE_CHECKING:
    from scep_server.exchange import HttpExchangeRequest

    from .settings import IisLimits

NO_STORE: Final = ("Cache-Control", "no-store")
HTTP_SYS: Final = ("Server", "Microsoft-HTTPAPI/2.0")
_CLOSE: Final = ("Connection", "close")

ERROR_ACCESS_DENIED: Final = 5
ERROR_LOGON_FAILURE: Final = 1326
ERROR_BAD_IMPERSONATION_LEVEL: Final = 1346
SEC_E_NO_CREDENTIALS: Final = 0x8009030E  # what IIS logs for the first half of an NTLM handshake


@dataclass(frozen=True, slots=True, kw_only=True)
class IisError:
    """One way in which IIS refuses."""

    status: int
    substatus: int
    reason: str
    text: str
    win32_status: int = 0


NO_CREDENTIALS: Final = IisError(
    status=401,
    substatus=2,
    reason="Unauthorized",
    text="You are not authorized to view this page due to invalid authentication headers.",
    win32_status=ERROR_ACCESS_DENIED,
)
HANDSHAKE: Final = IisError(
    status=401,
    substatus=1,
    reason="Unauthorized",
    text="You do not have permission to view this directory or page using the credentials that you supplied.",
    win32_status=SEC_E_NO_CREDENTIALS,
)
BAD_CREDENTIALS: Final = IisError(
    status=401,
    substatus=1,
    reason="Unauthorized",
    text="You do not have permission to view this directory or page using the credentials that you supplied.",
    win32_status=ERROR_LOGON_FAILURE,
)
FORBIDDEN: Final = IisError(
    status=403,
    substatus=0,
    reason="Forbidden",
    text="You do not have permission to view this directory or page.",
    win32_status=ERROR_ACCESS_DENIED,
)
ADDRESS_REJECTED: Final = IisError(
    status=403,
    substatus=6,
    reason="Forbidden",
    text="The IP address from which you are browsing is not permitted to access the requested Web site.",
    win32_status=ERROR_ACCESS_DENIED,
)
NOT_FOUND: Final = IisError(
    status=404,
    substatus=0,
    reason="Not Found",
    text="The resource you are looking for has been removed, had its name changed, or is temporarily "
    "unavailable.",
    win32_status=2,
)
URL_TOO_LONG: Final = IisError(
    status=404,
    substatus=14,
    reason="Not Found",
    text="The request filtering module is configured to deny a request in which the URL is too long.",
)
QUERY_TOO_LONG: Final = IisError(
    status=404,
    substatus=15,
    reason="Not Found",
    text="The request filtering module is configured to deny a request where the query string is too long.",
)
METHOD: Final = IisError(
    status=405,
    substatus=0,
    reason="Method Not Allowed",
    text="The page you are looking for cannot be displayed because an invalid method (HTTP verb) is being "
    "used.",
)
BODY_TOO_LONG: Final = IisError(
    status=413,
    substatus=1,
    reason="Request Entity Too Large",
    text="The request filtering module is configured to deny a request that exceeds the request content "
    "length.",
)
INTERNAL: Final = IisError(
    status=500,
    substatus=0,
    reason="Internal Server Error",
    text="The page cannot be displayed because an internal server error has occurred.",
)
IMPERSONATION: Final = IisError(
    status=500,
    substatus=0,
    reason="Internal Server Error",
    text="The page cannot be displayed because an internal server error has occurred.",
    win32_status=ERROR_BAD_IMPERSONATION_LEVEL,
)

_BY_STATUS: Final = {404: NOT_FOUND, 405: METHOD, 413: BODY_TOO_LONG, 500: INTERNAL}


def error_reply(error: IisError, *headers: tuple[str, str], user: str = "") -> HttpReply:
    """Return IIS's page for a refusal, as a browser on the server itself sees it, substatus included."""
    number = f"{error.status}.{error.substatus}"
    title = f"HTTP Error {number} - {error.reason}"
    body = (
        '<!DOCTYPE html>\n<html><head><meta http-equiv="Content-Type" content="text/html; charset=utf-8">'
        f"<title>{title}</title></head>\n<body><h2>{title}</h2>\n<p>{html.escape(error.text)}</p></body></html>\n"
    )
    return HttpReply(
        status=error.status,
        content_type="text/html; charset=utf-8",
        body=body.encode(),
        headers=(NO_STORE, *headers),
        substatus=error.substatus,
        win32_status=error.win32_status,
        user=user,
    )


def http_sys_reply(status: int, title: str, text: str) -> HttpReply:
    """Return the page of HTTP.sys, which refuses before IIS sees the request; IIS logs nothing then."""
    body = (
        '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN""http://www.w3.org/TR/html4/strict.dtd">\r\n'
        f"<HTML><HEAD><TITLE>{title}</TITLE>\r\n"
        '<META HTTP-EQUIV="Content-Type" Content="text/html; charset=us-ascii"></HEAD>\r\n'
        f"<BODY><h2>{title}</h2>\r\n<hr><p>HTTP Error {status}. {text}</p>\r\n</BODY></HTML>\r\n"
    )
    return HttpReply(
        status=status,
        content_type="text/html; charset=us-ascii",
        body=body.encode("ascii"),
        headers=(HTTP_SYS, _CLOSE),
        kernel=True,
    )


def pool_stopped() -> HttpReply:
    """Return HTTP.sys's answer while the application pool is stopped."""
    return http_sys_reply(503, "Service Unavailable", "The service is unavailable.")


def refused_by_http_sys(request: HttpExchangeRequest, limits: IisLimits) -> HttpReply | None:
    """Return HTTP.sys's refusal of a request that is too long for it."""
    target = _target_octets(request)
    longest, everything = limits.max_field_length, limits.max_request_bytes
    if longest and target > longest:
        return http_sys_reply(414, "Request URL Too Long", "The request URL is too long.")
    whole = len(request.method) + target + len(request.protocol) + 4 + request.header_octets
    if (longest and request.longest_field_octets > longest) or (everything and whole > everything):
        return http_sys_reply(
            400, "Bad Request - Request Too Long", "The size of the request headers is too long."
        )
    return None


def refused_by_filter(request: HttpExchangeRequest, limits: IisLimits) -> IisError | None:
    """Return the refusal of IIS's request filtering, in its order."""
    length = max(request.declared_length or 0, len(request.body))
    if limits.max_allowed_content_length and length > limits.max_allowed_content_length:
        return BODY_TOO_LONG
    if limits.max_url and len(request.path) > limits.max_url:
        return URL_TOO_LONG
    if limits.max_query_string and len(request.query) > limits.max_query_string:
        return QUERY_TOO_LONG
    return None


def in_iis_manner(reply: HttpReply) -> HttpReply:
    """Return a refusal in plain words as the page IIS has for its status; other replies as they are."""
    error = _BY_STATUS.get(reply.status)
    if error is None or reply.content_type != "text/plain":
        return reply
    kept = tuple(header for header in reply.headers if header != NO_STORE)
    return error_reply(error, *kept, user=reply.user)


def _target_octets(request: HttpExchangeRequest) -> int:
    return len(request.path) + (len(request.query) + 1 if request.query else 0)
