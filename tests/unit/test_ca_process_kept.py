"""Secrets that processes make for themselves, once for all."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ca.process.kept import kept_secret
from ca.process.settings import UnusableSettings


def test_is_made_once_and_readable_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "secrets" / "token"
    assert kept_secret(file, lambda: "a" * 32) == "a" * 32
    assert kept_secret(file, lambda: "b" * 32) == "a" * 32
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in file.parent.iterdir()] == ["token"]


def test_of_several_at_once_all_have_the_same(tmp_path: Path) -> None:
    numbers = itertools.count()
    with ThreadPoolExecutor(16) as pool:
        found = set(
            pool.map(lambda _: kept_secret(tmp_path / "token", lambda: f"{next(numbers):032}"), range(64))
        )
    assert len(found) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["token"]


@pytest.mark.parametrize("content", [b"", b"short\n", b"\xff\xfe\xfd"])
def test_says_what_a_file_is_that_holds_none(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(UnusableSettings, match="holds no secret, expected at least 16 characters"):
        kept_secret(file, lambda: "a" * 32)
    assert file.read_bytes() == content
