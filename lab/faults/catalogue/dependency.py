"""Faults of what the lab leans on: its database, its CA, its RA's keys, its clock, its challenges."""

from __future__ import annotations

import functools
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NoReturn

from ca.errors import (
    EnrollDenied,
    InvalidCaCertificate,
    RevocationOffline,
    ServiceUnavailable,
    TemplateDenied,
    UnsupportedCertType,
)
from ca.records import AlreadyExists, StoreUnavailable
from lab.faults.registry import ClientMust, Seam, fault
from lab.faults.values import CaAccess, ChallengeLookup, RaAccess, StoreAccess
from scep_server.ra_standing import RaTrouble, RaUnusable

if TYPE_CHECKING:
    from lab.faults.tools import Tools

_fault = functools.partial(fault, seam=Seam.DEPENDENCY, operations={"PKIOperation"})
_store_fault = functools.partial(
    _fault, takes=StoreAccess, clause="RFC 9110 15.6.4", client_must=ClientMust.RETRY
)
_ca_fault = functools.partial(_fault, takes=CaAccess, clause="RFC 8894 3.2.1.4")
_EVENT_31 = "NDES logs event 31 with the CA's reason (ndes.md section 5)"
_NOT_YET_VALID = "0x800B0101 CERT_E_EXPIRED, the certificate is discarded (windows-client.md section 1.3)"


# -- the database --------------------------------------------------------------------------


def _unusable(words: str) -> NoReturn:
    raise StoreUnavailable(f"the database cannot be used: {words}")


def _is(access: StoreAccess, tools: Tools, *kinds: str) -> bool:
    """Tell whether the database is used in one of these ways for a request that is being worked on.

    What a server does once, for all, at its first request is left alone: nobody else is to be disturbed.
    """
    at_hand = tools.circumstances
    return access.kind in kinds and (at_hand.listener == "pki" or at_hand.transaction_id is not None)


@_store_fault()
def store_locked(access: StoreAccess, tools: Tools, *, seconds: float = 0.5) -> StoreAccess:
    """The database is locked: a backup or another process is writing, and does not end in time.

    The server waits a while (``seconds``) and gives up. Nothing was written; reading goes on.
    """
    if not _is(access, tools, "write"):
        return access
    tools.wait(seconds)
    _unusable("database is locked")


@_store_fault()
def store_read_only(access: StoreAccess, tools: Tools) -> StoreAccess:
    """The database can be read and not written: its disk was mounted read-only after an error.

    GetCACaps, GetCACert and polls are answered as ever; nobody can enrol.
    """
    return _unusable("attempt to write a readonly database") if _is(access, tools, "write") else access


@_store_fault()
def store_full(access: StoreAccess, tools: Tools) -> StoreAccess:
    """The disk of the database is full.

    That shows when something is written, after the certificate was signed: the transaction is taken back, and
    the challenge is as good as before.
    """
    return _unusable("database or disk is full") if _is(access, tools, "commit") else access


@_store_fault()
def store_unreachable(access: StoreAccess, tools: Tools) -> StoreAccess:
    """The database is gone, for reading and for writing: its server is down, or its disk.

    OCSP says tryLater at the same time, if a rule is set for it too.
    """
    return _unusable("unable to open database file") if _is(access, tools, "read", "write") else access


@_store_fault(operations={"PKIOperation", "OCSP"})
def store_corrupt(access: StoreAccess, tools: Tools) -> StoreAccess:
    """The database is damaged: whatever is read or written ends with an error.

    That lasts until somebody restores a backup. OCSP says tryLater at the same time.
    """
    return _unusable("database disk image is malformed") if _is(access, tools, "read", "write") else access


@_store_fault(client_must=ClientMust.SUCCEED, operations={"PKIOperation", "OCSP"})
def store_slow(access: StoreAccess, tools: Tools, *, seconds: float = 0.5) -> StoreAccess:
    """The database is slow: half a second passes before anything is read or written.

    Everything is answered, later. Nobody else waits for it.
    """
    if not _is(access, tools, "read", "write"):
        return access
    tools.wait(seconds)
    return StoreAccess(access.kind)


@_store_fault()
def store_fails_at_commit(access: StoreAccess, tools: Tools) -> StoreAccess:
    """The database fails when the transaction is to be kept, after the certificate was signed.

    Nothing is kept: no certificate, no transaction, and the challenge is not spent. The client sends the same
    request again, and gets one certificate.
    """
    return _unusable("disk I/O error") if _is(access, tools, "commit") else access


@_store_fault()
def store_fails_after_commit(access: StoreAccess, tools: Tools) -> StoreAccess:
    """The database has kept everything, and the answer that says so is lost.

    The server cannot know, and says that it failed; the challenge is spent. The client sends the same request
    again, and gets the certificate that was issued the first time.
    """
    return (
        _unusable("server closed the connection unexpectedly") if _is(access, tools, "committed") else access
    )


