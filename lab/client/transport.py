"""SCEP over HTTP (RFC 8894 4.1): one operation, one answer.

Lives here: URLs, methods, Base64, HTTP status. Redirects are not followed: the URL is configured,
and whoever redirects it is reported. Does not live here: what is in the messages.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import quote, urlsplit, urlunsplit

from lab.http_exchange import DEFAULT_LIMITS, HttpFailure, HttpLimits, HttpReply, http_exchange

from .errors import HttpRefused, InvalidOrder, Unreachable

if TYPE_CHECKING:
    import ssl
    from datetime import datetime

DEFAULT_PATH: Final = "/cgi-bin/pkiclient.exe"
PKI_MESSAGE: Final = "application/x-pki-message"
_YEAR_SECONDS: Final = 365 * 24 * 60 * 60


class Transport(Protocol):
    """Carries one SCEP operation to a server."""

    def query(self, operation: str, message: str | None = None) -> HttpReply:
        """Ask for GetCACaps, GetCACert or GetNextCACert by GET; the answer may have any HTTP status."""

    def send(self, pki_message: bytes, *, post: bool) -> HttpReply:
        """Send a PKIOperation and return the answer, whose status is 200."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTransport:
    """SCEP over HTTP or HTTPS. An URL without a path gets SCEP's default path (RFC 8894 4.1)."""

    url: str
    limits: HttpLimits = DEFAULT_LIMITS
    user_agent: str = "ndes-lab"
    tls: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
        except ValueError as error:
            raise InvalidOrder(f"{self.url!r} is no URL: {error}", 0x80072EE6) from error
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise InvalidOrder(f"{self.url!r} is no http or https URL (RFC 8894 4.1)", 0x80072EE6)
        if parts.fragment or parts.username is not None:
            raise InvalidOrder(f"{self.url!r} has a fragment or credentials, which SCEP does not know")
        if parts.path in {"", "/"}:
            object.__setattr__(self, "url", urlunsplit(parts._replace(path=DEFAULT_PATH)))

    def query(self, operation: str, message: str | None = None) -> HttpReply:
        """Ask by GET; raises Unreachable."""
        return self._exchange("GET", self._target(operation, message))

    def send(self, pki_message: bytes, *, post: bool) -> HttpReply:
        """Send a PKIOperation by POST or by GET; raises Unreachable, HttpRefused."""
        if post:
            headers = {"Content-Type": PKI_MESSAGE}
            reply = self._exchange("POST", self._target("PKIOperation"), pki_message, headers)
        else:
            encoded = base64.b64encode(pki_message).decode()
            reply = self._exchange("GET", self._target("PKIOperation", encoded))
        return expect_ok(reply, "PKIOperation")

    def _target(self, operation: str, message: str | None = None) -> str:
        parts = urlsplit(self.url)
        query = f"{parts.query}&" if parts.query else ""
        query += f"operation={operation}"
        if message is not None:
            query += f"&message={quote(message, safe='')}"
        return urlunsplit(parts._replace(query=query))

    def _exchange(
        self, method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> HttpReply:
        try:
            return http_exchange(
                method,
                url,
                body=body,
                headers={"User-Agent": self.user_agent, **(headers or {})},
                limits=self.limits,
                tls=self.tls,
            )
        except HttpFailure as error:
            raise Unreachable(_without_query(str(error)), error.hresult.code) from error


def expect_ok(reply: HttpReply, operation: str) -> HttpReply:
    """Return ``reply`` if its status is 200; raises HttpRefused with the server's short reason."""
    if reply.ok:
        return reply
    reason = ""
    if reply.media_type == "text/plain" and reply.body:
        text = reply.body[:300].decode("utf-8", "replace").strip()
        reason = ": " + "".join(char if char.isprintable() else " " for char in text)
    raise HttpRefused(
        f"{operation}: {reply.describe()}{reason}; expected HTTP 200 (RFC 8894 4.1)",
        status=reply.status,
        code=reply.hresult.code,
        retry_after=reply.header("Retry-After"),
    )


def retry_after(text: str | None, now: datetime) -> timedelta:
    """Return how long a server wants to be left alone: seconds or a date (RFC 9110 10.2.3), else nothing."""
    if text is None:
        return timedelta(0)
    if text.isascii() and text.isdigit():
        return timedelta(seconds=min(int(text[:9]), _YEAR_SECONDS))
    try:
        date = parsedate_to_datetime(text)
        return max(date.replace(tzinfo=date.tzinfo or UTC) - now, timedelta(0))
    except (ValueError, OverflowError):
        return timedelta(0)


def _without_query(text: str) -> str:
    """Cut the message parameter out of an error text: it is long and says nothing."""
    head, mark, tail = text.partition("&message=")
    return head + mark.replace("=", "=...") + (" " + tail.partition(" ")[2] if mark else "")
