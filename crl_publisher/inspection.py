"""What must hold for signed bytes before a client may see them.

Signer and publisher are two pairs of eyes: nothing here comes from the code that made the bytes.
RFC 5280 is cited by clause.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import pkcs7

from ca.der import INTEGER, DerError, one

from .errors import PublicationRefused

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes

# What the x509 module raises on octets that are no such structure, or no such extension.
_UNREADABLE = (ValueError, x509.InvalidVersion)
_NO_EXTENSION = (
    ValueError,
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrlFacts:
    """What a CRL says of itself; ``base_number`` is set on a delta CRL only, ``issuer`` is a common name."""

    issuer: str
    number: int
    base_number: int | None
    this_update: datetime
    next_update: datetime


def read_crl(name: str, der: bytes) -> CrlFacts:
    """Return the facts of a CRL that has them.

    Raises:
        PublicationRefused: unreadable, or without CRL number or nextUpdate.

    """
    return _facts(name, _load_crl(name, der).crl)


def inspect_crl(name: str, der: bytes, issuer: bytes, *, now: datetime) -> CrlFacts:
    """Return the facts of a CRL that ``issuer`` (a certificate, DER) signed and that is good ``now``.

    Raises:
        PublicationRefused: unreadable, another issuer's, wrongly signed, without a CRL number,
            not yet valid, or without a nextUpdate that lies ahead.

    """
    signed = _load_crl(name, der)
    crl = signed.crl
    signer = load_certificate(f"the issuer of {name}", issuer)
    if not _signature_holds(signed, _public_key(name, signer)):
        raise PublicationRefused(
            f"{name}: the signature does not verify with the key of "
            f"{signer.subject.rfc4514_string()} (RFC 5280 5.1.1.3)"
        )
    _check_issuer(name, crl, signer)
    _check_authority_key(name, crl, signer)
    facts = _facts(name, crl)
    if facts.this_update > now:
        raise PublicationRefused(
            f"{name}: thisUpdate {facts.this_update:%Y-%m-%d %H:%M:%SZ} is still to come"
        )
    if facts.next_update <= now:
        raise PublicationRefused(
            f"{name}: nextUpdate {facts.next_update:%Y-%m-%d %H:%M:%SZ} is not ahead of "
            f"{now:%Y-%m-%d %H:%M:%SZ} (RFC 5280 5.1.2.5)"
        )
    return facts


def inspect_certificate(name: str, der: bytes, issuer: bytes) -> None:
    """Check that ``der`` is a CA certificate that ``issuer`` signed (itself, for a root).

    Raises:
        PublicationRefused: unreadable, not a CA's, or not signed by ``issuer``.

    """
    _check_ca_certificate(name, load_certificate(name, der), issuer)


def inspect_certificates(name: str, der: bytes, issuers: Sequence[bytes]) -> None:
    """Check that a certs-only CMS message holds certificates of one CA, each signed by one of ``issuers``.

    Raises:
        PublicationRefused: unreadable, empty, of several CAs, or one of them is not a CA's or signed by
            none of ``issuers``.

    """
    try:
        certificates = pkcs7.load_der_pkcs7_certificates(der)
    except (*_UNREADABLE, UnsupportedAlgorithm) as error:
        raise PublicationRefused(f"{name}: not a certs-only CMS message: {error}") from error
    if len({certificate.subject.public_bytes() for certificate in certificates}) != 1:
        raise PublicationRefused(
            f"{name}: {len(certificates)} certificates, expected those of one CA (RFC 5280 4.2.2.1)"
        )
    for certificate in certificates:
        _check_signed_by_one_of(name, certificate, issuers)


def _check_signed_by_one_of(name: str, certificate: x509.Certificate, issuers: Sequence[bytes]) -> None:
    refused = PublicationRefused(f"{name}: no issuer to verify its certificates with")
    for issuer in issuers:
        try:
            _check_ca_certificate(name, certificate, issuer)
        except PublicationRefused as error:
            refused = error
        else:
            return
    raise refused


def _check_ca_certificate(name: str, certificate: x509.Certificate, issuer: bytes) -> None:
    signer = load_certificate(f"the issuer of {name}", issuer)
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except _NO_EXTENSION as error:
        raise PublicationRefused(f"{name}: no readable basicConstraints (RFC 5280 4.2.1.9)") from error
    if not basic.ca:
        raise PublicationRefused(f"{name}: not a CA certificate (RFC 5280 4.2.1.9)")
    try:
        certificate.verify_directly_issued_by(signer)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise PublicationRefused(
            f"{name}: not signed by {signer.subject.rfc4514_string()} (RFC 5280 6.1.3 (a)(1))"
        ) from error


def load_certificate(name: str, der: bytes) -> x509.Certificate:
    """Return the certificate in ``der``.

    Raises:
        PublicationRefused: it cannot be read.

    """
    try:
        return x509.load_der_x509_certificate(der)
    except _UNREADABLE as error:
        raise PublicationRefused(f"{name}: not a DER certificate: {error}") from error


@dataclass(frozen=True, slots=True)
class _SignedList:
    """A CRL as the x509 module reads it, and the parts its signature is about."""

    crl: x509.CertificateRevocationList
    tbs: bytes  # tbsCertList as it is; a view, really
    inner_algorithm: bytes
    outer_algorithm: bytes


def _load_crl(name: str, der: bytes) -> _SignedList:
    try:
        crl = x509.load_der_x509_crl(der)
        # A view, so that a list of a million entries is not copied at each step into it.
        outer = one(cast("bytes", memoryview(der)), what="CertificateList")
        tbs = outer.element(what="tbsCertList")
        algorithm = outer.element(what="signatureAlgorithm").raw
        outer.bits("signatureValue")  # whole octets, which the x509 module does not insist on
        inner = tbs.reader()
        inner.optional(INTEGER)  # version
        signature = inner.element(what="signature").raw
    except (*_UNREADABLE, DerError) as error:
        raise PublicationRefused(f"{name}: not a DER CRL: {error}") from error
    return _SignedList(crl, tbs.raw, bytes(signature), bytes(algorithm))


def _public_key(name: str, signer: x509.Certificate) -> CertificateIssuerPublicKeyTypes:
    try:
        # A CRL is signed with RSA, ECDSA, DSA or EdDSA; a key that cannot sign raises TypeError later.
        return signer.public_key()  # type: ignore[return-value]
    except (ValueError, UnsupportedAlgorithm) as error:
        raise PublicationRefused(f"{name}: the issuer's public key cannot be read: {error}") from error


def _signature_holds(signed: _SignedList, key: CertificateIssuerPublicKeyTypes) -> bool:
    """Tell whether the signature is over the octets as they are, under one algorithm named twice.

    The x509 module encodes the list anew to verify it, which takes seconds where a million entries are
    on it; its own answer is taken for the kinds of keys that sign no long lists.
    """
    crl = signed.crl
    try:
        if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
            return crl.is_signature_valid(key)
        if signed.inner_algorithm != signed.outer_algorithm:
            return False
        parameters = crl.signature_algorithm_parameters
        if isinstance(key, rsa.RSAPublicKey):
            if not isinstance(parameters, padding.PKCS1v15 | padding.PSS) or not crl.signature_hash_algorithm:
                return False
            key.verify(crl.signature, signed.tbs, parameters, crl.signature_hash_algorithm)
        else:
            if not isinstance(parameters, ec.ECDSA):
                return False
            key.verify(crl.signature, signed.tbs, parameters)
    except (InvalidSignature, TypeError, ValueError, UnsupportedAlgorithm):
        return False
    return True


def _check_issuer(name: str, crl: x509.CertificateRevocationList, signer: x509.Certificate) -> None:
    found = _issuer(name, crl)
    if found.public_bytes() != signer.subject.public_bytes():
        raise PublicationRefused(
            f"{name}: issuer is {found.rfc4514_string()}, expected "
            f"{signer.subject.rfc4514_string()} (RFC 5280 5.1.2.3)"
        )


def _issuer(name: str, crl: x509.CertificateRevocationList) -> x509.Name:
    try:
        return crl.issuer
    except ValueError as error:
        raise PublicationRefused(f"{name}: unreadable issuer (RFC 5280 5.1.2.3)") from error


def _check_authority_key(name: str, crl: x509.CertificateRevocationList, signer: x509.Certificate) -> None:
    try:
        ours = signer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        theirs = crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except _NO_EXTENSION as error:
        raise PublicationRefused(
            f"{name}: no authorityKeyIdentifier to compare with the issuer's key (RFC 5280 5.2.1)"
        ) from error
    if theirs != ours:
        found = theirs.hex() if theirs else "absent"
        raise PublicationRefused(
            f"{name}: authorityKeyIdentifier is {found}, expected {ours.hex()} (RFC 5280 5.2.1)"
        )


def _facts(name: str, crl: x509.CertificateRevocationList) -> CrlFacts:
    try:
        number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except _NO_EXTENSION as error:
        raise PublicationRefused(f"{name}: no readable CRL number (RFC 5280 5.2.3)") from error
    next_update = crl.next_update_utc
    if next_update is None:
        raise PublicationRefused(f"{name}: no nextUpdate (RFC 5280 5.1.2.5)")
    return CrlFacts(
        issuer=_common_name(_issuer(name, crl)),
        number=number,
        base_number=_base_number(name, crl),
        this_update=crl.last_update_utc,
        next_update=next_update,
    )


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(found[-1].value) if found else name.rfc4514_string()


def _base_number(name: str, crl: x509.CertificateRevocationList) -> int | None:
    try:
        indicator = crl.extensions.get_extension_for_class(x509.DeltaCRLIndicator)
    except x509.ExtensionNotFound:
        return None
    if not indicator.critical:
        raise PublicationRefused(f"{name}: the delta CRL indicator is not critical (RFC 5280 5.2.4)")
    return indicator.value.crl_number
