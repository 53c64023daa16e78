"""DER and BER, written octet by octet, with nothing forbidden.

Everything the product must survive can be said here: lengths that lie, forms that only BER has,
SETs in any order. `Node` is a parsed tree that can be written again in another style.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

SEQUENCE, SET = 0x30, 0x31
UTF8, NUMERIC, PRINTABLE, T61, IA5 = 0x0C, 0x12, 0x13, 0x14, 0x16
UTC_TIME, GENERALIZED_TIME = 0x17, 0x18
VISIBLE, UNIVERSAL, BMP = 0x1A, 0x1C, 0x1E
OCTET_STRING = 0x04
NULL = b"\x05\x00"
END_OF_CONTENTS = b"\x00\x00"


def length(size: int) -> bytes:
    """Return DER length octets."""
    if size < 0x80:
        return bytes((size,))
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((0x80 | len(octets),)) + octets


def tlv(tag: int, *contents: bytes) -> bytes:
    """Return one definite-length element."""
    content = b"".join(contents)
    return bytes((tag,)) + length(len(content)) + content


def seq(*elements: bytes) -> bytes:
    """Return a SEQUENCE."""
    return tlv(SEQUENCE, *elements)


def set_of(*elements: bytes) -> bytes:
    """Return a SET in the given order: DER only if the caller sorted."""
    return tlv(SET, *elements)


def explicit(number: int, *elements: bytes) -> bytes:
    """Return a constructed context-specific element."""
    return tlv(0xA0 | number, *elements)


def implicit(number: int, content: bytes) -> bytes:
    """Return a primitive context-specific element."""
    return tlv(0x80 | number, content)


def integer(value: int) -> bytes:
    """Return an INTEGER of any sign and size."""
    size = max(1, (value.bit_length() + 8) // 8) if value >= 0 else ((-value - 1).bit_length() // 8) + 1
    return tlv(2, value.to_bytes(size, "big", signed=True))


def boolean(value: bool) -> bytes:
    """Return a BOOLEAN."""
    return b"\x01\x01" + (b"\xff" if value else b"\x00")


def octets(value: bytes) -> bytes:
    """Return an OCTET STRING."""
    return tlv(OCTET_STRING, value)


def bits(value: bytes, unused: int = 0) -> bytes:
    """Return a BIT STRING."""
    return tlv(3, bytes((unused,)) + value)


def named_bits(*numbers: int) -> bytes:
    """Return a BIT STRING with these bits set, trailing zero bits removed."""
    if not numbers:
        return bits(b"")
    top = max(numbers)
    raw = bytearray(top // 8 + 1)
    for number in numbers:
        raw[number // 8] |= 0x80 >> number % 8
    return bits(bytes(raw), 7 - top % 8)


def oid(dotted: str) -> bytes:
    """Return an OBJECT IDENTIFIER."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    out = b""
    for arc in (first * 40 + second, *rest):
        chunk = bytes((arc & 0x7F,))
        while arc := arc >> 7:
            chunk = bytes((0x80 | arc & 0x7F,)) + chunk
        out += chunk
    return tlv(6, out)


def string(tag: int, text: str) -> bytes:
    """Return a character string in the encoding its tag calls for."""
    codec = {UTF8: "utf-8", BMP: "utf-16-be", UNIVERSAL: "utf-32-be"}.get(tag, "latin-1")
    return tlv(tag, text.encode(codec))


def algorithm(dotted: str, parameters: bytes | None = NULL) -> bytes:
    """Return an AlgorithmIdentifier; ``parameters`` None leaves them out."""
    return seq(oid(dotted), parameters or b"")


# -- reading, and writing again in another style ---------------------------------------


