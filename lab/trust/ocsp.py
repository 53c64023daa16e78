"""Asking an OCSP responder, and judging its answer (RFC 6960, RFC 9654).

The answer counts when it is signed by the issuer or by a responder the issuer delegated to, is about
the certificate asked for, is current, and repeats our nonce if it has one at all: responders that
sign in advance leave it out (RFC 9654 2.1). Does not live here: what follows for the certificate.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from asn1crypto import ocsp

from ca import der, oids

from .certificates import UnreadableCertificate, X509Certificate
from .crls import RevokedCertificate
from .signatures import SignatureVerdict, verify_signature

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

REQUEST_MEDIA_TYPE: Final = "application/ocsp-request"
_SHA1: Final = "1.3.14.3.2.26"  # the only digest RFC 5019 2.1.1 lets clients use
_NONCE: Final = "1.3.6.1.5.5.7.48.1.2"
_UNREADABLE = (ValueError, TypeError, KeyError, IndexError, AttributeError)
_REASONS: Final = {
    "key_compromise": "keyCompromise",
    "ca_compromise": "cACompromise",
    "affiliation_changed": "affiliationChanged",
    "superseded": "superseded",
    "cessation_of_operation": "cessationOfOperation",
    "certificate_hold": "certificateHold",
    "remove_from_crl": "removeFromCRL",
    "privilege_withdrawn": "privilegeWithdrawn",
    "aa_compromise": "aACompromise",
}


class BadOcspAnswer(ValueError):
    """The octets are no answer that can be used; the text says why. ``outcome`` is certutil's word."""

    def __init__(self, message: str, outcome: str = "Failed") -> None:
        super().__init__(message)
        self.outcome = outcome


class OcspStatus(Enum):
    """CertStatus (RFC 6960 2.2)."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class OcspAnswer:
    """A verified answer about one certificate."""

    octets: bytes = field(repr=False)
    status: OcspStatus
    this_update: datetime
    next_update: datetime | None
    produced_at: datetime
    responder: X509Certificate
    nonce_repeated: bool
    entry: RevokedCertificate | None = None

    @property
    def sha1(self) -> str:
        """Return the SHA-1 of the octets, lower-case hex, as certutil prints it."""
        return hashlib.sha1(self.octets, usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class OcspQuestion:
    """Who is asked about, and the nonce to be repeated (RFC 9654: 32 octets by default)."""

    certificate: X509Certificate
    issuer: X509Certificate
    nonce: bytes | None = None

    def encode(self) -> bytes:
        """Return the OCSPRequest (RFC 6960 4.1.1)."""
        extensions = b""
        if self.nonce is not None:
            nonce = der.sequence(der.oid(_NONCE), der.octet_string(der.octet_string(self.nonce)))
            extensions = der.explicit(2, der.sequence(nonce))
        return der.sequence(der.sequence(der.sequence(der.sequence(self._cert_id())), extensions))

    def _cert_id(self) -> bytes:
        name_hash, key_hash = self.hashes("sha1")
        return der.sequence(
            der.sequence(der.oid(_SHA1), der.null()),
            der.octet_string(name_hash),
            der.octet_string(key_hash),
            der.integer(self.certificate.serial_number),
        )

    def hashes(self, digest: str) -> tuple[bytes, bytes]:
        """Return issuerNameHash and issuerKeyHash."""
        return (
            hashlib.new(digest, self.certificate.issuer_der).digest(),
            hashlib.new(digest, _key_bits(self.issuer)).digest(),
        )


def read_answer(
    octets: bytes,
    question: OcspQuestion,
    *,
    at: datetime,
    responder_revoked: Callable[[X509Certificate], str],
) -> OcspAnswer:
    """Return the verified answer to ``question``.

    ``responder_revoked`` says why a delegated responder's certificate, which has no
    id-pkix-ocsp-nocheck, cannot be relied on; nothing when it can.

    Raises:
        BadOcspAnswer: it cannot be used.

    """
    try:
        basic = _basic_response(octets)
        data = basic["tbs_response_data"]
        single = _single_response(data, question)
        signer = _signer(basic, question.issuer)
        nonce = _nonce(data)
        status = OcspStatus(single["cert_status"].name)
        this_update, next_update = single["this_update"].native, single["next_update"].native
        produced_at = data["produced_at"].native
        entry = _entry(single) if status is OcspStatus.REVOKED else None
    except BadOcspAnswer:
        raise
    except _UNREADABLE as error:
        raise BadOcspAnswer(
            f"{len(octets)} octets beginning {octets[:8].hex()} are no OCSPResponse: {error}"
        ) from error
    _check_signer(signer, question.issuer, at, responder_revoked)
    if nonce is not None and question.nonce is not None and nonce != question.nonce:
        raise BadOcspAnswer("its nonce is not the one that was sent (RFC 9654 2.1)")
    _check_time(this_update, next_update, at)
    return OcspAnswer(
        octets=octets,
        status=status,
        this_update=this_update,
        next_update=next_update,
        produced_at=produced_at,
        responder=signer,
        nonce_repeated=nonce is not None and nonce == question.nonce,
        entry=entry,
    )


def _basic_response(octets: bytes) -> Any:
    response = ocsp.OCSPResponse.load(octets, strict=True)
    status = response["response_status"].native
    if status != "successful":
        raise BadOcspAnswer(f"the responder says {status} (RFC 6960 2.3)")
    kind = response["response_bytes"]["response_type"].native
    if kind != "basic_ocsp_response":
        raise BadOcspAnswer(f"the answer is of type {kind}, expected id-pkix-ocsp-basic (RFC 6960 4.2.1)")
    return response["response_bytes"]["response"].parsed


def _single_response(data: Any, question: OcspQuestion) -> Any:
    for single in data["responses"]:
        cert_id = single["cert_id"]
        hashes = cert_id["issuer_name_hash"].native, cert_id["issuer_key_hash"].native
        if cert_id["serial_number"].native != question.certificate.serial_number:
            continue
        if hashes == question.hashes(cert_id["hash_algorithm"]["algorithm"].native):
            unknown = [one for one in single["single_extensions"] or () if one["critical"].native]
            if unknown:
                raise BadOcspAnswer(
                    f"critical extension {unknown[0]['extn_id'].dotted} is not understood (RFC 6960 4.4)"
                )
            return single
    raise BadOcspAnswer("it is about another certificate (RFC 6960 3.2 (1))", "Wrong Issuer")


def _signer(basic: Any, issuer: X509Certificate) -> X509Certificate:
    """Return the certificate whose key signed; it may be anyone's still."""
    algorithm, signature = basic["signature_algorithm"].dump(), basic["signature"].native
    tbs = basic["tbs_response_data"].dump()
    candidates = [issuer]
    for certificate in basic["certs"] or ():
        try:
            candidates.append(X509Certificate.read(certificate.dump()))
        except UnreadableCertificate as error:
            raise BadOcspAnswer(f"a certificate in it cannot be read: {error}") from error
    named = [one for one in candidates if _is_responder(basic["tbs_response_data"]["responder_id"], one)]
    for candidate in named:
        verdict = verify_signature(
            public_key_der=candidate.public_key_der, algorithm_der=algorithm, signature=signature, data=tbs
        )
        if verdict is SignatureVerdict.VALID:
            return candidate
    if not named:
        raise BadOcspAnswer(
            "the certificate of its responder is neither the issuer's nor in it", "Wrong Issuer"
        )
    raise BadOcspAnswer("its signature does not verify (RFC 6960 3.2 (2))", "Wrong Issuer")


