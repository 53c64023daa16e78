"""TLS for the lab's listeners: contexts from keys in memory, and cheroot's way to them.

Lives here: what is the same for every certificate. Does not live here: which certificate is shown
(`lab.server_certificate`, `lab.faults.doorways`).
"""

from __future__ import annotations

import contextlib
import errno
import logging
import secrets
import socket
import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from cheroot.ssl import Adapter

from ca.folders import to_pem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ca.keys import PrivateKey

_logger = logging.getLogger(__name__)
_PLAIN_HTTP = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
    b"This port speaks HTTPS, and was asked in HTTP.\n"
)


def server_context(key: PrivateKey, chain: Sequence[bytes]) -> ssl.SSLContext:
    """Return the context of a server with this key and its certificates (DER), its own first.

    OpenSSL takes keys from files only: the key is in one for a moment, encrypted.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    passphrase = secrets.token_hex(32)
    with tempfile.TemporaryDirectory(prefix="ndes-lab-") as folder:
        path = Path(folder) / "server.pem"
        path.touch(mode=0o600)
        path.write_bytes(key.encrypted_pem(passphrase.encode()) + b"".join(map(to_pem, chain)))
        context.load_cert_chain(path, password=passphrase)
    return context


class TlsAdapter(Adapter):
    """Gives each connection the context that is right when it comes.

    The handshake is left to the worker that reads from the connection: whoever never ends it keeps one
    worker for as long as a request may take, and the accepting thread not at all.
    """

    def __init__(self, context: Callable[[], ssl.SSLContext]) -> None:
        self._context = context

    def bind(self, sock: socket.socket) -> socket.socket:
        """Return the listening socket as it is."""
        return sock

    def wrap(self, sock: socket.socket) -> tuple[ssl.SSLSocket, dict[str, Any]]:
        """Return the connection's TLS socket; nothing is sent or read."""
        try:
            context = self._context()
        except BaseException:
            sock.close()
            raise
        wrapped = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        return wrapped, self.get_environ()

    def get_environ(self) -> dict[str, Any]:
        """Return what WSGI is told besides the scheme: nothing."""
        return {}

    def makefile(self, sock: socket.socket, mode: str = "r", bufsize: int = -1) -> NoReturn:
        """Raise NotImplementedError: connections make their own files."""
        raise NotImplementedError


def broken_off(sock: socket.socket, error: ssl.SSLError) -> ConnectionResetError:
    """Return, for a connection whose TLS failed, what a connection that is gone raises.

    A client that speaks plain HTTP is told so in plain HTTP.
    """
    if error.reason == "HTTP_REQUEST":
        with contextlib.suppress(OSError):
            socket.socket.sendall(sock, _PLAIN_HTTP)  # past TLS
    _logger.info("TLS failed: %s", error.reason or error)
    return ConnectionResetError(errno.ECONNRESET, f"TLS failed: {error.reason or error}")


def say_goodbye(sock: socket.socket) -> None:
    """Send TLS's close_notify, so that an end passes for no truncation (RFC 8446 6.1); wait for nothing."""
    if isinstance(sock, ssl.SSLSocket):
        with contextlib.suppress(OSError, ValueError):
            sock.settimeout(0)
            sock.unwrap()
