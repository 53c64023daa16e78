"""Faults of the bag that GetCACert brings: what is in it, in which order, in which form.

Every certificate is as the CA made it, or a stranger's. Those that are themselves wrong are in
`ca_certificates_ra` and `ca_certificates_ca`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ca import der, extensions
from ca.certificates import TbsCertificate, read_certificate
from ca.folders import to_pem
from ca.names import build_name
from lab.faults.bags import is_issuing, is_ra, is_root, with_certificates, with_each, with_only
from lab.faults.minting import altered, foreign_key, signed, with_issuer, with_key, within
from lab.faults.registry import BadParameter, ClientMust, Seam, Step, fault
from lab.faults.values import CaCertificatesAnswer
from scep_server.ca_certificates import CA_CERT, CA_RA_CERT
from scep_server.protocol.contents import encode_certs_only

if TYPE_CHECKING:
    from lab.faults.tools import Tools

_SEAM: Final = Seam.CA_CERTIFICATES
_GET: Final = frozenset({"GetCACert"})
_NO_HASH: Final = (
    "CRYPT_E_HASH_VALUE 0x80091007 where the profile's CAThumbprint is that of what is not there "
    "(windows-client.md sections 1.3 and 7)"
)
_MOST: Final = 200


# -- something is missing ----------------------------------------------------------------


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 8894 2.1.2, 3.2",
    client_must=ClientMust.REJECT,
    operations=_GET,
    symptom="SCARD_E_NO_SUCH_CERTIFICATE 0x8010002C (windows-client.md section 1.3)",
)
def ra_missing(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The bag has the CA and the root, and no RA certificate.

    A proxy or a hand-made bag that was filled from the CA alone. A client may still envelope for the CA,
    whose key does not open envelopes; what is answered is signed by an RA that it was never told of.
    """
    del tools
    return with_only(answer, lambda one: not is_ra(one))


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 8894 3.2",
    client_must=ClientMust.REJECT,
    operations=_GET,
    symptom="SCARD_E_NO_SUCH_CERTIFICATE 0x8010002C (windows-client.md section 7 b)",
)
def signing_ra_missing(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The bag has the RA's encryption certificate, and not the one that replies are signed with.

    Whoever sends a request all the same gets a certificate for it, in a reply whose signer is unknown.
    """
    signing = tools.lab.registration_authority.signing.der
    return with_only(answer, lambda one: one.der != signing)


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 8894 2.1.2, 3.1",
    client_must=ClientMust.REJECT,
    operations=_GET,
    symptom="SCARD_E_NO_SUCH_CERTIFICATE 0x8010002C (windows-client.md section 7 b)",
)
def encryption_ra_missing(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The bag has the RA's signing certificate, and not the one that requests are enveloped for.

    No certificate that is left allows keyEncipherment: there is nobody to envelope for.
    """
    encryption = tools.lab.registration_authority.encryption.der
    return with_only(answer, lambda one: one.der != encryption)


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 8894 4.2.1.2",
    client_must=ClientMust.MAY,
    operations=_GET,
    symptom="CERT_E_CHAINING 0x800B010A where the device has no intermediate either "
    "(windows-client.md sections 1.3 and 7 c)",
)
def ca_missing(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The bag has the RA's certificates and the root, and not the issuing CA between them.

    The path from RA to root has a gap. A client that has the CA from elsewhere, or fetches it by AIA, may
    go on; one that has not must not take the RA on trust.
    """
    del tools
    return with_only(answer, lambda one: not is_issuing(one))


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 8894 4.2.1.2",
    client_must=ClientMust.MAY,
    operations=_GET,
    symptom=_NO_HASH,
)
def root_missing(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The bag ends with the issuing CA: the root is not in it.

    Enough for a client that has the root in its store. One that knows the root by its fingerprint alone, as
    Windows does with the profile's thumbprint, has nothing to hold that against. Classic of servers other
    than NDES.
    """
    del tools
    return with_only(answer, lambda one: not is_root(one))


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 8894 4.2.1.2",
    client_must=ClientMust.REJECT,
    operations=_GET,
    step=Step.CA_CERTIFICATES,
)
def empty_bag(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The bag is a well-formed certs-only SignedData without a single certificate."""
    del tools
    return replace(answer, body=encode_certs_only(()), content_type=CA_RA_CERT)


# -- order -------------------------------------------------------------------------------


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 5652 5.1",
    client_must=ClientMust.SUCCEED,
    operations=_GET,
)
def root_first(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The bag is in the opposite order: root, CA, RA encryption, RA signing.

    A SET has no order that means anything, and EJBCA has had it so by default. A client tells
    certificates by what they say.
    """
    del tools
    return with_certificates(answer, answer.certificates[::-1])


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 5652 5.1",
    client_must=ClientMust.SUCCEED,
    operations=_GET,
)
def ca_first(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The issuing CA comes first in the bag, before the RA's certificates.

    Clients that take the first certificate for the recipient envelope for the CA.
    """
    del tools
    first = sorted(answer.certificates, key=lambda one: not is_issuing(read_certificate(one)))
    return with_certificates(answer, first)


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="X.690 11.6",
    client_must=ClientMust.SUCCEED,
    operations=_GET,
)
def encryption_ra_first(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The RA's encryption certificate comes before its signing certificate, as DER's order may have it.

    Libraries that sort every SET on encoding (asn1crypto, pyca's serialize_certificates) do this to a bag
    by chance of its octets.
    """
    encryption = tools.lab.registration_authority.encryption.der
    return with_certificates(answer, sorted(answer.certificates, key=lambda one: one != encryption))


# -- more than there should be -----------------------------------------------------------


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 5652 5.1",
    client_must=ClientMust.SUCCEED,
    operations=_GET,
)
def extra_certificates(
    answer: CaCertificatesAnswer, tools: Tools, *, count: int = 1, first: bool = False
) -> CaCertificatesAnswer:
    """The bag has certificates of strangers besides its own: self-signed, for both usages of an RA.

    More certificates than necessary are allowed; each is believed only for its own path. ``count`` is how
    many, at most 200; ``first`` puts them before the real ones.
    """
    key = foreign_key("a stranger")
    usages = (extensions.KeyUsage.DIGITAL_SIGNATURE, extensions.KeyUsage.KEY_ENCIPHERMENT)
    ra = tools.lab.registration_authority.signing
    strangers = []
    for number in range(within("count", count, 1, _MOST)):
        name = build_name(f"CN=Stranger {number + 1}")
        tbs = TbsCertificate(
            serial_number=number + 1,
            signature_algorithm=key.signature_algorithm_der,
            issuer_der=name,
            not_before=ra.not_before,
            not_after=ra.not_after,
            subject_der=name,
            public_key_der=key.public_key_der,
            extensions=(extensions.key_usage(usages),),
        )
        strangers.append(signed(tbs, key))
    before, after = (strangers, ()) if first else ((), strangers)
    return replace(answer, certificates=(*before, *answer.certificates, *after))


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 5652 5.1",
    client_must=ClientMust.SUCCEED,
    operations=_GET,
)
def extra_root(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The bag has another root besides: one more CA, which has certified nobody here.

    Left over from a PKI that was replaced. Apple's client wants all paths to end in the same top.
    """
    key, root = foreign_key("another root"), tools.lab.root
    name = build_name("CN=Another Root CA (ndes-lab)")
    octets = altered(
        root.der,
        key,
        lambda tbs: with_key(replace(tbs, subject_der=name, issuer_der=name), key.public_key_der),
    )
    return replace(answer, certificates=(*answer.certificates, octets))


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 5652 5.1",
    client_must=ClientMust.SUCCEED,
    operations=_GET,
)
def every_certificate_twice(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The bag has each certificate twice, octet for octet.

    Chains appended to chains by configuration.
    """
    del tools
    return replace(answer, certificates=tuple(one for one in answer.certificates for _ in range(2)))


# -- another PKI -------------------------------------------------------------------------


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 8894 2.2",
    client_must=ClientMust.REJECT,
    operations=_GET,
    step=Step.CA_CERTIFICATES,
    symptom="CRYPT_E_HASH_VALUE 0x80091007 (windows-client.md section 1.3)",
)
def wrong_thumbprint(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The bag is that of a PKI just like this one, name for name, with other keys.

    Test and production mixed up, a CA set up anew under its old name, or somebody in between. All in it
    verifies among itself; nothing has the thumbprint that the client was told.
    """
    del tools
    keys = {one: foreign_key(one) for one in ("root", "issuing CA", "RA")}

    def imitate(octets: bytes) -> bytes:
        found = read_certificate(octets)
        own, issuer = ("root", "root") if is_root(found) else ("issuing CA", "root")
        if is_ra(found):
            own, issuer = "RA", "issuing CA"

        def change(tbs: TbsCertificate) -> TbsCertificate:
            tbs = with_key(replace(tbs, serial_number=tbs.serial_number ^ 0xFF), keys[own].public_key_der)
            return tbs if is_root(found) else with_issuer(tbs, tbs.issuer_der, keys[issuer])

        return altered(octets, keys[issuer], change)

    return replace(answer, certificates=tuple(imitate(one) for one in answer.certificates))


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 8894 2.2",
    client_must=ClientMust.MAY,
    operations=_GET,
    symptom=_NO_HASH,
)
def lookalike_root(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The root in the bag has the root's name and another key; all else is real.

    A root that was renewed with a new key, or an old one. A client that has the real root goes on with that
    one; names alone do not make a path.
    """
    del tools
    key = foreign_key("root")
    return with_each(
        answer, is_root, lambda one: altered(one, key, lambda tbs: with_key(tbs, key.public_key_der))
    )


# -- form --------------------------------------------------------------------------------


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 8894 4.2.1.1",
    client_must=ClientMust.REJECT,
    operations=_GET,
    symptom="SCARD_E_NO_SUCH_CERTIFICATE 0x8010002C (windows-client.md section 1.3)",
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
    symptom="SCARD_E_NO_SUCH_CERTIFICATE 0x8010002C (windows-client.md section 1.3)",
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
)
def wrong_content_type(
    answer: CaCertificatesAnswer, tools: Tools, *, content_type: str = "text/html"
) -> CaCertificatesAnswer:
    """The bag goes out under a type that is none of SCEP's, such as text/html.

    Static files behind a web server. ``content_type`` is which.
    """
    del tools
    if not (content_type.isascii() and content_type.isprintable() and content_type.strip()):
        raise BadParameter(f"content_type is {content_type!a}, expected printable ASCII")
    return replace(answer, content_type=content_type.strip())


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
