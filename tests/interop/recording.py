"""A recording proxy: hands every request on and keeps both sides as they were on the wire."""

from __future__ import annotations

import http.client
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote_to_bytes, urlsplit

CERT_REP_TYPE = "application/x-pki-message"
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedExchange:
    """One HTTP exchange as it crossed the wire."""

    method: str
    target: str
    request_body: bytes = field(repr=False)
    status: int
    content_type: str | None
    reply_body: bytes = field(repr=False)

    @property
    def operation(self) -> str:
        """The value of ``operation=``, as sent."""
        return self._parameter("operation").decode()

    @property
    def request_message(self) -> bytes:
        """The pkiMessage: the body of a POST, the decoded ``message=`` of a GET."""
        if self.method == "POST":
            return self.request_body
        text = self._parameter("message").translate(bytes.maketrans(b"-_ ", b"+/+"), b"\r\n\t")
        return b64decode(text + b"=" * (-len(text) % 4))

    @property
    def is_cert_rep(self) -> bool:
        """Whether the reply is a pkiMessage."""
        return self.content_type == CERT_REP_TYPE

    def _parameter(self, name: str) -> bytes:
        for pair in urlsplit(self.target).query.split("&"):
            key, _, value = pair.partition("=")
            if key == name:
                return unquote_to_bytes(value)
        return b""


class Recording:
    """The exchanges so far, oldest first, and the URL under which they are recorded."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.exchanges: list[RecordedExchange] = []

    @property
    def cert_reps(self) -> list[bytes]:
        """Every CertRep that went to a client."""
        return [exchange.reply_body for exchange in self.exchanges if exchange.is_cert_rep]

    @property
    def pki_operations(self) -> list[RecordedExchange]:
        """Every PKIOperation."""
        return [exchange for exchange in self.exchanges if exchange.operation == "PKIOperation"]


@contextmanager
def recording(upstream_url: str) -> Iterator[Recording]:
    """Serve ``upstream_url`` on a free port of loopback, recording, until the block ends."""
    upstream = urlsplit(upstream_url)
    assert upstream.hostname is not None
    host, port = upstream.hostname, upstream.port or 80

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._hand_on(b"")

        def do_POST(self) -> None:
            self._hand_on(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

        def _hand_on(self, body: bytes) -> None:
            headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP_BY_HOP}
            connection = http.client.HTTPConnection(host, port, timeout=30)
            try:
                connection.request(self.command, self.path, body or None, headers)
                reply = connection.getresponse()
                reply_body = reply.read()
            finally:
                connection.close()
            record.exchanges.append(
                RecordedExchange(
                    method=self.command,
                    target=self.path,
                    request_body=body,
                    status=reply.status,
                    content_type=reply.getheader("Content-Type"),
                    reply_body=reply_body,
                )
            )
            self.send_response_only(reply.status, reply.reason)
            for name, value in reply.getheaders():
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply_body)))
            self.end_headers()
            self.wfile.write(reply_body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (inherited name)
            """Stay silent: the recording is the log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = False
        record = Recording(f"http://127.0.0.1:{server.server_port}{upstream.path}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield record
        finally:
            server.shutdown()
            thread.join()
