"""Evidence for faults of OCSP responses: by ``openssl ocsp``."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from faults import published
from faults.evidence import Look, shows
from faults.stand import Side


def _says(words: str) -> Look:
    def look(side: Side) -> bool:
        said = published.ask(side)
        assert said.startswith("HTTP 200 application/ocsp-response")
        return words in said

    return look


for _name, _words in (
    ("try-later", "Responder Error: trylater (3)"),
    ("internal-error", "Responder Error: internalerror (2)"),
    ("unauthorized", "Responder Error: unauthorized (6)"),
    ("malformed-request", "Responder Error: malformedrequest (1)"),
    ("sig-required", "Responder Error: sigrequired (5)"),
    ("wrong-nonce", "Nonce Verify error"),
    ("without-nonce", "WARNING: no nonce in response"),
    ("unknown-critical-extension", "1.3.6.1.4.1.99999.1: critical"),
):
    shows(f"publication::ocsp-{_name}")(_says(_words))


def _verified(side: Side) -> str:
    """Return what openssl says of a response that is signed as it should be, whatever it says."""
    said = published.ask(side)
    assert "Response verify OK" in said, said
    return said


def _instant(said: str, which: str) -> datetime | None:
    found = re.search(rf"^\s*{which}: (.*) GMT$", said, re.MULTILINE)
    return None if found is None else datetime.strptime(found[1], "%b %d %H:%M:%S %Y").replace(tzinfo=UTC)


@shows("publication::ocsp-unknown")
def ocsp_unknown(side: Side) -> bool:
    return "Cert Status: unknown" in _verified(side)


@shows("publication::ocsp-revoked")
def ocsp_revoked(side: Side) -> bool:
    said = _verified(side)
    return "Cert Status: revoked" in said and "Revocation Reason: keyCompromise (0x1)" in said


@shows("publication::ocsp-other-certificate")
def ocsp_other_certificate(side: Side) -> bool:
    asked = side.scep_lab.world.registration_authority.signing.serial_number
    found = re.search(r"Serial Number: ([0-9A-F]+)", _verified(side))
    assert found is not None
    return int(found[1], 16) == asked + 1


@shows("publication::ocsp-sha256-cert-id")
def ocsp_sha256_cert_id(side: Side) -> bool:
    return "Hash Algorithm: sha256" in _verified(side)


@shows("publication::ocsp-expired")
def ocsp_expired(side: Side) -> bool:
    ends = _instant(_verified(side), "Next Update")
    assert ends is not None
    return ends < published.now()


@shows("publication::ocsp-not-yet-valid")
def ocsp_not_yet_valid(side: Side) -> bool:
    begins = _instant(_verified(side), "This Update")
    assert begins is not None
    return begins > published.now()


@shows("publication::ocsp-without-next-update")
def ocsp_without_next_update(side: Side) -> bool:
    return _instant(_verified(side), "Next Update") is None


@shows("publication::ocsp-bad-signature")
def ocsp_bad_signature(side: Side) -> bool:
    said = published.ask(side)
    assert "Cert Status: good" in said
    assert "Subject: CN=NDES-LAB-OCSP" in said
    return "Response Verify Failure" in said and "signature failure" in said


@shows("publication::ocsp-foreign-responder")
def ocsp_foreign_responder(side: Side) -> bool:
    said = published.ask(side)
    assert "Cert Status: good" in said
    return "Issuer: CN=Another CA" in said and "Response Verify Failure" in said


@shows("publication::ocsp-responder-without-usage")
def ocsp_responder_without_usage(side: Side) -> bool:
    said = published.ask(side)
    assert "Cert Status: good" in said
    return "TLS Web Client Authentication" in said and "Response Verify Failure" in said


@shows("publication::ocsp-responder-expired")
def ocsp_responder_expired(side: Side) -> bool:
    said = published.ask(side)
    assert "Cert Status: good" in said
    ends = _instant(said, "Not After ")
    assert ends is not None
    has_ended = ends < published.now()
    assert has_ended == ("certificate has expired" in said)
    return has_ended


@shows("publication::ocsp-without-certificate")
def ocsp_without_certificate(side: Side) -> bool:
    said = published.ask(side)
    assert "Cert Status: good" in said
    return "-----BEGIN CERTIFICATE-----" not in said and "signer certificate not found" in said


@shows("publication::ocsp-signed-by-ca")
def ocsp_signed_by_ca(side: Side) -> bool:
    return "-----BEGIN CERTIFICATE-----" not in _verified(side)


@shows("publication::ocsp-responder-by-name")
def ocsp_responder_by_name(side: Side) -> bool:
    return re.search(r"Responder Id: CN ?= ?NDES-LAB-OCSP", _verified(side)) is not None


@shows("publication::ocsp-unknown-response-type")
def ocsp_unknown_response_type(side: Side) -> bool:
    return "1.3.6.1.4.1.99999.2" in published.ask(side)
