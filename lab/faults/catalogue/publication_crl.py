"""Faults of what a published CRL says: signed by its CA unless that is the fault, and wrong."""

from __future__ import annotations

import base64
import functools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ca import der, oids
from ca.crls import encode_entry
from ca.extensions import Extension, authority_key_identifier
from ca.opening import open_root_crl
from ca.records import CertificateFilter, Revocation, RevocationReason, RevokedEntry
from crl_publisher.publication import PublishedFile
from lab.faults.ca_keys import issuing_key
from lab.faults.minting import foreign_key
from lab.faults.published import OFFLINE, REVOKED, bit_flipped, resigned_crl, with_content
from lab.faults.registry import ClientMust, Range, Seam, Step, fault
from lab.faults.signed_crls import CrlParts

if TYPE_CHECKING:
    from lab.faults.tools import Tools

_UNKNOWN_EXTENSION = "1.3.6.1.4.1.99999.1"
_LINE = 64
_crl_fault = functools.partial(
    fault, seam=Seam.PUBLICATION, takes=PublishedFile, step=Step.VERIFY, operations={"CRL"}
)
_delta_crl_fault = functools.partial(
    fault, seam=Seam.PUBLICATION, takes=PublishedFile, step=Step.VERIFY, operations={"DeltaCRL"}
)
_LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def _is_ours(file: PublishedFile, tools: Tools) -> bool:
    """Tell whether the issuing CA signed a CRL: of the root's, whose key is elsewhere, there is one alone."""
    return issuing_key(tools.lab, CrlParts.read(file.content).authority_key_id) is not None


# -- when it holds -------------------------------------------------------------------------


@_crl_fault(
    clause="RFC 5280 5.1.2.5",
    client_must=ClientMust.REJECT,
    symptom=OFFLINE,
    limits={"days": Range(0, 36_525)},
)
def crl_expired(file: PublishedFile, tools: Tools, *, days: int = 1) -> PublishedFile:
    """The CRL ran out a day ago: its nextUpdate is past.

    The CA, or the task that copies its CRLs, has stood still. It says nothing of what was revoked since.
    """
    end = tools.lab.clock.now() - timedelta(days=days)
    return resigned_crl(
        file,
        tools,
        lambda crl: replace(crl, this_update=end - timedelta(days=7), next_update=end).without_extension(
            oids.MS_NEXT_CRL_PUBLISH
        ),
    )


@_crl_fault(clause="RFC 5280 5.1.2.4", client_must=ClientMust.REJECT, limits={"days": Range(0, 36_525)})
def crl_not_yet_valid(file: PublishedFile, tools: Tools, *, days: int = 1) -> PublishedFile:
    """The CRL holds from tomorrow on: its thisUpdate is still to come.

    The CA's clock is ahead, or the device's behind.
    """
    begin = tools.lab.clock.now() + timedelta(days=days)
    return resigned_crl(
        file, tools, lambda crl: replace(crl, this_update=begin, next_update=begin + timedelta(days=7))
    )


@_crl_fault(clause="RFC 5280 5.1.2.5", client_must=ClientMust.MAY)
def crl_without_next_update(file: PublishedFile, tools: Tools) -> PublishedFile:
    """The CRL does not say when the next one comes: nextUpdate is left out.

    X.509 allows it and RFC 5280 does not; section 6.3.3 leaves clients to decide how long it holds.
    """
    return resigned_crl(file, tools, lambda crl: replace(crl, next_update=None))


# -- who signed it -------------------------------------------------------------------------


@_crl_fault(clause="RFC 5280 6.3.3 b", client_must=ClientMust.REJECT)
def crl_wrong_issuer(file: PublishedFile, tools: Tools) -> PublishedFile:
    """At the place of the issuing CA's CRL is that of the root.

    Somebody has copied the wrong file, or both CAs publish under one name. It is good, current and
    signed, and about other certificates.
    """
    if not _is_ours(file, tools):
        return file
    return with_content(file, open_root_crl(tools.lab.folder))


@_crl_fault(clause="RFC 5280 6.3.3 f", client_must=ClientMust.REJECT)
def crl_foreign_key(file: PublishedFile, tools: Tools) -> PublishedFile:
    """The CRL is in the CA's name and signed with the key of another CA of that name.

    The CA was set up anew under its old name; certificates of before are checked against the new one's CRL.
    """
    key = foreign_key("another CA of the same name")
    return resigned_crl(
        file, tools, lambda crl: crl.with_extension(authority_key_identifier(key.subject_key_id)), key=key
    )


@_crl_fault(clause="RFC 5280 6.3.3 g", client_must=ClientMust.REJECT)
def crl_bad_signature(file: PublishedFile, tools: Tools) -> PublishedFile:
    """The CRL's signature does not verify: its last octet has one bit changed.

    Everything that it says is as it was. Bits turn on disks and in proxies; attackers take entries out.
    """
    del tools
    return with_content(file, bit_flipped(file.content))


