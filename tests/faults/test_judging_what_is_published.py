"""What the lab's judge makes of what is published wrong: which source it goes by, and why not by the rest."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta

import pytest
from forge import openssl
from forge.keys import KeyPool

from ca.clock import SystemClock
from faults import published
from faults.stand import Side
from lab import ScepLab
from lab.faults.engine import path_of
from lab.faults.registry import Seam, catalogue
from lab.http_exchange import HttpLimits
from lab.trust import (
    ChainContext,
    HttpUrlFetcher,
    RevocationSources,
    TrustAnchors,
    X509Certificate,
    build_chain,
)
from lab.trust.revocation import RevocationVerdict

PUBLISHED = [each for each in catalogue().values() if each.seam is Seam.PUBLICATION]
QUICK = [each for each in PUBLISHED if "seconds" not in each.parameters]


def _about(resource: str) -> list[str]:
    return [each.id for each in QUICK if each.operations == {resource}]


@pytest.fixture(scope="module")
def scep_lab() -> Iterator[ScepLab]:
    with ScepLab() as running:
        yield running


@pytest.fixture(scope="module")
def keys() -> KeyPool:
    return KeyPool()


def _judged(scep_lab: ScepLab, keys: KeyPool, fault_id: str, *, nonce: bool = True) -> ChainContext:
    """Enrol below a fault, and judge with every source there is."""
    url = scep_lab._lab.scep_base_url + path_of(fault_id, "/scep")
    sent = Side(scep_lab, url, scep_lab.pki_url, keys).enrol()
    leaf = openssl.run("x509", "-outform", "DER", stdin=sent.issued_pem())
    fetcher = HttpUrlFetcher(limits=HttpLimits(timeout=timedelta(seconds=30)))
    root, issuing = scep_lab.world.root, scep_lab.world.authority.certificate
    return build_chain(
        X509Certificate.read(leaf),
        anchors=TrustAnchors.of([X509Certificate.read(root.der)], origin="the lab"),
        at=SystemClock().now(),
        intermediates=[X509Certificate.read(issuing.der)],
        revocation=RevocationSources(fetcher=fetcher, entropy=os.urandom if nonce else None),
        fetcher=fetcher,
    )


@pytest.mark.parametrize("fault_id", _about("CRL"))
def test_good_ocsp_makes_up_for_a_crl_that_does_not_count(
    scep_lab: ScepLab, keys: KeyPool, fault_id: str
) -> None:
    context = _judged(scep_lab, keys, fault_id)
    found = context.elements[0].revocation
    assert context.trusted
    assert found is not None
    assert found.ocsp is not None
    if catalogue()[fault_id].client_must.name in ("REJECT", "RETRY") and "revokes" not in fault_id:
        assert found.crl is None
        assert found.reasons


@pytest.mark.parametrize("fault_id", _about("OCSP"))
def test_good_crl_makes_up_for_an_ocsp_response_that_does_not_count(
    scep_lab: ScepLab, keys: KeyPool, fault_id: str
) -> None:
    context = _judged(scep_lab, keys, fault_id)
    found = context.elements[0].revocation
    assert found is not None
    assert found.crl is not None
    if fault_id == "publication::ocsp-revoked":
        assert found.verdict is RevocationVerdict.REVOKED, "the OCSP response outweighs the CRL"
        return
    assert context.trusted
    if catalogue()[fault_id].client_must.name in ("REJECT", "RETRY"):
        assert found.ocsp is None or fault_id == "publication::ocsp-unknown"
        assert found.reasons


@pytest.mark.parametrize("fault_id", _about("DeltaCRL"))
def test_delta_crl_that_does_not_count_leaves_the_base(
    scep_lab: ScepLab, keys: KeyPool, fault_id: str
) -> None:
    context = _judged(scep_lab, keys, fault_id)
    found = context.elements[0].revocation
    assert context.trusted
    assert found is not None
    assert found.crl is not None
    assert found.delta is None
    assert found.reasons


@pytest.mark.parametrize("fault_id", _about("AIA"))
def test_issuer_at_hand_makes_up_for_a_wrong_one_at_its_place(
    scep_lab: ScepLab, keys: KeyPool, fault_id: str
) -> None:
    assert _judged(scep_lab, keys, fault_id).trusted


def test_nonce_faults_are_not_met_without_a_nonce(scep_lab: ScepLab, keys: KeyPool) -> None:
    for name in ("wrong-nonce", "without-nonce"):
        context = _judged(scep_lab, keys, f"publication::ocsp-{name}", nonce=False)
        found = context.elements[0].revocation
        assert found is not None
        assert found.ocsp is not None


def test_the_roots_crl_is_left_as_it_is_where_its_key_would_be_needed(
    scep_lab: ScepLab, keys: KeyPool
) -> None:
    clean = Side(scep_lab, "", scep_lab.pki_url, keys)
    path = published.path(scep_lab.world.root_locations.crl_file)
    good = clean.fetch(path).body
    for name in ("crl-expired", "crl-not-yet-valid", "crl-foreign-key", "crl-huge", "crl-wrong-issuer"):
        side = Side(scep_lab, "", f"{scep_lab.pki_url}/fault/publication::{name}", keys)
        found = side.fetch(path)
        assert found.body == good
        assert found.header("X-Ndes-Lab-Fault") is None
