"""Challenges in the store: only keyed digests of passwords, and each spent at most once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, bindparam, case, delete, exists, func, insert, or_, select, update

from ca.records import ChallengeKind, ChallengeRecord

from .rows import Rows, Statement
from .tables import challenges, instant, instant_or_none, scep_transactions, stored, stored_or_none

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from ca.records import NewChallenge

    from .rows import Values

_GIVEN = ["digest", "kind", "created_at", "expires_at", "subject", "template", "endpoint", "label", "sealed"]
_THIS = challenges.c.id == bindparam("wanted_id")
_NOT_GIVEN_UP = and_(challenges.c.spent_at.is_(None), challenges.c.revoked_at.is_(None))
_USABLE = and_(
    _NOT_GIVEN_UP, or_(challenges.c.expires_at.is_(None), challenges.c.expires_at > bindparam("usable_at"))
)
_SELECT = select(
    challenges.c.id,
    *(challenges.c[name] for name in _GIVEN),
    challenges.c.spent_at,
    challenges.c.revoked_at,
    challenges.c.uses,
)
_INSERT = Statement(insert(challenges).returning(challenges.c.id), _GIVEN)
_BY_ID = Statement(_SELECT.where(_THIS))
_BY_DIGEST = Statement(_SELECT.where(challenges.c.digest == bindparam("wanted_digest")))
_EVERY = Statement(_SELECT.order_by(challenges.c.id))
_EVERY_USABLE = Statement(_SELECT.where(_USABLE).order_by(challenges.c.id))
_COUNT_USABLE = Statement(select(func.count()).select_from(challenges).where(_USABLE))
_COUNT_LABELLED = Statement(
    select(func.count())
    .select_from(challenges)
    .where(_USABLE, challenges.c.label == bindparam("wanted_label"))
)
_SPEND = Statement(
    update(challenges)
    .where(_THIS, _USABLE)
    .values(
        uses=challenges.c.uses + 1,
        spent_at=case((challenges.c.kind == ChallengeKind.ONE_TIME.value, bindparam("usable_at"))),
    )
)
_REFERRED_TO = exists().where(scep_transactions.c.challenge_id == challenges.c.id)
_OUTLIVED = Statement(
    select(challenges.c.id)
    .where(
        or_(*(challenges.c[name] < bindparam("before") for name in ("spent_at", "revoked_at", "expires_at"))),
        ~_REFERRED_TO,
    )
    .order_by(challenges.c.id)
)
_FORGET = Statement(delete(challenges).where(_THIS, ~_REFERRED_TO))
_REVOKE = Statement(update(challenges).where(_THIS, _NOT_GIVEN_UP), ["revoked_at"])


class ChallengeRows(Rows):
    """The challenge part of `ca.records.StoreTransaction`."""

    __slots__ = ()

    def add_challenge(self, challenge: NewChallenge) -> ChallengeRecord:
        """Remember a challenge; AlreadyExists when another has the same password."""
        row_id = self._insert(
            _INSERT,
            {
                "digest": challenge.digest,
                "kind": challenge.kind.value,
                "created_at": stored(challenge.created_at),
                "expires_at": stored_or_none(challenge.expires_at),
                "subject": challenge.subject,
                "template": challenge.template,
                "endpoint": challenge.endpoint,
                "label": challenge.label,
                "sealed": challenge.sealed,
            },
        )
        return ChallengeRecord(
            id=row_id,
            digest=challenge.digest,
            kind=challenge.kind,
            created_at=challenge.created_at,
            expires_at=challenge.expires_at,
            subject=challenge.subject,
            template=challenge.template,
            endpoint=challenge.endpoint,
            label=challenge.label,
            sealed=challenge.sealed,
        )

    def challenge(self, challenge_id: int) -> ChallengeRecord | None:
        """Return the challenge with this id."""
        return _record_or_none(self._one(_BY_ID, {"wanted_id": challenge_id}))

    def challenge_by_digest(self, digest: str) -> ChallengeRecord | None:
        """Return the challenge whose password has this keyed digest."""
        return _record_or_none(self._one(_BY_DIGEST, {"wanted_digest": digest}))

    def spend_challenge(self, challenge_id: int, at: datetime) -> bool:
        """Use a challenge if it is usable then, in one step; a static one only counts its uses."""
        return self._change(_SPEND, {"wanted_id": challenge_id, "usable_at": stored(at)}) == 1

    def revoke_challenge(self, challenge_id: int, at: datetime) -> bool:
        """Revoke a challenge that is neither spent nor revoked; whether there was one."""
        return self._change(_REVOKE, {"wanted_id": challenge_id, "revoked_at": stored(at)}) == 1

    def challenges(self, *, usable_at: datetime | None = None) -> Sequence[ChallengeRecord]:
        """Return every challenge, oldest first, or every one that is usable then."""
        if usable_at is None:
            return [_record(row) for row in self._all(_EVERY, {})]
        return [_record(row) for row in self._all(_EVERY_USABLE, {"usable_at": stored(usable_at)})]

    def outlived_challenges(self, *, given_up_before: datetime) -> Sequence[int]:
        """Return the ids of challenges that were spent, revoked or over before then.

        Those that a SCEP transaction refers to are left out: they go when it has gone.
        """
        return [int(row[0]) for row in self._all(_OUTLIVED, {"before": stored(given_up_before)})]

    def forget_challenges(self, challenge_ids: Iterable[int]) -> int:
        """Forget challenges that no SCEP transaction refers to; return how many."""
        return self._change_many(_FORGET, [{"wanted_id": each} for each in challenge_ids])

    def count_challenges(self, *, usable_at: datetime, label: str | None = None) -> int:
        """Return how many challenges are usable then, of one label or of any."""
        wanted = {"usable_at": stored(usable_at)}
        if label is None:
            (row,) = self._all(_COUNT_USABLE, wanted)
        else:
            (row,) = self._all(_COUNT_LABELLED, {**wanted, "wanted_label": label})
        return int(row[0])


def _record_or_none(row: Values | None) -> ChallengeRecord | None:
    return None if row is None else _record(row)


def _record(row: Values) -> ChallengeRecord:
    return ChallengeRecord(
        id=row[0],
        digest=row[1],
        kind=ChallengeKind(row[2]),
        created_at=instant(row[3]),
        expires_at=instant_or_none(row[4]),
        subject=row[5],
        template=row[6],
        endpoint=row[7],
        label=row[8],
        sealed=row[9],
        spent_at=instant_or_none(row[10]),
        revoked_at=instant_or_none(row[11]),
        uses=row[12],
    )
