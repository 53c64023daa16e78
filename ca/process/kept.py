"""Secrets that a program makes for itself, once for all processes over one folder."""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING, Final

from ca.folders import PRIVATE, sync, write_file

from .settings import UnusableSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_LEAST: Final = 16  # characters


def kept_secret(file: Path, make: Callable[[], str]) -> str:
    """Return the secret in ``file``, which is made the first time; of several processes one makes it.

    Raises:
        UnusableSettings: the file there is holds no secret.
        OSError: it cannot be read or written.

    """
    if not file.exists():
        _keep(file, make())
    try:
        found = file.read_text().strip()
    except UnicodeDecodeError:
        found = ""
    if len(found) < _LEAST:
        raise UnusableSettings(
            f"{file} holds no secret, expected at least {_LEAST} characters; remove it, and another is made"
        )
    return found


def _keep(file: Path, secret: str) -> None:
    """Write the file whole, unless another process is faster."""
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    write_file(temporary, f"{secret}\n".encode(), mode=PRIVATE)
    try:
        sync(temporary)
        with contextlib.suppress(FileExistsError):
            file.hardlink_to(temporary)
    finally:
        temporary.unlink()
    sync(file.parent)
