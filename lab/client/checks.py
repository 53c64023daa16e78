"""What a client looks at in the certificate it was issued, before it installs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from scep_server.protocol.certificates import same_name

from .errors import ReplyRejected

if TYPE_CHECKING:
    from datetime import datetime

    from lab.trust import X509Certificate

    from .ca_certificates import TrustedCa

_INVALID_DATA: Final = 0x8007000D


def check_issued(
    certificate: X509Certificate, authority: TrustedCa, *, subject_der: bytes, at: datetime
) -> tuple[tuple[X509Certificate, ...], tuple[str, ...]]:
    """Return the chain of an issued certificate, issuer upwards, and what is odd about it.

    That its key is ours was checked when the reply was opened.

    Raises:
        ReplyRejected: it chains to no trusted CA, is not valid now, is a CA certificate, or names
            somebody else.

    """
    context = authority.chain_of(certificate, at)
    if not context.trusted:
        raise ReplyRejected(
            "certificate",
            f"the certificate issued to {certificate.subject} does not verify: "
            f"{'; '.join(context.explanations)} (RFC 5280 6.1)",
            context.hresult.code,
        )
    if certificate.acts_as_ca:
        raise ReplyRejected(
            "certificate",
            f"the certificate issued to {certificate.subject} is a CA certificate, expected an end "
            "entity's (RFC 8894 3.3.2.1)",
            _INVALID_DATA,
        )
    if not same_name(certificate.subject_der, subject_der):
        raise ReplyRejected(
            "certificate",
            f"the certificate is issued to {certificate.subject}, which is not the subject that was "
            "asked for (RFC 8894 3.3.1)",
            _INVALID_DATA,
        )
    chain = tuple(element.certificate for element in context.elements[1:])
    return chain, _oddities(certificate, authority)


def _oddities(certificate: X509Certificate, authority: TrustedCa) -> tuple[str, ...]:
    found = []
    if all(certificate.issuer_key != issuer.subject_key for issuer in authority.issuers):
        found.append(f"the certificate is issued by {certificate.issuer}, not by the CA that was asked")
    if certificate.serial_number <= 0 or certificate.serial_number.bit_length() > 159:
        found.append(
            f"serialNumber is {certificate.serial_number:x}, expected 1 to 20 positive octets "
            "(RFC 5280 4.1.2.2)"
        )
    if certificate.extended_key_usage is None:
        found.append("the certificate has no extKeyUsage: it is good for every purpose")
    return tuple(found)
