"""Windows registry files (``.reg``), read and written.

Lives here: the text format of regedit's exports, version 5.00 (UTF-16LE with byte order mark) and
REGEDIT4 (8-bit). Does not live here: what any key means.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_HEADERS: Final = ("Windows Registry Editor Version 5.00", "REGEDIT4")
_VALUE: Final = re.compile(r'^(?:"((?:[^"\\]|\\.)*)"|@)\s*=\s*(.*)$', re.DOTALL)
_HEX: Final = re.compile(r"^hex(?:\(([0-9a-fA-F]+)\))?:(.*)$", re.DOTALL | re.IGNORECASE)
_REG_SZ: Final = 1
_REG_EXPAND_SZ: Final = 2
_REG_BINARY: Final = 3
_REG_DWORD: Final = 4
_REG_MULTI_SZ: Final = 7


class RegFileError(ValueError):
    """A file that is no registry export; the text says in which line and what was expected."""


RegData = str | int | bytes | tuple[str, ...]
"""REG_SZ and REG_EXPAND_SZ as text, REG_DWORD as a number, REG_MULTI_SZ as texts, the rest as octets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegKey:
    """One key with its values, names as written; the default value's name is empty."""

    path: str
    values: Mapping[str, RegData]

    def value(self, name: str) -> RegData | None:
        """Return the value called ``name``, compared without case as Windows does."""
        for found, data in self.values.items():
            if found.lower() == name.lower():
                return data
        return None


def parse_reg(octets: bytes) -> tuple[RegKey, ...]:
    """Read a registry export.

    Raises:
        RegFileError: neither format's header, or a line that is no key, value or comment.

    """
    lines = _decode(octets).replace("\r\n", "\n").split("\n")
    if not lines or lines[0].strip("\ufeff ") not in _HEADERS:
        raise RegFileError(
            f"line 1 is {lines[0][:60]!r}, expected '{_HEADERS[0]}' or '{_HEADERS[1]}' (export the key with "
            "regedit or 'reg export')"
        )
    eight_bit = lines[0].strip("\ufeff ") == "REGEDIT4"
    keys: list[RegKey] = []
    values: dict[str, RegData] | None = None
    for number, line in _logical_lines(lines[1:]):
        if line.startswith("["):
            if not line.endswith("]"):
                raise RegFileError(f"line {number} opens a key and does not close it: {line[:60]!r}")
            if line.startswith("[-"):
                raise RegFileError(f"line {number} deletes a key; only exports can be read: {line[:60]!r}")
            values = {}
            keys.append(RegKey(path=line[1:-1], values=values))
            continue
        match = _VALUE.match(line)
        if match is None or values is None:
            raise RegFileError(f"line {number} is no key, value or comment: {line[:60]!r}")
        name = re.sub(r"\\(.)", r"\1", match.group(1) or "")
        values[name] = _data(match.group(2), number, eight_bit=eight_bit)
    return tuple(keys)


def write_reg(keys: Iterable[RegKey]) -> bytes:
    """Return a version 5.00 export as regedit writes it: UTF-16LE with byte order mark, CRLF."""
    lines = [_HEADERS[0], ""]
    for key in keys:
        lines.append(f"[{key.path}]")
        lines.extend(
            f"{_quoted(name) if name else '@'}={_written(data)}" for name, data in key.values.items()
        )
        lines.append("")
    return ("\ufeff" + "\r\n".join(lines) + "\r\n").encode("utf-16-le")


def _decode(octets: bytes) -> str:
    try:
        if octets[:2] == b"\xff\xfe":
            return octets.decode("utf-16")
        if octets[:3] == b"\xef\xbb\xbf":
            return octets.decode("utf-8-sig")
        return octets.decode("cp1252" if octets.startswith(b"REGEDIT4") else "utf-8")
    except UnicodeDecodeError as error:
        raise RegFileError(
            f"octet {error.start} is not {error.encoding}; regedit writes UTF-16LE with a byte order mark"
        ) from error


def _logical_lines(lines: list[str]) -> Iterable[tuple[int, str]]:
    """Yield (number of the first line, text) with continued lines joined and comments left out."""
    joined, first = "", 0
    for number, line in enumerate(lines, start=2):
        text = line.strip()
        if not joined:
            first = number
            if not text or text.startswith(";"):
                continue
        if text.endswith("\\"):
            joined += text[:-1]
            continue
        yield first, joined + text
        joined = ""
    if joined:
        raise RegFileError(f"line {first} is continued past the end of the file")


def _data(text: str, number: int, *, eight_bit: bool) -> RegData:
    if len(text) >= 2 and text[0] == '"' and text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    if text.lower().startswith("dword:"):
        digits = text[6:]
        if not re.fullmatch(r"[0-9a-fA-F]{1,8}", digits):
            raise RegFileError(f"line {number} has a dword of {digits[:20]!r}, expected up to 8 hex digits")
        return int(digits, 16)
    match = _HEX.match(text)
    if match is None:
        raise RegFileError(f'line {number} has a value that is no "text", dword: or hex: {text[:40]!r}')
    try:
        octets = bytes.fromhex(match.group(2).replace(",", " "))
    except ValueError as error:
        raise RegFileError(f"line {number} has hex octets that are none: {match.group(2)[:40]!r}") from error
    kind = int(match.group(1), 16) if match.group(1) else _REG_BINARY
    encoding = "cp1252" if eight_bit else "utf-16-le"
    if kind in (_REG_SZ, _REG_EXPAND_SZ):
        return octets.decode(encoding, "replace").rstrip("\0")
    if kind == _REG_MULTI_SZ:
        return tuple(part for part in octets.decode(encoding, "replace").split("\0") if part)
    if kind == _REG_DWORD and len(octets) == 4:
        return int.from_bytes(octets, "little")
    return octets


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _written(data: RegData) -> str:
    if isinstance(data, str):
        return _quoted(data)
    if isinstance(data, int):
        return f"dword:{data:08x}"
    if isinstance(data, bytes):
        return "hex:" + ",".join(f"{octet:02x}" for octet in data)
    octets = "".join(f"{text}\0" for text in (*data, "")).encode("utf-16-le")
    return "hex(7):" + ",".join(f"{octet:02x}" for octet in octets)
