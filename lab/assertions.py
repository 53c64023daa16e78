"""Assertions for tests of SCEP servers and clients, in the standard's words.

Each raises AssertionError with what was found, what was expected, and the clause; none needs pytest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ca import der, oids

from .conformance import (
    ConformingCertRep,
    assert_certrep_conforms,
    assert_degenerate,
    expect,
    expect_equal,
)
from .trust import CertificateRevocationList, TrustAnchors, X509Certificate, build_chain
from .trust.revocation import RevocationSources

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from .trust import ChainContext

__all__ = [
    "ConformingCertRep",
    "assert_certificate_answers_request",
    "assert_certrep_conforms",
    "assert_chain_verifies",
    "assert_degenerate",
    "assert_revoked",
]


def assert_chain_verifies(
    certificate: bytes,
    *,
    anchors: Iterable[bytes],
    at: datetime,
    intermediates: Iterable[bytes] = (),
    crls: Iterable[bytes] | None = None,
    usage: str | None = oids.CLIENT_AUTH,
) -> ChainContext:
    """Assert that a DER certificate chains to one of the DER ``anchors`` at ``at``; return the chain.

    With ``crls`` each element below the anchor must be covered and not revoked. ``usage`` is the
    extended key usage the chain must be good for, None for any.
    """
    context = _chain(certificate, anchors, at, intermediates, crls, usage)
    expect(
        context.trusted,
        f"the chain of {context.elements[0].certificate.subject} does not verify: "
        f"{'; '.join(context.explanations)}; {context.hresult} (RFC 5280 6.1)",
    )
    return context


def assert_revoked(
    certificate: bytes,
    *,
    anchors: Iterable[bytes],
    at: datetime,
    crls: Iterable[bytes],
    intermediates: Iterable[bytes] = (),
    reason: str | None = None,
) -> None:
    """Assert that the CRLs say the certificate is revoked, if given for ``reason`` (RFC 5280 5.3.1)."""
    element = _chain(certificate, anchors, at, intermediates, crls, None).elements[0]
    result = element.revocation
    verdict = result.verdict.value if result else "not looked at"
    detail = "; ".join(result.reasons) if result else ""
    expect(
        result is not None and result.entry is not None,
        f"revocation of {element.certificate.subject} is {verdict}, expected revoked: {detail} "
        "(RFC 5280 6.3)",
    )
    if reason is not None and result is not None and result.entry is not None:
        expect_equal("reasonCode", result.entry.reason, reason, "RFC 5280 5.3.1")


def _chain(
    certificate: bytes,
    anchors: Iterable[bytes],
    at: datetime,
    intermediates: Iterable[bytes],
    crls: Iterable[bytes] | None,
    usage: str | None,
) -> ChainContext:
    sources = None
    if crls is not None:
        read = tuple(CertificateRevocationList.read(octets, origin="given CRL") for octets in crls)
        sources = RevocationSources(crls=read)
    return build_chain(
        X509Certificate.read(certificate),
        anchors=TrustAnchors.of(map(X509Certificate.read, anchors), origin="the given anchors"),
        at=at,
        intermediates=[X509Certificate.read(octets) for octets in intermediates],
        revocation=sources,
        usage=usage,
    )


def assert_certificate_answers_request(certificate: bytes, request: bytes) -> None:
    """Assert that a DER certificate has the key and, octet for octet, the subject of a DER PKCS#10."""
    try:
        info = der.one(request, what="CertificationRequest").enter()
        info.integer("version")
        subject = info.element(der.SEQUENCE, "subject").raw
        key = info.element(der.SEQUENCE, "subjectPKInfo").raw
    except der.DerError as error:
        raise AssertionError(f"the request is no PKCS#10 (RFC 2986 4): {error}") from error
    issued = X509Certificate.read(certificate)
    expect(issued.public_key_der == key, "the certificate is for another key (RFC 8894 3.3.2.1)")
    expect(
        issued.subject_der == subject,
        f"the certificate is issued to {issued.subject}, not octet for octet to the subject asked for "
        "(RFC 8894 3.3.1)",
    )
