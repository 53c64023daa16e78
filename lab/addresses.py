"""Where a lab listens and what its URLs say: hosts by which others, and this machine itself, reach it."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

from ca.process.settings import UnusableSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .settings import LabSettings

_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not opened


def admin_host(settings: LabSettings) -> str:
    """Return the host that the management listener is bound to."""
    return settings.admin.host or settings.server.host


def is_local(host: str) -> bool:
    """Tell whether a listener on ``host`` can be reached from this machine alone; raises UnusableSettings."""
    return all(ipaddress.ip_address(address).is_loopback for address in _addresses(host))


def public_host(settings: LabSettings) -> str:
    """Return the host in URLs: the machine's name where every address is listened on.

    Raises:
        UnusableSettings: the host to listen on is no address of this machine.

    """
    host = settings.server.public_host
    if host is None:
        host = settings.server.host
        if any(ipaddress.ip_address(address).is_unspecified for address in _addresses(host)):
            host = socket.gethostname()
    return _in_url(host)


def server_names(settings: LabSettings) -> tuple[str, ...]:
    """Return the names in the certificate that TLS shows: what URLs say, and this machine's for itself."""
    return public_host(settings).strip("[]"), "localhost"


def reachable_host(host: str) -> str:
    """Return the host, as URLs have it, by which this machine reaches a listener on ``host``."""
    return _in_url(_LOOPBACK.get(host, host))


def logged_address(settings: LabSettings) -> str:
    """Return the address in IIS's log (s-ip): the one listened on, or a stand-in for all of them."""
    return _LOOPBACK.get(settings.server.host, settings.server.host)


def with_public_url(settings: LabSettings, port: int) -> LabSettings:
    """Return the settings with the publisher's address, unless somebody has chosen another.

    Raises:
        UnusableSettings: the host to listen on is no address of this machine.

    """
    if "public_url" in settings.pki.model_fields_set:
        return settings
    url = f"http://{public_host(settings)}:{port}"
    pki = settings.pki.model_copy(update={"public_url": url})
    return settings.model_copy(update={"pki": pki})


def _addresses(host: str) -> Iterator[str]:
    """Yield every address that a listener on ``host`` may be bound to."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise UnusableSettings(f"{host!r} is no address of this machine: {error}") from error
    for _, _, _, _, address in found:
        yield str(address[0]).partition("%")[0]


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
