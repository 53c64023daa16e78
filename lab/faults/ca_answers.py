"""GetCACert responses between octets and certificates, for faults that change what is in them."""

from __future__ import annotations

from asn1crypto import cms

from scep_server.ca_certificates import CA_CERT, CA_RA_CERT
from scep_server.protocol.contents import encode_certs_only

from .values import CaCertificatesAnswer


def read_ca_answer(body: bytes) -> CaCertificatesAnswer:
    """Return the response of the lab's own server, certificates in their order (RFC 8894 4.2.1)."""
    try:
        bag = cms.ContentInfo.load(body)["content"]["certificates"]
    except (ValueError, TypeError):  # one certificate alone
        return CaCertificatesAnswer(certificates=(body,))
    return CaCertificatesAnswer(certificates=tuple(choice.chosen.dump() for choice in bag))


def encode_ca_answer(answer: CaCertificatesAnswer) -> tuple[bytes, str]:
    """Return body and Content-Type: one certificate alone, several in a certs-only SignedData."""
    alone = len(answer.certificates) == 1
    body = answer.body
    if body is None:
        body = answer.certificates[0] if alone else encode_certs_only(answer.certificates)
    return body, answer.content_type or (CA_CERT if alone else CA_RA_CERT)
