"""The tree that decoding yields, and its two printed forms."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONG = 96
_CUT = 48
_HEX = re.compile("[0-9a-f]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A named thing with a value, a note for people, and what it consists of."""

    name: str
    value: str = ""
    note: str = ""
    children: tuple[Node, ...] = ()

    def find(self, name: str) -> Node | None:
        """Return the first node of that name at or below this one, in reading order."""
        return next((node for node in self.walk() if node.name == name), None)

    def walk(self) -> Iterator[Node]:
        """Return this node and all below it, in reading order."""
        yield self
        for child in self.children:
            yield from child.walk()

    def as_text(self, indent: int = 0, *, brief: bool = False) -> str:
        """Return the tree as indented lines; control characters are escaped, long values wrapped.

        With ``brief`` long hexadecimal values are cut instead, with a word on how long they are.
        """
        return "\n".join(self._lines(indent, brief=brief))

    def _lines(self, indent: int, *, brief: bool) -> Iterator[str]:
        margin = "  " * indent
        line = f"{margin}{clean(self.name)}"
        value = clean(self.value)
        if brief and len(value) > _LONG and _HEX.fullmatch(value):
            value = f"{value[:_CUT]}... ({len(value) // 2} octets)"
        wrapped = len(value) > _LONG and " " not in value
        if value and not wrapped:
            line += f": {value}"
        if self.note:
            line += f"  ({clean(self.note)})"
        yield line
        if wrapped:
            for start in range(0, len(value), _LONG):
                yield f"{margin}    {value[start : start + _LONG]}"
        for child in self.children:
            yield from child._lines(indent + 1, brief=brief)

    def as_json(self) -> dict[str, Any]:
        """Return the tree as nested objects; empty fields are left out."""
        out: dict[str, Any] = {"name": self.name}
        if self.value:
            out["value"] = self.value
        if self.note:
            out["note"] = self.note
        if self.children:
            out["children"] = [child.as_json() for child in self.children]
        return out


def clean(text: str) -> str:
    """Return ``text`` with everything unprintable escaped, so that input cannot drive a terminal."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def hexadecimal(octets: bytes, limit: int = 4096) -> str:
    """Return octets as lower-case hex, cut at ``limit`` octets with a word on how many there are."""
    if len(octets) <= limit:
        return octets.hex()
    return f"{octets[:limit].hex()}... ({len(octets)} octets)"
