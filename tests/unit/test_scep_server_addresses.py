"""What a client is counted under, and whom X-Forwarded-For is believed from."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scep_server.addresses import client_address

PROXIES = (ip_network("10.0.0.0/8"), ip_network("2001:db8:ffff::/48"))


@pytest.mark.parametrize(
    ("peer", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("a socket", "a socket"),
    ],
)
def test_counts_ipv4_by_address_and_ipv6_by_subscriber(peer: str, counted: str) -> None:
    assert client_address(peer, "", ()) == counted


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "counted"),
    [
        ("10.0.0.1", "192.0.2.7", "192.0.2.7"),
        ("10.0.0.1", "198.51.100.1, 192.0.2.7", "192.0.2.7"),  # the client wrote the first itself
        ("10.0.0.1", "192.0.2.7 , 10.0.0.2", "192.0.2.7"),
        ("10.0.0.1", "192.0.2.7, 2001:db8:ffff::1", "192.0.2.7"),
        ("10.0.0.1", "2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "192.0.2.7, unknown", "10.0.0.1"),
        ("10.0.0.1", "192.0.2.7, ", "10.0.0.1"),
        ("192.0.2.9", "198.51.100.1", "192.0.2.9"),
        ("192.0.2.9", "10.0.0.1", "192.0.2.9"),
    ],
)
def test_believes_what_trusted_proxies_wrote_and_nobody_else(
    peer: str, forwarded_for: str, counted: str
) -> None:
    assert client_address(peer, forwarded_for, PROXIES) == counted


def test_believes_nobody_where_no_proxy_is_named() -> None:
    assert client_address("10.0.0.1", "192.0.2.7", ()) == "10.0.0.1"


def test_follows_no_endless_row_of_proxies() -> None:
    assert client_address("10.0.0.1", "192.0.2.7" + ",10.0.0.2" * 100_000, PROXIES) == "10.0.0.2"


@given(forwarded_for=st.text())
def test_whatever_a_stranger_claims_it_is_counted_under_its_own_address(forwarded_for: str) -> None:
    assert client_address("192.0.2.9", forwarded_for, PROXIES) == "192.0.2.9"
