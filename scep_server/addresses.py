"""Whom a request is from, as far as HTTP tells: one address, or a network that is as good as one.

Does not live here: what an address may do (`scep_server.brakes`).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_SUBSCRIBER_BITS: Final = 64  # an IPv6 subscriber has at least a /64 of addresses (RFC 6177 2)
_MAXIMUM_HOPS: Final = 32


def client_address(peer: str, forwarded_for: str, trusted_proxies: Sequence[Network]) -> str:
    """Return what a client is counted under: an IPv4 address, or the /64 of an IPv6 one.

    ``peer`` is who opened the connection. ``forwarded_for`` is the header X-Forwarded-For, which is
    believed as far as trusted proxies wrote it: from its end, up to the first address that is no
    trusted proxy's. A peer that is no address is counted under its name.
    """
    found = _address(peer)
    if found is None:
        return peer
    for hop in reversed(forwarded_for.rsplit(",", _MAXIMUM_HOPS)):
        before = _address(hop.strip())
        if before is None or not any(found in network for network in trusted_proxies):
            break
        found = before
    if isinstance(found, IPv4Address):
        return str(found)
    return str(IPv6Network((int(found), _SUBSCRIBER_BITS), strict=False))


def _address(text: str) -> Address | None:
    """Return an address; the IPv4 one of an IPv4-mapped IPv6 address (RFC 4291 2.5.5.2)."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found
