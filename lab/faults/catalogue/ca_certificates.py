"""Faults of the bag that GetCACert brings: what is in it, and in which order.

Every certificate is as the CA made it, or a stranger's. Those that are themselves wrong are in
`ca_certificates_ra` and `ca_certificates_ca`, and how they are encoded in `ca_certificates_form`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ca import extensions
from ca.certificates import TbsCertificate, read_certificate
from ca.names import build_name
from lab.faults.bags import is_issuing, is_ra, is_root, with_certificates, with_each, with_only
from lab.faults.minting import altered, foreign_key, signed, with_issuer, with_key
from lab.faults.registry import ClientMust, Range, Seam, Step, fault
from lab.faults.values import CaCertificatesAnswer
from scep_server.ca_certificates import CA_RA_CERT
from scep_server.protocol.contents import encode_certs_only

if TYPE_CHECKING:
    from lab.faults.tools import Tools

_SEAM: Final = Seam.CA_CERTIFICATES
_GET: Final = frozenset({"GetCACert"})
_NO_HASH: Final = (
    "CRYPT_E_HASH_VALUE 0x80091007 where the profile's CAThumbprint is that of what is not there "
    "(windows-client.md sections 1.3 and 7)"
)


# -- something is missing ----------------------------------------------------------------


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 8894 2.1.2, 3.2",
    client_must=ClientMust.REJECT,
    operations=_GET,
    symptom="SCARD_E_NO_SUCH_CERTIFICATE 0x8010002C (windows-client.md sections 1.3 and 7 b)",
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
    client_must=ClientMust.MAY,
    operations=_GET,
    symptom="SCARD_E_NO_SUCH_CERTIFICATE 0x8010002C (windows-client.md section 7 b)",
)
def signing_ra_missing(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The bag has the RA's encryption certificate, and not the one that replies are signed with.

    Whoever sends a request all the same gets a certificate for it, in a reply whose signer GetCACert did not
    bring. A client may believe one that comes with the reply and is of the same CA; so, then, could every
    device sign replies that has a certificate of it.
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
    limits={"count": Range(1, 200)},
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
    for number in range(count):
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
