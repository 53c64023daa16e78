"""Foreign clients under CAs with other keys than the default: RSA of every size, ECDSA.

The RA's keys are RSA whatever the CAs', because clients envelope requests for one of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from interop import openssl
from interop.clients import (
    Certmonger,
    Endpoint,
    ForeignClient,
    NdesLabEnroll,
    ScepClient,
    StrongSwanPki,
)
from lab import ScepLab

pytestmark = pytest.mark.interop


# Debian's strongswan-pki knows no elliptic curves unless libstrongswan-standard-plugins is there too.
# scepclient envelopes for every certificate of the bag and panics at an EC key; told by -ca-fingerprint
# to take the RA's encryption certificate alone, it no longer finds the one that signed the reply.
RSA_CLIENTS = (ScepClient, StrongSwanPki, Certmonger, NdesLabEnroll)
EC_CLIENTS = (Certmonger, NdesLabEnroll)
CASES = {
    "rsa-3072": RSA_CLIENTS,
    "rsa-4096": RSA_CLIENTS,
    "ecdsa-p256": EC_CLIENTS,
    "ecdsa-p384": EC_CLIENTS,
}


@pytest.fixture(scope="module", params=CASES)
def key_kind(request: pytest.FixtureRequest) -> str:
    """What kind of key root and issuing CA have."""
    kind: str = request.param
    return kind


@pytest.fixture(scope="module")
def lab_with_keys(key_kind: str) -> Iterator[ScepLab]:
    """A lab whose CAs have such keys."""
    with ScepLab({"pki": {"root_key": key_kind, "issuing_key": key_kind}}) as scep_lab:
        yield scep_lab


def test_every_client_obtains_and_renews(key_kind: str, lab_with_keys: ScepLab, tmp_path: Path) -> None:
    for client in CASES[key_kind]:
        folder = tmp_path / client.name
        folder.mkdir()
        endpoint = Endpoint(scep_url=lab_with_keys.scep_url, root_pem=lab_with_keys.root_pem_path)
        with client(folder, endpoint) as driver:
            assert_obtains_and_renews(driver, lab_with_keys, folder)


def assert_obtains_and_renews(driver: ForeignClient, scep_lab: ScepLab, folder: Path) -> None:
    first = driver.obtain(folder.name, scep_lab.new_challenge())
    second = driver.renew(first)
    for enrolment in (first, second):
        openssl.verify_chain(enrolment.certificate_pem, root_pem=scep_lab.root_pem_path, folder=folder)
