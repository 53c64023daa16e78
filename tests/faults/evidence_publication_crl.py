"""Evidence for faults of what a CRL says: by ``openssl crl`` and ``openssl verify``."""

from __future__ import annotations

from datetime import timedelta

from forge import openssl

from faults import published
from faults.evidence import shows
from faults.stand import Side


def _signed(side: Side) -> bytes:
    """Return the CRL, which the issuing CA has signed whatever it says."""
    octets = published.crl(side).body
    assert published.crl_verifies(side, octets)
    return octets


def _signed_delta(side: Side) -> bytes:
    octets = published.delta_crl(side).body
    assert published.crl_verifies(side, octets)
    return octets


def _number(text: str, extension: str) -> int:
    lines = [line.strip() for line in text.splitlines()]
    at = next(place for place, line in enumerate(lines) if line.startswith(extension))
    return int(lines[at + 1], 0)


@shows("publication::crl-expired")
def crl_expired(side: Side) -> bool:
    octets = _signed(side)
    ends = published.instant(octets, "nextupdate")
    assert ends is not None
    late = ends < published.now()
    assert late == ("CRL has expired" in published.verify(side, octets))
    return late


@shows("publication::crl-not-yet-valid")
def crl_not_yet_valid(side: Side) -> bool:
    octets = _signed(side)
    begins = published.instant(octets, "lastupdate")
    assert begins is not None
    early = begins > published.now() + timedelta(hours=23)
    assert early == ("CRL is not yet valid" in published.verify(side, octets))
    return early


@shows("publication::crl-without-next-update")
def crl_without_next_update(side: Side) -> bool:
    return published.instant(_signed(side), "nextupdate") is None


@shows("publication::crl-wrong-issuer")
def crl_wrong_issuer(side: Side) -> bool:
    octets = published.crl(side).body
    is_roots = "Root CA" in openssl.run("crl", "-inform", "DER", "-noout", "-issuer", stdin=octets).decode()
    assert is_roots == ("unable to get certificate CRL" in published.verify(side, octets))
    return is_roots


@shows("publication::crl-foreign-key")
def crl_foreign_key(side: Side) -> bool:
    octets = published.crl(side).body
    assert "Issuing CA" in openssl.run("crl", "-inform", "DER", "-noout", "-issuer", stdin=octets).decode()
    own = side.scep_lab.world.authority.certificate.subject_key_id or b""
    named = own.hex(":").upper() in published.crl_text(octets)
    assert named == published.crl_verifies(side, octets)
    return not named


@shows("publication::crl-bad-signature")
def crl_bad_signature(side: Side) -> bool:
    octets = published.crl(side).body
    own = side.scep_lab.world.authority.certificate.subject_key_id or b""
    assert own.hex(":").upper() in published.crl_text(octets)
    return "verify failure" in published.crl_verdict(side, octets)


@shows("publication::crl-pem")
def crl_pem(side: Side) -> bool:
    octets = published.crl(side).body
    if not octets.startswith(b"-----BEGIN X509 CRL-----"):
        return False
    der = openssl.run("crl", "-inform", "PEM", "-outform", "DER", stdin=octets)
    return published.crl_verifies(side, der)


@shows("publication::crl-truncated")
def crl_truncated(side: Side) -> bool:
    found = published.crl(side)
    assert found.header("Content-Length") == str(len(found.body))
    claimed = 4 + int.from_bytes(found.body[2:4], "big")
    return claimed > len(found.body)


@shows("publication::crl-trailing-octets")
def crl_trailing_octets(side: Side) -> bool:
    octets = published.crl(side).body
    claimed = 4 + int.from_bytes(octets[2:4], "big")
    assert published.crl_verifies(side, octets[:claimed])
    return octets[claimed:] == b"\r\n"


@shows("publication::crl-unknown-critical-extension")
def crl_unknown_critical_extension(side: Side) -> bool:
    octets = _signed(side)
    there = "1.3.6.1.4.1.99999.1: critical" in published.crl_text(octets)
    assert there == ("unhandled critical CRL extension" in published.verify(side, octets))
    return there


@shows("publication::crl-for-ca-certificates")
def crl_for_ca_certificates(side: Side) -> bool:
    octets = _signed(side)
    there = "Only CA Certificates" in published.crl_text(octets)
    assert there == ("different CRL scope" in published.verify(side, octets))
    return there


@shows("publication::crl-of-another-distribution-point")
def crl_of_another_distribution_point(side: Side) -> bool:
    octets = _signed(side)
    there = "partition/2.crl" in published.crl_text(octets)
    assert there == ("different CRL scope" in published.verify(side, octets))
    return there


@shows("publication::crl-revokes-everything")
def crl_revokes_everything(side: Side) -> bool:
    octets = _signed(side)
    return "certificate revoked" in published.verify(side, octets)


@shows("publication::crl-huge")
def crl_huge(side: Side) -> bool:
    octets = _signed(side)
    assert "leaf.pem: OK" in published.verify(side, octets)
    return published.crl_text(octets).count("Serial Number:") == 20_000


@shows("publication::crl-without-number")
def crl_without_number(side: Side) -> bool:
    return "X509v3 CRL Number" not in published.crl_text(_signed(side))


@shows("publication::crl-is-a-delta")
def crl_is_a_delta(side: Side) -> bool:
    return "X509v3 Delta CRL Indicator: critical" in published.crl_text(_signed(side))


@shows("publication::delta-crl-expired")
def delta_crl_expired(side: Side) -> bool:
    ends = published.instant(_signed_delta(side), "nextupdate")
    assert ends is not None
    return ends < published.now()


@shows("publication::delta-crl-wants-newer-base")
def delta_crl_wants_newer_base(side: Side) -> bool:
    base = _number(published.crl_text(_signed(side)), "X509v3 CRL Number")
    return _number(published.crl_text(_signed_delta(side)), "X509v3 Delta CRL Indicator") > base


@shows("publication::delta-crl-older-than-base")
def delta_crl_older_than_base(side: Side) -> bool:
    base = _number(published.crl_text(_signed(side)), "X509v3 CRL Number")
    return _number(published.crl_text(_signed_delta(side)), "X509v3 CRL Number") < base


@shows("publication::delta-crl-bad-signature")
def delta_crl_bad_signature(side: Side) -> bool:
    return "verify failure" in published.crl_verdict(side, published.delta_crl(side).body)
