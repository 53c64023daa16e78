"""A client that can only be given a URL enrols below a fault, and meets it where its certificate leads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from forge import openssl
from forge.keys import KeyPool

from faults import published
from faults.stand import Sent, Side, engine_of, fault_url
from lab import ScepLab
from lab.faults.registry import Seam, Step, catalogue
from lab.faults.rules import RuleOrder


@pytest.fixture(scope="module")
def keys() -> KeyPool:
    return KeyPool()


@pytest.fixture(scope="module")
def one_lab() -> Iterator[ScepLab]:
    with ScepLab({"pki": {"freshest_crl_in_certificates": True}}) as scep_lab:
        yield scep_lab


@pytest.fixture(scope="module")
def plain_lab() -> Iterator[ScepLab]:
    """Certificates name no delta CRL: openssl would fetch it, and take it for a whole one."""
    with ScepLab() as scep_lab:
        yield scep_lab


def _clean(scep_lab: ScepLab, keys: KeyPool) -> Side:
    return Side(scep_lab, scep_lab.scep_url, scep_lab.pki_url, keys)


def _below(scep_lab: ScepLab, fault_id: str, keys: KeyPool) -> Side:
    return Side(scep_lab, fault_url(scep_lab, fault_id), f"{scep_lab.pki_url}/fault/{fault_id}", keys)


def _urls(sent: Sent) -> list[str]:
    return re.findall(r"URI:(\S+)", sent.issued_text())


def test_every_place_in_the_certificate_is_below_the_fault(one_lab: ScepLab, keys: KeyPool) -> None:
    clean = _urls(_clean(one_lab, keys).enrol())
    below = _urls(_below(one_lab, "publication::crl-expired", keys).enrol())
    assert len(clean) == 4, "CDP, freshest CRL, issuer, OCSP"
    base = one_lab.pki_url
    assert below == [url.replace(base, f"{base}/fault/publication::crl-expired") for url in clean]


def test_parameters_of_the_url_are_kept(one_lab: ScepLab, keys: KeyPool) -> None:
    url = one_lab.fault_url("publication::crl-expired", days=3)
    side = Side(one_lab, url, one_lab.pki_url, keys)
    (cdp, *_) = _urls(side.enrol())
    assert "/fault/publication::crl-expired;days=3/CertEnroll/" in cdp


def test_nothing_else_of_the_certificate_changes(one_lab: ScepLab, keys: KeyPool) -> None:
    def rest(sent: Sent) -> list[str]:
        own = r"URI:|Serial|^\s+[0-9A-Fa-f:]+$|Not |Subject|Key Identifier"
        return [line for line in sent.issued_text().splitlines() if not re.search(own, line)]

    clean, below = _clean(one_lab, keys), _below(one_lab, "publication::ocsp-unknown", keys)
    assert rest(clean.enrol(name="same")) == rest(below.enrol(name="same"))


def test_faults_of_other_seams_leave_the_places_as_they_are(one_lab: ScepLab, keys: KeyPool) -> None:
    assert all("/fault/" not in url for url in _urls(_below(one_lab, "dependency::ca-slow", keys).enrol()))


def test_a_rule_leaves_the_places_as_they_are(one_lab: ScepLab, keys: KeyPool) -> None:
    engine_of(one_lab).add(RuleOrder(fault="publication::crl-expired"))
    try:
        assert all("/fault/" not in url for url in _urls(_clean(one_lab, keys).enrol()))
    finally:
        engine_of(one_lab).clear()


def test_enrolling_below_it_is_not_yet_meeting_it(one_lab: ScepLab, keys: KeyPool) -> None:
    sent = _below(one_lab, "publication::crl-expired", keys).enrol()
    assert sent.response.header("X-Ndes-Lab-Fault") is None
    assert published.crl(_below(one_lab, "publication::crl-expired", keys)).header("X-Ndes-Lab-Fault")


def test_base_crl_below_a_fault_of_delta_crls_leads_to_it(one_lab: ScepLab, keys: KeyPool) -> None:
    side = _below(one_lab, "publication::delta-crl-expired", keys)
    base = published.crl(side)
    assert base.header("X-Ndes-Lab-Fault") is None
    assert published.crl_verifies(side, base.body)
    freshest = re.search(r"Freshest CRL:\s+Full Name:\s+URI:(\S+)", published.crl_text(base.body))
    assert freshest is not None
    assert freshest[1].startswith(f"{side.pki}/CertEnroll/")


def test_base_crl_below_other_faults_is_the_good_one(one_lab: ScepLab, keys: KeyPool) -> None:
    clean = published.crl(_clean(one_lab, keys)).body
    assert published.crl(_below(one_lab, "publication::ocsp-unknown", keys)).body == clean


def test_the_responders_own_certificate_is_nobodys_to_bend(one_lab: ScepLab, keys: KeyPool) -> None:
    """It may be issued while somebody asks below a fault, and is shown to all."""
    one_lab.clock.shift("+30d")  # the one there is has ended
    try:
        published.ask(_below(one_lab, "publication::ocsp-expired", keys))
        with one_lab.world.store.reading() as transaction:
            newest = transaction.certificate(transaction.next_certificate_id() - 1)
        assert newest is not None
        assert newest.template == "OCSPResponseSigning"
        printed = openssl.run("x509", "-inform", "DER", "-noout", "-text", stdin=newest.der)
        assert b"/fault/" not in printed
    finally:
        one_lab.clock.reset()


@pytest.mark.parametrize("resource", ["CRL", "DeltaCRL", "AIA", "OCSP"])
def test_wrong_content_is_never_confirmed_as_the_good_one(
    one_lab: ScepLab, keys: KeyPool, resource: str
) -> None:
    """Nor is the good one confirmed as the wrong one, once the fault is over."""
    from forge import wire

    fault_id = {
        "CRL": "publication::crl-expired",
        "DeltaCRL": "publication::delta-crl-expired",
        "AIA": "publication::aia-wrong-certificate",
        "OCSP": "publication::ocsp-expired",
    }[resource]
    clean, below = _clean(one_lab, keys), _below(one_lab, fault_id, keys)
    if resource == "OCSP":
        asked = published.ocsp_request(clean)
        found = wire.post(f"{below.pki}/ocsp", asked, "", fields=published.OCSP_FIELDS)
        assert found.header("Cache-Control") == "no-store"
        return
    fetch = {"CRL": published.crl, "DeltaCRL": published.delta_crl, "AIA": published.aia}[resource]
    names = {"CRL": "crl_file", "DeltaCRL": "delta_crl_file", "AIA": "certificate_file"}
    path = published.path(getattr(one_lab.world.authority.locations, names[resource]))
    for had, asked_at in ((fetch(clean), below), (fetch(below), clean)):
        tag = {"If-None-Match": had.header("ETag") or ""}
        assert wire.get(f"{asked_at.pki}{path}", fields=tag).status == 200
    stale = {"If-Modified-Since": fetch(below).header("Last-Modified") or ""}
    assert wire.get(f"{clean.pki}{path}", fields=stale).status == 200


@pytest.mark.parametrize(
    ("fault_id", "words"),
    [
        (None, ": OK"),
        ("publication::crl-huge", ": OK"),
        ("publication::crl-expired", "CRL has expired"),
        ("publication::crl-not-yet-valid", "CRL is not yet valid"),
        ("publication::crl-bad-signature", "CRL signature failure"),
        ("publication::crl-revokes-everything", "certificate revoked"),
        ("publication::crl-not-found", "unable to get certificate CRL"),
        ("publication::crl-html", "unable to get certificate CRL"),
        ("publication::aia-wrong-certificate", ": OK"),
    ],
)
def test_openssl_meets_it_where_the_certificate_leads(
    plain_lab: ScepLab, keys: KeyPool, tmp_path: Path, fault_id: str | None, words: str
) -> None:
    """openssl fetches the CRL that the certificate names, and knows nothing of the lab."""
    side = _clean(plain_lab, keys) if fault_id is None else _below(plain_lab, fault_id, keys)
    root, issuing, _ = published.pem_files(side, tmp_path)
    leaf = tmp_path / "device.pem"
    leaf.write_bytes(side.enrol().issued_pem())
    trusted = ("-CAfile", str(root), "-untrusted", str(issuing))
    said = published.said("verify", "-crl_check", "-crl_download", *trusted, str(leaf))
    assert words in said, said


def test_every_fault_of_what_is_published_names_its_resource() -> None:
    for fault in catalogue().values():
        if fault.seam is Seam.PUBLICATION:
            assert fault.step is Step.VERIFY
            assert fault.operations is not None
            assert len(fault.operations) == 1
            (resource,) = fault.operations
            prefix = {"CRL": "crl", "DeltaCRL": "delta-crl", "AIA": "aia", "OCSP": "ocsp"}[resource]
            assert fault.id.startswith(f"publication::{prefix}-")
