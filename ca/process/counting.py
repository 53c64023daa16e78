"""The folder in which workers count for Prometheus: one for each run, and none is left behind for good.

A killed program cannot remove its folder. The next one on the machine does: a folder belongs to whoever
holds the lock on a file in it, and the operating system ends that with the process.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: what a killed program leaves stays
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedWriter

_PREFIX: Final = "ndes-lab-metrics-"
_LOCK: Final = "lock"


@contextlib.contextmanager
def counting_folder(parent: Path | None = None) -> Iterator[Path]:
    """Yield a new folder, and remove it afterwards, and first those of programs that were killed.

    ``parent`` is where; None: where temporary files go.
    """
    place = Path(tempfile.gettempdir()) if parent is None else parent
    _remove_abandoned(place)
    # Locked before it has the name by which others find it.
    work = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}", dir=place))
    with contextlib.ExitStack() as undo:
        file = undo.enter_context((work / _LOCK).open("wb"))
        _try_lock(file)
        found = work.rename(place / f"{_PREFIX}{work.name.removeprefix(f'.{_PREFIX}')}")
        undo.callback(shutil.rmtree, found, ignore_errors=True)
        yield found


def _remove_abandoned(place: Path) -> None:
    for lock in place.glob(f"{_PREFIX}*/{_LOCK}"):
        with contextlib.suppress(OSError), lock.open("ab") as file:  # another user's, or just gone
            if _try_lock(file):
                shutil.rmtree(lock.parent, ignore_errors=True)


def _try_lock(file: BufferedWriter) -> bool:
    """Lock a file, if nobody has; False also where nobody can tell."""
    if fcntl is not None:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False
