"""The bearer token of the management listener: told, made and kept in the data folder, or not needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ca.process.kept import kept_secret
from ca.process.settings import UnusableSettings

from .addresses import admin_host, is_local

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .settings import LabSettings

_OCTETS = 32


def needs_token(settings: LabSettings) -> bool:
    """Tell whether others than this machine reach the management listener; raises UnusableSettings."""
    return not is_local(admin_host(settings))


def told_token(settings: LabSettings) -> str | None:
    """Return the token in the settings; None where none is needed, or one is to be made.

    Raises:
        UnusableSettings: one is needed, and nobody has told it or allowed to make one.

    """
    token = settings.admin.token
    if token is not None:
        return token.get_secret_value()
    if not settings.admin.make_token and needs_token(settings):
        raise UnusableSettings(
            f"the management listener would be open to others on {admin_host(settings)}: set admin.token "
            "(NDES_LAB_ADMIN__TOKEN) or admin.token_file, have one made (admin.make_token), or keep it on "
            "admin.host = 127.0.0.1"
        )
    return None


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
