"""The bearer token of the management listener: told, made and kept in the data folder, or not needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ca.folders import PRIVATE, replace_file
from ca.process.settings import UnusableSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_OCTETS = 32
_LEAST = 16  # characters, as for a token that is told


def token_file(data_dir: Path) -> Path:
    """Return the file of the token that a lab made for itself, readable for its owner only."""
    return data_dir / "secrets" / "admin-token"


def kept_token(data_dir: Path, entropy: Callable[[int], bytes]) -> str:
    """Return the token of the lab in this folder; it is made the first time.

    Raises:
        UnusableSettings: the file there is holds no token.
        OSError: it cannot be read or written.

    """
    file = token_file(data_dir)
    try:
        token = file.read_text().strip()
    except FileNotFoundError:
        token = entropy(_OCTETS).hex()
        replace_file(file, f"{token}\n".encode(), mode=PRIVATE)
        return token
    except UnicodeDecodeError:
        token = ""
    if len(token) < _LEAST:
        raise UnusableSettings(
            f"{file} holds no token, expected at least {_LEAST} characters; remove it, and another is made"
        )
    return token
