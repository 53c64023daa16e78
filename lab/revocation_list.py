"""A list of certificates to revoke, as people and other systems write it: one a line.

``serial number or thumbprint[,reason[,date]]``, separated by commas, semicolons or tabs; reasons are
those of RFC 5280 5.3.1 by name or number; dates are ISO 8601, in UTC unless they say otherwise. Empty
lines, lines that begin with # and a heading are passed over. The whole list is read before anything is
done: every line that is wrong is told at once.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from ca.records import RevocationReason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .admin.models import ReasonName

_SHOWN: Final = 20
_SELECTOR: Final = re.compile(r"(?:0[xX])?[0-9A-Fa-f](?:[: ]?[0-9A-Fa-f])*")
_HEADINGS: Final = frozenset(
    {"serial", "serialnumber", "thumbprint", "certificate", "sha1", "certificatehash"}
)
_REASONS: Final = {
    word: reason.rfc_name
    for reason in RevocationReason
    for word in (reason.rfc_name.lower(), str(reason.value))
}


class BadRevocationList(Exception):
    """Lines of the list are wrong; the text says which, and what is wrong with them."""

    def __init__(self, problems: Iterable[tuple[int, str]]) -> None:
        self.problems = tuple(problems)
        shown = [f"line {line}: {problem}" for line, problem in self.problems[:_SHOWN]]
        left = len(self.problems) - len(shown)
        super().__init__("; ".join(shown) + (f"; and {left} more" if left else ""))


@dataclass(frozen=True, slots=True)
class ListedRevocation:
    """One line of the list."""

    line: int
    selector: str
    reason: ReasonName
    revoked_at: datetime | None


def read_revocation_list(text: str, *, default_reason: ReasonName = "unspecified") -> list[ListedRevocation]:
    """Return what a list says, in its order.

    Raises:
        BadRevocationList: a line is wrong, a certificate is listed twice, or there is none at all.

    """
    found: list[ListedRevocation] = []
    problems: list[tuple[int, str]] = []
    lines: dict[str, int] = {}
    for number, fields in _rows(text):
        try:
            one = _read(number, fields, default_reason)
        except ValueError as error:
            problems.append((number, str(error)))
            continue
        before = lines.setdefault(one.selector, number)
        if before != number:
            problems.append((number, f"{fields[0]!r} is on line {before} already"))
        found.append(one)
    if not found and not problems:
        problems.append((1, "no certificate is listed"))
    if problems:
        raise BadRevocationList(problems)
    return found


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    first = True
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        separator = next((one for one in ("\t", ";") if one in line), ",")
        fields = [field.strip() for field in next(csv.reader([line], delimiter=separator))]
        if first and re.sub(r"[\s_-]", "", fields[0]).lower() in _HEADINGS:
            first = False
            continue
        first = False
        yield number, fields


def _read(line: int, fields: list[str], default_reason: ReasonName) -> ListedRevocation:
    if len(fields) > 3:
        raise ValueError(f"{len(fields)} fields, expected serial number or thumbprint, reason, date")
    selector, word, date = (*fields, "", "")[:3]
    if not _SELECTOR.fullmatch(selector):
        raise ValueError(f"{selector!r} is no serial number and no thumbprint in hex")
    return ListedRevocation(
        line,
        re.sub(r"[: ]", "", selector).lower().removeprefix("0x"),
        _reason(word) if word else default_reason,
        _instant(date) if date else None,
    )


def _reason(word: str) -> ReasonName:
    name = _REASONS.get(word.lower())
    if name is None:
        known = ", ".join(reason.rfc_name for reason in RevocationReason)
        raise ValueError(f"{word!r} is no reason, expected one of {known}, or its number (RFC 5280 5.3.1)")
    return name  # type: ignore[return-value] # the literal lists them all


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no date, expected ISO 8601 such as 2026-03-01T12:00:00Z") from error
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