@_store_fault()
def store_conflicts(access: StoreAccess, tools: Tools) -> StoreAccess:
    """Somebody else is always quicker: each attempt to keep the transaction meets a number that is taken.

    Two servers at one database that was restored do that to each other. The server gives up after a few
    attempts, and nothing is kept.
    """
    if access.kind != "commit" or tools.circumstances.subject is None:  # only what issues takes a number
        return access
    raise AlreadyExists("a unique value is taken: certificates.issuer_key_id, certificates.serial_number")


# -- the CA --------------------------------------------------------------------------------


@_ca_fault(clause="RFC 9110 15.6.4", client_must=ClientMust.RETRY)
def ca_down(access: CaAccess, tools: Tools) -> CaAccess:
    """The CA does not answer: its service is stopped, or its machine.

    The RA is up and takes requests, and can hand them to nobody. The challenge stays good.
    """
    del tools
    if access.kind != "ask":
        return access
    raise ServiceUnavailable("the CA does not answer")


@_ca_fault(clause="RFC 9110 15.6.4", client_must=ClientMust.RETRY)
def ca_key_unavailable(access: CaAccess, tools: Tools) -> CaAccess:
    """The CA's key cannot be used: its HSM is not there, or asks for somebody's card.

    That shows last, when everything else is decided. Nothing is kept, and the challenge stays good.
    """
    del tools
    if access.kind != "sign":
        return access
    raise ServiceUnavailable("the CA's key cannot be used: the device is not present")


@_fault(takes=StoreAccess, clause="RFC 8894 4.3", client_must=ClientMust.SUCCEED)
def ca_slow(access: StoreAccess, tools: Tools, *, seconds: float = 1.0) -> StoreAccess:
    """The CA takes a second longer to issue, as one with its key in a busy HSM does.

    Nobody else waits for it. Set ``seconds`` beyond the client's patience to see it ask again.
    """
    if not _is(access, tools, "write"):
        return access
    tools.wait(seconds)
    return StoreAccess(access.kind)


@_ca_fault(client_must=ClientMust.REJECT, symptom=_EVENT_31)
def template_unpublished(access: CaAccess, tools: Tools) -> CaAccess:
    """The template has been taken off the CA: it issues no certificates under it any more.

    Somebody has tidied up, or the registry of NDES names another one. The challenge stays good.
    """
    del tools
    if access.kind != "ask":
        return access
    raise UnsupportedCertType(f"template {access.template!r} is not published at this CA")


@_ca_fault(client_must=ClientMust.REJECT, symptom=_EVENT_31)
def template_permission_withdrawn(access: CaAccess, tools: Tools) -> CaAccess:
    """The RA's account has lost its Enroll permission on the template.

    Security groups are changed far from the CA, and whoever does it does not know NDES. The challenge stays
    good.
    """
    del tools
    if access.kind != "ask":
        return access
    raise TemplateDenied(f"{access.requester!r} has no Enroll permission on template {access.template}")


@_ca_fault(client_must=ClientMust.REJECT, symptom=_EVENT_31)
def ca_permission_withdrawn(access: CaAccess, tools: Tools) -> CaAccess:
    """The RA's account has lost its Request Certificates permission on the CA.

    It can enrol for nothing at all there. The challenge stays good.
    """
    del tools
    if access.kind != "ask":
        return access
    raise EnrollDenied(f"{access.requester!r} has no Request Certificates permission on this CA")


@_ca_fault(client_must=ClientMust.REJECT, symptom=_EVENT_31)
def ca_revocation_offline(access: CaAccess, tools: Tools) -> CaAccess:
    """The CA cannot check whether the RA's certificate is revoked: no CRL is in force.

    AD CS refuses all requests from NDES then, though nothing is wrong with the device or its challenge.
    """
    del tools
    if access.kind != "ask":
        return access
    raise RevocationOffline("no CRL of this CA is in force: there is none")


@_ca_fault(client_must=ClientMust.REJECT, symptom=_EVENT_31)
def ca_certificate_ended(access: CaAccess, tools: Tools) -> CaAccess:
    """The CA's own certificate has ended, and it can issue no more.

    Its clock jumped ahead, or nobody renewed it. What it issued before is refused by everybody too.
    """
    if access.kind != "ask":
        return access
    own = tools.lab.authority.certificate
    raise InvalidCaCertificate(
        f"the CA's certificate is valid from {own.not_before} to {own.not_after}, it is later"
    )


# -- the RA --------------------------------------------------------------------------------

_ra_fault = functools.partial(
    _fault, takes=RaAccess, clause="RFC 8894 2.1.2", client_must=ClientMust.RETRY, operations=None
)
_STATUS_500 = "0x801901F4 HTTP_E_STATUS_SERVER_ERROR (windows-client.md section 1.3)"


