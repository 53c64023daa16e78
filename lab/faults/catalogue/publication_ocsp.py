"""Faults of OCSP responses: signed by the responder unless that is the fault, and wrong."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from ca import der, extensions
from ca.ocsp import CertStatus, ResponseStatus, error_response
from ca.ocsp_responder import OcspAnswer
from ca.records import RevocationReason
from lab.faults.answered import resigned_answer, signed_answer
from lab.faults.published import REVOKED
from lab.faults.registry import ClientMust, OneOf, Seam, Step, fault
from lab.faults.signed_ocsp import UNKNOWN, OcspParts, revoked

if TYPE_CHECKING:
    from lab.faults.signed_ocsp import SingleParts
    from lab.faults.tools import Tools

_ocsp_fault = functools.partial(
    fault, seam=Seam.PUBLICATION, takes=OcspAnswer, step=Step.VERIFY, operations={"OCSP"}
)
_UNKNOWN_EXTENSION = "1.3.6.1.4.1.99999.1"
_UNKNOWN_RESPONSE_TYPE = "1.3.6.1.4.1.99999.2"
_SHA256 = "2.16.840.1.101.3.4.2.1"
_NONCE_OCTETS = 32
_REASONS = tuple(each.value for each in RevocationReason if each is not RevocationReason.REMOVE_FROM_CRL)


def _says(answer: OcspAnswer, status: ResponseStatus) -> OcspAnswer:
    """Return an answer that says a status alone (RFC 6960 2.3); the same if it says so already."""
    if answer.status is status:
        return answer
    return OcspAnswer(der=error_response(status), status=status)


# -- no answer -----------------------------------------------------------------------------


@_ocsp_fault(clause="RFC 6960 2.3", client_must=ClientMust.RETRY)
def ocsp_try_later(answer: OcspAnswer, tools: Tools) -> OcspAnswer:
    """The OCSP responder says tryLater.

    It is up and cannot say now: it waits for its database, or for its CRL. Asked again, it may.
    """
    del tools
    return _says(answer, ResponseStatus.TRY_LATER)


@_ocsp_fault(clause="RFC 6960 2.3", client_must=ClientMust.RETRY)
def ocsp_internal_error(answer: OcspAnswer, tools: Tools) -> OcspAnswer:
    """The OCSP responder says internalError.

    Its certificate has run out, or its key cannot be used. Asked elsewhere or later, it may know.
    """
    del tools
    return _says(answer, ResponseStatus.INTERNAL_ERROR)


@_ocsp_fault(clause="RFC 5019 2.2.3", client_must=ClientMust.REJECT)
def ocsp_unauthorized(answer: OcspAnswer, tools: Tools) -> OcspAnswer:
    """The OCSP responder says unauthorized: it has no records of this CA.

    No revocation configuration was made for the CA's new key. That is no word on the certificate.
    """
    del tools
    return _says(answer, ResponseStatus.UNAUTHORIZED)


@_ocsp_fault(clause="RFC 6960 2.3", client_must=ClientMust.REJECT)
def ocsp_malformed_request(answer: OcspAnswer, tools: Tools) -> OcspAnswer:
    """The OCSP responder says malformedRequest to a good request.

    Proxies that change the path of a GET bring this about; so do responders that know no nonce.
    """
    del tools
    return _says(answer, ResponseStatus.MALFORMED_REQUEST)


@_ocsp_fault(clause="RFC 6960 2.3", client_must=ClientMust.REJECT)
def ocsp_sig_required(answer: OcspAnswer, tools: Tools) -> OcspAnswer:
    """The OCSP responder wants requests to be signed (sigRequired).

    Few clients can sign them. That is no word on the certificate.
    """
    del tools
    return _says(answer, ResponseStatus.SIG_REQUIRED)


# -- what it says of the certificate -------------------------------------------------------


@_ocsp_fault(clause="RFC 6960 2.2", client_must=ClientMust.REJECT)
def ocsp_unknown(answer: OcspAnswer, tools: Tools) -> OcspAnswer:
    """The OCSP response says unknown of a certificate that the CA has issued.

    The responder's copy of the database is older than the certificate. Unknown is not good.
    """
    changed = resigned_answer(
        answer, tools, lambda parts: parts.each(lambda single: replace(single, status=UNKNOWN))
    )
    return answer if changed is answer else replace(changed, cert_statuses=(CertStatus.UNKNOWN,))


@_ocsp_fault(
    clause="RFC 6960 2.2", client_must=ClientMust.REJECT, symptom=REVOKED, limits={"reason": OneOf(_REASONS)}
)
def ocsp_revoked(answer: OcspAnswer, tools: Tools, *, reason: int = 1) -> OcspAnswer:
    """The OCSP response says revoked, for keyCompromise, of a certificate that is good.

    ``reason`` is another CRLReason by its number. The CRL says nothing of it.
    """
    status = revoked(tools.lab.clock.now() - timedelta(minutes=10), reason)
    changed = resigned_answer(
        answer, tools, lambda parts: parts.each(lambda single: replace(single, status=status))
    )
    return answer if changed is answer else replace(changed, cert_statuses=(CertStatus.REVOKED,))


@_ocsp_fault(clause="RFC 6960 3.2 (1)", client_must=ClientMust.REJECT)
def ocsp_other_certificate(answer: OcspAnswer, tools: Tools) -> OcspAnswer:
    """The OCSP response is about another certificate: its serial number is one higher.

    A cache between that does not look at the whole request gives such answers.
    """

    def other(single: SingleParts) -> SingleParts:
        reader = der.one(single.cert_id)
        parts = [reader.element().raw for _ in range(3)]
        return replace(single, cert_id=der.sequence(*parts, der.integer(reader.integer() + 1)))

    return resigned_answer(answer, tools, lambda parts: parts.each(other))


@_ocsp_fault(clause="RFC 6960 4.2.1", client_must=ClientMust.MAY)
def ocsp_sha256_cert_id(answer: OcspAnswer, tools: Tools) -> OcspAnswer:
    """The OCSP response names the certificate by SHA-256 hashes where the request did so by SHA-1.

    It is about the same certificate; responders that answer beforehand know one hash alone. Some clients
    compare octets and find nothing about theirs.
    """
    issuer = tools.lab.authority.certificate
    key = der.one(issuer.public_key_der)
    key.element(der.SEQUENCE, "algorithm")
    hashes = [hashlib.sha256(octets).digest() for octets in (issuer.subject_der, key.bits("key"))]
    algorithm = der.sequence(der.oid(_SHA256), der.null())

    def renamed(single: SingleParts) -> SingleParts:
        reader = der.one(single.cert_id)
        for _ in range(3):
            reader.element()
        serial = der.integer(reader.integer())
        return replace(single, cert_id=der.sequence(algorithm, *map(der.octet_string, hashes), serial))

    return resigned_answer(answer, tools, lambda parts: parts.each(renamed))


# -- when it holds -------------------------------------------------------------------------


@_ocsp_fault(clause="RFC 6960 4.2.2.1", client_must=ClientMust.REJECT)
def ocsp_expired(answer: OcspAnswer, tools: Tools, *, hours: int = 1) -> OcspAnswer:
    """The OCSP response ran out an hour ago: its nextUpdate is past.

    A cache or a stapling server goes on handing out what it has. It says nothing of what was revoked since.
    """
    end = tools.lab.clock.now() - timedelta(hours=hours)
    begin = end - timedelta(hours=1)
    return resigned_answer(
        answer,
        tools,
        lambda parts: replace(
            parts.each(lambda single: replace(single, this_update=begin, next_update=end)),
            produced_at=begin,
        ),
    )


@_ocsp_fault(clause="RFC 6960 4.2.2.1", client_must=ClientMust.REJECT)
def ocsp_not_yet_valid(answer: OcspAnswer, tools: Tools, *, hours: int = 24) -> OcspAnswer:
    """The OCSP response holds from tomorrow on: its thisUpdate is still to come.

    The responder's clock is ahead, or the device's behind.
    """
    begin = tools.lab.clock.now() + timedelta(hours=hours)
    return resigned_answer(
        answer,
        tools,
        lambda parts: replace(
            parts.each(
                lambda single: replace(single, this_update=begin, next_update=begin + timedelta(hours=1))
            ),
            produced_at=begin,
        ),
    )


@_ocsp_fault(clause="RFC 6960 4.2.2.1", client_must=ClientMust.MAY)
def ocsp_without_next_update(answer: OcspAnswer, tools: Tools) -> OcspAnswer:
    """The OCSP response does not say until when it holds: nextUpdate is left out.

    RFC 6960 reads that as newer answers being there at any time; RFC 5019 2.2.4 wants it.
    """
    return resigned_answer(
        answer, tools, lambda parts: parts.each(lambda single: replace(single, next_update=None))
    )


# -- to whom it answers --------------------------------------------------------------------


@_ocsp_fault(clause="RFC 9654 2.1", client_must=ClientMust.REJECT)
def ocsp_wrong_nonce(answer: OcspAnswer, tools: Tools) -> OcspAnswer:
    """The OCSP response has another nonce than the request.

    It answers somebody else's question, or is a replay. Requests without a nonce do not meet this.
    """

    def with_other(parts: OcspParts) -> OcspParts:
        found = parts.nonce
        if found is None:
            return parts
        digest = hashlib.sha512(found).digest()[:_NONCE_OCTETS]
        return parts.with_nonce(digest)

    if answer.status is not ResponseStatus.SUCCESSFUL or OcspParts.read(answer.der).nonce is None:
        return answer
    return resigned_answer(answer, tools, with_other)


@_ocsp_fault(clause="RFC 9654 2.1", client_must=ClientMust.MAY)
def ocsp_without_nonce(answer: OcspAnswer, tools: Tools) -> OcspAnswer:
    """The OCSP response has no nonce though the request has one.

    Responders that sign beforehand cannot repeat it, and need not. Requests without a nonce do not meet this.
    """
    if answer.status is not ResponseStatus.SUCCESSFUL or OcspParts.read(answer.der).nonce is None:
        return answer
    return resigned_answer(answer, tools, lambda parts: parts.with_nonce(None))


# -- what is in it -------------------------------------------------------------------------


@_ocsp_fault(clause="RFC 6960 4.4", client_must=ClientMust.REJECT)
def ocsp_unknown_critical_extension(answer: OcspAnswer, tools: Tools) -> OcspAnswer:
    """The OCSP response has a critical extension that nobody knows.

    Whoever does not understand it must not go by the response.
    """
    unknown = extensions.Extension(oid=_UNKNOWN_EXTENSION, critical=True, value=der.null())
    return resigned_answer(
        answer, tools, lambda parts: replace(parts, extensions=(*parts.extensions, unknown.der))
    )


@_ocsp_fault(clause="RFC 6960 4.2.1", client_must=ClientMust.REJECT)
def ocsp_unknown_response_type(answer: OcspAnswer, tools: Tools) -> OcspAnswer:
    """The OCSP response is of a type that nobody knows, not id-pkix-ocsp-basic.

    Every responder must be able to answer in the basic type.
    """
    return signed_answer(answer, tools, lambda parts, key: parts.sign(key, _UNKNOWN_RESPONSE_TYPE))
