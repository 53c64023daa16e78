"""Distinguished names: raw DER to text and back, and when two of them are the same.

A Name is carried as its DER everywhere, because a certificate's subject stays octet for octet what
the request said; text is for people, filters and settings. Text is RFC 4514: the last RDN first.
Does not live here: what a CA lets into a certificate (`ca.subjects`).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final, NamedTuple, TypeAlias

from . import der

_LABELS: Final = {
    "2.5.4.3": "CN",
    "2.5.4.4": "SN",
    "2.5.4.5": "SERIALNUMBER",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "STREET",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.12": "title",
    "2.5.4.13": "description",
    "2.5.4.17": "postalCode",
    "2.5.4.20": "telephoneNumber",
    "2.5.4.41": "name",
    "2.5.4.42": "GN",
    "2.5.4.43": "initials",
    "2.5.4.44": "generationQualifier",
    "2.5.4.46": "dnQualifier",
    "2.5.4.65": "pseudonym",
    "2.5.4.97": "organizationIdentifier",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.2.840.113549.1.9.1": "emailAddress",
    "1.2.840.113549.1.9.2": "unstructuredName",
    "1.2.840.113549.1.9.8": "unstructuredAddress",
}
_TYPES: Final = {label.lower(): dotted for dotted, label in _LABELS.items()} | {
    "e": "1.2.840.113549.1.9.1",
    "email": "1.2.840.113549.1.9.1",
    "s": "2.5.4.8",
    "g": "2.5.4.42",
    "t": "2.5.4.12",
    "givenname": "2.5.4.42",
    "surname": "2.5.4.4",
    "commonname": "2.5.4.3",
    "countryname": "2.5.4.6",
    "organizationname": "2.5.4.10",
    "organizationalunitname": "2.5.4.11",
}
_STRINGS: Final = frozenset(
    {
        der.UTF8_STRING,
        der.NUMERIC_STRING,
        der.PRINTABLE_STRING,
        der.T61_STRING,
        der.IA5_STRING,
        der.VISIBLE_STRING,
        der.UNIVERSAL_STRING,
        der.BMP_STRING,
    }
)
_PRINTABLE: Final = re.compile(r"[A-Za-z0-9 '()+,\-./:=?]*")
_IA5_TYPES: Final = frozenset({"0.9.2342.19200300.100.1.25", "1.2.840.113549.1.9.1"})
_PRINTABLE_TYPES: Final = frozenset({"2.5.4.6", "2.5.4.5", "2.5.4.46"})


class BadName(ValueError):
    """The octets are no Name, or the text is no RFC 4514 name; the message says where."""


class NameAttribute(NamedTuple):
    """One AttributeTypeAndValue: type in dotted form, the value's tag, its content and its text."""

    type: str
    tag: int
    content: bytes
    text: str

    @property
    def label(self) -> str:
        """The short name people write (``CN``), else the dotted type."""
        return _LABELS.get(self.type, self.type)


Rdns: TypeAlias = tuple[tuple[NameAttribute, ...], ...]
CanonicalName: TypeAlias = tuple[tuple[tuple[str, str], ...], ...]


def is_string(tag: int) -> bool:
    """Tell whether ``tag`` is one of the ASN.1 character string types that clients use."""
    return tag in _STRINGS


def string_text(tag: int, content: bytes) -> str:
    """Return the text of a character string whatever its type says it holds.

    Clients put UTF-8 into PrintableString (certmonger) and latin-1 into T61String, so all
    single-octet types are read alike: as UTF-8 if that is possible, else as latin-1.

    Raises:
        BadName: a BMPString or UniversalString that is cut off or out of range.

    """
    try:
        if tag == der.BMP_STRING:
            return content.decode("utf-16-be")
        if tag == der.UNIVERSAL_STRING:
            return content.decode("utf-32-be")
    except UnicodeDecodeError as error:
        raise BadName(f"string with tag 0x{tag:02X} is cut off or out of range at {error.start}") from error
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