# -- how it is encoded ---------------------------------------------------------------------


@_crl_fault(clause="RFC 5280 4.2.1.13", client_must=ClientMust.MAY)
def crl_pem(file: PublishedFile, tools: Tools) -> PublishedFile:
    """The CRL is published as PEM; the standard wants DER.

    Who signs CRLs with OpenSSL and copies what comes out publishes this. Some clients read it.
    """
    del tools
    text = base64.b64encode(file.content)
    lines = [text[start : start + _LINE] for start in range(0, len(text), _LINE)]
    pem = b"\n".join((b"-----BEGIN X509 CRL-----", *lines, b"-----END X509 CRL-----", b""))
    return with_content(file, pem)


@_crl_fault(clause="RFC 5280 5.1", client_must=ClientMust.REJECT)
def crl_truncated(file: PublishedFile, tools: Tools) -> PublishedFile:
    """The CRL breaks off in its middle, and HTTP says nothing of it.

    It was fetched while it was being copied; the Content-Length is that of the half.
    """
    del tools
    return with_content(file, file.content[: len(file.content) // 2])


@_crl_fault(clause="X.690 10.1", client_must=ClientMust.MAY)
def crl_trailing_octets(file: PublishedFile, tools: Tools) -> PublishedFile:
    """After the CRL come a carriage return and a line feed.

    It went through a transfer in text mode. Some clients read one element and stop, others refuse the file.
    """
    del tools
    return with_content(file, file.content + b"\r\n")


# -- what it is about ----------------------------------------------------------------------


@_crl_fault(clause="RFC 5280 5.2", client_must=ClientMust.REJECT)
def crl_unknown_critical_extension(file: PublishedFile, tools: Tools) -> PublishedFile:
    """The CRL has a critical extension that nobody knows.

    Whoever does not understand it must not use the CRL to tell whether a certificate is revoked.
    """
    unknown = Extension(oid=_UNKNOWN_EXTENSION, critical=True, value=der.null())
    return resigned_crl(file, tools, lambda crl: crl.with_extension(unknown))


@_crl_fault(clause="RFC 5280 6.3.3 b 2 iii", client_must=ClientMust.REJECT)
def crl_for_ca_certificates(file: PublishedFile, tools: Tools) -> PublishedFile:
    """The CRL says that it is about CA certificates alone (onlyContainsCACerts).

    A CA that keeps two lists has them at each other's place. It says nothing about a device's certificate.
    """
    scope = Extension(
        oid=oids.ISSUING_DISTRIBUTION_POINT,
        critical=True,
        value=der.sequence(der.implicit(2, b"\xff")),
    )
    return resigned_crl(file, tools, lambda crl: crl.with_extension(scope))


@_crl_fault(clause="RFC 5280 6.3.3 b 2 i", client_must=ClientMust.REJECT)
def crl_of_another_distribution_point(file: PublishedFile, tools: Tools) -> PublishedFile:
    """The CRL names a distribution point that is none of the certificate's.

    CAs that split their list into partitions name each; this one is about other certificates.
    """
    url = f"{tools.lab.pki.public_url}/partition/2.crl".encode("ascii")
    name = der.explicit(0, der.explicit(0, der.implicit(6, url)))
    scope = Extension(oid=oids.ISSUING_DISTRIBUTION_POINT, critical=True, value=der.sequence(name))
    return resigned_crl(file, tools, lambda crl: crl.with_extension(scope))


@_crl_fault(
    clause="RFC 5280 5.1.2.6",
    client_must=ClientMust.REJECT,
    symptom=REVOKED,
)
def crl_revokes_everything(file: PublishedFile, tools: Tools) -> PublishedFile:
    """The CRL lists every certificate that the CA has issued as revoked; none is.

    The wrong filter in a script, or a database that was restored. OCSP says good all the while.
    """
    lab = tools.lab
    now = lab.clock.now().replace(microsecond=0)
    with lab.store.reading() as transaction:
        issued = transaction.find_certificates(CertificateFilter(), now=now, limit=100_000)
    revocation = Revocation(revoked_at=now, reason=RevocationReason.CESSATION_OF_OPERATION)

    def revoke(crl: CrlParts) -> CrlParts:
        key_id = (crl.authority_key_id or b"").hex()
        listed = [
            RevokedEntry(serial_number=each.serial_number, revocation=revocation, not_after=each.not_after)
            for each in issued
            if each.issuer_key_id == key_id
        ]
        return replace(crl, entries=b"".join(map(encode_entry, listed)))

    return resigned_crl(file, tools, revoke)


@_crl_fault(
    clause="RFC 5280 5.1.2.6", client_must=ClientMust.SUCCEED, limits={"entries": Range(1, 1_000_000)}
)
def crl_huge(file: PublishedFile, tools: Tools, *, entries: int = 20_000) -> PublishedFile:
    """The CRL has twenty thousand entries more, of certificates that never were.

    Large CAs have such lists. Clients with a limit on size or time fail here, and none should.
    """
    more = _strangers(entries)
    return resigned_crl(file, tools, lambda crl: replace(crl, entries=crl.entries + more))


@functools.lru_cache(maxsize=2)
def _strangers(count: int) -> bytes:
    """Return entries whose serial numbers this lab's CA never gives: they are shorter than its own."""
    at = der.time(_LONG_AGO)
    return b"".join(der.sequence(der.integer((1 << 62) + number), at) for number in range(count))


@_crl_fault(clause="RFC 5280 5.2.3", client_must=ClientMust.MAY)
def crl_without_number(file: PublishedFile, tools: Tools) -> PublishedFile:
    """The CRL has no number.

    Conforming CAs number their CRLs; without one nobody can tell the newer of two, nor use a delta CRL.
    """
    return resigned_crl(file, tools, lambda crl: crl.without_extension(oids.CRL_NUMBER))


@_crl_fault(clause="RFC 5280 5.2.4", client_must=ClientMust.REJECT)
def crl_is_a_delta(file: PublishedFile, tools: Tools) -> PublishedFile:
    """At the place of the base CRL is a delta CRL.

    It lists what has changed alone: whoever takes it for the whole list believes that all revoked earlier are
    good again.
    """

    def as_delta(crl: CrlParts) -> CrlParts:
        return _with_base(crl, crl.number() or 0).without_extension(oids.FRESHEST_CRL)

    return resigned_crl(file, tools, as_delta)


# -- delta CRLs ----------------------------------------------------------------------------


def _with_base(crl: CrlParts, number: int) -> CrlParts:
    """Return a CRL that says it completes the base of this number (RFC 5280 5.2.4)."""
    return crl.with_extension(
        Extension(oid=oids.DELTA_CRL_INDICATOR, critical=True, value=der.integer(number))
    )


def _numbered(crl: CrlParts, number: int) -> CrlParts:
    """Return a delta CRL of this number, which completes the base of the same number."""
    own = Extension(oid=oids.CRL_NUMBER, value=der.integer(number))
    return _with_base(crl, number).with_extension(own).without_extension(oids.MS_VIRTUAL_BASE_CRL_NUMBER)


@_delta_crl_fault(clause="RFC 5280 5.2.4", client_must=ClientMust.MAY)
def delta_crl_expired(file: PublishedFile, tools: Tools, *, hours: int = 1) -> PublishedFile:
    """The delta CRL ran out an hour ago, and no newer one is there.

    Delta CRLs are published often, and so are the first to go stale. A client that uses delta CRLs must not
    use this one; the base CRL still holds.
    """
    end = tools.lab.clock.now() - timedelta(hours=hours)
    return resigned_crl(
        file,
        tools,
        lambda crl: replace(crl, this_update=end - timedelta(days=1), next_update=end).without_extension(
            oids.MS_NEXT_CRL_PUBLISH
        ),
    )


@_delta_crl_fault(
    clause="RFC 5280 5.2.4 c 1", client_must=ClientMust.MAY, limits={"ahead": Range(1, 1_000_000)}
)
def delta_crl_wants_newer_base(file: PublishedFile, tools: Tools, *, ahead: int = 1) -> PublishedFile:
    """The delta CRL completes a base CRL that is not published: the base that is there is older.

    The base was not copied, or a proxy still has the old one. What was revoked in between is in neither: the
    two must not be put together.
    """

    def newer(crl: CrlParts) -> CrlParts:
        newest = max(crl.number() or 0, crl.number(oids.DELTA_CRL_INDICATOR) or 0)
        number = newest + ahead
        return _numbered(crl, number)

    return resigned_crl(file, tools, newer)


@_delta_crl_fault(clause="RFC 5280 5.2.4 c 2", client_must=ClientMust.MAY)
def delta_crl_older_than_base(file: PublishedFile, tools: Tools) -> PublishedFile:
    """The delta CRL is older than the base CRL beside it: its number is smaller.

    A new base was published and the delta CRL of before is still served. It would bring nothing but what the
    base knows, and undo what was put on hold since.
    """

    def older(crl: CrlParts) -> CrlParts:
        return _numbered(crl, max((crl.number(oids.DELTA_CRL_INDICATOR) or 0) - 1, 0))

    return resigned_crl(file, tools, older)


@_delta_crl_fault(clause="RFC 5280 6.3.3 g", client_must=ClientMust.MAY)
def delta_crl_bad_signature(file: PublishedFile, tools: Tools) -> PublishedFile:
    """The delta CRL's signature does not verify: its last octet has one bit changed.

    A client that uses delta CRLs must not use this one.
    """
    del tools
    return with_content(file, bit_flipped(file.content))