@_ra_fault(symptom=_STATUS_500)
def ra_key_unavailable(access: RaAccess, tools: Tools) -> RaAccess:
    """The RA's service may not read its private key, and cannot be started: HTTP 500 to everything.

    The permission on the key went with a renewal, or with another service account. NDES logs events 2 and 10.
    """
    del access, tools
    raise RaUnusable(RaTrouble.ACCESS_DENIED, "the RA's encryption key cannot be read: access is denied")


@_ra_fault(symptom=_STATUS_500)
def ra_certificate_missing(access: RaAccess, tools: Tools) -> RaAccess:
    """The RA's certificates are gone, and its service cannot be started: HTTP 500 to everything.

    Whoever cleans up the machine's certificate store takes them for forgotten ones. NDES logs events 2 and
    10.
    """
    del access, tools
    raise RaUnusable(RaTrouble.MISSING, "the RA's certificates are not there")


@_ra_fault(symptom=_STATUS_500)
def ra_certificate_expired(access: RaAccess, tools: Tools) -> RaAccess:
    """The RA's certificates have expired, and its service cannot be started: HTTP 500 to everything.

    They last two years, nothing renews them, and the service looks at them when it starts: it fails at the
    first restart after their end. NDES logs events 2 and 10.
    """
    del access
    signing = tools.lab.registration_authority.signing
    raise RaUnusable(RaTrouble.EXPIRED, f"the RA's signing certificate {signing.subject} has expired")


# -- challenges ----------------------------------------------------------------------------

_challenge_fault = functools.partial(
    _fault, takes=ChallengeLookup, clause="RFC 8894 2.4", client_must=ClientMust.REJECT
)


@_challenge_fault()
def challenge_cache_lost(lookup: ChallengeLookup, tools: Tools) -> ChallengeLookup:
    """The challenge is not known any more: the password cache went with a restart of the service.

    NDES keeps its passwords in memory, and iisreset forgets those that were handed out and not yet used.
    """
    del tools
    return lookup if lookup.found is None else ChallengeLookup(found=None)


@_challenge_fault()
def challenge_spent_elsewhere(lookup: ChallengeLookup, tools: Tools) -> ChallengeLookup:
    """The challenge has been used by somebody else already.

    Two devices were given the same one, or a proxy has sent the request twice with another transaction.
    """
    if lookup.found is None or lookup.found.spent_at is not None:
        return lookup
    spent = replace(lookup.found, spent_at=tools.lab.clock.now() - timedelta(minutes=1), uses=1)
    return ChallengeLookup(found=spent)


@_challenge_fault()
def challenge_ran_out(lookup: ChallengeLookup, tools: Tools) -> ChallengeLookup:
    """The challenge ran out a minute ago, whatever was said when it was handed out.

    The device took longer than PasswordValidity: it was off, or the MDM delivered late.
    """
    end = tools.lab.clock.now() - timedelta(minutes=1)
    if lookup.found is None or (lookup.found.expires_at or end) < end:
        return lookup
    return ChallengeLookup(found=replace(lookup.found, expires_at=end))


# -- the clock -----------------------------------------------------------------------------

_clock_fault = functools.partial(_fault, takes=datetime)


@_clock_fault(
    clause="RFC 5280 4.1.2.5",
    client_must=ClientMust.REJECT,
    symptom=_NOT_YET_VALID,
)
def clock_ahead(now: datetime, tools: Tools, *, minutes: int = 30) -> datetime:
    """The server's clock is half an hour ahead: what it issues is not valid yet.

    More than back-dating covers, and less than a challenge lasts. With 60 ``minutes`` or more challenges have
    run out, and the request is refused.
    """
    del tools
    return now + timedelta(minutes=minutes)


@_clock_fault(clause="RFC 5280 4.1.2.5", client_must=ClientMust.SUCCEED)
def clock_behind(now: datetime, tools: Tools, *, minutes: int = 5) -> datetime:
    """The server's clock is five minutes behind: what it issues began five minutes too early.

    Less than back-dating covers. With more ``minutes`` than the RA's certificates are old they are not yet
    valid, and the service says so.
    """
    del tools
    return now - timedelta(minutes=minutes)


@_clock_fault(clause="RFC 5905 11.3", client_must=ClientMust.SUCCEED)
def clock_jumps(now: datetime, tools: Tools, *, minutes: int = 2) -> datetime:
    """The server's clock jumps to and fro: each time it is read it is two minutes ahead, then behind.

    A virtual machine whose host and whose time service do not agree has such a clock.
    """
    return now + timedelta(minutes=minutes) if tools.nth % 2 else now - timedelta(minutes=minutes)
