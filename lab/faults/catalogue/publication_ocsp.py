"""Faults of OCSP responses: signed by the responder unless that is the fault, and wrong."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from ca import der, extensions, names, oids
from ca.certificates import TbsCertificate, read_certificate
from ca.ocsp import CertStatus, ResponseStatus, error_response
from ca.ocsp_responder import OcspAnswer
from ca.records import RevocationReason
from lab.faults.ca_keys import issuing_key, responder_credential
from lab.faults.minting import altered, ended, foreign_key, signed, with_extension
from lab.faults.published import REVOKED, bit_flipped, span
from lab.faults.registry import BadParameter, ClientMust, Seam, Step, fault
from lab.faults.signed_ocsp import UNKNOWN, OcspParts, revoked

if TYPE_CHECKING:
    from collections.abc import Callable

    from ca.certificates import CertificateInfo
    from ca.keys import SigningKey
    from lab.faults.signed_ocsp import SingleParts
    from lab.faults.tools import Tools

_ocsp_fault = functools.partial(
    fault, seam=Seam.PUBLICATION, takes=OcspAnswer, step=Step.VERIFY, operations={"OCSP"}
)
_UNKNOWN_EXTENSION = "1.3.6.1.4.1.99999.1"
_UNKNOWN_RESPONSE_TYPE = "1.3.6.1.4.1.99999.2"
_SHA256 = "2.16.840.1.101.3.4.2.1"
_NONCE_OCTETS = 32
_REASONS = [each.value for each in RevocationReason if each is not RevocationReason.REMOVE_FROM_CRL]


def _resigned(answer: OcspAnswer, tools: Tools, change: Callable[[OcspParts], OcspParts]) -> OcspAnswer:
    """Return a successful answer with something changed, signed again by the same responder."""
    return _signed(answer, tools, lambda parts, key: change(parts).sign(key))


def _signed(answer: OcspAnswer, tools: Tools, sign: Callable[[OcspParts, SigningKey], bytes]) -> OcspAnswer:
    """Return a successful answer signed in another way; ``sign`` gets the responder's key."""
    if answer.status is not ResponseStatus.SUCCESSFUL:
        return answer
    parts = OcspParts.read(answer.der)
    credential = responder_credential(tools.lab, read_certificate(parts.certificates[0]))
    if credential is None:
        return answer
    parts = parts.by((credential.certificate.der,), credential.certificate.public_key_der)
    return replace(answer, der=sign(parts, credential.key))


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
    changed = _resigned(
        answer, tools, lambda parts: parts.each(lambda single: replace(single, status=UNKNOWN))
    )
    return answer if changed is answer else replace(changed, cert_statuses=(CertStatus.UNKNOWN,))