def read_name(name: bytes) -> Rdns:
    """Return the RDNs of a DER Name in encoded order, each with its attributes in encoded order.

    Raises:
        BadName: not a Name.

    """
    try:
        rdns = der.one(name, what="Name")
        found: list[tuple[NameAttribute, ...]] = []
        while not rdns.done:
            rdn = rdns.enter(der.SET, "RelativeDistinguishedName")
            attributes: list[NameAttribute] = []
            while not rdn.done:
                pair = rdn.enter(what="AttributeTypeAndValue")
                dotted = pair.oid("attribute type")
                tag, content, raw = pair.element(what="attribute value")
                pair.finish("AttributeTypeAndValue")
                text = string_text(tag, content) if tag in _STRINGS else "#" + raw.hex()
                attributes.append(NameAttribute(dotted, tag, content, text))
            if not attributes:
                raise BadName("Name has an empty RelativeDistinguishedName (X.501 9.3)")
            found.append(tuple(attributes))
    except der.DerError as error:
        raise BadName(str(error)) from error
    return tuple(found)


def attributes(name: bytes) -> tuple[NameAttribute, ...]:
    """Return every attribute of a DER Name, flat, in encoded order."""
    return tuple(attribute for rdn in read_name(name) for attribute in rdn)


def values_of(name: bytes, dotted: str) -> tuple[str, ...]:
    """Return the texts of all attributes of one type, in encoded order."""
    return tuple(attribute.text for attribute in attributes(name) if attribute.type == dotted)


def common_name(name: bytes) -> str:
    """Return the last, that is most specific, commonName, or the whole name's text if there is none."""
    found = values_of(name, "2.5.4.3")
    return found[-1] if found else name_text(name)


def name_text(name: bytes) -> str:
    """Return RFC 4514 text, safe to print: control and direction characters are hex-escaped."""
    return text_of(read_name(name))


def text_of(rdns: Rdns) -> str:
    """Return RFC 4514 text of what `read_name` returned."""
    return ",".join("+".join(map(_attribute_text, rdn)) for rdn in reversed(rdns))


def _attribute_text(attribute: NameAttribute) -> str:
    label = _LABELS.get(attribute.type)
    if attribute.tag not in _STRINGS:
        return f"{label or attribute.type}={attribute.text}"
    return f"{label or attribute.type}={_escape(attribute.text)}"


_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:@/()=*'!?&-]+(?: [A-Za-z0-9_.:@/()=*'!?&-]+)*")


def _escape(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    out: list[str] = []
    last = len(text) - 1
    for index, character in enumerate(text):
        if (
            character in '"+,;<>\\'
            or (character == "#" and index == 0)
            or (character == " " and index in (0, last))
        ):
            out.append("\\" + character)
        elif not character.isprintable():
            out.append("".join(f"\\{octet:02X}" for octet in character.encode(errors="surrogatepass")))
        else:
            out.append(character)
    return "".join(out)


# -- comparing -------------------------------------------------------------------------


def same_name(one: bytes, other: bytes) -> bool:
    """Tell whether two DER Names are the same (RFC 5280 7.1).

    String type, letter case and runs of spaces do not count; the order of attributes within an RDN
    does not count, the order of RDNs does. What is no Name equals only the same octets.
    """
    if one == other:
        return True
    try:
        return canonical(read_name(one)) == canonical(read_name(other))
    except BadName:
        return False


def same_text(one: str, other: str) -> bool:
    """Tell whether two RFC 4514 texts name the same (RFC 5280 7.1); unreadable text equals only itself."""
    if one == other:
        return True
    try:
        return same_name(build_name(one), build_name(other))
    except BadName:
        return False


def canonical(rdns: Rdns) -> CanonicalName:
    """Return what two equal names have in common, to be compared and hashed (RFC 5280 7.1)."""
    return tuple(tuple(sorted((one.type, _prepared(one)) for one in rdn)) for rdn in rdns)


def _prepared(attribute: NameAttribute) -> str:
    """Return the value prepared for comparison: compatibility form, folded case, single spaces."""
    if attribute.tag not in _STRINGS:
        return attribute.text
    text = attribute.text
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.casefold().split())


# -- building --------------------------------------------------------------------------

