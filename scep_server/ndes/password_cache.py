"""The challenge passwords that mscep_admin hands out, under NDES's limits.

One-time passwords are challenges of the CA's book with a label of their own: a request uses one up in
the database transaction that issues its certificate, so a denial leaves it usable and a crash loses
neither. Windows keeps its cache in memory and forgets it with the service; here that is a choice, and
is done by revoking what an earlier start has made.
"""

from __future__ import annotations

import contextlib
import hmac
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

from ca.challenges import ChallengeFinding, ChallengeVerdict
from ca.records import AlreadyExists
from scep_server.transport import DEFAULT_ENDPOINT

if TYPE_CHECKING:
    from ca.challenges import ChallengeBook, IssuedChallenge
    from ca.records import ChallengeRecord, Store, StoreTransaction
    from scep_server.challenge_policy import ChallengePolicy
    from scep_server.decisions import Application

    from .registry import NdesRegistry

CACHE_LABEL: Final = "mscep_admin"
"""Label of the challenges that are the password cache."""
_ATTEMPTS: Final = 20


class CacheFull(Exception):
    """PasswordMax passwords are unused and unexpired."""


class NoFreshPassword(Exception):
    """Every password that was tried had been used before."""


class SinglePassword(Protocol):
    """Where the one password of UseSinglePassword is kept."""

    def get(self) -> str:
        """Return it, made when first needed."""


class Remembrance(Enum):
    """What happens to unused passwords when the service starts."""

    FORGET = "memory"
    KEEP = "store"


class PasswordCache:
    """Makes passwords for mscep_admin.

    Args:
        registry: EnforcePassword, UseSinglePassword, PasswordLength, PasswordMax, PasswordValidity.
        book: where challenges are made.
        store: where they are remembered.
        single: the password of single-password mode.

    """

    def __init__(
        self, *, registry: NdesRegistry, book: ChallengeBook, store: Store, single: SinglePassword
    ) -> None:
        self._registry = registry
        self._book = book
        self._store = store
        self._single = single

    def start(self, remembrance: Remembrance) -> int:
        """Forget what an earlier start has made, unless it is to be kept; return how many there were."""
        if remembrance is Remembrance.KEEP:
            return 0
        with self._store.transaction() as transaction:
            stale = [one for one in self._book.list(transaction, usable_only=True) if is_cached(one)]
            for record in stale:
                self._book.revoke(transaction, record.id)
        return len(stale)

    def next_password(self) -> str | None:
        """Return the password to show: a new one, the single one, or None where none is needed.

        Raises:
            CacheFull, NoFreshPassword: there is no further one.
            StoreUnavailable, OSError: the database or the single password's file cannot be used.

        """
        registry = self._registry
        if registry.mode == "none":
            return None
        if registry.mode == "single":
            return self._single.get()
        return self.make().password

    def make(self, *, subject: str | None = None, template: str | None = None) -> IssuedChallenge:
        """Return a new one-time password, for one subject and template where they are given.

        Raises:
            CacheFull: no further one is kept.
            NoFreshPassword: PasswordLength is so small that none is left that was not used before.
            StoreUnavailable: the database cannot be used.

        """
        for _ in range(_ATTEMPTS):
            with contextlib.suppress(AlreadyExists):
                return self._make(subject, template)
        raise NoFreshPassword(
            f"{_ATTEMPTS} passwords of {self._registry.PasswordLength} octets were used before"
        )

    def _make(self, subject: str | None, template: str | None) -> IssuedChallenge:
        registry = self._registry
        with self._store.transaction() as transaction:
            cached = self._book.count(transaction, label=CACHE_LABEL)
            if cached >= registry.PasswordMax:
                raise CacheFull(f"{cached} passwords are unused, PasswordMax is {registry.PasswordMax}")
            return self._book.new(
                transaction,
                validity=timedelta(minutes=registry.PasswordValidity),
                subject=subject,
                template=template,
                endpoint=DEFAULT_ENDPOINT,
                label=CACHE_LABEL,
                length=registry.PasswordLength,
            )


class NdesChallenges:
    """Judges challengePasswords as NDES does; a `ChallengePolicy`.

    In single-password mode the single password is good at NDES's endpoint, any number of times, and
    what mscep_admin made before is not. Challenges made at the CA's desk are good beside it.
    """

    def __init__(self, *, registry: NdesRegistry, single: SinglePassword, otherwise: ChallengePolicy) -> None:
        self._is_single = registry.mode == "single"
        self._single = single
        self._otherwise = otherwise

    def examine(self, transaction: StoreTransaction, application: Application) -> ChallengeFinding:
        """Return what the password is worth."""
        found = self._otherwise.examine(transaction, application)
        if not self._is_single or application.endpoint_name != DEFAULT_ENDPOINT:
            return found
        password = application.request.challenge_password
        if password and hmac.compare_digest(password, self._single.get().encode()):
            return ChallengeFinding(verdict=ChallengeVerdict.ACCEPTED)
        if found.record is not None and is_cached(found.record):
            return ChallengeFinding(verdict=ChallengeVerdict.UNKNOWN)
        return found

    def examine_renewal(
        self, transaction: StoreTransaction, application: Application
    ) -> ChallengeFinding | None:
        """Return what the policy behind says."""
        return self._otherwise.examine_renewal(transaction, application)

    def redeem(self, transaction: StoreTransaction, challenge: ChallengeRecord) -> bool:
        """Use a one-time challenge up."""
        return self._otherwise.redeem(transaction, challenge)


def is_cached(record: ChallengeRecord) -> bool:
    """Tell whether a challenge is one of mscep_admin's."""
    return record.label == CACHE_LABEL