@_ocsp_fault(clause="RFC 6960 2.2", client_must=ClientMust.REJECT, symptom=REVOKED)
def ocsp_revoked(answer: OcspAnswer, tools: Tools, *, reason: int = 1) -> OcspAnswer:
    """The OCSP response says revoked, for keyCompromise, of a certificate that is good.

    ``reason`` is another CRLReason by its number. The CRL says nothing of it.
    """
    if reason not in _REASONS:
        raise BadParameter(f"reason is {reason}, expected one of {', '.join(map(str, _REASONS))}")
    status = revoked(tools.lab.clock.now() - timedelta(minutes=10), reason)
    changed = _resigned(
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

    return _resigned(answer, tools, lambda parts: parts.each(other))


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

    return _resigned(answer, tools, lambda parts: parts.each(renamed))


# -- when it holds -------------------------------------------------------------------------


@_ocsp_fault(clause="RFC 6960 4.2.2.1", client_must=ClientMust.REJECT)
def ocsp_expired(answer: OcspAnswer, tools: Tools, *, hours: int = 1) -> OcspAnswer:
    """The OCSP response ran out an hour ago: its nextUpdate is past.

    A cache or a stapling server goes on handing out what it has. It says nothing of what was revoked since.
    """
    end = tools.lab.clock.now() - span("hours", hours)
    begin = end - timedelta(hours=1)
    return _resigned(
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
    begin = tools.lab.clock.now() + span("hours", hours)
    return _resigned(
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
    return _resigned(
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
    return _resigned(answer, tools, with_other)


@_ocsp_fault(clause="RFC 9654 2.1", client_must=ClientMust.MAY)
def ocsp_without_nonce(answer: OcspAnswer, tools: Tools) -> OcspAnswer:
    """The OCSP response has no nonce though the request has one.

    Responders that sign beforehand cannot repeat it, and need not. Requests without a nonce do not meet this.
    """
    if answer.status is not ResponseStatus.SUCCESSFUL or OcspParts.read(answer.der).nonce is None:
        return answer
    return _resigned(answer, tools, lambda parts: parts.with_nonce(None))


# -- who signed it -------------------------------------------------------------------------


@_ocsp_fault(clause="RFC 6960 3.2 (2)", client_must=ClientMust.REJECT)
def ocsp_bad_signature(answer: OcspAnswer, tools: Tools) -> OcspAnswer:
    """The OCSP response's signature does not verify: one bit of it is changed.

    Everything that it says, and the responder's certificate, is as it was.
    """

    def spoilt(parts: OcspParts, key: SigningKey) -> bytes:
        bare = replace(parts, certificates=())
        good = bare.sign(key)  # without certificates the signature is what comes last
        return _with_certificates(bit_flipped(good), parts.certificates)

    return _signed(answer, tools, spoilt)


def _with_certificates(response: bytes, certificates: tuple[bytes, ...]) -> bytes:
    """Return an OCSPResponse without certificates with these added; nothing is signed anew."""
    reader = der.one(response)
    status = reader.element(der.ENUMERATED).raw
    kind, carried = der.one(reader.element(0xA0).content).elements()
    basic = der.one(carried.content)
    parts = [each.raw for each in basic.elements()]
    whole = der.sequence(*parts, der.explicit(0, der.sequence(*certificates)))
    return der.sequence(status, der.explicit(0, der.sequence(kind.raw, der.octet_string(whole))))


@_ocsp_fault(clause="RFC 6960 4.2.2.2", client_must=ClientMust.REJECT)
def ocsp_foreign_responder(answer: OcspAnswer, tools: Tools) -> OcspAnswer:
    """The OCSP response is signed by a responder that another CA has certified.

    It has id-kp-OCSPSigning, and nobody whom this client trusts for this CA gave it. A proxy that answers in
    the name of all CAs looks like this.
    """
    key, authority = foreign_key("an OCSP responder"), foreign_key("the CA of that OCSP responder")

    def by_stranger(parts: OcspParts, own: SigningKey) -> bytes:
        del own
        tbs = _of(read_certificate(parts.certificates[0]), key, names.build_name("CN=Another CA"))
        tbs = with_extension(tbs, extensions.authority_key_identifier(authority.subject_key_id))
        return parts.by((signed(tbs, authority),), key.public_key_der).sign(key)

    return _signed(answer, tools, by_stranger)


def _of(responder: CertificateInfo, key: SigningKey, issuer_der: bytes) -> TbsCertificate:
    """Return a responder's certificate like ``responder`` for another key, by another issuer."""
    kept = (oids.KEY_USAGE, oids.EXTENDED_KEY_USAGE, oids.OCSP_NO_CHECK)
    return TbsCertificate(
        serial_number=responder.serial_number,
        signature_algorithm=key.signature_algorithm_der,
        issuer_der=issuer_der,
        not_before=responder.not_before,
        not_after=responder.not_after,
        subject_der=responder.subject_der,
        public_key_der=key.public_key_der,
        extensions=tuple(each for each in responder.extensions if each.oid in kept),
    )


def _with_responder(
    answer: OcspAnswer, tools: Tools, change: Callable[[TbsCertificate], TbsCertificate]
) -> OcspAnswer:
    """Return an answer whose responder has another certificate by the same CA for the same key."""

    def by_changed(parts: OcspParts, key: SigningKey) -> bytes:
        own = parts.certificates[0]
        issuing = issuing_key(tools.lab, read_certificate(own).authority_key_id)
        if issuing is None:  # one that the responder answers for has its key here
            raise LookupError("the OCSP responder's certificate is by no CA of this lab")
        return replace(parts, certificates=(altered(own, issuing, change),)).sign(key)

    return _signed(answer, tools, by_changed)


@_ocsp_fault(clause="RFC 6960 4.2.2.2", client_must=ClientMust.REJECT)
def ocsp_responder_without_usage(answer: OcspAnswer, tools: Tools) -> OcspAnswer:
    """The OCSP response is signed with a certificate of the CA that is not for OCSP: clientAuth alone.

    Were it good, any device could vouch for any other. The template of the responder was changed.
    """
    usage = extensions.extended_key_usage((oids.CLIENT_AUTH,))
    return _with_responder(answer, tools, lambda tbs: with_extension(tbs, usage))


@_ocsp_fault(clause="RFC 6960 4.2.2.2", client_must=ClientMust.REJECT)
def ocsp_responder_expired(answer: OcspAnswer, tools: Tools, *, days: int = 1) -> OcspAnswer:
    """The OCSP response is signed with a responder's certificate that ended yesterday.

    They last two weeks with AD CS, and are not renewed where the responder may not enrol.
    """
    now = tools.lab.clock.now()
    return _with_responder(answer, tools, lambda tbs: ended(tbs, now, days))


@_ocsp_fault(clause="RFC 6960 4.2.1", client_must=ClientMust.REJECT)
def ocsp_without_certificate(answer: OcspAnswer, tools: Tools) -> OcspAnswer:
    """The OCSP response does not bring the responder's certificate along.

    The responder is a delegated one, and the client has never seen it: it cannot verify the signature.
    """
    return _resigned(answer, tools, lambda parts: replace(parts, certificates=()))


@_ocsp_fault(clause="RFC 6960 2.6", client_must=ClientMust.SUCCEED)
def ocsp_signed_by_ca(answer: OcspAnswer, tools: Tools) -> OcspAnswer:
    """The OCSP response is signed by the CA itself, without any certificate.

    That is as good as a delegated responder's; small CAs answer so.
    """

    def by_issuer(parts: OcspParts, key: SigningKey) -> bytes:
        key_id = read_certificate(parts.certificates[0]).authority_key_id
        issuing = issuing_key(tools.lab, key_id) or key
        return parts.by((), issuing.public_key_der).sign(issuing)

    return _signed(answer, tools, by_issuer)


@_ocsp_fault(clause="RFC 6960 4.2.1", client_must=ClientMust.SUCCEED)
def ocsp_responder_by_name(answer: OcspAnswer, tools: Tools) -> OcspAnswer:
    """The OCSP response names its responder by name, not by the hash of its key.

    Both forms are standard; OpenSSL's responder writes this one.
    """

    def named(parts: OcspParts) -> OcspParts:
        subject = read_certificate(parts.certificates[0]).subject_der
        return replace(parts, responder_id=der.explicit(1, subject))

    return _resigned(answer, tools, named)


# -- what is in it -------------------------------------------------------------------------


@_ocsp_fault(clause="RFC 6960 4.4", client_must=ClientMust.REJECT)
def ocsp_unknown_critical_extension(answer: OcspAnswer, tools: Tools) -> OcspAnswer:
    """The OCSP response has a critical extension that nobody knows.

    Whoever does not understand it must not go by the response.
    """
    unknown = extensions.Extension(oid=_UNKNOWN_EXTENSION, critical=True, value=der.null())
    return _resigned(answer, tools, lambda parts: replace(parts, extensions=(*parts.extensions, unknown.der)))


@_ocsp_fault(clause="RFC 6960 4.2.1", client_must=ClientMust.REJECT)
def ocsp_unknown_response_type(answer: OcspAnswer, tools: Tools) -> OcspAnswer:
    """The OCSP response is of a type that nobody knows, not id-pkix-ocsp-basic.

    Every responder must be able to answer in the basic type.
    """
    return _signed(answer, tools, lambda parts, key: parts.sign(key, _UNKNOWN_RESPONSE_TYPE))
