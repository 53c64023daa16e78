"""DER, written and read octet by octet.

Lives here: building TLVs, and a cursor over DER that refuses what is not DER of the
expected shape. Everything that is signed or sent is written through these functions,
because the order of a SET and the string type of an attribute must stay as chosen
(a general ASN.1 library re-sorts and re-types). Does not live here: any knowledge of
certificates or messages, any I/O.

ITU-T X.690 (2021) is cited by clause.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

BOOLEAN = 0x01
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
NULL = 0x05
OBJECT_IDENTIFIER = 0x06
ENUMERATED = 0x0A
UTF8_STRING = 0x0C
NUMERIC_STRING = 0x12
PRINTABLE_STRING = 0x13
T61_STRING = 0x14
IA5_STRING = 0x16
UTC_TIME = 0x17
GENERALIZED_TIME = 0x18
VISIBLE_STRING = 0x1A
UNIVERSAL_STRING = 0x1C
BMP_STRING = 0x1E
SEQUENCE = 0x30
SET = 0x31


class DerError(ValueError):
    """The octets are not DER of the expected shape; the message says what was found where."""


# -- writing ---------------------------------------------------------------------------


def tlv(tag: int, *contents: bytes) -> bytes:
    """Return one element with a single-octet ``tag`` and the concatenated contents (X.690 8.1)."""
    content = b"".join(contents)
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + content


def sequence(*elements: bytes) -> bytes:
    """Return a SEQUENCE of already encoded elements."""
    return tlv(SEQUENCE, *elements)


def set_of(elements: Iterable[bytes]) -> bytes:
    """Return a SET OF in DER's ascending order of encodings (X.690 11.6)."""
    return tlv(SET, *sorted(elements))


def set_in_order(elements: Iterable[bytes]) -> bytes:
    """Return a SET in the given order: for peers that read the first element as the one that counts."""
    return tlv(SET, *elements)


def explicit(number: int, *elements: bytes) -> bytes:
    """Return ``[number] EXPLICIT``, or any constructed context tag below 31."""
    return tlv(0xA0 | number, *elements)


def implicit(number: int, *contents: bytes) -> bytes:
    """Return a primitive ``[number] IMPLICIT`` element below 31 with raw content octets."""
    return tlv(0x80 | number, *contents)


def retag(tag: int, element: bytes) -> bytes:
    """Return ``element`` with its single-octet tag replaced (IMPLICIT tagging of an encoded value)."""
    return bytes((tag,)) + element[1:]


