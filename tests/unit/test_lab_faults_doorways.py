"""Addresses of their own for faults that come before HTTP."""

from __future__ import annotations

import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from pydantic import ValidationError

from lab import ScepLab
from lab.faults.registry import BadParameter, UnknownFault
from lab.faults.rules import RuleOrder

EXPIRED = "wire::tls-expired"
WANTED = "wire::tls-client-certificate-wanted"
REFUSED = "wire::connection-refused"


@pytest.fixture(scope="module")
def scep_lab() -> Iterator[ScepLab]:
    with ScepLab() as scep_lab:
        yield scep_lab


def trusting(scep_lab: ScepLab) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=scep_lab.root_pem)


def careless() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def test_address_stays_the_same(scep_lab: ScepLab) -> None:
    running = scep_lab._lab
    assert running.fault_url(EXPIRED) == running.fault_url(EXPIRED.upper())
    assert running.fault_url(EXPIRED, "/certsrv/mscep/mscep.dll").endswith("/certsrv/mscep/mscep.dll")


def test_other_faults_are_at_the_plain_listeners(scep_lab: ScepLab) -> None:
    running = scep_lab._lab
    assert running.fault_url("wire::reset-within-headers") == (
        f"{running.scep_base_url}/fault/wire::reset-within-headers/scep"
    )
    assert running.fault_url("wire::reset-within-headers", "/CertEnroll/x.crl") == (
        f"{running.pki_url}/fault/wire::reset-within-headers/CertEnroll/x.crl"
    )


def test_unknown_faults_and_parameters_are_refused(scep_lab: ScepLab) -> None:
    with pytest.raises(UnknownFault, match="near: wire::tls-expired"):
        scep_lab._lab.fault_url("wire::tls-expire")
    with pytest.raises(BadParameter, match="has no parameter 'days'"):
        scep_lab._lab.fault_url(EXPIRED, days=3)
    with pytest.raises(BadParameter, match="takes no parameter at its address"):
        scep_lab._lab.fault_url(EXPIRED, operation="GetCACaps")


def test_plain_listener_tells_the_address(scep_lab: ScepLab) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{scep_lab._lab.scep_base_url}/fault/{EXPIRED}/scep/x?operation=GetCACaps")
    with caught.value as refused:
        assert refused.code == 404
        assert scep_lab._lab.fault_url(EXPIRED, "/scep/x") in refused.read().decode()


def test_who_goes_on_all_the_same_is_served_and_journaled(scep_lab: ScepLab) -> None:
    url = scep_lab.fault_url(EXPIRED)
    with urllib.request.urlopen(f"{url}?operation=GetCACaps", context=careless()) as reply:
        assert reply.headers["X-Ndes-Lab-Fault"] == EXPIRED
        assert b"POSTPKIOperation" in reply.read()
    exchange = scep_lab.journal[-1]
    assert [applied.fault_id for applied in exchange.faults] == [EXPIRED]
    assert exchange.answer.status == 200


def test_good_certificate_is_one_that_the_ca_remembers_also_after_a_reset() -> None:
    with ScepLab() as scep_lab:
        url = scep_lab.fault_url(WANTED)
        for _ in range(2):
            with urllib.request.urlopen(f"{url}?operation=GetCACaps", context=trusting(scep_lab)) as reply:
                assert reply.status == 200
            parts = urlsplit(url)
            shown = ssl.get_server_certificate((parts.hostname or "", parts.port or 0))
            issued = scep_lab.certificates(template="WebServer")
            assert [ssl.PEM_cert_to_DER_cert(each.pem) for each in issued] == [
                ssl.PEM_cert_to_DER_cert(shown)
            ]
            scep_lab.reset()


def test_no_rule_can_be_about_it() -> None:
    with pytest.raises(ValidationError, match="comes before HTTP"):
        RuleOrder(fault=EXPIRED)


def test_all_are_closed_when_the_lab_stops() -> None:
    with ScepLab() as scep_lab:
        urls = [scep_lab.fault_url(one) for one in (EXPIRED, REFUSED, "wire::connection-never-made")]
    for url in urls:
        parts = urlsplit(url)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((parts.hostname or "", parts.port or 0), timeout=5)


def test_nothing_is_open_where_urls_of_faults_are_off() -> None:
    with ScepLab({"faults": {"urls": False}}) as scep_lab:
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{scep_lab._lab.scep_base_url}/fault/{EXPIRED}/scep?operation=GetCACaps")
        with caught.value as refused:
            assert b"address of its own" not in refused.read()


def test_doorways_open_on_an_address_of_ipv6_too() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    with ScepLab({"server": {"host": "::1"}}) as scep_lab:
        with urllib.request.urlopen(
            f"{scep_lab.fault_url(WANTED)}?operation=GetCACaps", context=trusting(scep_lab)
        ) as reply:
            assert reply.status == 200
        assert scep_lab.fault_url(REFUSED).startswith("http://[::1]:")
        assert scep_lab.fault_url("wire::connection-never-made").startswith("http://[::1]:")
