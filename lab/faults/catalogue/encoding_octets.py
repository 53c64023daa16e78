"""Faults of the octets of a CertRep: other encodings, more or fewer octets, something else altogether."""

from __future__ import annotations

import base64
import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING

from ca import der
from lab.faults.forging import (
    content_of,
    indefinite,
    is_success,
    padded,
    plaintext_of,
    rewrite_message,
    segments,
)
from lab.faults.registry import ClientMust, Range, Seam, fault
from lab.faults.values import EncodedMessage
from scep_server.protocol.signed import ID_DATA, ID_SIGNED_DATA

if TYPE_CHECKING:
    from lab.faults.tools import Tools


@fault(seam=Seam.ENCODING, takes=EncodedMessage, clause="RFC 5652 2", client_must=ClientMust.SUCCEED)
def indefinite_length(message: EncodedMessage, tools: Tools) -> EncodedMessage:
    """The reply is in BER: indefinite lengths, and the content in segments.

    CMS is BER, in which only signed attributes have to be DER. Bouncy Castle writes so, and with it jscep's
    server and EJBCA. strongSwan 5.9.8 and scepclient 2.1.0 cannot read it.
    """
    return replace(
        message,
        octets=rewrite_message(
            message.octets,
            indefinite,
            lambda content: indefinite(der.OCTET_STRING, segments(content)),
        ),
    )


@fault(seam=Seam.ENCODING, takes=EncodedMessage, clause="RFC 5652 2", client_must=ClientMust.SUCCEED)
def content_in_segments(message: EncodedMessage, tools: Tools) -> EncodedMessage:
    """The content is a constructed OCTET STRING of several segments; all lengths are definite.

    Apple and .NET write so. strongSwan 5.9.8 and scepclient 2.1.0 cannot read it.
    """
    if not content_of(message.octets):
        return message
    return replace(
        message,
        octets=rewrite_message(
            message.octets, der.tlv, lambda content: der.tlv(der.OCTET_STRING | 0x20, segments(content))
        ),
    )


@fault(seam=Seam.ENCODING, takes=EncodedMessage, clause="X.690 8.1.3.5", client_must=ClientMust.MAY)
def lengths_not_minimal(message: EncodedMessage, tools: Tools) -> EncodedMessage:
    """The lengths of the outer elements have a zero octet more than they need: BER, and not DER."""
    return replace(message, octets=rewrite_message(message.octets, padded))


@fault(
    seam=Seam.ENCODING,
    takes=EncodedMessage,
    clause="RFC 5652 3",
    client_must=ClientMust.MAY,
    limits={"octets": Range(1, 1_000_000)},
)
def trailing_octets(message: EncodedMessage, tools: Tools, *, octets: int = 16) -> EncodedMessage:
    """There are octets behind the reply.

    A script that writes a line end behind it, or a buffer sent in its whole length. OpenSSL reads to the end
    of the element and passes over the rest.
    """
    return replace(message, octets=message.octets + bytes(octets))


@fault(
    seam=Seam.ENCODING,
    takes=EncodedMessage,
    clause="RFC 5652 3",
    client_must=ClientMust.REJECT,
    symptom="CRYPT_E_ASN1_EOD 0x80093102: ASN1 unexpected end of data (windows-client.md section 1.3)",
    limits={"octets": Range(1, 1_000_000)},
)
def cut_off(message: EncodedMessage, tools: Tools, *, octets: int = 100) -> EncodedMessage:
    """The last octets of the reply are missing, and Content-Length fits what is left.

    A server or proxy with a buffer that is too small.
    """
    return replace(message, octets=message.octets[: max(1, len(message.octets) - octets)])


@fault(seam=Seam.ENCODING, takes=EncodedMessage, clause="RFC 8894 4.3.1", client_must=ClientMust.REJECT)
def empty_body(message: EncodedMessage, tools: Tools) -> EncodedMessage:
    """The reply has no octets at all, under HTTP 200 and the right Content-Type."""
    return replace(message, octets=b"")


@fault(seam=Seam.ENCODING, takes=EncodedMessage, clause="X.690 8.1.3", client_must=ClientMust.REJECT)
def length_beyond_the_end(message: EncodedMessage, tools: Tools) -> EncodedMessage:
    """The outermost element claims 2,147,483,647 octets, and there are two thousand.

    A reader must not make room for what it is told.
    """
    header = len(message.octets) - len(der.Reader(message.octets).element().content)
    return replace(message, octets=b"\x30\x84\x7f\xff\xff\xff" + message.octets[header:])


@fault(seam=Seam.ENCODING, takes=EncodedMessage, clause="RFC 8894 4.3.1", client_must=ClientMust.MAY)
def pem(message: EncodedMessage, tools: Tools) -> EncodedMessage:
    """The reply is PEM, where SCEP has octets in DER.

    Some clients recognise it.
    """
    lines = textwrap.fill(base64.b64encode(message.octets).decode(), 64)
    return replace(message, octets=f"-----BEGIN PKCS7-----\n{lines}\n-----END PKCS7-----\n".encode())


@fault(seam=Seam.ENCODING, takes=EncodedMessage, clause="RFC 8894 4.3.1", client_must=ClientMust.MAY)
def base64_body(message: EncodedMessage, tools: Tools) -> EncodedMessage:
    """The reply is base64 in one line, as the message in the URL of a request by GET is."""
    return replace(message, octets=base64.b64encode(message.octets))


@fault(seam=Seam.ENCODING, takes=EncodedMessage, clause="RFC 8894 3.2", client_must=ClientMust.REJECT)
def called_data(message: EncodedMessage, tools: Tools) -> EncodedMessage:
    """The outer contentType is data, where SCEP has signedData; what is in it is a SignedData."""
    outer = der.one(message.octets)
    if outer.oid() != ID_SIGNED_DATA:
        return message
    return replace(message, octets=der.sequence(der.oid(ID_DATA), outer.element().raw))


@fault(seam=Seam.ENCODING, takes=EncodedMessage, clause="RFC 8894 3.2", client_must=ClientMust.REJECT)
def not_signed(message: EncodedMessage, tools: Tools) -> EncodedMessage:
    """The reply is the pkcsPKIEnvelope alone, with no SignedData around it.

    It can be opened and holds the right certificate, but nobody has signed anything.
    """
    if not is_success(message.signing):
        return message
    return replace(message, octets=content_of(message.octets))


@fault(seam=Seam.ENCODING, takes=EncodedMessage, clause="RFC 8894 3.2", client_must=ClientMust.REJECT)
def certs_only(message: EncodedMessage, tools: Tools) -> EncodedMessage:
    """The reply is a certs-only SignedData with the issued certificate, neither signed nor enveloped.

    As GetCACert is answered, or EST.
    """
    if not is_success(message.signing):
        return message
    return replace(message, octets=plaintext_of(message.signing))


@fault(seam=Seam.ENCODING, takes=EncodedMessage, clause="RFC 8894 3.3.2", client_must=ClientMust.REJECT)
def csr_echoed(message: EncodedMessage, tools: Tools) -> EncodedMessage:
    """The reply is the PKCS#10 that the client has sent, in the clear.

    The request has been worked on all the same. What is in it is the client's own, its challenge password
    too.
    """
    csr = tools.circumstances.csr
    return message if csr is None else replace(message, octets=csr)
