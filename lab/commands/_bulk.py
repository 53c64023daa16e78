"""Many revocations from a list: everything checked first, then made a piece at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._progress import progress_bar

if TYPE_CHECKING:
    from lab.admin import Desk
    from lab.admin.models import BulkEntry
    from lab.revocation_list import ListedRevocation

_PIECE = 2_000  # entries in one call, and in one transaction


def revoke_listed(desk: Desk, listed: list[ListedRevocation]) -> None:
    """Revoke everything on the list, or nothing if a line is wrong; tells how far it is on a terminal.

    Raises:
        BadRevocationList: lines name no certificate, or one that cannot be revoked so.
        DeskRefused: something changed after everything was checked; what was made before stays.

    """
    from lab.admin import DeskRefused
    from lab.admin.models import BulkOrder, BulkResult
    from lab.revocation_list import BadRevocationList

    pieces = [listed[start : start + _PIECE] for start in range(0, len(listed), _PIECE)]
    problems: list[tuple[int, str]] = []
    lines: dict[int, int] = {}
    with progress_bar("Checking", len(listed)) as advance:
        for piece in pieces:
            results = desk.revoke_many(BulkOrder(entries=tuple(map(_entry, piece)), dry_run=True)).results
            for one, result in zip(piece, results, strict=True):
                problem = result.problem or _named_before(result, one.line, lines)
                if problem:
                    problems.append((one.line, problem))
            advance(len(piece))
    if problems:
        raise BadRevocationList(problems)
    done = 0
    with progress_bar("Revoking", len(listed)) as advance:
        for piece in pieces:
            view = desk.revoke_many(BulkOrder(entries=tuple(map(_entry, piece))))
            if not view.applied:
                pairs: list[tuple[ListedRevocation, BulkResult]] = list(zip(piece, view.results, strict=True))
                line, problem = next((one.line, result.problem) for one, result in pairs if result.problem)
                raise DeskRefused(f"{done} were revoked; then line {line}: {problem}")
            done += len(piece)
            advance(len(piece))


def _entry(one: ListedRevocation) -> BulkEntry:
    from lab.admin.models import BulkEntry

    return BulkEntry(selector=one.selector, reason=one.reason, revoked_at=one.revoked_at)


def _named_before(result: object, line: int, lines: dict[int, int]) -> str:
    """Tell of a certificate that another line names too, by its serial number or its thumbprint."""
    number: int = getattr(result, "certificate_id", None) or 0
    before = lines.setdefault(number, line)
    return "" if before == line else f"the same certificate is on line {before}"
