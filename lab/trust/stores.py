"""A device's certificate stores in a folder, under Windows' names: ``Root``, ``CA``, ``Disallowed``.

Each is a folder of certificate files, in any wrapping. Does not live here: putting files there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from .anchors import TrustAnchors

if TYPE_CHECKING:
    from pathlib import Path

ROOT: Final = "Root"
INTERMEDIATE: Final = "CA"
DISALLOWED: Final = "Disallowed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateStores:
    """What a device trusts, knows, and refuses."""

    root: TrustAnchors
    intermediate: TrustAnchors
    disallowed: TrustAnchors

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """Read the stores; one that is not there is empty.

        Raises:
            OSError: a file cannot be read.
            UnreadableCertificate: a file holds no certificate; the text names it.

        """
        return cls(
            root=_store(folder / ROOT),
            intermediate=_store(folder / INTERMEDIATE),
            disallowed=_store(folder / DISALLOWED),
        )


def _store(folder: Path) -> TrustAnchors:
    files = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    return TrustAnchors.of(TrustAnchors.of_files(files).certificates, origin=f"the store {folder}")