def _is_responder(responder_id: Any, certificate: X509Certificate) -> bool:
    if responder_id.name == "by_name":
        return bool(responder_id.chosen.hashable == certificate.subject_key)
    return bool(responder_id.native == hashlib.sha1(_key_bits(certificate), usedforsecurity=False).digest())


def _nonce(data: Any) -> bytes | None:
    found: bytes | None = None
    for extension in data["response_extensions"] or ():
        if extension["extn_id"].dotted == _NONCE:
            found = der.Reader(extension["extn_value"].contents).octets("Nonce")
        elif extension["critical"].native:
            raise BadOcspAnswer(
                f"critical extension {extension['extn_id'].dotted} is not understood (RFC 6960 4.4)"
            )
    return found


def _entry(single: Any) -> RevokedCertificate:
    info = single["cert_status"].chosen
    reason = info["revocation_reason"].native
    return RevokedCertificate(
        revoked_at=info["revocation_time"].native, reason=_REASONS.get(reason or "", "unspecified")
    )


def _check_signer(
    signer: X509Certificate,
    issuer: X509Certificate,
    at: datetime,
    responder_revoked: Callable[[X509Certificate], str],
) -> None:
    """RFC 6960 4.2.2.2: the issuer itself, or one it certified for OCSP signing."""
    if signer.public_key_der == issuer.public_key_der and signer.subject_key == issuer.subject_key:
        return
    signed_by_issuer = (
        signer.issuer_key == issuer.subject_key and signer.signature_under(issuer) is SignatureVerdict.VALID
    )
    if not signed_by_issuer:
        raise BadOcspAnswer(
            f"{signer.subject} signed it, whom {issuer.subject} did not certify (RFC 6960 4.2.2.2)",
            "Wrong Issuer",
        )
    if oids.OCSP_SIGNING not in (signer.extended_key_usage or ()):
        raise BadOcspAnswer(
            f"{signer.subject} signed it without id-kp-OCSPSigning (RFC 6960 4.2.2.2)", "Wrong Issuer"
        )
    if not signer.not_before <= at <= signer.not_after:
        raise BadOcspAnswer(
            f"the responder's certificate is valid {signer.not_before:%Y-%m-%d} to "
            f"{signer.not_after:%Y-%m-%d} only",
            "Expired",
        )
    reason = "" if signer.ocsp_no_check else responder_revoked(signer)
    if reason:
        raise BadOcspAnswer(f"the responder's certificate cannot be relied on: {reason}")


def _check_time(this_update: datetime, next_update: datetime | None, at: datetime) -> None:
    """RFC 6960 4.2.2.1."""
    if this_update > at:
        raise BadOcspAnswer(
            f"thisUpdate is {this_update:%Y-%m-%d %H:%M:%S}Z, later than {at:%Y-%m-%d %H:%M:%S}Z",
            "Not Yet Valid",
        )
    if next_update is not None and next_update <= at:
        raise BadOcspAnswer(
            f"nextUpdate was {next_update:%Y-%m-%d %H:%M:%S}Z, now is {at:%Y-%m-%d %H:%M:%S}Z", "Expired"
        )


def _key_bits(certificate: X509Certificate) -> bytes:
    """Return the subjectPublicKey bits, of which RFC 6960 4.1.1 and 4.2.1 want digests."""
    key = der.one(certificate.public_key_der, what="SubjectPublicKeyInfo")
    key.element(der.SEQUENCE, "algorithm")
    return key.bits("subjectPublicKey")