_TOKEN: Final = re.compile(
    r"""\s*+(?P<type>[A-Za-z][A-Za-z0-9-]*+|(?:OID\.)?\d++(?:\.\d++)++)\s*+=\s*+
        (?:\#(?P<hex>(?:[0-9A-Fa-f]{2})++)\s*+
          |"(?P<quoted>(?:[^"\\]|\\.)*+)"\s*+
          |(?P<plain>(?:[^,+;"\\<>]|\\.)*+))
        (?P<end>[,;+]|\Z)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED: Final = re.compile(r"((?:\\[0-9A-Fa-f]{2})+)|\\(.)", re.DOTALL)


def build_name(text: str) -> bytes:
    """Return the DER Name of RFC 4514 text (empty text: the empty Name).

    Values become PrintableString where the repertoire allows, else UTF8String; DC and emailAddress
    become IA5String (RFC 4519 2.4, RFC 2985 5.2.1).

    Raises:
        BadName: not RFC 4514, or an attribute type without a known name.

    """
    rdns: list[list[bytes]] = [[]]
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise BadName(f"{text!r} is not an RFC 4514 name at character {position}")
        rdns[-1].append(_attribute_der(match))
        position = match.end()
        if match["end"] and position >= len(text):
            raise BadName(f"{text!r} ends with {match['end']!r}, expected another attribute (RFC 4514)")
        if match["end"] in (",", ";"):
            rdns.append([])
    return der.sequence(*(der.set_of(rdn) for rdn in reversed(rdns) if rdn))


def _attribute_der(match: re.Match[str]) -> bytes:
    label = match["type"]
    dotted = label.removeprefix("OID.") if label[-1].isdigit() else _TYPES.get(label.lower())
    if dotted is None:
        raise BadName(f"attribute type {label!r} is not known; write its OID in dotted form (RFC 4514 2.3)")
    try:
        if match["hex"] is not None:
            value = bytes.fromhex(match["hex"])
            der.Reader(value).element()
            return der.sequence(der.oid(dotted), value)
        raw = match["quoted"] if match["quoted"] is not None else _trimmed(match["plain"])
        return der.sequence(der.oid(dotted), string_value(dotted, _unescape(raw)))
    except (der.DerError, UnicodeError) as error:
        raise BadName(f"value of {label} cannot be encoded: {error}") from error


def _trimmed(plain: str) -> str:
    """Return an unquoted value without the spaces at its end, of which an escaped one is no part."""
    trimmed = plain.rstrip(" ")
    backslashes = len(trimmed) - len(trimmed.rstrip("\\"))
    return trimmed + " " if backslashes % 2 else trimmed


def _unescape(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        if match[1]:
            return bytes.fromhex(match[1].replace("\\", "")).decode()
        return str(match[2])

    return _ESCAPED.sub(one, text)


def with_common_name(name: bytes, common_name: str) -> bytes:
    """Return ``name`` with one more, most specific, RDN: this commonName."""
    pair = der.sequence(der.oid("2.5.4.3"), string_value("2.5.4.3", common_name))
    return der.sequence(der.Reader(name).element(der.SEQUENCE, "Name").content, der.set_of([pair]))


def string_value(dotted: str, text: str) -> bytes:
    """Return ``text`` as the string type that RFC 5280 wants for attribute type ``dotted``."""
    if dotted in _IA5_TYPES and text.isascii():
        return der.ia5_string(text)
    if dotted in _PRINTABLE_TYPES or _PRINTABLE.fullmatch(text):
        return der.printable_string(text) if _PRINTABLE.fullmatch(text) else der.utf8_string(text)
    return der.utf8_string(text)


# -- repairing -------------------------------------------------------------------------

_OCTETS: Final = {
    der.PRINTABLE_STRING: re.compile(rb"[A-Za-z0-9 '()+,\-./:=?]*"),
    der.NUMERIC_STRING: re.compile(rb"[0-9 ]*"),
    der.IA5_STRING: re.compile(rb"[\x00-\x7F]*"),
    der.VISIBLE_STRING: re.compile(rb"[\x20-\x7E]*"),
}


def well_formed(name: bytes, rdns: Rdns) -> bytes:
    """Return ``name`` as it is, unless a value is outside the repertoire of its own string type.

    Such values (Windows puts ``@`` into PrintableString, certmonger UTF-8) become UTF8String; the
    order of everything stays. ``rdns`` is what `read_name` returned for ``name``.
    """
    if all(_in_repertoire(attribute) for rdn in rdns for attribute in rdn):
        return name
    return der.sequence(*(der.set_in_order(map(_repaired, rdn)) for rdn in rdns))


def _in_repertoire(attribute: NameAttribute) -> bool:
    if attribute.tag == der.UTF8_STRING:
        try:
            attribute.content.decode()
        except UnicodeDecodeError:
            return False
        return True
    pattern = _OCTETS.get(attribute.tag)
    return pattern is None or pattern.fullmatch(attribute.content) is not None


def _repaired(attribute: NameAttribute) -> bytes:
    if _in_repertoire(attribute):
        value = der.tlv(attribute.tag, attribute.content)
    else:
        value = der.utf8_string(attribute.text)
    return der.sequence(der.oid(attribute.type), value)