def integer(value: int) -> bytes:
    """Return an INTEGER of any sign and size (X.690 8.3)."""
    length = max(1, (value.bit_length() + 8) // 8) if value >= 0 else (((-value - 1).bit_length()) // 8) + 1
    return tlv(INTEGER, value.to_bytes(length, "big", signed=True))


def boolean(value: bool) -> bytes:
    """Return a BOOLEAN (X.690 11.1: TRUE is 0xFF)."""
    return b"\x01\x01\xff" if value else b"\x01\x01\x00"


def null() -> bytes:
    """Return NULL."""
    return b"\x05\x00"


def octet_string(value: bytes) -> bytes:
    """Return an OCTET STRING."""
    return tlv(OCTET_STRING, value)


def bit_string(value: bytes, unused_bits: int = 0) -> bytes:
    """Return a BIT STRING whose last octet has ``unused_bits`` (0 to 7) unused bits."""
    return tlv(BIT_STRING, bytes((unused_bits,)), value)


def named_bits(bits: Iterable[int]) -> bytes:
    """Return a BIT STRING with the numbered bits set and trailing zeros removed (X.690 11.2.2)."""
    wanted = set(bits)
    if not wanted:
        return bit_string(b"")
    top = max(wanted)
    octets = bytearray(top // 8 + 1)
    for bit in wanted:
        octets[bit // 8] |= 0x80 >> (bit % 8)
    return bit_string(bytes(octets), 7 - top % 8)


@lru_cache(maxsize=512)
def oid(dotted: str) -> bytes:
    """Return an OBJECT IDENTIFIER from dotted form (X.690 8.19).

    Raises:
        DerError: fewer than two arcs, or arcs out of range.

    """
    try:
        arcs = [int(arc) for arc in dotted.split(".")]
    except ValueError as error:
        raise DerError(f"{dotted!r} is not an object identifier in dotted form") from error
    if len(arcs) < 2 or arcs[0] > 2 or (arcs[0] < 2 and arcs[1] > 39) or min(arcs) < 0:
        raise DerError(f"{dotted!r} is not an object identifier (X.660)")
    out = bytearray()
    for arc in (arcs[0] * 40 + arcs[1], *arcs[2:]):
        chunk = [arc & 0x7F]
        while arc := arc >> 7:
            chunk.append(0x80 | (arc & 0x7F))
        out += bytes(reversed(chunk))
    return tlv(OBJECT_IDENTIFIER, bytes(out))


def printable_string(value: str) -> bytes:
    """Return a PrintableString; the caller answers for the repertoire (X.680 41.4)."""
    return tlv(PRINTABLE_STRING, value.encode("latin-1"))


def utf8_string(value: str) -> bytes:
    """Return a UTF8String."""
    return tlv(UTF8_STRING, value.encode())


def ia5_string(value: str) -> bytes:
    """Return an IA5String; raises UnicodeEncodeError beyond ASCII."""
    return tlv(IA5_STRING, value.encode("ascii"))


def bmp_string(value: str) -> bytes:
    """Return a BMPString (UCS-2, big endian)."""
    return tlv(BMP_STRING, value.encode("utf-16-be"))


def time(value: datetime) -> bytes:
    """Return a Time as RFC 5280 4.1.2.5 wants it: UTCTime through 2049, then GeneralizedTime.

    ``value`` is aware; fractions of a second are dropped.
    """
    value = value.astimezone(UTC)
    if 1950 <= value.year <= 2049:
        return tlv(UTC_TIME, value.strftime("%y%m%d%H%M%SZ").encode())
    return generalized_time(value)


def generalized_time(value: datetime) -> bytes:
    """Return a GeneralizedTime in UTC without fractions (RFC 5280 4.1.2.5.2)."""
    value = value.astimezone(UTC)
    return tlv(GENERALIZED_TIME, f"{value.year:04d}{value:%m%d%H%M%S}Z".encode())


# -- reading ---------------------------------------------------------------------------


class Element(NamedTuple):
    """One element: its tag octet, its content octets and its whole encoding."""

    tag: int
    content: bytes
    raw: bytes

    def reader(self) -> Reader:
        """Return a cursor over the content."""
        return Reader(self.content)


class Reader:
    """A cursor over consecutive DER elements.

    Every method raises DerError when the octets are not the element asked for; nothing else
    is raised for any input. Tags above 30 (multi-octet) are refused: none of our structures
    has one.
    """

    __slots__ = ("_data", "_end", "_position")

    def __init__(self, data: bytes, start: int = 0, end: int | None = None) -> None:
        self._data = data
        self._position = start
        self._end = len(data) if end is None else end

    @property
    def done(self) -> bool:
        """Whether every octet has been read."""
        return self._position >= self._end

    def peek(self) -> int | None:
        """Return the next tag octet, or None at the end."""
        return self._data[self._position] if self._position < self._end else None

    def _pass(self, tag: int | None, what: str) -> int:
        """Move on to the end of the next element; return where its content begins."""
        data, start, end = self._data, self._position, self._end
        if start + 2 > end:
            raise DerError(f"{what} is missing: {end - start} octets are left")
        found = data[start]
        if tag is not None and found != tag:
            raise DerError(f"{what} has tag 0x{found:02X}, expected 0x{tag:02X}")
        if found & 0x1F == 0x1F:
            raise DerError(f"{what} has a multi-octet tag (first octet 0x{found:02X})")
        length = data[start + 1]
        body = start + 2
        if length & 0x80:
            count = length & 0x7F
            if count == 0 or count > 4 or body + count > end:
                raise DerError(f"{what} has length octet 0x{length:02X}, which is not a DER length here")
            length = int.from_bytes(data[body : body + count], "big")
            body += count
        stop = body + length
        if stop > end:
            raise DerError(f"{what} claims {length} octets, {end - body} are left")
        self._position = stop
        return body

    def element(self, tag: int | None = None, what: str = "element") -> Element:
        """Read the next element; ``tag``, if given, must match. ``what`` names it in the error."""
        data, start = self._data, self._position
        body = self._pass(tag, what)
        stop = self._position
        return Element(data[start], data[body:stop], data[start:stop])

    def _content(self, tag: int, what: str) -> bytes:
        body = self._pass(tag, what)
        return self._data[body : self._position]

    def optional(self, tag: int) -> Element | None:
        """Read the next element if it has ``tag``, else leave the cursor and return None."""
        return self.element(tag) if self.peek() == tag else None

    def enter(self, tag: int = SEQUENCE, what: str = "SEQUENCE") -> Reader:
        """Read a constructed element and return a cursor over its content."""
        body = self._pass(tag, what)
        return Reader(self._data, body, self._position)

    def integer(self, what: str = "INTEGER") -> int:
        """Read an INTEGER of any sign."""
        content = self._content(INTEGER, what)
        if not content:
            raise DerError(f"{what} is an INTEGER without octets (X.690 8.3.1)")
        return int.from_bytes(content, "big", signed=True)

    def oid(self, what: str = "OBJECT IDENTIFIER") -> str:
        """Read an OBJECT IDENTIFIER and return its dotted form."""
        return dotted_oid(self._content(OBJECT_IDENTIFIER, what))

    def octets(self, what: str = "OCTET STRING") -> bytes:
        """Read a primitive OCTET STRING."""
        return self._content(OCTET_STRING, what)

    def bits(self, what: str = "BIT STRING") -> bytes:
        """Read a BIT STRING with no unused bits (keys, signatures)."""
        content = self._content(BIT_STRING, what)
        if not content or content[0] != 0:
            raise DerError(f"{what} is not a BIT STRING of whole octets")
        return content[1:]

    def elements(self) -> Iterable[Element]:
        """Read all remaining elements."""
        while not self.done:
            yield self.element()

    def finish(self, what: str = "structure") -> None:
        """Raise DerError unless everything has been read."""
        if not self.done:
            raise DerError(f"{what} has {self._end - self._position} trailing octets")


@lru_cache(maxsize=512)
def dotted_oid(content: bytes) -> str:
    """Return the dotted form of an OBJECT IDENTIFIER's content octets.

    At most 128 octets are read: no identifier in use comes near, and turning a huge arc into
    decimal digits takes quadratic time.

    Raises:
        DerError: empty, longer than 128 octets, cut off, or padded (X.690 8.19.2).

    """
    if not content or len(content) > 128:
        raise DerError(f"OBJECT IDENTIFIER has {len(content)} octets, expected 1 to 128")
    if content[-1] & 0x80:
        raise DerError("OBJECT IDENTIFIER ends within an arc")
    arcs: list[int] = []
    value = 0
    fresh = True
    for octet in content:
        if fresh and octet == 0x80:
            raise DerError("OBJECT IDENTIFIER has a padded arc (X.690 8.19.2)")
        value = value << 7 | (octet & 0x7F)
        fresh = not octet & 0x80
        if fresh:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def one(data: bytes, tag: int = SEQUENCE, what: str = "structure") -> Reader:
    """Return a cursor into the single element that ``data`` consists of; trailing octets are refused."""
    reader = Reader(data)
    inner = reader.enter(tag, what)
    reader.finish(what)
    return inner


def read_time(element: Element, what: str = "Time") -> datetime:
    """Return the instant of a UTCTime or GeneralizedTime, aware, in UTC.

    Accepts an offset and missing seconds (older Go clients write ``-0400``, see RFC 5652 11.3 for
    what they should write).

    Raises:
        DerError: another tag, or text that is no time.

    """
    if element.tag not in (UTC_TIME, GENERALIZED_TIME):
        raise DerError(f"{what} has tag 0x{element.tag:02X}, expected UTCTime or GeneralizedTime")
    try:
        text = element.content.decode("ascii")
        if element.tag == UTC_TIME:
            century = "20" if int(text[:2]) < 50 else "19"
            text = century + text
        if len(text) == 15 and text[:14].isdigit() and text[14] == "Z":
            year, month, day = int(text[:4]), int(text[4:6]), int(text[6:8])
            return datetime(year, month, day, int(text[8:10]), int(text[10:12]), int(text[12:14]), tzinfo=UTC)
        digits = len(text) - len(text.lstrip("0123456789"))
        form = {12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}[digits]
        return datetime.strptime(text.replace("Z", "+0000"), form + "%z").astimezone(UTC)
    except (ValueError, KeyError, OverflowError) as error:
        raise DerError(f"{what} is not a time: {element.content[:32]!r}") from error
