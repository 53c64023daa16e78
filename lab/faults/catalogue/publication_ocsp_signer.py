"""Faults of who signs OCSP responses: what they say of the certificate is true."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING

from ca import der, extensions, names, oids
from ca.certificates import TbsCertificate, read_certificate
from ca.ocsp_responder import OcspAnswer
from lab.faults.answered import resigned_answer, signed_answer
from lab.faults.ca_keys import issuing_key
from lab.faults.minting import altered, ended, foreign_key, signed, with_extension
from lab.faults.published import bit_flipped
from lab.faults.registry import ClientMust, Seam, Step, fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from ca.certificates import CertificateInfo
    from ca.keys import SigningKey
    from lab.faults.signed_ocsp import OcspParts
    from lab.faults.tools import Tools

_ocsp_fault = functools.partial(
    fault, seam=Seam.PUBLICATION, takes=OcspAnswer, step=Step.VERIFY, operations={"OCSP"}
)


@_ocsp_fault(clause="RFC 6960 3.2 (2)", client_must=ClientMust.REJECT)
def ocsp_bad_signature(answer: OcspAnswer, tools: Tools) -> OcspAnswer:
    """The OCSP response's signature does not verify: one bit of it is changed.

    Everything that it says, and the responder's certificate, is as it was.
    """

    def spoilt(parts: OcspParts, key: SigningKey) -> bytes:
        bare = replace(parts, certificates=())
        good = bare.sign(key)  # without certificates the signature is what comes last
        return _with_certificates(bit_flipped(good), parts.certificates)

    return signed_answer(answer, tools, spoilt)


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

    return signed_answer(answer, tools, by_stranger)


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

    return signed_answer(answer, tools, by_changed)


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
    return resigned_answer(answer, tools, lambda parts: replace(parts, certificates=()))


@_ocsp_fault(clause="RFC 6960 2.6", client_must=ClientMust.SUCCEED)
def ocsp_signed_by_ca(answer: OcspAnswer, tools: Tools) -> OcspAnswer:
    """The OCSP response is signed by the CA itself, without any certificate.

    That is as good as a delegated responder's; small CAs answer so.
    """

    def by_issuer(parts: OcspParts, key: SigningKey) -> bytes:
        key_id = read_certificate(parts.certificates[0]).authority_key_id
        issuing = issuing_key(tools.lab, key_id) or key
        return parts.by((), issuing.public_key_der).sign(issuing)

    return signed_answer(answer, tools, by_issuer)


@_ocsp_fault(clause="RFC 6960 4.2.1", client_must=ClientMust.SUCCEED)
def ocsp_responder_by_name(answer: OcspAnswer, tools: Tools) -> OcspAnswer:
    """The OCSP response names its responder by name, not by the hash of its key.

    Both forms are standard; OpenSSL's responder writes this one.
    """

    def named(parts: OcspParts) -> OcspParts:
        subject = read_certificate(parts.certificates[0]).subject_der
        return replace(parts, responder_id=der.explicit(1, subject))

    return resigned_answer(answer, tools, named)
