"""What pydantic found wrong, on one line for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


def described(error: ValidationError, whole: str) -> str:
    """Return the findings; ``whole`` names what has no part to name. Nothing that was given is repeated."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    said = (
        f"{'.'.join(map(str, one['loc'])) or whole}: {one['msg'].removeprefix('Value error, ')}"
        for one in problems
    )
    return "; ".join(said)
