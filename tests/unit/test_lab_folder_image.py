"""A folder comes back to what it was, whatever was done to it, and what nobody touched stays untouched."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.folder_image import FolderImage

Facts = dict[str, tuple[int, int, bytes]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    (made / "deep" / "deeper").mkdir(parents=True)
    (made / "empty").mkdir()
    (made / "secret").write_bytes(b"\x00secret")
    (made / "secret").chmod(0o600)
    (made / "deep" / "deeper" / "file").write_text("text")
    (made / "database").write_text("left alone")
    return made


def facts(folder: Path) -> Facts:
    return {
        path.relative_to(folder).as_posix(): (
            path.stat().st_mode,
            path.stat().st_mtime_ns if path.is_file() else 0,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(folder.rglob("*"))
    }


def rewrite(folder: Path) -> None:
    (folder / "secret").write_bytes(b"another")


def exchange(folder: Path) -> None:
    (folder / "new").write_bytes(b"\x00SECRET")
    (folder / "new").replace(folder / "secret")


def open_up(folder: Path) -> None:
    (folder / "secret").chmod(0o644)


def add(folder: Path) -> None:
    (folder / "more" / "and" / "more").mkdir(parents=True)
    (folder / "more" / "and" / "file").write_text("more")
    (folder / "deep" / "another").write_text("more")


def remove(folder: Path) -> None:
    shutil.rmtree(folder / "deep")
    (folder / "empty").rmdir()


def link(folder: Path) -> None:
    (folder / "link").symlink_to(folder / "secret")
    (folder / "folder-link").symlink_to(folder / "deep")


@pytest.mark.parametrize("change", [rewrite, exchange, open_up, add, remove, link])
def test_comes_back_to_what_it_was(folder: Path, change: Callable[[Path], None]) -> None:
    before = facts(folder)
    image = FolderImage(folder)
    for _ in range(2):  # also once it has been put back
        change(folder)
        assert facts(folder) != before
        image.restore()
        assert facts(folder) == before


def test_leaves_alone_what_it_is_told_to(folder: Path) -> None:
    image = FolderImage(folder, leaves_out=lambda name: name.startswith("database"))
    (folder / "database").write_text("changed")
    (folder / "database-wal").write_text("new")
    image.restore()
    assert (folder / "database").read_text() == "changed"
    assert (folder / "database-wal").exists()


def test_writes_nothing_where_nothing_has_changed(folder: Path) -> None:
    inodes = {path: path.stat().st_ino for path in folder.rglob("*")}
    image = FolderImage(folder)
    (folder / "secret").write_bytes(b"another")
    image.restore()
    changed = {path.name for path, inode in inodes.items() if path.stat().st_ino != inode}
    assert changed == {"secret"}
