"""Faults of what a SUCCESS brings: which certificates, how many, in which order.

Made when the reply is: the CA has issued and remembers what is right, unless a fault says otherwise.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ca import der, oids
from ca.certificates import read_certificate
from ca.records import RevocationReason
from lab.faults.minting import altered, foreign_key, issuing_key, with_key
from lab.faults.registry import ClientMust, Seam, Step, fault
from scep_server.protocol.messages import CertRep

if TYPE_CHECKING:
    from ca.certificates import TbsCertificate
    from ca.extensions import Extension
    from lab.faults.tools import Tools

_SEAM: Final = Seam.CERTIFICATE
_ENROL: Final = frozenset({"PKIOperation"})
_ENROLMENTS: Final = frozenset({"PKCSReq", "RenewalReq", "CertPoll"})


def _brings(cert_rep: CertRep, tools: Tools) -> bool:
    """Tell whether a reply brings an issued certificate."""
    return bool(cert_rep.certificates) and tools.circumstances.message_type in _ENROLMENTS


def _with(cert_rep: CertRep, tools: Tools, *certificates: bytes) -> CertRep:
    """Return the reply with these certificates; the very same where it brings none that was issued."""
    if not _brings(cert_rep, tools) or certificates == cert_rep.certificates:
        return cert_rep
    return replace(cert_rep, certificates=certificates)


# -- none, or the wrong one --------------------------------------------------------------


@fault(
    seam=_SEAM,
    takes=CertRep,
    clause="RFC 8894 3.3.2.1",
    client_must=ClientMust.REJECT,
    operations=_ENROL,
)
def no_certificate(cert_rep: CertRep, tools: Tools) -> CertRep:
    """The reply is a SUCCESS, and its envelope holds a SignedData without any certificate.

    The client has been told that it has one, and has none: it must not end as if it had.
    """
    return _with(cert_rep, tools)


@fault(
    seam=_SEAM,
    takes=CertRep,
    clause="RFC 8894 3.3.2.1",
    client_must=ClientMust.REJECT,
    operations=_ENROL,
)
def ca_certificate_instead(cert_rep: CertRep, tools: Tools) -> CertRep:
    """The reply brings the CA's certificate in place of the one that was issued.

    Who installs whatever comes first has the CA's certificate without its key.
    """
    return _with(cert_rep, tools, tools.lab.authority.certificate.der)


@fault(
    seam=_SEAM,
    takes=CertRep,
    clause="RFC 8894 3.3.2.1",
    client_must=ClientMust.REJECT,
    operations=_ENROL,
)
def crl_instead(cert_rep: CertRep, tools: Tools) -> CertRep:
    """The reply brings the CA's CRL and no certificate, as if a CRL had been asked for."""
    crl = tools.lab.latest_crl()
    if crl is None or not _brings(cert_rep, tools):
        return cert_rep
    return replace(cert_rep, certificates=(), crls=(crl.der,))


@fault(
    seam=_SEAM,
    takes=CertRep,
    clause="RFC 8894 3.3.2.1",
    client_must=ClientMust.REJECT,
    operations=_ENROL,
)
def rubbish_instead(cert_rep: CertRep, tools: Tools) -> CertRep:
    """The reply brings an empty SEQUENCE in the place of the certificate: nothing that can be read as one."""
    return _with(cert_rep, tools, der.sequence())


# -- more than one -----------------------------------------------------------------------


@fault(
    seam=_SEAM,
    takes=CertRep,
    clause="RFC 8894 3.3.2.1",
    client_must=ClientMust.SUCCEED,
    operations=_ENROL,
)
def two_certificates(cert_rep: CertRep, tools: Tools, *, first: bool = True) -> CertRep:
    """The reply brings another certificate for the same subject besides, for another key.

    More certificates may come; the one that was asked for is the one for the client's key. ``first`` says
    whether the other one comes first.
    """
    if not _brings(cert_rep, tools):
        return cert_rep

    def change(tbs: TbsCertificate) -> TbsCertificate:
        other = replace(tbs, serial_number=tbs.serial_number + 1)
        return with_key(other, foreign_key("somebody else").public_key_der)

    leaf, *rest = cert_rep.certificates
    another = altered(leaf, issuing_key(tools.lab), change)
    pair = (another, leaf) if first else (leaf, another)
    return _with(cert_rep, tools, *pair, *rest)


@fault(
    seam=_SEAM,
    takes=CertRep,
    clause="RFC 8894 3.3.2.1",
    client_must=ClientMust.MAY,
    operations=_ENROL,
)
def two_for_one_key(cert_rep: CertRep, tools: Tools) -> CertRep:
    """The reply brings two certificates for the client's key, that differ in their serial number alone.

    A request that was worked on twice. Either is good; the CA knows the second one only.
    """
    if not _brings(cert_rep, tools):
        return cert_rep
    leaf, *rest = cert_rep.certificates
    twin = altered(
        leaf, issuing_key(tools.lab), lambda tbs: replace(tbs, serial_number=tbs.serial_number + 1)
    )
    return _with(cert_rep, tools, twin, leaf, *rest)


