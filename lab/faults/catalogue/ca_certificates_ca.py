"""Faults of the issuing CA's certificate in GetCACert: the real one with one thing changed.

Signed again with the root's own key, because the client trusts the root: a lab that does not have its
root at hand cannot have these, and answers so. Key, name and serial number stay unless they are the fault.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ca import extensions, oids
from lab.faults.bags import is_issuing, with_certificates, with_each
from lab.faults.minting import (
    WithDigest,
    altered,
    ended,
    foreign_key,
    not_begun,
    root_key,
    with_extension,
    with_key,
    without_extensions,
)
from lab.faults.registry import ClientMust, Seam, Step, fault
from lab.faults.values import CaCertificatesAnswer

if TYPE_CHECKING:
    from collections.abc import Callable

    from ca.certificates import TbsCertificate
    from lab.faults.tools import Tools

_SEAM: Final = Seam.CA_CERTIFICATES
_GET: Final = frozenset({"GetCACert"})
_UNKNOWN: Final = "1.3.6.1.4.1.32473.1.1"  # of the arc for examples, RFC 5612


def _reissued(
    answer: CaCertificatesAnswer, tools: Tools, change: Callable[[TbsCertificate], TbsCertificate]
) -> CaCertificatesAnswer:
    """Return the answer with the issuing CA's certificate changed and signed by the root again."""
    key = root_key(tools.lab)
    return with_each(answer, is_issuing, lambda one: altered(one, key, change))


# -- validity ----------------------------------------------------------------------------


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 8894 2.2; RFC 5280 6.1.3",
    client_must=ClientMust.REJECT,
    operations=_GET,
    step=Step.CA_CERTIFICATES,
    symptom="CERT_E_EXPIRED 0x800B0101 (windows-client.md section 1.3)",
)
def expired_ca(answer: CaCertificatesAnswer, tools: Tools, *, days: int = 1) -> CaCertificatesAnswer:
    """The issuing CA's certificate ran out, at midnight ``days`` days ago.

    A client verifies the certificates of intermediate CAs before it uses them, expiry above all.
    """
    now = tools.lab.clock.now()
    return _reissued(answer, tools, lambda tbs: ended(tbs, now, days))


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 8894 2.2; RFC 5280 6.1.3",
    client_must=ClientMust.REJECT,
    operations=_GET,
    step=Step.CA_CERTIFICATES,
)
def not_yet_valid_ca(answer: CaCertificatesAnswer, tools: Tools, *, days: int = 1) -> CaCertificatesAnswer:
    """The issuing CA's certificate begins in ``days`` days.

    A CA renewed ahead of time, or a client whose clock stands at the day it was made.
    """
    now = tools.lab.clock.now()
    return _reissued(answer, tools, lambda tbs: not_begun(tbs, now, days))


# -- may it issue ------------------------------------------------------------------------


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 5280 6.1.4 (k)",
    client_must=ClientMust.REJECT,
    operations=_GET,
)
def ca_without_basic_constraints(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The issuing CA's certificate has no basicConstraints: nothing says that it is a CA.

    Made with a template for servers. Whoever believes it lets any certificate issue others.
    """
    return _reissued(answer, tools, lambda tbs: without_extensions(tbs, oids.BASIC_CONSTRAINTS))


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 5280 6.1.4 (n)",
    client_must=ClientMust.REJECT,
    operations=_GET,
)
def ca_without_key_cert_sign(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The issuing CA's keyUsage allows signing CRLs and messages, and not certificates."""
    usage = extensions.key_usage((extensions.KeyUsage.DIGITAL_SIGNATURE, extensions.KeyUsage.CRL_SIGN))
    return _reissued(answer, tools, lambda tbs: with_extension(tbs, usage))


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 5280 4.2",
    client_must=ClientMust.REJECT,
    operations=_GET,
    step=Step.CA_CERTIFICATES,
)
def ca_with_unknown_critical_extension(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The issuing CA's certificate has a critical extension that nobody knows."""
    unknown = extensions.Extension(oid=_UNKNOWN, critical=True, value=b"\x05\x00")
    return _reissued(answer, tools, lambda tbs: with_extension(tbs, unknown))


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 9155; RFC 8894 2.9",
    client_must=ClientMust.MAY,
    operations=_GET,
)
def ca_signed_with_sha1(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The root's signature under the issuing CA's certificate is SHA-1's.

    A hierarchy from before 2016. The root is trusted by other means, its signature under a CA is not.
    """
    key = WithDigest(root_key(tools.lab), "sha1")
    return with_each(answer, is_issuing, lambda one: altered(one, key, lambda tbs: tbs))


# -- renewals ----------------------------------------------------------------------------


def _renewed(tbs: TbsCertificate) -> TbsCertificate:
    return replace(tbs, serial_number=tbs.serial_number + 1)


def _rolled_over(tbs: TbsCertificate) -> TbsCertificate:
    return with_key(_renewed(tbs), foreign_key("the next issuing CA").public_key_der)


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 8894 2.2; RFC 5280 6.1.3",
    client_must=ClientMust.REJECT,
    operations=_GET,
    symptom="CERT_E_UNTRUSTEDROOT 0x800B0109, events 32 and 307, CAPI2 event 30 "
    "(windows-client.md section 1.3)",
)
def rolled_over_ca(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The issuing CA was renewed with a new key, and the RA still has certificates of the old one.

    Nobody thought of the RA's certificates when the CA was renewed. The bag has the new CA alone, under the
    same name.
    """
    return _reissued(answer, tools, _rolled_over)


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 5280 4.2.1.1",
    client_must=ClientMust.SUCCEED,
    operations=_GET,
)
def both_cas_in_bag(
    answer: CaCertificatesAnswer, tools: Tools, *, new_first: bool = True
) -> CaCertificatesAnswer:
    """The bag has the issuing CA under its new key and under the old one, which issues still.

    Same name, two keys: a client goes by the key identifier and the signature. ``new_first`` says which of
    the two comes first.
    """
    key, found = root_key(tools.lab), []
    for one in answer.certificates:
        if one != tools.lab.authority.certificate.der:
            found.append(one)
            continue
        pair = (altered(one, key, _rolled_over), one)
        found += pair if new_first else pair[::-1]
    return with_certificates(answer, found)


@fault(
    seam=_SEAM,
    takes=CaCertificatesAnswer,
    clause="RFC 5280 6.1",
    client_must=ClientMust.SUCCEED,
    operations=_GET,
)
def ca_renewed_with_same_key(answer: CaCertificatesAnswer, tools: Tools) -> CaCertificatesAnswer:
    """The issuing CA was renewed for the key it had: another certificate, and everything under it is good.

    As AD CS offers it. Only who pinned the thumbprint of the old certificate is at a loss.
    """
    return _reissued(answer, tools, _renewed)
