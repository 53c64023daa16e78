"""The CA certificates a server hands out, and whether to believe them (RFC 8894 2.2).

GetCACert is plain HTTP: what it brings counts only when a CA in it has the fingerprint the user was
told, or chains to a root the user has. Then each certificate is used for what it is allowed to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ca import oids
from ca.der import DerError, one
from lab.trust import TrustAnchors, UnreadableCertificate, X509Certificate, build_chain
from scep_server.protocol.contents import decode_ca_certificates

from .errors import InvalidOrder, UntrustedCa

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from lab.http_exchange import HttpReply
    from lab.trust import ChainContext

_DIGESTS: Final = {64: "sha256", 40: "sha1", 32: "md5"}
_ASN1_BAD_TAG: Final = 0x8009310B
_WRONG_HASH: Final = 0x80091007
_NO_SUCH_CERTIFICATE: Final = 0x8010002C


@dataclass(frozen=True, slots=True, kw_only=True)
class CaTrust:
    """How the CA is authenticated: fingerprints, anchors, or by explicit wish not at all.

    ``fingerprints`` are hex of SHA-256, SHA-1 or MD5, told apart by length; colons and spaces count
    for nothing.

    Raises:
        InvalidOrder: none of the three is given (RFC 8894 2.1.1), or a fingerprint is no such hex.

    """

    fingerprints: tuple[str, ...] = ()
    anchors: TrustAnchors | None = None
    insecure: bool = False

    def __post_init__(self) -> None:
        plain = tuple(_plain_hex(text) for text in self.fingerprints)
        object.__setattr__(self, "fingerprints", plain)
        if not plain and self.anchors is None and not self.insecure:
            raise InvalidOrder(
                "nothing authenticates the CA: a fingerprint, a CA file, or the explicit wish to do "
                "without is needed (RFC 8894 2.1.1)"
            )


def _plain_hex(text: str) -> str:
    plain = "".join(text.replace(":", "").split()).lower()
    if len(plain) not in _DIGESTS or set(plain) - set("0123456789abcdef"):
        raise InvalidOrder(
            f"{text!r} is no fingerprint: expected 64 (SHA-256), 40 (SHA-1) or 32 (MD5) hex digits"
        )
    return plain


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedCa:
    """An authenticated set of CA certificates, each in its role.

    ``issuers`` are the CAs lowest in the hierarchy, ``encryption`` is whom requests are enveloped
    for (None with the reason in ``encryption_problem``: an EC CA without an RA), ``signers`` may sign
    replies; ``certificates`` are all that came.
    """

    certificates: tuple[X509Certificate, ...]
    issuers: tuple[X509Certificate, ...]
    encryption: X509Certificate | None
    encryption_problem: UntrustedCa | None
    signers: tuple[X509Certificate, ...]
    anchors: TrustAnchors
    warnings: tuple[str, ...] = ()

    @property
    def issuer(self) -> X509Certificate:
        """Return the CA that requests are meant for."""
        return self.issuers[0]

    def chain_of(self, certificate: X509Certificate, at: datetime) -> ChainContext:
        """Return the judged chain of ``certificate`` through these CAs."""
        return build_chain(certificate, anchors=self.anchors, at=at, intermediates=self.certificates)


def read_ca_certificates(reply: HttpReply) -> tuple[X509Certificate, ...]:
    """Return the certificates of a GetCACert answer, told by their shape, not their Content-Type.

    Raises:
        UntrustedCa: they cannot be read.

    """
    try:
        return tuple(X509Certificate.read(der) for der in decode_ca_certificates(reply.body))
    except (DerError, UnreadableCertificate) as error:
        raise UntrustedCa(
            f"GetCACert answered {reply.describe()}, expected a certificate or a certs-only SignedData "
            f"(RFC 8894 4.2.1): {error}",
            _ASN1_BAD_TAG,
        ) from error


def content_type_warnings(reply: HttpReply, certificates: tuple[X509Certificate, ...]) -> tuple[str, ...]:
    """Return what is odd about the Content-Type of a GetCACert answer; reading goes on regardless."""
    single = reply.body[:1] == b"\x30" and _is_bare_certificate(reply.body, certificates)
    expected = "application/x-x509-ca-cert" if single else "application/x-x509-ca-ra-cert"
    if reply.media_type == expected:
        return ()
    found = reply.media_type or "absent"
    return (f"Content-Type of GetCACert is {found}, expected {expected} (RFC 8894 4.2.1)",)


def _is_bare_certificate(body: bytes, certificates: tuple[X509Certificate, ...]) -> bool:
    return len(certificates) == 1 and body == certificates[0].der


def authenticate(certificates: tuple[X509Certificate, ...], trust: CaTrust, at: datetime) -> TrustedCa:
    """Return the certificates in their roles once they are authenticated.

    Raises:
        UntrustedCa: no CA matches, a chain does not verify (also by expiry, RFC 8894 2.2), or nobody
            can be enveloped for.

    """
    authorities = tuple(certificate for certificate in certificates if certificate.acts_as_ca)
    if not authorities:
        raise UntrustedCa("GetCACert brought no CA certificate (RFC 8894 4.2.1)", _NO_SUCH_CERTIFICATE)
    anchors, warnings = _anchors(certificates, authorities, trust)
    issuers = _lowest(authorities)
    registrars = [certificate for certificate in certificates if not certificate.acts_as_ca]
    believable: list[X509Certificate] = []
    doubts: dict[bytes, ChainContext] = {}
    for certificate in (*registrars, *issuers):
        context = build_chain(certificate, anchors=anchors, at=at, intermediates=certificates)
        if context.trusted:
            believable.append(certificate)
        else:
            doubts[certificate.der] = context
    encryption, problem = _encryption(registrars, issuers, believable, doubts)
    trusted_issuers = tuple(certificate for certificate in issuers if certificate in believable)
    if not trusted_issuers:
        raise _distrust(issuers[0], doubts[issuers[0].der])
    signers = tuple(certificate for certificate in believable if certificate.allows("digital_signature"))
    if not signers:
        warnings.append(
            f"keyUsage of {trusted_issuers[0].subject} lacks digitalSignature, and nobody else may sign "
            "replies (RFC 8894 2.1.2)"
        )
        signers = trusted_issuers
    warnings += [
        f"{context.elements[0].certificate.subject} is not used: {context.hresult.text}"
        for context in doubts.values()
    ]
    warnings += _usage_warnings(encryption, registrars)
    return TrustedCa(
        certificates=certificates,
        issuers=trusted_issuers,
        encryption=encryption,
        encryption_problem=problem,
        signers=signers,
        anchors=anchors,
        warnings=tuple(warnings),
    )


def _anchors(
    certificates: tuple[X509Certificate, ...], authorities: tuple[X509Certificate, ...], trust: CaTrust
) -> tuple[TrustAnchors, list[str]]:
    if trust.fingerprints:
        found = [
            certificate
            for certificate in authorities
            if {certificate.sha256, certificate.sha1, certificate.md5} & set(trust.fingerprints)
        ]
        if not found:
            known = "; ".join(f"{authority.subject} SHA-256 {authority.sha256}" for authority in authorities)
            raise UntrustedCa(
                f"no CA certificate of GetCACert has the fingerprint {', '.join(trust.fingerprints)}; "
                f"they are: {known} (RFC 8894 2.2)",
                _WRONG_HASH,
            )
        weak = any(len(text) == 32 for text in trust.fingerprints)
        warnings = ["an MD5 fingerprint authenticates nothing today: use SHA-256"] if weak else []
        given = trust.anchors.certificates if trust.anchors else ()
        return TrustAnchors.of((*found, *given), origin="the fingerprint given"), warnings
    if trust.anchors is not None:
        return trust.anchors, []
    top = [authority for authority in authorities if not _issued_by_another(authority, certificates)]
    return (
        TrustAnchors.of(top or authorities, origin="nothing: the CA was not authenticated"),
        ["the CA is not authenticated: whoever answered is believed (RFC 8894 2.2)"],
    )


def _issued_by_another(certificate: X509Certificate, others: Iterable[X509Certificate]) -> bool:
    return any(
        other.der != certificate.der and other.subject_key == certificate.issuer_key for other in others
    )


def _lowest(authorities: tuple[X509Certificate, ...]) -> tuple[X509Certificate, ...]:
    """Return the CAs that issued none of the other CAs; in a circle, all of them."""
    lowest = tuple(
        authority
        for authority in authorities
        if not any(
            other.issuer_key == authority.subject_key and other.der != authority.der for other in authorities
        )
    )
    return lowest or authorities


def _encryption(
    registrars: list[X509Certificate],
    issuers: tuple[X509Certificate, ...],
    believable: list[X509Certificate],
    doubts: dict[bytes, ChainContext],
) -> tuple[X509Certificate | None, UntrustedCa | None]:
    """Return whom to envelope for (an RA with keyEncipherment, else the CA itself), or why nobody."""
    candidates = [certificate for certificate in (*registrars, *issuers) if _can_receive(certificate)]
    for certificate in candidates:
        if certificate in believable and (certificate.allows("key_encipherment") or not registrars):
            return certificate, None
    for certificate in candidates:
        if certificate.der in doubts:
            return None, _distrust(certificate, doubts[certificate.der])
    return None, UntrustedCa(
        "no certificate of GetCACert can receive an envelope: none has an RSA key and keyUsage "
        "keyEncipherment (RFC 8894 2.1.2)",
        _NO_SUCH_CERTIFICATE,
    )


def _can_receive(certificate: X509Certificate) -> bool:
    return one(certificate.public_key_der).enter().oid() == oids.RSA_ENCRYPTION


def _distrust(certificate: X509Certificate, context: ChainContext) -> UntrustedCa:
    reasons = "; ".join(context.explanations)
    return UntrustedCa(
        f"{certificate.subject} is not to be trusted: {reasons} (RFC 8894 2.2)", context.hresult.code
    )


def _usage_warnings(encryption: X509Certificate | None, registrars: list[X509Certificate]) -> list[str]:
    warnings = []
    if encryption is not None and not encryption.allows("key_encipherment"):
        warnings.append(
            f"keyUsage of {encryption.subject} lacks keyEncipherment, and requests are enveloped for it "
            "(RFC 8894 2.1.2)"
        )
    warnings += [
        f"RA certificate {registrar.subject} has neither keyUsage nor extKeyUsage: Windows takes no such one"
        for registrar in registrars
        if registrar.key_usage is None and registrar.extended_key_usage is None
    ]
    return warnings