@fault(
    seam=_SEAM,
    takes=CertRep,
    clause="RFC 8894 3.3.2.1",
    client_must=ClientMust.SUCCEED,
    operations=_ENROL,
)
def chain_included(cert_rep: CertRep, tools: Tools) -> CertRep:
    """The reply brings the certificates of the CAs after the one that was issued.

    Allowed, and common among servers other than NDES.
    """
    lab = tools.lab
    above = (lab.authority.certificate.der, lab.root.der)
    return _with(cert_rep, tools, *dict.fromkeys((*cert_rep.certificates, *above)))


@fault(
    seam=_SEAM,
    takes=CertRep,
    clause="RFC 5652 5.1",
    client_must=ClientMust.SUCCEED,
    operations=_ENROL,
)
def chain_from_the_top(cert_rep: CertRep, tools: Tools) -> CertRep:
    """The reply brings the root, then the CA, and last the certificate that was issued.

    A SET has no order that means anything, and libraries that sort it make this by chance. scepclient 2.1.0
    installs the first certificate, whatever it is.
    """
    lab = tools.lab
    above = (lab.root.der, lab.authority.certificate.der)
    return _with(cert_rep, tools, *dict.fromkeys((*above, *cert_rep.certificates)))


@fault(
    seam=_SEAM,
    takes=CertRep,
    clause="RFC 8894 3.3.2.1",
    client_must=ClientMust.MAY,
    operations=_ENROL,
)
def crl_besides(cert_rep: CertRep, tools: Tools) -> CertRep:
    """The reply brings the CA's CRL besides the certificate, unasked."""
    crl = tools.lab.latest_crl()
    if crl is None or not _brings(cert_rep, tools):
        return cert_rep
    return replace(cert_rep, crls=(crl.der,))


# -- what the CA's own records could not hold --------------------------------------------


@fault(
    seam=_SEAM,
    takes=CertRep,
    clause="RFC 5280 4.1.2.2",
    client_must=ClientMust.MAY,
    operations=_ENROL,
)
def serial_used_twice(cert_rep: CertRep, tools: Tools) -> CertRep:
    """The certificate has the serial number of another of the same CA: of the RA's signing certificate.

    A database restored from a backup goes on counting from where it stood. The CA's own records have the
    number it meant to give. NSS refuses to load a second certificate of the same issuer and number.
    """
    if not _brings(cert_rep, tools):
        return cert_rep
    used = tools.lab.registration_authority.signing.serial_number
    leaf, *rest = cert_rep.certificates
    again = altered(leaf, issuing_key(tools.lab), lambda tbs: replace(tbs, serial_number=used))
    return _with(cert_rep, tools, again, *rest)


@fault(
    seam=_SEAM,
    takes=CertRep,
    clause="RFC 5280 4.2",
    client_must=ClientMust.REJECT,
    operations=_ENROL,
)
def extension_twice(cert_rep: CertRep, tools: Tools) -> CertRep:
    """The certificate has its subjectKeyIdentifier twice: of each kind there must be one at most.

    The CA's own records have it once.
    """
    if not _brings(cert_rep, tools):
        return cert_rep
    leaf, *rest = cert_rep.certificates
    doubled = altered(
        leaf,
        issuing_key(tools.lab),
        lambda tbs: replace(tbs, extensions=(*tbs.extensions, *_key_identifiers(tbs))),
    )
    return _with(cert_rep, tools, doubled, *rest)


def _key_identifiers(tbs: TbsCertificate) -> tuple[Extension, ...]:
    return tuple(one for one in tbs.extensions if one.oid == oids.SUBJECT_KEY_IDENTIFIER)


@fault(
    seam=_SEAM,
    takes=CertRep,
    clause="RFC 5280 6.3",
    client_must=ClientMust.REJECT,
    operations=_ENROL,
    step=Step.VERIFY,
    symptom="CERT_E_REVOKED 0x800B010C or CRYPT_E_REVOKED 0x80092010 (windows-client.md section 1.3)",
)
def revoked_at_birth(cert_rep: CertRep, tools: Tools) -> CertRep:
    """The certificate is revoked before the client has it, and CRL and OCSP say so.

    As where one certificate for each device is enforced, against the wrong one. It is really revoked in this
    lab; whoever asks again gets it again.
    """
    if not _brings(cert_rep, tools):
        return cert_rep
    lab, found = tools.lab, read_certificate(cert_rep.certificates[0])
    with lab.store.transaction() as transaction:
        record = transaction.certificate_by_serial(found.issuer_key_id, found.serial_number)
        if record is None:
            return cert_rep
        if record.revocation is None:
            lab.authority_of(record).revoke(transaction, record.id, RevocationReason.CESSATION_OF_OPERATION)
    lab.publish_crl()
    return replace(cert_rep)  # not the same one: it has been met
