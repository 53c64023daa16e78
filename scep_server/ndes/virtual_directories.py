"""Which of NDES's two virtual directories a path means, and what its query asks for."""

from __future__ import annotations

from enum import Enum
from typing import Final
from urllib.parse import unquote

from scep_server.transport import Router

_MSCEP_PATH: Final = "/certsrv/mscep"


class Directory(Enum):
    """A virtual directory of IIS that mscep.dll serves."""

    MSCEP = "mscep"
    MSCEP_ADMIN = "mscep_admin"


class VirtualDirectories:
    """Knows the paths, which are compared without case, as IIS does.

    Args:
        password_vdir: PasswordVDir, the directory that hands out passwords.

    """

    def __init__(self, password_vdir: str) -> None:
        self.admin_path = "/" + password_vdir.strip("/")
        self._admin = self.admin_path.lower()
        self._router = Router(())

    def is_below(self, path: str) -> bool:
        """Tell whether IIS looks at the path at all: below /certsrv or the password directory."""
        lowered = path.lower()
        return lowered == "/certsrv" or lowered.startswith(("/certsrv/", self._admin))

    def find(self, path: str) -> Directory | None:
        """Return the directory that a path is in: itself, its mscep.dll, or anything that follows.

        Path information after mscep.dll means nothing; Windows appends ``/pkiclient.exe``.
        """
        lowered = path.lower()
        if lowered == self._admin or lowered.startswith(f"{self._admin}/"):
            rest = lowered[len(self._admin) :]
            return Directory.MSCEP_ADMIN if self._router.endpoint(_MSCEP_PATH + rest) else None
        if lowered == _MSCEP_PATH or lowered.startswith(f"{_MSCEP_PATH}/"):
            return Directory.MSCEP if self._router.endpoint(lowered) else None
        return None


def operation_of(query: str) -> str | None:
    """Return the operation a raw query string asks for; None: it is a bare browse."""
    return parameter(query, "operation")


def parameter(query: str, name: str) -> str | None:
    """Return the first value of a parameter, percent-decoded; its name is compared without case."""
    for part in query.split("&"):
        found, _, value = part.partition("=")
        if found.lower() == name.lower():
            return unquote(value, errors="replace")
    return None
