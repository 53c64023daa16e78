"""Policy modules as users write them, for tests to load by name."""

from __future__ import annotations

from typing import Any


class Recording:
    """Says what it is told to say, and keeps every call."""

    instances: list[Recording] = []  # noqa: RUF012 - emptied by each test

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.verdict = True
        Recording.instances.append(self)

    def initialize(self, context: Any) -> None:
        self.context = context
        self.calls.append(("initialize",))

    def uninitialize(self) -> None:
        self.calls.append(("uninitialize",))

    def generate_challenge(self, template: str, params: str) -> str:
        self.calls.append(("generate_challenge", template, params))
        return f"for {params}"

    def verify_request(self, *arguments: Any) -> bool:
        self.calls.append(("verify_request", *arguments))
        return self.verdict

    def notify(self, *arguments: Any) -> None:
        self.calls.append(("notify", *arguments))

    def named(self, name: str) -> list[tuple[Any, ...]]:
        return [call[1:] for call in self.calls if call[0] == name]


class Raising(Recording):
    """Is initialized well and raises ever after."""

    def generate_challenge(self, template: str, params: str) -> str:
        raise RuntimeError("a secret that must not be told")

    def verify_request(self, *arguments: Any) -> bool:
        raise KeyError("x")

    def notify(self, *arguments: Any) -> None:
        raise ValueError("y")


class Unwilling(Recording):
    """Cannot be initialized."""

    def initialize(self, context: Any) -> None:
        raise OSError("no backend")


class Incomplete:
    """Lacks three of the five calls."""

    def initialize(self, context: Any) -> None:
        """Do nothing."""

    def uninitialize(self) -> None:
        """Do nothing."""


NOT_CALLABLE = 7
