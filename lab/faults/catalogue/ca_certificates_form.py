"""Faults of the form of GetCACert: its certificates alone or in a bag, in DER or not, under which type.

The certificates are those of the CA, whole and good.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ca import der
from ca.folders import to_pem
from lab.faults.bags import with_certificates
from lab.faults.registry import ClientMust, Seam, Step, Text, fault
from lab.faults.values import CaCertificatesAnswer
from scep_server.ca_certificates import CA_CERT, CA_RA_CERT
from scep_server.protocol.contents import encode_certs_only

if TYPE_CHECKING:
    from lab.faults.tools import Tools

_SEAM: Final = Seam.CA_CERTIFICATES
_GET: Final = frozenset({"GetCACert"})
_ALONE: Final = (
    "CRYPT_E_HASH_VALUE 0x80091007 where the profile's CAThumbprint is the root's, else "
    "SCARD_E_NO_SUCH_CERTIFICATE 0x8010002C (windows-client.md section 7 a and b)"
)


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 8894 4.2.1.1",
    client_must=ClientMust.REJECT,
    operations=_GET,
    symptom=_ALONE,
)
def single_certificate(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The issuing CA's certificate comes alone, as DER, where there is an RA.

    The form for a CA that is its own RA. Whoever envelopes for that CA is not understood, and what signs
    the replies is not known.
    """
    return with_certificates(answer, (tools.lab.authority.certificate.der,))


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 8894 4.2.1.1",
    client_must=ClientMust.REJECT,
    operations=_GET,
    symptom=_ALONE,
)
def ca_alone_in_bag(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The issuing CA's certificate comes alone, in a certs-only SignedData.

    A lone certificate goes out as itself; a client reads either form, and finds no RA in this one.
    """
    issuing = tools.lab.authority.certificate.der
    body = encode_certs_only((issuing,))
    return replace(answer, certificates=(issuing,), body=body, content_type=CA_RA_CERT)


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 8894 4.2.1",
    client_must=ClientMust.MAY,
    operations=_GET,
)
def bag_called_certificate(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """A certs-only SignedData goes out as application/x-x509-ca-cert, the type of a lone certificate.

    Clients that go by the type read it as a certificate and fail; those that look at it go on.
    """
    del tools
    return replace(answer, body=encode_certs_only(answer.certificates), content_type=CA_CERT)


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 8894 4.2.1",
    client_must=ClientMust.MAY,
    operations=_GET,
    limits={"content_type": Text(shortest=1)},
)
def wrong_content_type(
    answer: CaCertificatesAnswer, tools: Tools, *, content_type: str = "text/html"
) -> CaCertificatesAnswer:
    """The bag goes out under a type that is none of SCEP's, such as text/html.

    Static files behind a web server. ``content_type`` is which.
    """
    del tools
    return replace(answer, content_type=content_type)


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 5652 5",
    client_must=ClientMust.SUCCEED,
    operations=_GET,
)
def bag_in_ber(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The bag is BER with indefinite lengths, as BouncyCastle and older libraries write it.

    CMS is BER; only what is signed has to be DER.
    """
    del tools

    def open_ended(tag: int, *contents: bytes) -> bytes:
        return bytes((tag, 0x80)) + b"".join(contents) + b"\x00\x00"

    inner = der.one(encode_certs_only(answer.certificates))
    content_type, content = inner.element().raw, inner.enter(0xA0)
    fields = [
        open_ended(element.tag, element.content) if element.tag == 0xA0 else element.raw
        for element in content.enter().elements()
    ]
    body = open_ended(0x30, content_type, open_ended(0xA0, open_ended(0x30, *fields)))
    return replace(answer, body=body, content_type=CA_RA_CERT)


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 8894 4.2.1",
    client_must=ClientMust.MAY,
    operations=_GET,
    step=Step.CA_CERTIFICATES,
)
def pem_instead_of_der(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The certificates come as PEM text, one after the other.

    What lies about on web servers. A client may be kind; the standard has binary.
    """
    del tools

    return replace(answer, body=b"".join(map(to_pem, answer.certificates)), content_type=CA_RA_CERT)


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 8894 4.2.1",
    client_must=ClientMust.REJECT,
    operations=_GET,
    step=Step.CA_CERTIFICATES,
    symptom="CRYPT_E_ASN1_EOD 0x80093102 (windows-client.md section 1.3)",
)
def cut_off_bag(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The bag ends in the middle, and HTTP says that this is all of it.

    A cache that kept half an answer, or a proxy that rewrites bodies.
    """
    del tools
    whole = answer.body or encode_certs_only(answer.certificates)
    return replace(answer, body=whole[: len(whole) // 2], content_type=CA_RA_CERT)
