"""A real relying party believes the lab: nginx takes what is enrolled, and refuses what is revoked.

Once it goes by CRLs that it is given, once it asks the OCSP responder that the certificate names.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from peers import require_peer

from ca.clock import SystemClock
from interop import openssl
from interop.clients import Endpoint, Enrolment, ScepClient
from interop.nginx import Nginx, nginx
from interop.process import run_well
from lab import ScepLab

pytestmark = pytest.mark.interop

REFUSED = 400  # nginx's "The SSL certificate error"


class ShiftedClock:
    """The machine's clock, put forward or back."""

    def __init__(self) -> None:
        self.shift = timedelta(0)

    def now(self) -> datetime:
        return SystemClock().now() + self.shift


@pytest.fixture(scope="module")
def clock() -> ShiftedClock:
    return ShiftedClock()


@pytest.fixture(scope="module")
def scep_lab(clock: ShiftedClock) -> Iterator[ScepLab]:
    """A lab whose CAs are two months old, so that they can have published a month ago."""
    clock.shift = -timedelta(days=60)
    with ScepLab(clock=clock) as running:
        clock.shift = timedelta(0)
        running.publish_crls()
        yield running


@pytest.fixture(scope="module")
def server(scep_lab: ScepLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    folder = tmp_path_factory.mktemp("nginx")
    chain = b"".join(openssl.fetch(f"{scep_lab.admin_url}/{kind}/0") for kind in ("roots", "intermediates"))
    with nginx(folder, trusted=chain, crls=published_crls(scep_lab)) as running:
        yield running


@pytest.fixture
def enrol(scep_lab: ScepLab, tmp_path: Path):
    """Have Debian's scepclient enrol under a name."""

    def obtain(name: str) -> Enrolment:
        endpoint = Endpoint(scep_url=scep_lab.scep_url, root_pem=scep_lab.root_pem_path)
        with ScepClient(tmp_path, endpoint) as client:
            return client.obtain(name, scep_lab.new_challenge())

    return obtain


def published_crls(scep_lab: ScepLab) -> bytes:
    """Return the base CRLs of root and issuing CA in PEM, as they are fetched."""
    pems = []
    for view in scep_lab.desk.crls():
        if not view.file.endswith("+.crl"):
            words = [require_peer("openssl"), "crl", "-inform", "DER"]
            pems.append(run_well(words, stdin=openssl.fetch(view.url)).stdout)
    assert len(pems) == 2
    return b"".join(pems)


def refresh(server: Nginx, scep_lab: ScepLab) -> None:
    (server.folder / "crls.pem").write_bytes(published_crls(scep_lab))
    server.reload()


def serial_of(enrolment: Enrolment) -> str:
    words = [require_peer("openssl"), "x509", "-noout", "-serial", "-in", enrolment.certificate]
    return run_well(words).stdout.decode().strip().removeprefix("serial=")


def test_accepts_what_is_enrolled_and_refuses_it_after_revocation(server: Nginx, scep_lab: ScepLab, enrol):
    kept, lost = enrol("kept"), enrol("lost")
    refresh(server, scep_lab)
    for enrolment in (kept, lost):
        for url in (server.by_crl, server.by_ocsp):
            status, text = server.ask(url, enrolment)
            assert status == 200, server.log
            assert text.startswith("SUCCESS ")
            assert f"CN={enrolment.common_name}" in text

    scep_lab.revoke(serial_of(lost), "keyCompromise")

    status, _ = server.ask(server.by_ocsp, lost)
    assert status == REFUSED, "OCSP says so at once"
    assert server.ask(server.by_crl, lost)[0] == 200, "the CRL that nginx holds does not know yet"
    refresh(server, scep_lab)
    status, text = server.ask(server.by_crl, lost)
    assert (status, "SSL certificate error" in text) == (REFUSED, True)
    assert "certificate revoked" in server.log
    for url in (server.by_crl, server.by_ocsp):
        assert server.ask(url, kept)[0] == 200, server.log


def test_takes_a_certificate_off_hold_again(server: Nginx, scep_lab: ScepLab, enrol):
    held = enrol("held")
    scep_lab.revoke(serial_of(held), "certificateHold")
    refresh(server, scep_lab)
    assert [server.ask(url, held)[0] for url in (server.by_crl, server.by_ocsp)] == [REFUSED, REFUSED]
    scep_lab.revoke(serial_of(held), "removeFromCRL")
    scep_lab.publish_crls()
    refresh(server, scep_lab)
    assert [server.ask(url, held)[0] for url in (server.by_crl, server.by_ocsp)] == [200, 200], server.log


def test_refuses_everything_once_the_crl_has_expired(
    server: Nginx, scep_lab: ScepLab, clock: ShiftedClock, enrol
):
    enrolment = enrol("in-time")
    refresh(server, scep_lab)
    assert server.ask(server.by_crl, enrolment)[0] == 200, server.log

    clock.shift = -timedelta(days=30)
    try:
        scep_lab.publish_crls()
        old = published_crls(scep_lab)  # now, for with the right time the lab publishes anew by itself
    finally:
        clock.shift = timedelta(0)
    (server.folder / "crls.pem").write_bytes(old)
    server.reload()

    assert server.ask(server.by_crl, enrolment)[0] == REFUSED
    assert "CRL has expired" in server.log
    scep_lab.publish_crls()
    refresh(server, scep_lab)
    assert server.ask(server.by_crl, enrolment)[0] == 200, server.log
