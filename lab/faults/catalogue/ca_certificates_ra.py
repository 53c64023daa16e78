"""Faults of the RA's certificates in GetCACert: the real ones with one thing changed, signed again.

Key, issuer and serial number stay, so that whoever takes no notice can go on: envelopes are opened and
replies verify.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ca import extensions, oids
from ca.names import build_name
from lab.faults.bags import is_ra, with_each
from lab.faults.minting import (
    altered,
    ended,
    foreign_key,
    issuing_key,
    not_begun,
    purpose_of,
    root_key,
    with_extension,
    with_issuer,
    with_key,
    without_extensions,
)
from lab.faults.registry import ClientMust, Seam, fault
from lab.faults.values import CaCertificatesAnswer

if TYPE_CHECKING:
    from collections.abc import Callable

    from ca.certificates import TbsCertificate
    from lab.faults.tools import Tools

_SEAM: Final = Seam.CA_CERTIFICATES
_GET: Final = frozenset({"GetCACert"})
_CODE_SIGNING: Final = "1.3.6.1.5.5.7.3.3"
_UNKNOWN: Final = "1.3.6.1.4.1.32473.1.1"  # of the arc for examples, RFC 5612
_USAGES: Final = (oids.EXTENDED_KEY_USAGE, oids.MS_APPLICATION_POLICIES)


def _reissued(
    answer: CaCertificatesAnswer, tools: Tools, change: Callable[[TbsCertificate], TbsCertificate]
) -> CaCertificatesAnswer:
    """Return the answer with the RA's certificates changed and signed by their CA again."""
    key = issuing_key(tools.lab)
    return with_each(answer, is_ra, lambda one: altered(one, key, change))


# -- usages ------------------------------------------------------------------------------


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 5280 4.2.1.3",
    client_must=ClientMust.MAY,
    operations=_GET,
)
def ra_without_key_usage(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The RA's certificates have no keyUsage: each is good for everything, and which is which is a guess.

    A template with key usage left out. Who envelopes for the signing certificate is not understood.
    """
    return _reissued(answer, tools, lambda tbs: without_extensions(tbs, oids.KEY_USAGE))


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 5280 4.2.1.12",
    client_must=ClientMust.SUCCEED,
    operations=_GET,
)
def ra_without_extended_key_usage(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The RA's certificates have no extKeyUsage: SCEP asks for none.

    RAs that were not made from Microsoft's templates.
    """
    return _reissued(answer, tools, lambda tbs: without_extensions(tbs, *_USAGES))


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 5280 4.2.1.3",
    client_must=ClientMust.MAY,
    operations=_GET,
    symptom="SCARD_E_NO_SUCH_CERTIFICATE 0x8010002C; no PKIOperation is sent "
    "(windows-client.md sections 1.3 and 7 b)",
)
def ra_without_usages(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The RA's certificates have neither keyUsage nor extKeyUsage.

    The classic of home-made RAs: Windows finds no certificate that it may use.
    """
    return _reissued(answer, tools, lambda tbs: without_extensions(tbs, oids.KEY_USAGE, *_USAGES))


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 5280 4.2.1.3",
    client_must=ClientMust.REJECT,
    operations=_GET,
    symptom="SCARD_E_NO_SUCH_CERTIFICATE 0x8010002C (windows-client.md section 7 b)",
)
def ra_key_usage_wrong(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The RA's certificates allow nonRepudiation alone: neither signing messages nor enciphering keys.

    A template for signing documents.
    """
    usage = extensions.key_usage((extensions.KeyUsage.NON_REPUDIATION,))
    return _reissued(answer, tools, lambda tbs: with_extension(tbs, usage))


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 5280 4.2.1.12",
    client_must=ClientMust.MAY,
    operations=_GET,
)
def ra_for_another_purpose(
    answer: CaCertificatesAnswer, tools: Tools, *, purpose: str = _CODE_SIGNING
) -> CaCertificatesAnswer:
    """The RA's certificates are for another purpose, such as code signing, in place of request agent.

    ``purpose`` is the OID. SCEP names no purpose for an RA, so a client may not care.
    """
    usage = purpose_of(purpose)

    def change(tbs: TbsCertificate) -> TbsCertificate:
        return with_extension(without_extensions(tbs, oids.MS_APPLICATION_POLICIES), usage)

    return _reissued(answer, tools, change)


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 5280 4.2",
    client_must=ClientMust.REJECT,
    operations=_GET,
)
def ra_with_unknown_critical_extension(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The RA's certificates have a critical extension that nobody knows."""
    unknown = extensions.Extension(oid=_UNKNOWN, critical=True, value=b"\x05\x00")
    return _reissued(answer, tools, lambda tbs: with_extension(tbs, unknown))


# -- validity ----------------------------------------------------------------------------


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 8894 2.2; RFC 5280 6.1.3",
    client_must=ClientMust.REJECT,
    operations=_GET,
    symptom="CERT_E_EXPIRED 0x800B0101 (windows-client.md section 1.3)",
)
def ra_expired(answer: CaCertificatesAnswer, tools: Tools, *, days: int = 1) -> CaCertificatesAnswer:
    """The RA's certificates ran out, at midnight ``days`` days ago.

    They live two years and nothing renews them. NDES itself stops then; other servers go on.
    """
    now = tools.lab.clock.now()
    return _reissued(answer, tools, lambda tbs: ended(tbs, now, days))


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 8894 2.2; RFC 5280 6.1.3",
    client_must=ClientMust.MAY,
    operations=_GET,
    symptom="CERT_E_EXPIRED 0x800B0101 (windows-client.md section 1.3)",
)
def signing_ra_expired(answer: CaCertificatesAnswer, tools: Tools, *, days: int = 1) -> CaCertificatesAnswer:
    """The RA's signing certificate ran out, at midnight ``days`` days ago; the encryption one is good.

    The two were renewed one without the other. A request can be enveloped, and its reply not be believed by
    whoever goes by GetCACert; a reply brings the good certificate along, except under the profiles of NDES.
    """
    now, key = tools.lab.clock.now(), issuing_key(tools.lab)
    signing = tools.lab.registration_authority.signing.der
    return with_each(
        answer,
        lambda one: one.der == signing,
        lambda one: altered(one, key, lambda tbs: ended(tbs, now, days)),
    )


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 8894 2.2; RFC 5280 6.1.3",
    client_must=ClientMust.REJECT,
    operations=_GET,
)
def ra_not_yet_valid(answer: CaCertificatesAnswer, tools: Tools, *, days: int = 1) -> CaCertificatesAnswer:
    """The RA's certificates begin in ``days`` days.

    Put in place too early, or the client's clock is behind.
    """
    now = tools.lab.clock.now()
    return _reissued(answer, tools, lambda tbs: not_begun(tbs, now, days))


