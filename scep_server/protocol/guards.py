"""One place where a refusal to read becomes a refusal to answer.

Readers raise `ValueError` (of which `ca.der.DerError` is one). At the few places where it is known
what that means for the sender, `refusing` turns it into a `MessageError` or `Unanswerable`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType


class refusing:  # noqa: N801 - reads as a statement: with refusing(BadRequest, "...")
    """Context in which a ValueError becomes ``error``, its text preceded by ``what``."""

    __slots__ = ("_error", "_what")

    def __init__(self, error: type[Exception], what: str) -> None:
        self._error = error
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(value, ValueError):
            raise self._error(f"{self._what}: {value}") from value
