"""The bearer token of the management listener that a lab makes for itself, kept in the data folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ca.process.kept import kept_secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_OCTETS = 32


def token_file(data_dir: Path) -> Path:
    """Return the file of the token that a lab made for itself, readable for its owner only."""
    return data_dir / "secrets" / "admin-token"


def kept_token(data_dir: Path, entropy: Callable[[int], bytes]) -> str:
    """Return the token of the lab in this folder; it is made the first time.

    Raises:
        UnusableSettings: the file there is holds no token.
        OSError: it cannot be read or written.

    """
    return kept_secret(token_file(data_dir), lambda: entropy(_OCTETS).hex())