# -- issuers and keys --------------------------------------------------------------------


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 8894 2.2; RFC 5280 6.1",
    client_must=ClientMust.REJECT,
    operations=_GET,
    symptom="CERT_E_CHAINING 0x800B010A (windows-client.md sections 1.3 and 7 c)",
)
def ra_of_another_ca(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The RA's certificates are issued by a CA that is not in the bag and that nobody knows.

    The RA kept the certificates of a PKI that was replaced.
    """
    key, name = foreign_key("another CA"), build_name("CN=Another Issuing CA (ndes-lab)")
    return with_each(answer, is_ra, lambda one: altered(one, key, lambda tbs: with_issuer(tbs, name, key)))


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 5280 6.1.3",
    client_must=ClientMust.REJECT,
    operations=_GET,
)
def ra_signed_by_impostor(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The RA's certificates name the issuing CA and its key, and are signed with another key.

    What an attacker can make: only verifying the signature tells.
    """
    del tools
    key = foreign_key("an impostor")
    return with_each(answer, is_ra, lambda one: altered(one, key, lambda tbs: tbs))


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 8894 2.2",
    client_must=ClientMust.MAY,
    operations=_GET,
    symptom="TRUST_E_CERT_SIGNATURE 0x80096004 (windows-client.md section 1.3)",
)
def ra_of_root(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The RA's certificates are issued by the root, and the leaves by the CA below it.

    All of it verifies; Windows wants RA and leaf to have one issuer. As their issuer is another, so is the
    recipient that envelopes name.
    """
    root, key = tools.lab.root, root_key(tools.lab)
    return with_each(
        answer,
        is_ra,
        lambda one: altered(one, key, lambda tbs: with_issuer(tbs, root.subject_der, key)),
    )


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 8894 3.2",
    client_must=ClientMust.REJECT,
    operations=_GET,
)
def outdated_ra(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The RA's certificates are good ones of the same CA, for keys that the server has no longer.

    A bag kept by a cache or copied by hand, after the RA's certificates were issued anew. Requests cannot be
    opened, and the refusal is signed with a key that is not in the bag.
    """
    key = foreign_key("the RA before this one")

    def change(tbs: TbsCertificate) -> TbsCertificate:
        return with_key(replace(tbs, serial_number=tbs.serial_number - 1), key.public_key_der)

    return _reissued(answer, tools, change)