@dataclass(frozen=True, slots=True)
class Node:
    """One element of a DER tree; primitive nodes have content, constructed ones children."""

    tag: int
    content: bytes = b""
    children: tuple[Node, ...] = ()
    raw: bytes = field(default=b"", compare=False)

    @property
    def constructed(self) -> bool:
        """Whether the element is constructed."""
        return bool(self.tag & 0x20)

    def __getitem__(self, index: int) -> Node:
        return self.children[index]

    def __len__(self) -> int:
        return len(self.children)

    @property
    def body(self) -> bytes:
        """The content octets, of children too."""
        return b"".join(child.raw for child in self.children) if self.constructed else self.content

    @property
    def dotted(self) -> str:
        """The dotted form of an OBJECT IDENTIFIER."""
        arcs, value = [], 0
        for octet in self.content:
            value = value << 7 | octet & 0x7F
            if not octet & 0x80:
                arcs.append(value)
                value = 0
        first = min(arcs[0] // 40, 2)
        return ".".join(str(arc) for arc in (first, arcs[0] - first * 40, *arcs[1:]))

    @property
    def number(self) -> int:
        """The value of an INTEGER."""
        return int.from_bytes(self.content, "big", signed=True)


class NotDer(AssertionError):
    """The octets are not DER; the text says why. An assertion: replies must be DER."""


def read(data: bytes) -> Node:
    """Read exactly one DER element, checking minimal and definite lengths all the way down."""
    node, end = _read(data, 0)
    if end != len(data):
        raise NotDer(f"{len(data) - end} octets follow the element")
    return node


def read_all(data: bytes) -> list[Node]:
    """Read consecutive DER elements."""
    nodes, position = [], 0
    while position < len(data):
        node, position = _read(data, position)
        nodes.append(node)
    return nodes


def _read(data: bytes, start: int) -> tuple[Node, int]:
    if len(data) < start + 2:
        raise NotDer(f"an element is missing at {start}")
    tag, size, body = data[start], data[start + 1], start + 2
    if tag & 0x1F == 0x1F:
        raise NotDer(f"multi-octet tag at {start}")
    if size & 0x80:
        count = size & 0x7F
        if not count:
            raise NotDer(f"indefinite length at {start}")
        size = int.from_bytes(data[body : body + count], "big")
        if size < 0x80 or size.bit_length() <= 8 * (count - 1):
            raise NotDer(f"non-minimal length at {start}")
        body += count
    end = body + size
    if end > len(data):
        raise NotDer(f"element at {start} claims {size} octets, {len(data) - body} are left")
    raw = data[start:end]
    if tag & 0x20:
        return Node(tag, children=tuple(read_all(data[body:end])), raw=raw), end
    return Node(tag, data[body:end], raw=raw), end


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a tree is written: DER unless told otherwise.

    ``indefinite`` and ``padded_lengths`` apply to constructed and all elements; ``chunk`` splits
    OCTET STRINGs into constructed ones, ``levels`` deep; ``implicit_chunk`` does the same to primitive
    [0] elements (encryptedContent), which Go clients send constructed with definite length.
    """

    indefinite: bool = False
    padded_lengths: int = 0
    chunk: int = 0
    levels: int = 1
    implicit_chunk: int = 0


def write(node: Node, style: Style) -> bytes:
    """Write a tree in ``style``."""
    if node.constructed:
        return _wrap(node.tag, b"".join(write(child, style) for child in node.children), style)
    if node.tag == OCTET_STRING and style.chunk:
        return _pieces(node.tag, node.content, style.chunk, style.levels, style)
    if node.tag == 0x80 and style.implicit_chunk and len(node.content) > 8:
        return _pieces(node.tag, node.content, style.implicit_chunk, 1, style)
    return bytes((node.tag,)) + _length(len(node.content), style) + node.content


def restyle(der: bytes, style: Style) -> bytes:
    """Read DER and write it in ``style``."""
    return write(read(der), style)


def _pieces(tag: int, content: bytes, chunk: int, levels: int, style: Style) -> bytes:
    parts = [content[at : at + chunk] for at in range(0, len(content), chunk)] or [b""]
    plain = replace(style, chunk=0, implicit_chunk=0)
    encoded = [bytes((OCTET_STRING,)) + _length(len(part), plain) + part for part in parts]
    for _ in range(levels - 1):
        encoded = [_wrap(OCTET_STRING | 0x20, part, plain) for part in encoded]
    return _wrap(tag | 0x20, b"".join(encoded), style)


def _wrap(tag: int, content: bytes, style: Style) -> bytes:
    if style.indefinite:
        return bytes((tag, 0x80)) + content + END_OF_CONTENTS
    return bytes((tag,)) + _length(len(content), style) + content


def _length(size: int, style: Style) -> bytes:
    if not style.padded_lengths or not size:  # openssl 3.0 stops at a padded length of zero
        return length(size)
    octets_ = size.to_bytes((size.bit_length() + 7) // 8 or 1, "big")
    octets_ = b"\x00" * style.padded_lengths + octets_
    return bytes((0x80 | len(octets_),)) + octets_


def rewrite(node: Node, change: Callable[[Node], bytes | None]) -> bytes:
    """Write a tree in DER, except where ``change`` returns other octets for a node."""
    other = change(node)
    if other is not None:
        return other
    if node.constructed:
        return tlv(node.tag, *(rewrite(child, change) for child in node.children))
    return tlv(node.tag, node.content)


def sort_set(elements: Iterable[bytes]) -> list[bytes]:
    """Return elements in DER's order for SET OF."""
    return sorted(elements)
