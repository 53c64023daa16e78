"""The one password of UseSinglePassword, kept sealed in a file.

Windows keeps it in the registry value EncryptedPassword, encrypted under a machine key; delete the value
and recycle the pool, and the first request makes a new one. The same is done here with a file, sealed
by AES-GCM under a key derived from one that the data folder keeps elsewhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import threading
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_LABEL: Final = b"ndes-lab: sealing of the single password"
_NONCE_OCTETS: Final = 12


class SealedPassword:
    """The single password in a file of mode 0600.

    Args:
        file: where it is kept.
        key: secret octets to derive the sealing key from.
        entropy: returns so many random octets.
        length: octets of a password that has to be made.
        given: the password, where an administrator has chosen one; it takes the place of the stored one.

    """

    def __init__(
        self,
        file: Path,
        *,
        key: bytes,
        entropy: Callable[[int], bytes],
        length: int,
        given: str | None = None,
    ) -> None:
        self._file = file
        self._cipher = AESGCM(hmac.digest(key, _LABEL, hashlib.sha256))
        self._entropy = entropy
        self._length = length
        self._given = given
        self._known: str | None = None
        self._lock = threading.Lock()

    def get(self) -> str:
        """Return the password: the one chosen, else the stored one, else a new one, which is stored.

        Raises:
            OSError: the file cannot be read or written.

        """
        with self._lock:
            if self._known is None:
                stored = self._load()
                self._known = self._given or stored or self._entropy(self._length).hex().upper()
                if self._known != stored:
                    self._keep(self._known)
            return self._known

    def _load(self) -> str | None:
        """Return the stored password; None where there is none, or it was sealed under another key."""
        with contextlib.suppress(FileNotFoundError, InvalidTag):
            octets = self._file.read_bytes()
            nonce, sealed = octets[:_NONCE_OCTETS], octets[_NONCE_OCTETS:]
            if len(nonce) == _NONCE_OCTETS:
                return self._cipher.decrypt(nonce, sealed, _LABEL).decode()
        return None

    def _keep(self, password: str) -> None:
        nonce = self._entropy(_NONCE_OCTETS)
        sealed = nonce + self._cipher.encrypt(nonce, password.encode(), _LABEL)
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = self._file.with_name(f".{self._file.name}.{os.getpid()}.tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(sealed)
        temporary.replace(self._file)
