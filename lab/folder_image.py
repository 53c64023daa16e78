"""A folder's files as they were: kept in memory, and put back where something has changed.

For small folders that one process owns. A file counts as unchanged while its inode, size and
modification time are what they were, so that putting back what nobody touched costs one look.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_Version = tuple[int, int, int, int]


@dataclass(slots=True, kw_only=True)
class _Kept:
    version: _Version
    mode: int
    modified: int  # nanoseconds
    content: bytes


class FolderImage:
    """The files and folders below ``folder``, but those whose name ``leaves_out`` says yes to.

    Raises:
        OSError: a file cannot be read.

    """

    def __init__(self, folder: Path, *, leaves_out: Callable[[str], bool] = lambda _name: False) -> None:
        self._folder = folder
        self._leaves_out = leaves_out
        self._folders: dict[str, int] = {}  # with their modes
        self._files: dict[str, _Kept] = {}
        for entry in self._entries(folder):
            if entry.is_dir(follow_symlinks=False):
                self._folders[entry.path] = entry.stat().st_mode & 0o777
            else:
                status = entry.stat(follow_symlinks=False)
                self._files[entry.path] = _Kept(
                    version=_version(status),
                    mode=status.st_mode & 0o777,
                    modified=status.st_mtime_ns,
                    content=Path(entry.path).read_bytes(),
                )

    def restore(self) -> None:
        """Put back what has changed or vanished, and remove what is new.

        Raises:
            OSError: the folder cannot be written.

        """
        untouched, missing = set(), set(self._folders)
        for entry in self._entries(self._folder):
            if entry.is_dir(follow_symlinks=False):
                missing.discard(entry.path)
                if entry.path not in self._folders:
                    shutil.rmtree(entry.path)
            elif entry.path not in self._files:
                Path(entry.path).unlink()
            elif _version(entry.stat(follow_symlinks=False)) == self._files[entry.path].version:
                untouched.add(entry.path)
        for folder in sorted(missing):
            Path(folder).mkdir()
            Path(folder).chmod(self._folders[folder])
        for path, kept in self._files.items():
            if path not in untouched:
                kept.version = _write(Path(path), kept)

    def _entries(self, folder: Path | str) -> Iterator[os.DirEntry[str]]:
        """Yield what there is, each folder before what is in it, which it may have lost meanwhile."""
        with os.scandir(folder) as found:
            entries = [entry for entry in found if not self._leaves_out(entry.name)]
        for entry in entries:
            yield entry
            if entry.is_dir(follow_symlinks=False):
                with contextlib.suppress(FileNotFoundError):
                    yield from self._entries(entry.path)


def _version(status: os.stat_result) -> _Version:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode


def _write(path: Path, kept: _Kept) -> _Version:
    """Write a file beside its place and move it there, so that readers see all of it or none."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(kept.content)
    temporary.chmod(kept.mode)
    os.utime(temporary, ns=(kept.modified, kept.modified))
    temporary.replace(path)
    return _version(path.stat())
