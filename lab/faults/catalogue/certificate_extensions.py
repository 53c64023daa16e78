"""Faults of issued certificates: what their extensions say, or leave out.

What a certificate may be used for is for its users to decide: a client that enrols is not bound to look,
and most of these are `MAY`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ca import der, extensions, oids
from ca.extensions import Extension, KeyUsage
from lab.faults.minting import foreign_key, purpose_of, with_extension, without_extensions
from lab.faults.registry import ClientMust, Seam, Step, Text, fault
from lab.faults.values import DraftCertificate

if TYPE_CHECKING:
    from ca.certificates import TbsCertificate
    from lab.faults.tools import Tools

_SEAM: Final = Seam.CERTIFICATE
_ENROL: Final = frozenset({"PKIOperation"})
_CODE_SIGNING: Final = "1.3.6.1.5.5.7.3.3"
_UNKNOWN: Final = "1.3.6.1.4.1.32473.1.1"  # of the arc for examples, RFC 5612
_ANOTHER_TEMPLATE: Final = "1.3.6.1.4.1.32473.2.1"
_USAGES: Final = (oids.EXTENDED_KEY_USAGE, oids.MS_APPLICATION_POLICIES)
_LOCATIONS: Final = (oids.CRL_DISTRIBUTION_POINTS, oids.AUTHORITY_INFORMATION_ACCESS, oids.FRESHEST_CRL)
_DEAD: Final = "http://127.0.0.1:9/nobody-is-here"  # discard: hardly anybody listens there


def _with(draft: DraftCertificate, tbs: TbsCertificate) -> DraftCertificate:
    return draft if tbs is draft.tbs else replace(draft, tbs=tbs)


# -- usages ------------------------------------------------------------------------------


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 5280 4.2.1.12",
    client_must=ClientMust.MAY,
    operations=_ENROL,
)
def without_extended_key_usage(draft: DraftCertificate, tools: Tools) -> DraftCertificate:
    """The certificate has no extKeyUsage, and so is good for every purpose.

    A template without application policies. More than was asked for, and less than servers expect that look
    for client authentication by name.
    """
    del tools
    return _with(draft, without_extensions(draft.tbs, *_USAGES))


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 5280 4.2.1.12",
    client_must=ClientMust.MAY,
    operations=_ENROL,
)
def wrong_extended_key_usage(
    draft: DraftCertificate, tools: Tools, *, purpose: str = _CODE_SIGNING
) -> DraftCertificate:
    """The certificate is for another purpose, such as code signing, in place of client authentication.

    The wrong template behind the endpoint. ``purpose`` is the OID.
    """
    del tools
    tbs = without_extensions(draft.tbs, oids.MS_APPLICATION_POLICIES)
    return _with(draft, with_extension(tbs, purpose_of(purpose)))


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 5280 4.2.1.12",
    client_must=ClientMust.MAY,
    operations=_ENROL,
)
def empty_extended_key_usage(draft: DraftCertificate, tools: Tools) -> DraftCertificate:
    """The certificate's extKeyUsage is an empty list, and one purpose is the least there may be.

    Every purpose of the request was struck out, and the extension was left. Readers take it for any purpose,
    for none, or fall over it.
    """
    del tools
    empty = Extension(oid=oids.EXTENDED_KEY_USAGE, value=der.sequence())
    tbs = without_extensions(draft.tbs, oids.MS_APPLICATION_POLICIES)
    return _with(draft, with_extension(tbs, empty))


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 5280 4.2.1.3",
    client_must=ClientMust.MAY,
    operations=_ENROL,
)
def without_key_usage(draft: DraftCertificate, tools: Tools) -> DraftCertificate:
    """The certificate has no keyUsage, and so no restriction of what its key may do."""
    del tools
    return _with(draft, without_extensions(draft.tbs, oids.KEY_USAGE))


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 5280 4.2.1.3; RFC 8894 2.3",
    client_must=ClientMust.MAY,
    operations=_ENROL,
)
def wrong_key_usage(draft: DraftCertificate, tools: Tools) -> DraftCertificate:
    """The certificate's keyUsage allows dataEncipherment alone.

    Good for no TLS handshake and, without digitalSignature, for no renewal over SCEP.
    """
    del tools
    return _with(draft, with_extension(draft.tbs, extensions.key_usage((KeyUsage.DATA_ENCIPHERMENT,))))


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 8894 3.3.2.1; RFC 5280 4.2.1.9",
    client_must=ClientMust.REJECT,
    operations=_ENROL,
)
def ca_true(draft: DraftCertificate, tools: Tools) -> DraftCertificate:
    """The certificate's basicConstraints say that it is a CA's.

    basicConstraints copied from the request, or the template of a subordinate. Whoever holds it can make
    certificates that all the world behind this root believes, and so nobody should want to.
    """
    del tools
    return _with(draft, with_extension(draft.tbs, extensions.basic_constraints(is_ca=True)))


# -- names -------------------------------------------------------------------------------


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 5280 4.2.1.6",
    client_must=ClientMust.MAY,
    operations=_ENROL,
)
def without_alternative_names(draft: DraftCertificate, tools: Tools) -> DraftCertificate:
    """The certificate lacks the subjectAltName that was asked for.

    A template that takes names from the directory. Servers that look for a DNS name or a UPN do not find the
    device. Where none was asked for there is nothing to do.
    """
    del tools
    return _with(draft, without_extensions(draft.tbs, oids.SUBJECT_ALT_NAME))


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 5280 4.2.1.6",
    client_must=ClientMust.MAY,
    operations=_ENROL,
    limits={"dns": Text(shortest=1)},
)
def foreign_alternative_name(
    draft: DraftCertificate, tools: Tools, *, dns: str = "somebody-else.example"
) -> DraftCertificate:
    """The certificate's subjectAltName names another host in place of what was asked for.

    Two requests mixed up, or a default of the CA's. ``dns`` is the name.
    """
    del tools
    name = extensions.GeneralName(2, dns.encode(), dns)
    return _with(draft, with_extension(draft.tbs, extensions.subject_alt_name([name])))


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="MS-WCCE 2.2.2.7.7",
    client_must=ClientMust.SUCCEED,
    operations=_ENROL,
)
def wrong_template(draft: DraftCertificate, tools: Tools) -> DraftCertificate:
    """The certificate says that it is of another template than it is of.

    Management systems that find their certificates by template lose sight of it; SCEP does not look.
    """
    del tools
    tbs = without_extensions(draft.tbs, oids.MS_TEMPLATE_NAME)
    return _with(draft, with_extension(tbs, extensions.template_information(_ANOTHER_TEMPLATE, 100, 1)))


# -- unknown ones ------------------------------------------------------------------------


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 5280 4.2",
    client_must=ClientMust.REJECT,
    operations=_ENROL,
)
def unknown_critical_extension(draft: DraftCertificate, tools: Tools) -> DraftCertificate:
    """The certificate has a critical extension that nobody knows.

    Whoever does not know what it says must not use the certificate.
    """
    del tools
    unknown = Extension(oid=_UNKNOWN, critical=True, value=der.null())
    return _with(draft, with_extension(draft.tbs, unknown))


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 5280 4.2",
    client_must=ClientMust.SUCCEED,
    operations=_ENROL,
)
def unknown_extension(draft: DraftCertificate, tools: Tools) -> DraftCertificate:
    """The certificate has an extension that nobody knows, and that says that it does not matter."""
    del tools
    return _with(draft, with_extension(draft.tbs, Extension(oid=_UNKNOWN, value=der.null())))


# -- where to go on from it --------------------------------------------------------------


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 5280 4.2.1.1",
    client_must=ClientMust.SUCCEED,
    operations=_ENROL,
)
def without_authority_key_id(draft: DraftCertificate, tools: Tools) -> DraftCertificate:
    """The certificate does not say which of its issuer's keys signed it.

    Every CA must write it; paths are found without it, by name and by trying.
    """
    del tools
    return _with(draft, without_extensions(draft.tbs, oids.AUTHORITY_KEY_IDENTIFIER))


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 5280 4.2.1.1",
    client_must=ClientMust.MAY,
    operations=_ENROL,
)
def wrong_authority_key_id(draft: DraftCertificate, tools: Tools) -> DraftCertificate:
    """The certificate names another key than the one that signed it.

    The identifier is a hint by which an issuer is looked for, and no part of path validation. OpenSSL finds
    no issuer by a hint that is wrong.
    """
    del tools
    identifier = foreign_key("somebody else").subject_key_id
    return _with(draft, with_extension(draft.tbs, extensions.authority_key_identifier(identifier)))


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 5280 4.2.1.13, 6.3",
    client_must=ClientMust.MAY,
    operations=_ENROL,
    step=Step.VERIFY,
    symptom="CRYPT_E_NO_REVOCATION_CHECK 0x80092012 (windows-client.md section 1.3)",
)
def without_revocation_information(draft: DraftCertificate, tools: Tools) -> DraftCertificate:
    """The certificate names no CRL, no OCSP responder and no place of its issuer's certificate.

    The CA's extensions page was left empty. Nobody can tell whether it was revoked.
    """
    del tools
    return _with(draft, without_extensions(draft.tbs, *_LOCATIONS))


@fault(
    seam=_SEAM,
    takes=DraftCertificate,
    clause="RFC 5280 6.3.3",
    client_must=ClientMust.MAY,
    operations=_ENROL,
    step=Step.VERIFY,
    symptom="CRYPT_E_REVOCATION_OFFLINE 0x80092013 (windows-client.md section 1.3)",
)
def dead_locations(draft: DraftCertificate, tools: Tools) -> DraftCertificate:
    """The certificate names places for CRL, OCSP and issuer where nobody answers.

    The publication host was renamed, or is inside while the clients are outside.
    """
    del tools
    tbs = without_extensions(draft.tbs, oids.FRESHEST_CRL)
    tbs = with_extension(tbs, extensions.crl_distribution_points([_DEAD]))
    return _with(draft, with_extension(tbs, extensions.authority_information_access([_DEAD], [_DEAD])))
