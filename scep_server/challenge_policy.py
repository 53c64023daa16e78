"""Who decides whether a challengePassword is good: a collaborator of the RA.

`BookedChallenges` asks the CA's challenge book. Other sources of truth (a password cache with
Microsoft's limits, an outside service) take its place by having the same methods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ca.challenges import ChallengeFinding, ChallengeVerdict

from .outcomes import Refusal

if TYPE_CHECKING:
    from ca.challenges import ChallengeBook
    from ca.records import ChallengeRecord, StoreTransaction

    from .decisions import Application

REFUSALS = {
    ChallengeVerdict.ABSENT: Refusal.CHALLENGE_ABSENT,
    ChallengeVerdict.UNKNOWN: Refusal.CHALLENGE_UNKNOWN,
    ChallengeVerdict.SPENT: Refusal.CHALLENGE_SPENT,
    ChallengeVerdict.EXPIRED: Refusal.CHALLENGE_EXPIRED,
    ChallengeVerdict.REVOKED: Refusal.CHALLENGE_REVOKED,
    ChallengeVerdict.WRONG_SUBJECT: Refusal.CHALLENGE_WRONG_SUBJECT,
    ChallengeVerdict.WRONG_ENDPOINT: Refusal.CHALLENGE_WRONG_ENDPOINT,
}


class ChallengePolicy(Protocol):
    """Judges the challengePassword of an application, and takes it away once."""

    def examine(self, transaction: StoreTransaction, application: Application) -> ChallengeFinding:
        """Return what the password is worth; writes nothing."""

    def examine_renewal(
        self, transaction: StoreTransaction, application: Application
    ) -> ChallengeFinding | None:
        """Return a verdict on a renewal that a certificate signs; None: the certificate is enough."""

    def redeem(self, transaction: StoreTransaction, challenge: ChallengeRecord) -> bool:
        """Use the challenge up; False where someone else was quicker."""


class BookedChallenges:
    """The challenges that an administrator had made beforehand."""

    def __init__(self, book: ChallengeBook) -> None:
        self._book = book

    def examine(self, transaction: StoreTransaction, application: Application) -> ChallengeFinding:
        """Return what the password is worth for this subject at this endpoint."""
        return self._book.examine(
            transaction,
            application.request.challenge_password,
            subject=application.request.subject,
            endpoint=application.endpoint_name,
            extensions=application.request.extensions,
        )

    def examine_renewal(
        self,
        transaction: StoreTransaction,  # noqa: ARG002 - the policy's signature
        application: Application,  # noqa: ARG002 - the policy's signature
    ) -> ChallengeFinding | None:
        """Return None: the certificate is enough."""
        return None

    def redeem(self, transaction: StoreTransaction, challenge: ChallengeRecord) -> bool:
        """Use the challenge up; a static one counts the use."""
        return self._book.redeem(transaction, challenge)
