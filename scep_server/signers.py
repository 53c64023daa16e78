"""Who signed a message: a stranger with a key, or the holder of a certificate we issued.

A self-signed certificate only lends its key and proves nothing more. A certificate that says it is
ours has to be: its signature is verified with our CA's key and it has to be on record, octet for
octet, before anything is granted on its strength (RFC 8894 2.4; names alone once fooled micromdm).
Nothing is fetched from any network for that.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from ca import names
from ca.certificates import BadCertificate, CertificateInfo, read_certificate
from ca.extensions import BadExtension

from .outcomes import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime, timedelta

    from ca.records import CertificateRecord, StoreTransaction

    from .checks import CheckList
    from .protocol.messages import SignerCertificate

_CLAUSE = "RFC 8894 2.4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A signer that holds a valid certificate of ours."""

    record: CertificateRecord
    certificate: CertificateInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfSigned:
    """A signer known by nothing but its key."""


Signer = Holder | SelfSigned


def key_digest(public_key_der: bytes) -> str:
    """Return the SHA-256 of a SubjectPublicKeyInfo as records spell it."""
    return hashlib.sha256(public_key_der).hexdigest()


class SignerJudge:
    """Judges the certificate that signed a message.

    ``issuers`` are our issuing CA's certificates, the present one first; ``reserved_keys`` the keys
    of CA and RA certificates, which are no applicant's.
    """

    def __init__(self, *, issuers: Iterable[CertificateInfo], reserved_keys: Iterable[bytes]) -> None:
        self._issuers = tuple((issuer, x509.load_der_x509_certificate(issuer.der)) for issuer in issuers)
        self._names = frozenset(issuer.subject_der for issuer, _ in self._issuers)
        self._reserved = frozenset(map(key_digest, reserved_keys))

    def is_reserved(self, public_key_der: bytes) -> bool:
        """Tell whether a key is one of a CA or RA."""
        return key_digest(public_key_der) in self._reserved

    def judge(
        self,
        transaction: StoreTransaction,
        signer: SignerCertificate,
        checks: CheckList,
        *,
        now: datetime,
        grace: timedelta,
    ) -> Signer | Refusal:
        """Return who signed, or why that certificate is good for nothing.

        ``grace`` is how long after its end a certificate still authenticates.
        """
        if signer.self_issued and signer.issuer_der not in self._names:
            return _self_signed(checks)
        named = [pair for pair in self._issuers if names.same_name(pair[0].subject_der, signer.issuer_der)]
        if not named:
            if names.same_name(signer.issuer_der, signer.subject_der):
                return _self_signed(checks)
            return _fail(
                checks, Refusal.SIGNER_FOREIGN, "certificate of another CA", "self-signed, or one of this CA"
            )
        issuer = next((info for info, key in named if _is_issued_by(signer.der, key)), None)
        if issuer is None:
            return _fail(
                checks,
                Refusal.SIGNER_FORGED,
                "names this CA as its issuer, but its signature does not verify with this CA's key",
                "a certificate of this CA",
            )
        return self._judge_own(transaction, signer, issuer, checks, now=now, grace=grace)

    def _judge_own(
        self,
        transaction: StoreTransaction,
        signer: SignerCertificate,
        issuer: CertificateInfo,
        checks: CheckList,
        *,
        now: datetime,
        grace: timedelta,
    ) -> Signer | Refusal:
        try:
            certificate = read_certificate(signer.der)
            is_ca = certificate.is_ca
        except (BadCertificate, BadExtension) as error:
            return _fail(checks, Refusal.SIGNER_FORGED, str(error), "a certificate of this CA")
        if is_ca or self.is_reserved(signer.public_key_der):
            return _fail(
                checks, Refusal.SIGNER_RESERVED, "certificate of a CA or RA", "an end entity's certificate"
            )
        record = transaction.certificate_by_serial((issuer.subject_key_id or b"").hex(), signer.serial_number)
        if record is None or record.der != signer.der:
            return _fail(
                checks, Refusal.SIGNER_UNRECORDED, "certificate is not on record", "one this CA recorded"
            )
        return _judge_record(record, certificate, checks, now=now, grace=grace)


def _self_signed(checks: CheckList) -> SelfSigned:
    checks.passed("signer", "RFC 8894 2.3", "self-signed; only its key is used")
    return SelfSigned()


def _judge_record(
    record: CertificateRecord,
    certificate: CertificateInfo,
    checks: CheckList,
    *,
    now: datetime,
    grace: timedelta,
) -> Signer | Refusal:
    if record.revocation is not None:
        return _fail(
            checks,
            Refusal.SIGNER_REVOKED,
            f"revoked ({record.revocation.reason.rfc_name})",
            "not revoked",
        )
    if now < record.not_before:
        return _fail(
            checks,
            Refusal.SIGNER_NOT_YET_VALID,
            f"valid from {record.not_before:%Y-%m-%d %H:%M:%SZ}",
            f"valid at {now:%Y-%m-%d %H:%M:%SZ}",
        )
    if now > record.not_after + grace:
        return _fail(
            checks,
            Refusal.SIGNER_EXPIRED,
            f"valid until {record.not_after:%Y-%m-%d %H:%M:%SZ}",
            f"valid at {now:%Y-%m-%d %H:%M:%SZ}",
        )
    checks.passed("signer", _CLAUSE, f"valid certificate of this CA, serial number {record.serial_number:x}")
    return Holder(record=record, certificate=certificate)


def _is_issued_by(signer_der: bytes, issuer: x509.Certificate) -> bool:
    """Verify a certificate's signature with the issuer's key (RFC 5280 6.1.3 (a)(1))."""
    try:
        x509.load_der_x509_certificate(signer_der).verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _fail(checks: CheckList, refusal: Refusal, found: str, expected: str) -> Refusal:
    checks.failed("signer", _CLAUSE, found, expected)
    return refusal
