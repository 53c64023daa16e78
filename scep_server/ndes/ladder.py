"""Which rung of NDES's ladder of failures a refusal ends on, under a behaviour profile.

NDES fails in stages: what it cannot decode, read or decrypt is answered below SCEP (events 16, 17,
18), what its password cache does not know with a CertRep and event 29, what the CA denies with a
CertRep and event 31. `scep_server.outcomes` has one row for each cause; here a profile says how that
row looks from outside. Does not live here: what was wrong.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Final

from ca.errors import CaError, ServiceUnavailable, UnsupportedCertType
from ca.records import StoreUnavailable
from scep_server.outcomes import BAD_REQUEST_TEXT, Outcome, Refusal, outcome_of
from scep_server.protocol.errors import MessageError
from scep_server.protocol.messages import FailInfo

if TYPE_CHECKING:
    from .profiles import BehaviourProfile

ISSUED: Final = "Issued"
TAKEN_UNDER_SUBMISSION: Final = "Taken Under Submission"
_DENIED: Final = "Denied by Policy Module"
_UNSUPPORTED_TEMPLATE: Final = (
    "The request was for a certificate template that is not supported by the Active Directory Certificate "
    "Services Policy: {template}"
)
_FAIL_INFOS: Final = {each.rfc_name: each for each in FailInfo}
_RETRIEVE_INFO_EVENT: Final = 17
_DECRYPT_EVENT: Final = 18
_TRUST_E_CERT_SIGNATURE: Final = 0x80096004
_SIGNERS: Final = frozenset(
    {
        Refusal.SIGNER_FOREIGN,
        Refusal.SIGNER_FORGED,
        Refusal.SIGNER_UNRECORDED,
        Refusal.SIGNER_RESERVED,
        Refusal.SIGNER_NOT_YET_VALID,
        Refusal.SIGNER_EXPIRED,
        Refusal.SIGNER_REVOKED,
    }
)
_RENEWALS: Final = _SIGNERS | frozenset(
    {
        Refusal.RENEWAL_SELF_SIGNED,
        Refusal.RENEWAL_REQ,
        Refusal.RENEWAL_DISABLED,
        Refusal.RENEWAL_SUBJECT,
        Refusal.RENEWAL_NAMES,
        Refusal.RENEWAL_TEMPLATE,
        Refusal.RENEWAL_TOO_EARLY,
    }
)
_CHALLENGES: Final = frozenset(
    {
        Refusal.CHALLENGE_ABSENT,
        Refusal.CHALLENGE_UNKNOWN,
        Refusal.CHALLENGE_SPENT,
        Refusal.CHALLENGE_EXPIRED,
        Refusal.CHALLENGE_REVOKED,
        Refusal.CHALLENGE_WRONG_SUBJECT,
        Refusal.CHALLENGE_WRONG_ENDPOINT,
        Refusal.CHALLENGE_UNREADABLE,
        Refusal.CHALLENGE_BRAKE,
    }
)


class Stage(Enum):
    """How far a message came before it was refused."""

    READ = "read"  # its signature or attributes were looked at
    VERIFIED = "verified"  # its envelope was opened
    OPENED = "opened"  # its content was judged


def refusal_outcome(
    cause: Refusal | Exception, stage: Stage, profile: BehaviourProfile, *, template: str = ""
) -> Outcome:
    """Return how a refused message ends under ``profile``.

    An outcome without failInfo is answered by HTTP. ``template`` is the one the CA was asked for.
    """
    row = outcome_of(cause)
    if isinstance(cause, MessageError) and stage is not Stage.OPENED:
        row = _undigested(row, stage, profile)
    elif isinstance(cause, (StoreUnavailable, ServiceUnavailable)):
        return _unavailable(row, profile)
    elif isinstance(cause, CaError):
        return _denied(row, cause, profile, template)
    elif cause in _CHALLENGES:
        row = _challenge(row, cause, profile)
    elif cause is Refusal.CHALLENGE_STRING:
        row = replace(row, event_id=profile.challenge_string_event or None)
    elif cause in _RENEWALS:
        row = _renewal(row, cause, profile)
    return replace(row, server_message=row.text if profile.failure_message == "reason" else None)


def _undigested(row: Outcome, stage: Stage, profile: BehaviourProfile) -> Outcome:
    """Return the row of a message that got no further than its signature or its envelope."""
    reading = stage is Stage.READ
    event = _RETRIEVE_INFO_EVENT if reading else _DECRYPT_EVENT
    if (profile.unverifiable if reading else profile.undecryptable) == "cert-rep":
        return replace(row, event_id=event)
    status = profile.unreadable_status if reading else profile.undecryptable_status
    return replace(row, fail_info=None, status=status, text=BAD_REQUEST_TEXT, event_id=event)


def _unavailable(row: Outcome, profile: BehaviourProfile) -> Outcome:
    if profile.when_unavailable != "failure":
        return row
    return replace(row, status=200, fail_info=FailInfo.BAD_REQUEST, retry_later=False)


def _denied(row: Outcome, error: CaError, profile: BehaviourProfile, template: str) -> Outcome:
    message = row.text if profile.failure_message == "reason" else None
    if profile.failure_message == "disposition":
        unsupported = isinstance(error, UnsupportedCertType) and template
        message = _UNSUPPORTED_TEMPLATE.format(template=template) if unsupported else _DENIED
    fail_info = FailInfo.BAD_REQUEST if profile.denial_fail_info == "badRequest" else row.fail_info
    return replace(row, fail_info=fail_info, server_message=message)


def _renewal(row: Outcome, cause: Refusal | Exception, profile: BehaviourProfile) -> Outcome:
    if profile.renewal_fail_info != "by-cause":
        row = replace(row, fail_info=_FAIL_INFOS[profile.renewal_fail_info])
    if cause in _SIGNERS and profile.signer_hresult == "one":
        return replace(row, hresult=_TRUST_E_CERT_SIGNATURE)
    return row


def _challenge(row: Outcome, cause: Refusal | Exception, profile: BehaviourProfile) -> Outcome:
    found = replace(row, fail_info=_FAIL_INFOS[profile.challenge_fail_info])
    if cause is Refusal.CHALLENGE_SPENT:
        return replace(found, hresult=profile.spent_challenge_hresult)
    if cause is Refusal.CHALLENGE_ABSENT:
        return replace(found, event_id=profile.absent_challenge_event or None)
    return found
