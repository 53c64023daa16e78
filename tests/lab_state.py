"""Everything that a lab remembers, as one dictionary: to see what two moments of its life differ in.

Rows of every table, every file, and every value in memory that can be reached from the running lab
through objects of our own packages. What belongs to threads, sockets and libraries is named, not entered.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from enum import Enum
from pathlib import Path, PurePath
from types import MethodType
from typing import Any

from pydantic import BaseModel

from lab import ScepLab
from lab.running import RunningLab

OURS = ("ca", "crl_publisher", "lab", "scep_server")
PLAIN = (str, bytes, int, float, bool, type(None), date, timedelta, Enum, PurePath)

# The database and the published files (which are compared), web servers, and what `reset` works with.
# What a Drafter has worked out from templates, it works out anew where they are others. Prometheus' counters
# go on: one that falls back would pass for a restart.
NOT_ENTERED = {"SqlStore", "Publication", "Listener", "Beginning", "Drafter", "RequestMetrics"}


def state_of(scep_lab: ScepLab) -> dict[str, object]:
    """Everything the lab remembers, by a path that says where."""
    running = scep_lab._lab
    return {
        **{f"row of {table}": rows for table, rows in running.world.store.contents().rows.items()},
        **files_of(running.world.folder.path),
        **dict(_walk("lab", running, set())),
    }


def files_of(folder: Path) -> dict[str, object]:
    """Mode, time of change and content of every file but the database's, whose rows are compared.

    Of logs mode and content alone: a lab that begins again writes the same lines again.
    """
    return {
        f"file {path.relative_to(folder)}": (
            path.stat().st_mode,
            path.stat().st_mtime_ns if path.is_file() and "logs" not in path.parts else 0,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in folder.rglob("*")
        if not path.name.startswith("store.sqlite3")
    }


def differences(before: Mapping[str, object], after: Mapping[str, object]) -> dict[str, object]:
    """What is in one state and not, or otherwise, in the other."""
    missing = "(absent)"
    return {
        path: (before.get(path, missing), after.get(path, missing))
        for path in before.keys() | after.keys()
        if before.get(path, missing) != after.get(path, missing)
    }


def _walk(path: str, value: Any, seen: set[int]) -> Iterator[tuple[str, object]]:
    """Yield each value below ``value`` with its path; an object that was met before is only named."""
    if isinstance(value, PLAIN):
        yield path, value
    elif isinstance(value, itertools.count):
        yield path, repr(value)
    elif isinstance(value, MethodType):
        yield from _walk(f"{path}.{value.__name__}()", value.__self__, seen)
    elif id(value) in seen:
        yield path, f"the {type(value).__name__}"
    else:
        seen.add(id(value))
        yield path, f"a {type(value).__name__}"
        for name, part in _parts(value):
            yield from _walk(f"{path}.{name}", part, seen)


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from ((f"[{key!r}]", part) for key, part in value.items())
    elif isinstance(value, list | tuple | deque):
        yield from ((f"[{index}]", part) for index, part in enumerate(value))
    elif isinstance(value, set | frozenset):
        yield "elements", repr(sorted(map(repr, value)))
    elif isinstance(value, BaseModel):
        yield "fields", value.model_dump_json(serialize_as_any=True)
    elif type(value).__module__.partition(".")[0] in OURS and type(value).__name__ not in NOT_ENTERED:
        yield from _attributes(value)


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    slots = {name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())}
    for name in sorted(slots | getattr(value, "__dict__", {}).keys()):
        if hasattr(value, name) and not (isinstance(value, RunningLab) and name == "_undo"):
            yield name, getattr(value, name)
