"""Where reading BER stops: the octet, what was being read, and inside what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_TAGS: Final = {
    0x01: "BOOLEAN",
    0x02: "INTEGER",
    0x03: "BIT STRING",
    0x04: "OCTET STRING",
    0x05: "NULL",
    0x06: "OBJECT IDENTIFIER",
    0x0A: "ENUMERATED",
    0x0C: "UTF8String",
    0x13: "PrintableString",
    0x14: "T61String",
    0x16: "IA5String",
    0x17: "UTCTime",
    0x18: "GeneralizedTime",
    0x1E: "BMPString",
    0x24: "OCTET STRING",
    0x30: "SEQUENCE",
    0x31: "SET",
}
_CLASSES: Final = ("", "APPLICATION ", "", "PRIVATE ")
_DEEPEST: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class _Open:
    """An element that has begun: ``end`` is None where its length is indefinite.

    ``lacks`` is how many of its octets are not there.
    """

    tag: int
    at: int
    end: int | None
    lacks: int = 0


def where_it_stops(octets: bytes) -> str:
    """Return at which octet an element cannot be read, and inside what; empty where all can."""
    stack: list[_Open] = []
    at = 0
    while at < len(octets):
        while stack and stack[-1].end is not None and at >= stack[-1].end:
            stack.pop()
        if at and not stack:
            return f"the element ends at octet {at} of {len(octets)}, and others follow"
        if octets[at : at + 2] == b"\x00\x00" and stack and stack[-1].end is None:
            stack.pop()
            at += 2
            continue
        problem, content, length = _header(octets, at, stack)
        lacks = 0 if length is None else content + length - len(octets)
        cut = bool(problem) and lacks > 0 and _limit(octets, stack) == len(octets)
        if problem and not (cut and octets[at] & 0x20):
            return _sentence(at, len(octets), problem, stack)
        if octets[at] & 0x20 and len(stack) < _DEEPEST:
            end = None if length is None else min(content + length, len(octets))
            stack.append(_Open(tag=octets[at], at=at, end=end, lacks=max(0, lacks)))
            at = content
        else:
            at = content + (length or 0)
    if any(element.end is None or element.lacks for element in stack):
        return _sentence(at, len(octets), "the octets end here", stack)
    return ""


def _limit(octets: bytes, stack: list[_Open]) -> int:
    """Return where the innermost element of known length ends."""
    return next((each.end for each in reversed(stack) if each.end is not None), len(octets))


def _header(octets: bytes, at: int, stack: list[_Open]) -> tuple[str, int, int | None]:
    """Return what is wrong with the element at ``at``, where its content begins and how long it is."""
    limit = _limit(octets, stack)
    if at + 2 > limit:
        return "a tag without a length", at, 0
    tag, first = octets[at], octets[at + 1]
    if tag & 0x1F == 0x1F:
        return f"a tag of several octets, 0x{tag:02x}", at, 0
    if first == 0x80:
        wrong = "" if tag & 0x20 else f"{tag_name(tag)} is primitive and of indefinite length"
        return wrong, at + 2, None
    count = first & 0x7F if first & 0x80 else 0
    content = at + 2 + count
    if content > limit:
        return f"{tag_name(tag)} is cut off in its length", at, 0
    length = int.from_bytes(octets[at + 2 : content], "big") if count else first
    if length > limit - content:
        return f"{tag_name(tag)} claims {_count(length)}, {_count(limit - content)} left", content, length
    return "", content, length


def _count(octets: int) -> str:
    if octets == 1:
        return "1 octet"
    return f"{octets} octets" if octets < 1 << 64 else "more than 2^64 octets"


def tag_name(tag: int) -> str:
    """Return a tag in ASN.1's words."""
    if tag >> 6 == 0:
        return _TAGS.get(tag, f"tag 0x{tag:02x}")
    return f"[{_CLASSES[tag >> 6]}{tag & 0x1F}]"


def _sentence(at: int, total: int, problem: str, stack: list[_Open]) -> str:
    inside = " > ".join(f"{tag_name(each.tag)} at {each.at}" for each in stack)
    lacking = next((each for each in stack if each.lacks), None)
    missing = (
        f"; {_count(lacking.lacks)} of the {tag_name(lacking.tag)} at {lacking.at} missing" if lacking else ""
    )
    return (
        f"reading stopped at octet {at} of {total}: {problem}"
        + (f", inside {inside}" if inside else "")
        + missing
    )
