"""What came of it, for people and for machines. Never a challenge password or a key."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from lab.trust.render import serial_hex

from .errors import ReplyRejected
from .outcomes import Issued, Outcome, Refused
from .state import CERTIFICATE_FILE, CHAIN_FILE, KEY_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from lab.trust import CertificateRevocationList, X509Certificate

    from .errors import ClientError


def certificate_pem(certificate: X509Certificate) -> bytes:
    """Return PEM (RFC 7468) of the octets as they are."""
    return _pem("CERTIFICATE", certificate.der)


def crl_pem(crl: CertificateRevocationList) -> bytes:
    """Return PEM (RFC 7468) of a CRL."""
    return _pem("X509 CRL", crl.der)


def _pem(label: str, octets: bytes) -> bytes:
    text = base64.b64encode(octets).decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()


def certificate_json(certificate: X509Certificate) -> dict[str, Any]:
    """Return what identifies a certificate."""
    return {
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "serial": serial_hex(certificate.serial_number),
        "not_before": certificate.not_before.isoformat(),
        "not_after": certificate.not_after.isoformat(),
        "sha256": certificate.sha256,
        "sha1": certificate.sha1,
        "md5": certificate.md5,
        "pem": certificate_pem(certificate).decode(),
    }


def crl_json(crl: CertificateRevocationList) -> dict[str, Any]:
    """Return what identifies a CRL."""
    return {
        "issuer": crl.issuer,
        "number": crl.number,
        "this_update": crl.this_update.isoformat(),
        "next_update": None if crl.next_update is None else crl.next_update.isoformat(),
        "sha1": crl.sha1,
        "pem": crl_pem(crl).decode(),
    }


def outcome_json(outcome: Outcome, folder: Path | None) -> dict[str, Any]:
    """Return an outcome for machines; ``outcome`` is issued, refused or pending."""
    common = {"transaction_id": outcome.transaction_id, "warnings": list(outcome.warnings)}
    if isinstance(outcome, Issued):
        return {
            "outcome": "issued",
            **common,
            "certificate": certificate_json(outcome.certificate),
            "chain": [certificate_json(certificate) for certificate in outcome.chain],
            "files": _files(folder),
        }
    if isinstance(outcome, Refused):
        code = outcome.hresult
        return {
            "outcome": "refused",
            **common,
            "fail_info": outcome.fail_info.value,
            "fail_info_name": outcome.fail_info.rfc_name,
            "fail_info_text": outcome.fail_info_text,
            "hresult": None if code is None else f"0x{code.code:08x}",
            "hresult_name": None if code is None else code.name,
            "message": outcome.describe(),
        }
    return {"outcome": "pending", **common, "polls": outcome.polls, "message": outcome.describe()}


def outcome_lines(outcome: Outcome, folder: Path | None) -> list[str]:
    """Return an outcome for people."""
    if not isinstance(outcome, Issued):
        return [outcome.describe()]
    certificate = outcome.certificate
    lines = [
        f"issued: {certificate.subject}",
        f"  by {certificate.issuer}, serial {serial_hex(certificate.serial_number)}",
        f"  valid {certificate.not_before:%Y-%m-%d %H:%M:%S}Z to {certificate.not_after:%Y-%m-%d %H:%M:%S}Z",
        f"  SHA-1 {certificate.sha1}",
    ]
    return lines + [f"  {name} {path}" for name, path in _files(folder).items()]


def error_json(error: ClientError) -> dict[str, Any]:
    """Return why there is no outcome; ``check`` names the check that a reply failed."""
    return {
        "outcome": "error",
        "message": str(error),
        "check": error.check if isinstance(error, ReplyRejected) else None,
        "hresult": f"0x{error.hresult.code:08x}",
        "hresult_name": error.hresult.name,
    }


def _files(folder: Path | None) -> dict[str, str]:
    if folder is None:
        return {}
    names = {"key": KEY_FILE, "certificate": CERTIFICATE_FILE, "chain": CHAIN_FILE}
    return {name: str(folder / file) for name, file in names.items()}
