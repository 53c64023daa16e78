"""What a client looks at in the certificate it was issued, before it installs it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ca import der, extensions, oids
from ca.certificates import BadCertificate, read_certificate
from scep_server.protocol.certificates import same_name

from .errors import ReplyRejected

if TYPE_CHECKING:
    from datetime import datetime

    from lab.trust import X509Certificate

    from .ca_certificates import TrustedCa

_INVALID_DATA: Final = 0x8007000D
_BAD_SIGNATURE: Final = 0x80096004
_SHORT: Final = timedelta(days=5)  # Windows may reject a certificate that lives no longer
_PURPOSES: Final = frozenset({oids.CLIENT_AUTH, oids.SERVER_AUTH, oids.IPSEC_IKE_INTERMEDIATE})
_SHA1_SIGNATURES: Final = frozenset({"1.2.840.113549.1.1.5", "1.2.840.10045.4.1"})


def check_issued(
    certificate: X509Certificate,
    authority: TrustedCa,
    *,
    subject_der: bytes,
    names_der: bytes | None,
    at: datetime,
) -> tuple[tuple[X509Certificate, ...], tuple[str, ...]]:
    """Return the chain of an issued certificate, issuer upwards, and what is odd about it.

    ``names_der`` are the GeneralNames that were asked for, empty for none, None if that is not known. That
    its key is ours was checked when the reply was opened.

    Raises:
        ReplyRejected: it chains to no trusted CA, is not valid now, is a CA certificate, names
            somebody else, or contradicts itself.

    """
    context = authority.chain_of(certificate, at)
    if not context.trusted:
        raise ReplyRejected(
            "certificate",
            f"the certificate issued to {certificate.subject} does not verify: "
            f"{'; '.join(context.explanations)} (RFC 5280 6.1)",
            context.hresult.code,
        )
    _check_algorithms(certificate)
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
    oddities = [*_oddities(certificate, authority, chain, at), *_usage_oddities(certificate)]
    if names_der is not None:
        oddities += _name_oddities(certificate, names_der)
    return chain, tuple(oddities)


def _check_algorithms(certificate: X509Certificate) -> None:
    """Reject a certificate that says of its signature one thing within what is signed and another outside."""
    fields = der.one(certificate.tbs, what="TBSCertificate")
    fields.optional(0xA0)
    fields.integer("serialNumber")
    within = fields.element(der.SEQUENCE, "signature").raw
    if within != certificate.signature_algorithm_der:
        inner, outer = (
            der.one(found).oid("algorithm") for found in (within, certificate.signature_algorithm_der)
        )
        raise ReplyRejected(
            "certificate",
            f"the certificate issued to {certificate.subject} is signed with {outer} and says {inner} within "
            "what is signed, expected the same (RFC 5280 4.1.1.2)",
            _BAD_SIGNATURE,
        )


def _oddities(
    certificate: X509Certificate, authority: TrustedCa, chain: tuple[X509Certificate, ...], at: datetime
) -> list[str]:
    found = []
    if all(certificate.issuer_key != issuer.subject_key for issuer in authority.issuers):
        found.append(f"the certificate is issued by {certificate.issuer}, not by the CA that was asked")
    if certificate.serial_number <= 0 or certificate.serial_number.bit_length() > 159:
        found.append(
            f"serialNumber is {certificate.serial_number:x}, expected 1 to 20 positive octets "
            "(RFC 5280 4.1.2.2)"
        )
    names = [
        other.subject
        for other in authority.certificates
        if (other.issuer_key, other.serial_number) == (certificate.issuer_key, certificate.serial_number)
    ]
    if names:
        found.append(f"serialNumber is that of {names[0]}, expected one of its own (RFC 5280 4.1.2.2)")
    if der.one(certificate.signature_algorithm_der).oid() in _SHA1_SIGNATURES:
        found.append("the certificate is signed with SHA-1, which protects no longer (RFC 9155)")
    if certificate.not_after - at < _SHORT:
        found.append(f"the certificate ends already at {certificate.not_after:%Y-%m-%d %H:%M:%S}Z")
    if chain and certificate.not_after > chain[0].not_after:
        found.append(
            f"the certificate ends at {certificate.not_after:%Y-%m-%d}, after its issuer's at "
            f"{chain[0].not_after:%Y-%m-%d}, from when on it does not verify"
        )
    wanted = certificate.authority_key_id.key_id
    if chain and wanted is not None and chain[0].subject_key_id not in (None, wanted):
        found.append("authorityKeyIdentifier is not that of the key that signed it (RFC 5280 4.2.1.1)")
    return found


def _usage_oddities(certificate: X509Certificate) -> list[str]:
    found, purposes = [], certificate.extended_key_usage
    if certificate.version == 1:
        found.append("the certificate is of version 1, which has no extensions (RFC 5280 4.1.2.1)")
    if purposes is None:
        found.append("the certificate has no extKeyUsage: it is good for every purpose")
    elif not {oids.ANY_EXTENDED_KEY_USAGE, *_PURPOSES} & set(purposes):
        found.append(f"extKeyUsage is {', '.join(purposes)}: good for neither clients nor servers")
    if certificate.key_usage is None:
        found.append("the certificate has no keyUsage: its key may do everything")
    elif not certificate.allows("digital_signature"):
        found.append("keyUsage lacks digitalSignature: the key cannot sign its own renewal (RFC 8894 2.3)")
    return found


def _name_oddities(certificate: X509Certificate, names_der: bytes) -> list[str]:
    try:
        extension = read_certificate(certificate.der).extension(oids.SUBJECT_ALT_NAME)
        asked, found = _names(names_der), _names(extension.value if extension else b"")
    except (BadCertificate, extensions.BadExtension) as error:
        return [f"whether subjectAltName is what was asked for cannot be told: {error}"]
    oddities = []
    if missing := asked.keys() - found.keys():
        names = ", ".join(sorted(asked[one] for one in missing))
        oddities.append(f"subjectAltName lacks {names}, which was asked for")
    if others := found.keys() - asked.keys():
        names = ", ".join(sorted(found[one] for one in others))
        oddities.append(f"subjectAltName has {names}, which was not asked for")
    return oddities


def _names(value: bytes) -> dict[tuple[int, bytes], str]:
    """Return the names of a GeneralNames value, for comparing and in words."""
    names = extensions.read_general_names(value) if value else ()
    return {(name.number, name.content): f"{name.kind} {name.text}" for name in names}
