"""Assertions for tests of SCEP servers and clients, in the standard's words.

Each raises AssertionError with what was found, what was expected, and the clause; none needs pytest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ca import der, oids
from ca.extensions import KeyUsage
from ca.folders import PkiUnreadable, pem_certificate

from .conformance import (
    ConformingCertRep,
    assert_certrep_conforms,
    assert_degenerate,
    expect,
    expect_equal,
)
from .journal_assertions import assert_issued, assert_pending, assert_refused, assert_retried
from .trust import CertificateRevocationList, TrustAnchors, X509Certificate, build_chain
from .trust.revocation import RevocationSources

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from .scep_lab import ScepLab
    from .trust import ChainContext

__all__ = [
    "ConformingCertRep",
    "assert_certificate_answers_request",
    "assert_certrep_conforms",
    "assert_chain_verifies",
    "assert_chains_to_root",
    "assert_degenerate",
    "assert_issued",
    "assert_key_usage",
    "assert_pending",
    "assert_refused",
    "assert_retried",
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


def assert_chains_to_root(certificate: bytes | str, scep_lab: ScepLab) -> ChainContext:
    """Assert that a certificate, DER or PEM, is one of the lab's, valid now by its clock, and not revoked.

    "Not revoked" is what the CRLs say that the lab publishes at this moment.
    """
    world = scep_lab.world
    files = (file for file in world.publication.files() if file.name.endswith(".crl"))
    return assert_chain_verifies(
        _der(certificate),
        anchors=[world.root.der],
        intermediates=[issuing.der for issuing in world.issuing_certificates],
        crls=[file.content for file in files if not file.name.endswith("+.crl")],
        at=world.clock.now(),
        usage=None,
    )


def assert_key_usage(certificate: bytes | str, *expected: str) -> None:
    """Assert that a certificate, DER or PEM, is for exactly these key usages (RFC 5280 4.2.1.3).

    They are named as in the RFC: ``digitalSignature``, ``keyEncipherment``.
    """
    names = {usage.name.lower(): usage.rfc_name for usage in KeyUsage}
    unknown = sorted(set(expected) - set(names.values()))
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: no key usage, expected of {', '.join(names.values())}")
    found = X509Certificate.read(_der(certificate)).key_usage or frozenset()
    expect_equal("keyUsage", sorted(names[one] for one in found), sorted(expected), "RFC 5280 4.2.1.3")


def _der(certificate: bytes | str) -> bytes:
    octets = certificate.encode() if isinstance(certificate, str) else certificate
    if not octets.lstrip().startswith(b"-----"):
        return octets
    try:
        return pem_certificate(octets)
    except PkiUnreadable as error:
        raise AssertionError(f"the certificate cannot be read: {error}") from error


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
