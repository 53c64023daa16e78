"""GetCACert and GetNextCACert: which certificates go out, in which order, under which type.

Order is kept octet for octet, because clients take the first certificate for the one that counts:
NDES's order is RA signing, RA encryption, issuing CA, and then the chain up to the root.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .protocol.algorithms import DigestAlgorithm
from .protocol.replies import ReplyForm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ca.certificates import CertificateInfo

    from .protocol.codec import Codec
    from .protocol.signers import MessageSigner
    from .settings import CaCertificateSettings

CA_CERT = "application/x-x509-ca-cert"
CA_RA_CERT = "application/x-x509-ca-ra-cert"
NEXT_CA_CERT = "application/x-x509-next-ca-cert"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaResponse:
    """Body and content type of a reply to GetCACert or GetNextCACert."""

    content_type: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NextCa:
    """The CA that comes after this one, and who vouches for it: the present CA's key."""

    certificates: tuple[bytes, ...] = field(repr=False)
    signer: MessageSigner


def ca_response(
    codec: Codec,
    *,
    ra: Sequence[CertificateInfo],
    issuing: CertificateInfo,
    chain: Sequence[CertificateInfo],
    settings: CaCertificateSettings,
) -> CaResponse:
    """Return what GetCACert answers (RFC 8894 4.2.1).

    ``ra`` are the RA's certificates, ``chain`` the CAs above the issuing one, root last. A CA with a
    self-signed certificate that is its own RA is sent as that one certificate; everything else as
    certs-only SignedData.
    """
    own_ra = {certificate.der for certificate in ra} <= {issuing.der}
    if own_ra and issuing.is_self_issued:
        return CaResponse(content_type=CA_CERT, body=issuing.der)
    above = [certificate for certificate in chain if settings.include_root or not certificate.is_self_issued]
    of_ca = [issuing, *above]
    order = [*ra, *of_ca] if settings.order == "ra-first" else [*of_ca, *ra]
    certificates = list(dict.fromkeys(certificate.der for certificate in order))
    return CaResponse(content_type=CA_RA_CERT, body=codec.encode_ca_certificates(certificates))


def next_ca_response(codec: Codec, next_ca: NextCa) -> CaResponse:
    """Return what GetNextCACert answers: signed by the present CA (RFC 8894 4.7.1).

    The present CA's certificate goes along, because sscep looks for it there.
    """
    form = ReplyForm(certificates=(next_ca.signer.certificate.der,))
    body = codec.encode_next_ca(next_ca.certificates, next_ca.signer, form, digest=DigestAlgorithm.SHA_256)
    return CaResponse(content_type=NEXT_CA_CERT, body=body)
