"""A reverse proxy in front of the lab, with the faults that proxies and firewalls have."""

from __future__ import annotations

import threading
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lab.http_exchange import http_exchange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment


class ReverseProxy:
    """Hands requests on to the server of a URL. A WSGI application.

    ``publishes`` tells which paths it knows; others get 404. While it `is_stuck`, requests are taken and
    nothing comes back until `release`. Where there is a ``page`` it comes in place of every answer.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = f"{parts.scheme}://{parts.netloc}"
        self.publishes: Callable[[str], bool] = lambda _: True
        self.is_stuck = False
        self.page: bytes | None = None
        self._released = threading.Event()

    def release(self) -> None:
        """Let go of what is stuck, and be stuck no longer."""
        self.is_stuck = False
        self._released.set()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if self.is_stuck:
            self._released.wait()
            return _answer(start_response, HTTPStatus.GATEWAY_TIMEOUT)
        if self.page is not None:
            return _answer(start_response, HTTPStatus.OK, "text/html", self.page)
        path = environ["PATH_INFO"]
        if not self.publishes(path):
            return _answer(start_response, HTTPStatus.NOT_FOUND)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        reply = http_exchange(
            environ["REQUEST_METHOD"],
            f"{self._target}{path}?{environ['QUERY_STRING']}",
            body=body or None,
            headers={"Content-Type": environ["CONTENT_TYPE"]} if body else {},
        )
        return _answer(start_response, HTTPStatus(reply.status), reply.media_type, reply.body)


def _answer(
    start_response: StartResponse, status: HTTPStatus, media_type: str = "text/plain", body: bytes = b""
) -> Iterable[bytes]:
    headers = [("Content-Type", media_type), ("Content-Length", str(len(body)))]
    start_response(f"{status.value} {status.phrase}", headers)
    return [body]
