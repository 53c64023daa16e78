"""What the RA is asked, and what it answers, as values.

`Application` is a request that is fit to be judged; `Decision` is `Grant | Pend | Refuse`; the
query messages are answered with a `Decision` too, or with a CRL. Each lists the checks that led to
it. PENDING is an answer like any other, never an exception.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .ndes.profiles import MODERN
from .outcomes import PENDING, SUCCESS, Outcome, Refusal, outcome_of

if TYPE_CHECKING:
    from datetime import datetime

    from ca.authority import PreparedCertificate
    from ca.pkcs10 import VerifiedRequest
    from ca.records import CertificateRecord, ChallengeRecord, CrlRecord

    from .checks import Check
    from .ndes.profiles import BehaviourProfile
    from .protocol.messages import OpenedMessage, Recipient
    from .settings import EndpointSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingQuota:
    """How many requests may wait for approval at an endpoint, and of one address there; None: any number."""

    per_endpoint: int | None = None
    per_address: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """A PKCSReq or RenewalReq whose every signature verifies, at one endpoint, at one instant.

    ``challenges_held`` says that too many wrong challenges came before: this one is not looked at.
    """

    endpoint_name: str
    endpoint: EndpointSettings
    opened: OpenedMessage = field(repr=False)
    request: VerifiedRequest = field(repr=False)
    now: datetime
    profile: BehaviourProfile = MODERN
    client_address: str = ""
    challenges_held: bool = False
    pending_quota: PendingQuota = PendingQuota()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What carrying a decision out takes: nothing of it has happened yet.

    ``generation`` is the one the transaction will be remembered under; ``challenge`` the one that
    will be redeemed.
    """

    prepared: PreparedCertificate = field(repr=False)
    generation: int
    challenge: ChallengeRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """The client gets a certificate.

    ``certificate`` is None only until ``plan`` is carried out. Without a plan the certificate had
    been issued before, and this is another copy of the answer.
    """

    checks: tuple[Check, ...] = ()
    certificate: CertificateRecord | None = None
    plan: Plan | None = None
    recipient: Recipient | None = field(default=None, repr=False)

    @property
    def outcome(self) -> Outcome:
        """Return how this looks from outside."""
        return SUCCESS


@dataclass(frozen=True, slots=True, kw_only=True)
class Pend:
    """The client has to wait for a certificate manager; ``request_id`` is None until carried out."""

    checks: tuple[Check, ...] = ()
    request_id: int | None = None
    plan: Plan | None = None

    @property
    def outcome(self) -> Outcome:
        """Return how this looks from outside."""
        return PENDING


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """The client gets nothing; ``cause`` is the row of the table of outcomes.

    ``template`` is the one the CA was asked for, where it was the CA that refused.
    """

    cause: Refusal | Exception
    checks: tuple[Check, ...] = ()
    template: str = ""

    @property
    def outcome(self) -> Outcome:
        """Return how this looks from outside."""
        return outcome_of(self.cause)

    @property
    def refused_by(self) -> str:
        """Return the stable id of what refused."""
        return self.outcome.name


Decision = Grant | Pend | Refuse


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverCrl:
    """The client gets a CRL (RFC 8894 4.6)."""

    crl: CrlRecord = field(repr=False)
    checks: tuple[Check, ...] = ()
    recipient: Recipient | None = field(default=None, repr=False)

    @property
    def outcome(self) -> Outcome:
        """Return how this looks from outside."""
        return SUCCESS


Answer = Decision | DeliverCrl
