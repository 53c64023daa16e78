"""The BER layer in front of every reader: bounded, and DER when it lets go.

Clients send BER where RFC 8894 has DER: indefinite lengths throughout (Bouncy Castle), constructed
OCTET STRINGs (Apple, .NET), `encryptedContent` as constructed [0] of definite length (Go clients).
`normalise` makes one DER element of it and refuses what could hurt a reader behind it: deep nesting,
huge numbers of elements, huge identifiers and integers, lengths beyond the data.

Only the encoding of tags and lengths is made canonical. The order of a SET and the values of
primitives stay as sent, because signatures are computed over them.

ITU-T X.690 is cited by clause.
"""

from __future__ import annotations

from dataclasses import dataclass

from ca import der


class BerError(der.DerError):
    """The octets are not one BER element within the limits; the message says what was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BerLimits:
    """What one element may hold; genuine SCEP messages stay below a tenth of each.

    ``depth`` counts nested constructed elements, ``elements`` all elements, the others are content
    octets of one primitive. An indefinite length counts like any other.
    """

    depth: int = 32
    elements: int = 10_000
    identifier_octets: int = 128
    integer_octets: int = 2_100


DEFAULT_LIMITS = BerLimits()

# What the fast path does with a tag octet.
_PLAIN, _CONSTRUCTED, _LIMITED, _OTHER = range(4)


def _kind(tag: int) -> int:
    if tag & 0x1F == 0x1F or tag == 0:  # multi-octet tags; end-of-contents
        return _OTHER
    if tag & 0x20:
        # Universal constructed types other than SEQUENCE and SET are strings in segments (8.6.4, 8.7.3).
        return _CONSTRUCTED if tag & 0xC0 or tag in (der.SEQUENCE, der.SET) else _OTHER
    return _LIMITED if tag in (der.INTEGER, der.OBJECT_IDENTIFIER) else _PLAIN


_KINDS = bytes(_kind(tag) for tag in range(256))
_ENCRYPTED_CONTENT_SIBLINGS = [der.OBJECT_IDENTIFIER, der.SEQUENCE]


def normalise(octets: bytes, limits: BerLimits = DEFAULT_LIMITS) -> bytes:
    """Return the one element that ``octets`` are, in DER's definite, minimal, primitive form.

    Octets that are so already are returned unchanged after a single pass.

    Raises:
        BerError: not exactly one element, cut off, trailing octets, or beyond ``limits``.

    """
    return octets if is_normal(octets, limits) else _rewrite(octets, limits)


def is_normal(data: bytes, limits: BerLimits) -> bool:  # noqa: C901 - one pass, unrolled for speed
    """Tell whether ``data`` is one element that `normalise` would return unchanged, within ``limits``."""
    if not data or not data[0] & 0x20:
        return False
    kinds = _KINDS
    position = previous = 0
    end = len(data)
    enclosing: list[int] = []
    try:
        for _ in range(limits.elements):
            tag = data[position]
            length = data[position + 1]
            position += 2
            if length > 0x7F:
                count = length & 0x7F
                if not 0 < count < 5:
                    return False
                length = int.from_bytes(data[position : position + count], "big")
                if length < 0x80 or length >> (8 * count - 8) == 0:
                    return False
                position += count
            kind = kinds[tag]
            if kind == _PLAIN:
                position += length
            elif kind == _CONSTRUCTED:
                if position + length > end or len(enclosing) >= limits.depth:
                    return False
                # A segmented encryptedContent, unless an identifier precedes: then an explicit tag.
                if tag == 0xA0 and length and data[position] & 0xDF == 4 and previous != 6:
                    return False
                enclosing.append(end)
                end = position + length
            elif kind == _LIMITED:
                maximum = limits.integer_octets if tag == der.INTEGER else limits.identifier_octets
                if not 0 < length <= maximum:
                    return False
                position += length
            else:
                return False
            previous = tag
            while position >= end:
                if position > end:
                    return False
                end = enclosing.pop()
                if not enclosing:
                    return position == end
    except IndexError:
        return False
    return False


class _Frame:
    """A constructed element being read: where it ends, and what it holds so far.

    ``end`` is None while an end-of-contents is awaited; ``limit`` is the end of the nearest
    enclosing definite element. ``segment_tag`` is the tag of the string whose segments these are.
    """

    __slots__ = ("children", "end", "limit", "segment_tag", "tag")

    def __init__(self, tag: int, end: int | None, limit: int) -> None:
        self.tag = tag
        self.end = end
        self.limit = limit
        self.children: list[tuple[int, bytes]] = []
        self.segment_tag = tag & ~0x20 if tag and _KINDS[tag] == _OTHER else None

    def add(self, tag: int, content: bytes) -> None:
        """Take a finished child."""
        if self.segment_tag is not None and tag not in (self.segment_tag, der.OCTET_STRING):
            raise BerError(
                f"a string of tag 0x{self.tag:02X} holds a segment of tag 0x{tag:02X} (X.690 8.7.3)"
            )
        self.children.append((tag, content))

    def close_into(self, parent: _Frame) -> None:
        """Hand the finished element to the one around it."""
        if self.segment_tag == der.BIT_STRING:
            parent.add(der.BIT_STRING, self._joined_bits())
        elif self.segment_tag is not None:
            parent.add(self.segment_tag, self._joined())
        elif self._is_encrypted_content(parent):
            parent.add(0x80, self._joined())
        else:
            parent.add(self.tag, b"".join(der.tlv(tag, content) for tag, content in self.children))

    def _joined(self) -> bytes:
        return b"".join(content for _, content in self.children)

    def _joined_bits(self) -> bytes:
        segments = [content for _, content in self.children] or [b"\0"]
        if not all(segments) or any(segment[0] for segment in segments[:-1]):
            raise BerError("a BIT STRING has unused bits before its last segment (X.690 8.6.4)")
        return segments[-1][:1] + b"".join(segment[1:] for segment in segments)

    def _is_encrypted_content(self, parent: _Frame) -> bool:
        """Tell a segmented `encryptedContent` (RFC 5652 6.1) from an explicit tag around a string.

        It is the [0] that follows contentType and contentEncryptionAlgorithm.
        """
        return (
            self.tag == 0xA0
            and [tag for tag, _ in parent.children] == _ENCRYPTED_CONTENT_SIBLINGS
            and all(tag == der.OCTET_STRING for tag, _ in self.children)
        )


def _rewrite(data: bytes, limits: BerLimits) -> bytes:
    """Return ``data`` re-encoded; every refusal of `normalise` is raised here."""
    outermost = _Frame(0, len(data), len(data))
    stack = [outermost]
    position = 0
    elements = 0
    while stack[-1] is not outermost or not outermost.children:
        frame = stack[-1]
        if position == frame.end:
            _close(stack)
            continue
        tag, length, position = _header(data, position, frame.limit)
        if tag == 0:
            if frame.end is not None or length != 0:
                raise BerError("end-of-contents octets where none are due (X.690 8.1.5)")
            _close(stack)
            continue
        elements += 1
        if elements > limits.elements:
            raise BerError(f"more than {limits.elements} elements")
        if tag & 0x20:
            if len(stack) > limits.depth:
                raise BerError(f"nested deeper than {limits.depth}")
            end = None if length is None else position + length
            stack.append(_Frame(tag, end, frame.limit if end is None else end))
        else:
            content = data[position : position + _primitive_length(tag, length, limits)]
            frame.add(tag, content)
            position += len(content)
    if position != len(data):
        raise BerError(f"{len(data) - position} trailing octets after the element")
    tag, content = outermost.children[0]
    return der.tlv(tag, content)


def _close(stack: list[_Frame]) -> None:
    frame = stack.pop()
    if not stack:
        raise BerError("no element at all: zero octets")
    frame.close_into(stack[-1])


def _header(data: bytes, position: int, limit: int) -> tuple[int, int | None, int]:
    """Return tag octet, length (None when indefinite) and the position of the first content octet."""
    if position + 2 > limit:
        raise BerError(f"cut off in a header at octet {position}")
    tag, first = data[position], data[position + 1]
    if tag & 0x1F == 0x1F:
        raise BerError(f"multi-octet tag at octet {position}: no SCEP structure has one")
    if tag == 0x20:
        raise BerError(f"constructed end-of-contents at octet {position} (X.690 8.1.5)")
    position += 2
    if first == 0x80:
        return tag, None, position
    length = first
    if first > 0x7F:
        count = first & 0x7F
        if position + count > limit:
            raise BerError(f"cut off in a length at octet {position}")
        length = int.from_bytes(data[position : position + count], "big")
        position += count
    if length > limit - position:
        raise BerError(f"an element claims more octets than the {limit - position} that are left")
    return tag, length, position


def _primitive_length(tag: int, length: int | None, limits: BerLimits) -> int:
    if length is None:
        raise BerError(f"a primitive of tag 0x{tag:02X} has an indefinite length (X.690 8.1.3.2)")
    if tag == der.INTEGER and not 0 < length <= limits.integer_octets:
        raise BerError(f"an INTEGER of {length} octets, expected 1 to {limits.integer_octets}")
    if tag == der.OBJECT_IDENTIFIER and not 0 < length <= limits.identifier_octets:
        raise BerError(f"an OBJECT IDENTIFIER of {length} octets, expected 1 to {limits.identifier_octets}")
    return length
