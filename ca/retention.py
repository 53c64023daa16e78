"""Forgetting: what the database need not keep goes, a piece at a time, so that nobody waits for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .records import RequestStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from .records import Store
    from .settings import RetentionSettings

_PIECE: Final = 2_000  # rows changed in one transaction
EXPIRED: Final = "Not approved in time"
"""The disposition message of a request that waited longer than requests may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """How many rows went."""

    crls: int = 0
    challenges: int = 0
    scep_transactions: int = 0
    requests: int = 0

    def __bool__(self) -> bool:
        """Tell whether anything went."""
        return bool(self.crls or self.challenges or self.scep_transactions or self.requests)


def forget_outlived(store: Store, policy: RetentionSettings, now: datetime) -> Forgotten:
    """Forget what the policy no longer wants kept; transactions first, for they refer to the others.

    Raises:
        StoreUnavailable: the database cannot be used; what went before stays gone.

    """
    transactions = challenges = requests = 0
    with store.reading() as transaction:
        old = transaction.outlived_scep_transactions(created_before=now - policy.scep_transactions.about())
    for piece in _pieces(old):
        with store.transaction() as transaction:
            transactions += transaction.forget_scep_transactions(piece)
    with store.reading() as transaction:
        old = transaction.outlived_challenges(given_up_before=now - policy.challenges.about())
    for piece in _pieces(old):
        with store.transaction() as transaction:
            challenges += transaction.forget_challenges(piece)
    with store.reading() as transaction:
        old = transaction.outlived_requests(resolved_before=now - policy.resolved_requests.about())
    for piece in _pieces(old):
        with store.transaction() as transaction:
            requests += transaction.forget_requests(piece)
    with store.transaction() as transaction:
        crls = transaction.forget_crls(superseded_kept=policy.superseded_crls)
    return Forgotten(crls=crls, challenges=challenges, scep_transactions=transactions, requests=requests)


def deny_overdue(store: Store, policy: RetentionSettings, now: datetime) -> int:
    """Deny requests that have waited longer than the policy lets them; return how many.

    One that is decided at the same moment stays as it was decided.

    Raises:
        StoreUnavailable: the database cannot be used; what was denied before stays so.

    """
    denied = 0
    with store.reading() as transaction:
        overdue = transaction.overdue_requests(submitted_before=now - policy.pending_requests.about())
    for piece in _pieces(overdue):
        with store.transaction() as transaction:
            denied += sum(
                transaction.resolve_request(each, RequestStatus.DENIED, at=now, disposition_message=EXPIRED)
                for each in piece
            )
    return denied


def _pieces(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + _PIECE] for start in range(0, len(ids), _PIECE))
