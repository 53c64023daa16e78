"""Who gets to the management listener: this machine alone, or else whoever has a token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ca.process.settings import UnusableSettings

from .addresses import admin_host, is_local

if TYPE_CHECKING:
    from .settings import LabSettings


def needs_token(settings: LabSettings) -> bool:
    """Tell whether other machines can reach the management listener; raises UnusableSettings."""
    return not is_local(admin_host(settings))


def told_token(settings: LabSettings) -> str | None:
    """Return the token in the settings; None where none is needed, or one is to be made.

    Raises:
        UnusableSettings: the listener would be open to others without one.

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
