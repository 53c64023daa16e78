"""Challenges in the store: only keyed digests of passwords, and each spent at most once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, case, func, insert, or_, select, update

from ca.records import ChallengeKind, ChallengeRecord

from .rows import Rows
from .tables import Instant, challenges

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Row

    from ca.records import NewChallenge

_NOT_GIVEN_UP = and_(challenges.c.spent_at.is_(None), challenges.c.revoked_at.is_(None))
_USABLE = and_(
    _NOT_GIVEN_UP, or_(challenges.c.expires_at.is_(None), challenges.c.expires_at > bindparam("usable_at"))
)
_INSERT = insert(challenges)
_BY_ID = select(challenges).where(challenges.c.id == bindparam("challenge_id"))
_BY_DIGEST = select(challenges).where(challenges.c.digest == bindparam("wanted_digest"))
_EVERY = select(challenges).order_by(challenges.c.id)
_EVERY_USABLE = _EVERY.where(_USABLE)
_COUNT_USABLE = select(func.count()).select_from(challenges).where(_USABLE)
_SPEND = (
    update(challenges)
    .where(challenges.c.id == bindparam("challenge_id"), _USABLE)
    .values(
        uses=challenges.c.uses + 1,
        spent_at=case((challenges.c.kind == ChallengeKind.ONE_TIME.value, bindparam("at", type_=Instant))),
    )
)
_REVOKE = (
    update(challenges)
    .where(challenges.c.id == bindparam("challenge_id"), _NOT_GIVEN_UP)
    .values(revoked_at=bindparam("at"))
)


class ChallengeRows(Rows):
    """The challenge part of `ca.records.StoreTransaction`."""

    __slots__ = ()

    def add_challenge(self, challenge: NewChallenge) -> ChallengeRecord:
        """Remember a challenge; AlreadyExists when another has the same password."""
        values: dict[str, Any] = {
            "digest": challenge.digest,
            "created_at": challenge.created_at,
            "expires_at": challenge.expires_at,
            "subject": challenge.subject,
            "template": challenge.template,
            "endpoint": challenge.endpoint,
            "label": challenge.label,
            "sealed": challenge.sealed,
        }
        row_id = self._insert(_INSERT, {**values, "kind": challenge.kind.value})
        return ChallengeRecord(id=row_id, kind=challenge.kind, **values)

    def challenge(self, challenge_id: int) -> ChallengeRecord | None:
        """Return the challenge with this id."""
        return _record_or_none(self._one(_BY_ID, {"challenge_id": challenge_id}))

    def challenge_by_digest(self, digest: str) -> ChallengeRecord | None:
        """Return the challenge whose password has this keyed digest."""
        return _record_or_none(self._one(_BY_DIGEST, {"wanted_digest": digest}))

    def spend_challenge(self, challenge_id: int, at: datetime) -> bool:
        """Use a challenge if it is usable then, in one step; a static one only counts its uses."""
        return self._change(_SPEND, {"challenge_id": challenge_id, "at": at, "usable_at": at}) == 1

    def revoke_challenge(self, challenge_id: int, at: datetime) -> bool:
        """Revoke a challenge that is neither spent nor revoked; whether there was one."""
        return self._change(_REVOKE, {"challenge_id": challenge_id, "at": at}) == 1

    def challenges(self, *, usable_at: datetime | None = None) -> Sequence[ChallengeRecord]:
        """Return every challenge, oldest first, or every one that is usable then."""
        if usable_at is None:
            return [_record(row) for row in self._all(_EVERY)]
        return [_record(row) for row in self._all(_EVERY_USABLE, {"usable_at": usable_at})]

    def count_challenges(self, *, usable_at: datetime) -> int:
        """Return how many challenges are usable then: what NDES's PasswordMax limits."""
        (row,) = self._all(_COUNT_USABLE, {"usable_at": usable_at})
        return int(row[0])


def _record_or_none(row: Row[Any] | None) -> ChallengeRecord | None:
    return None if row is None else _record(row)


def _record(row: Row[Any]) -> ChallengeRecord:
    return ChallengeRecord(
        id=row.id,
        digest=row.digest,
        kind=ChallengeKind(row.kind),
        created_at=row.created_at,
        expires_at=row.expires_at,
        subject=row.subject,
        template=row.template,
        endpoint=row.endpoint,
        label=row.label,
        sealed=row.sealed,
        spent_at=row.spent_at,
        revoked_at=row.revoked_at,
        uses=row.uses,
    )
