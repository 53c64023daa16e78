"""Running a foreign program: its words kept, no terminal, bounded time."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One finished program: exit status and everything it said."""

    command: str
    status: int
    stdout: bytes
    stderr: str

    @property
    def ok(self) -> bool:
        """Whether it ended with status 0."""
        return self.status == 0

    @property
    def text(self) -> str:
        """Everything it said, for reading and for assertion messages."""
        return f"$ {self.command}\n{self.stdout.decode(errors='replace')}{self.stderr}[exit {self.status}]"


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    seconds: float = 60,
) -> Run:
    """Run ``argv`` to its end; TimeoutExpired fails the test, a bad exit status does not."""
    words = [str(word) for word in argv]
    done = subprocess.run(
        words, cwd=cwd, env=env, input=stdin, capture_output=True, timeout=seconds, check=False
    )
    return Run(
        command=shlex.join(words),
        status=done.returncode,
        stdout=done.stdout,
        stderr=done.stderr.decode(errors="replace"),
    )


def run_well(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    seconds: float = 60,
) -> Run:
    """Run ``argv`` and fail, quoting it, unless it ends with status 0."""
    done = run(argv, cwd=cwd, env=env, stdin=stdin, seconds=seconds)
    assert done.ok, done.text
    return done
