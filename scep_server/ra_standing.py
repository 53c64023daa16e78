"""Whether the RA's certificates can be used: what is looked at when the service starts.

RFC 8894 3.5.1 has clients encrypt to one certificate and verify with the other, so each must have its
key usage, be in force, and come from the CA in whose name it speaks. Does not live here: opening keys.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from ca import names
from ca.extensions import BadExtension, KeyUsage, read_key_usage
from ca.oids import KEY_USAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from ca.certificates import CertificateInfo

    from .ndes.profiles import BehaviourProfile


_USAGES = {"signing": KeyUsage.DIGITAL_SIGNATURE, "encryption": KeyUsage.KEY_ENCIPHERMENT}


class RaTrouble(Enum):
    """What keeps an RA certificate from being used."""

    MISSING = "missing"
    UNREADABLE = "unreadable"
    ACCESS_DENIED = "access-denied"
    BAD_KEY = "bad-key"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    FOREIGN = "foreign"
    WRONG_USAGE = "wrong-usage"
    REVOKED = "revoked"


class RaUnusable(Exception):
    """An RA certificate or its key cannot be used; the text says which, and what was expected."""

    def __init__(self, trouble: RaTrouble, text: str) -> None:
        super().__init__(text)
        self.trouble = trouble

    def hresult(self, profile: BehaviourProfile) -> int:
        """Return what events 2 and 10 quote under a profile."""
        return {
            RaTrouble.MISSING: profile.ra_missing_hresult,
            RaTrouble.UNREADABLE: profile.ra_unreadable_hresult,
            RaTrouble.ACCESS_DENIED: profile.ra_access_hresult,
            RaTrouble.BAD_KEY: profile.ra_key_hresult,
            RaTrouble.EXPIRED: profile.ra_expired_hresult,
            RaTrouble.NOT_YET_VALID: profile.ra_expired_hresult,
            RaTrouble.FOREIGN: profile.ra_foreign_hresult,
            RaTrouble.WRONG_USAGE: profile.ra_usage_hresult,
            RaTrouble.REVOKED: profile.ra_revoked_hresult,
        }[self.trouble]


def require_usable(
    *,
    signing: CertificateInfo,
    encryption: CertificateInfo,
    issuers: Sequence[CertificateInfo],
    now: datetime,
    is_revoked: Callable[[CertificateInfo], bool],
) -> None:
    """Look at both certificates, the signing one first.

    Raises:
        RaUnusable: for the first thing that is wrong.

    """
    for role, certificate in (("signing", signing), ("encryption", encryption)):
        trouble = standing_of(role, certificate, issuers=issuers, now=now, is_revoked=is_revoked)
        if trouble is not None:
            raise trouble


def standing_of(
    role: str,
    certificate: CertificateInfo,
    *,
    issuers: Sequence[CertificateInfo],
    now: datetime,
    is_revoked: Callable[[CertificateInfo], bool],
) -> RaUnusable | None:
    """Return what speaks against the certificate in a role, "signing" or "encryption"; None is nothing."""
    try:
        _require(role, certificate, _USAGES[role], issuers, now)
    except RaUnusable as error:
        return error
    if is_revoked(certificate):
        return RaUnusable(RaTrouble.REVOKED, f"{_name(role, certificate)} is revoked")
    return None


def _require(
    role: str,
    certificate: CertificateInfo,
    usage: KeyUsage,
    issuers: Sequence[CertificateInfo],
    now: datetime,
) -> None:
    name = _name(role, certificate)
    if now > certificate.not_after:
        raise RaUnusable(RaTrouble.EXPIRED, f"{name} expired at {certificate.not_after:%Y-%m-%d %H:%M:%SZ}")
    if now < certificate.not_before:
        raise RaUnusable(
            RaTrouble.NOT_YET_VALID, f"{name} is not valid before {certificate.not_before:%Y-%m-%d %H:%M:%SZ}"
        )
    if not any(_issued(certificate, issuer) for issuer in issuers):
        raise RaUnusable(
            RaTrouble.FOREIGN, f"{name} was issued by {certificate.issuer}, expected this lab's issuing CA"
        )
    found = certificate.extension(KEY_USAGE)
    try:
        usages = frozenset(KeyUsage) if found is None else read_key_usage(found.value)
    except BadExtension as error:
        raise RaUnusable(RaTrouble.UNREADABLE, f"{name}: {error}") from error
    if usage not in usages:
        raise RaUnusable(
            RaTrouble.WRONG_USAGE, f"{name} has no key usage {usage.rfc_name} (RFC 5280 4.2.1.3)"
        )


def _issued(certificate: CertificateInfo, issuer: CertificateInfo) -> bool:
    if certificate.der == issuer.der:  # a CA that is its own RA (RFC 8894 2.1.2)
        return True
    if not names.same_name(certificate.issuer_der, issuer.subject_der):
        return False
    try:
        key = x509.load_der_x509_certificate(issuer.der)
        x509.load_der_x509_certificate(certificate.der).verify_directly_issued_by(key)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _name(role: str, certificate: CertificateInfo) -> str:
    return f"the RA's {role} certificate {certificate.subject} (serial number {certificate.serial_number:x})"
