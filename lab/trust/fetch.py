"""Fetching what certificates point at: AIA, CDP, OCSP.

Each URL is asked once per fetcher, so that a chain whose certificates share a CDP sees one answer.
A failed retrieval is a value, not an exception: the verdict lists it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit, urlunsplit

from lab.hresults import HResult, hresult
from lab.http_exchange import HttpFailure, HttpLimits, http_exchange

if TYPE_CHECKING:
    import ssl


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What came of asking one URL: ``octets``, or ``error`` with a ``detail`` for people."""

    url: str
    octets: bytes | None = field(default=None, repr=False)
    elapsed: timedelta = timedelta()
    error: HResult | None = None
    detail: str = ""


class UrlFetcher(Protocol):
    """Gets the octets behind a URL."""

    def fetch(self, url: str) -> Fetched:
        """Return what came of asking ``url``; raises nothing."""

    def post(self, url: str, body: bytes, media_type: str) -> Fetched:
        """Return what came of sending ``body`` to ``url``; raises nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """One line of certutil's AIA and CDP sections.

    ``outcome`` is certutil's word (Verified, Failed, Expired, Wrong Issuer, ...), ``what`` what it is
    said of, such as ``Base CRL (04)``.
    """

    outcome: str
    what: str
    url: str
    elapsed: timedelta
    sha1: str | None = None
    error: HResult | None = None
    detail: str = ""


class HttpUrlFetcher:
    """Fetches over HTTP. Windows gives each retrieval 15 seconds (CryptRetrieveObjectByUrl).

    ``user_agent`` is the name it goes by; None: it gives none.
    """

    def __init__(
        self,
        *,
        limits: HttpLimits = HttpLimits(timeout=timedelta(seconds=15), size=256 * 1024 * 1024),  # noqa: B008
        tls: ssl.SSLContext | None = None,
        user_agent: str | None = None,
    ) -> None:
        self._limits = limits
        self._tls = tls
        self._name = {} if user_agent is None else {"User-Agent": user_agent}
        self._known: dict[tuple[str, bytes | None], Fetched] = {}

    def fetch(self, url: str) -> Fetched:
        """Return what came of asking ``url``, the first time it was asked."""
        return self._once(url, None, "")

    def post(self, url: str, body: bytes, media_type: str) -> Fetched:
        """Return what came of sending ``body`` to ``url``, the first time it was sent."""
        return self._once(url, body, media_type)

    def _once(self, url: str, body: bytes | None, media_type: str) -> Fetched:
        if (url, body) not in self._known:
            self._known[url, body] = self._ask(url, body, media_type)
        return self._known[url, body]

    def _ask(self, url: str, body: bytes | None, media_type: str) -> Fetched:
        method, more = ("GET", {}) if body is None else ("POST", {"Content-Type": media_type})
        headers = {**self._name, **more}
        try:
            reply = http_exchange(method, url, body=body, headers=headers, limits=self._limits, tls=self._tls)
        except HttpFailure as error:
            return Fetched(url=url, error=error.hresult, detail=str(error))
        if not reply.ok:
            return Fetched(url=url, elapsed=reply.elapsed, error=reply.hresult, detail=reply.describe())
        if not reply.body:
            return Fetched(
                url=url, elapsed=reply.elapsed, error=hresult(0x80093102), detail="the answer is empty"
            )
        return Fetched(url=url, octets=reply.body, elapsed=reply.elapsed)


class RedirectedFetcher:
    """Fetches every URL from another scheme, host and port: a PKI reached other than its URLs say."""

    def __init__(self, fetcher: UrlFetcher, base: str) -> None:
        self._fetcher = fetcher
        self._base = urlsplit(base)

    def fetch(self, url: str) -> Fetched:
        """Return what came of asking for the path of ``url``."""
        return replace(self._fetcher.fetch(self._moved(url)), url=url)

    def post(self, url: str, body: bytes, media_type: str) -> Fetched:
        """Return what came of sending ``body`` to the path of ``url``."""
        return replace(self._fetcher.post(self._moved(url), body, media_type), url=url)

    def _moved(self, url: str) -> str:
        try:
            return urlunsplit(urlsplit(url)._replace(scheme=self._base.scheme, netloc=self._base.netloc))
        except ValueError:
            return url
