"""How two decoded messages differ: attribute by attribute, leaving out what differs in any two.

Compared are the trees of `lab.decoding`. Children are matched by name, the first of a name with the first,
so that what only one side has is told as such. Of what is new in every message only the shape of nonces,
transactionIDs and challenge passwords is compared, and the size of ciphertexts; keys, signatures, digests,
serial numbers and times are not.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from lab.decoding import Node

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Kind = Literal["differs", "only-left", "only-right", "order"]
_PKI_MESSAGE: Final = "SCEP pkiMessage"
_SHAPED: Final = frozenset({"senderNonce", "recipientNonce", "nonce", "randomNonce", "transactionID"})
_FRESH: Final = frozenset(
    {
        *("octets", "messageDigest", "signatureValue", "modulus", "publicKey", "SHA-256 of the key"),
        *("SHA-256 fingerprint", "SHA-1 thumbprint", "MD5 fingerprint", "serialNumber"),
        *("subjectKeyIdentifier", "authorityKeyIdentifier", "keyIdentifier"),
        *("issuerNameHash", "issuerKeyHash", "cRLNumber"),
        *("signingTime", "notBefore", "notAfter", "thisUpdate", "nextUpdate", "producedAt", "revocationTime"),
        *("Date", "Content-Length", "Host"),
    }
)
_SERIAL: Final = re.compile(r"(?<=, serial )[0-9a-f]+")
_VECTOR: Final = re.compile(r"(?<=parameters )[0-9a-f]{8,}")
_SIGNER: Final = re.compile(r" under the key of [^;]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One difference: where, of what kind, and what either side has; None where it has nothing."""

    path: tuple[str, ...]
    kind: Kind
    left: str | None
    right: str | None

    @property
    def place(self) -> str:
        """Return the path as text."""
        return " > ".join(self.path)


def compare(
    left: Sequence[Node], right: Sequence[Node], *, everything: bool = False
) -> tuple[Difference, ...]:
    """Return how two lists of trees differ, in reading order; ``everything``: in fresh values, too."""
    one, other = (Node(name="", children=tuple(trees)) for trees in (left, right))
    return tuple(_differences(one, other, (), everything=everything))


def _differences(left: Node, right: Node, path: tuple[str, ...], *, everything: bool) -> Iterator[Difference]:
    ours, theirs = (_shown(node, everything=everything) for node in (left, right))
    if ours != theirs:
        yield Difference(path=path, kind="differs", left=ours, right=theirs)
    matched, order = _matched(left.children, right.children)
    if order:
        yield Difference(path=path, kind="order", left=order[0], right=order[1])
    for name, one, other in matched:
        inner = (*path, name)
        if one is not None and other is not None:
            yield from _differences(one, other, inner, everything=everything)
        elif one is not None:
            yield Difference(path=inner, kind="only-left", left=_summary(one, everything), right=None)
        elif other is not None:
            yield Difference(path=inner, kind="only-right", left=None, right=_summary(other, everything))


_Pair = tuple[str, Node | None, Node | None]


def _matched(left: Sequence[Node], right: Sequence[Node]) -> tuple[list[_Pair], tuple[str, str] | None]:
    """Return children in pairs, and both orders where the same names come in another one."""
    ours, theirs = _numbered(left), _numbered(right)
    pairs: list[_Pair] = [(name, node, theirs.get(name)) for name, node in ours.items()]
    pairs += [(name, None, node) for name, node in theirs.items() if name not in ours]
    common = [[name for name in one if name in other] for one, other in ((ours, theirs), (theirs, ours))]
    order = None if common[0] == common[1] else (", ".join(common[0]), ", ".join(common[1]))
    return pairs, order


def _numbered(nodes: Sequence[Node]) -> dict[str, Node]:
    """Return nodes by name, the second and further of a name with a number."""
    seen: Counter[str] = Counter()
    found = {}
    for node in nodes:
        name = _plain(node.name)
        seen[name] += 1
        found[name if seen[name] == 1 else f"{name} [{seen[name]}]"] = node
    return found


def _plain(name: str) -> str:
    """Return a node's name without the object identifier behind it; all pkiMessages have one name."""
    if name.startswith(_PKI_MESSAGE):
        return _PKI_MESSAGE
    word, _, number = name.rpartition(" ")
    return word if word and re.fullmatch(r"\d+(?:\.\d+)+", number) else name


def _shown(node: Node, *, everything: bool) -> str:
    """Return what is compared of a node itself: value and note."""
    name, value, note = _plain(node.name), node.value, node.note
    if name == _PKI_MESSAGE:
        value = node.name.partition(": ")[2]
    if name == "plaintext":
        note = ""  # says how it was opened
    if not everything:
        if name in _FRESH:
            value = ""
        elif name in _SHAPED:
            value = shape(value)
        elif name == "challengePassword":  # which may have been blanked on one side
            value = f"{len(value)} characters"
        value = _SERIAL.sub("...", value)
        note = _SIGNER.sub("", _VECTOR.sub(lambda found: shape(found[0]), note))
    return f"{value} ({note})" if note and value else value or (f"({note})" if note else "")


def _summary(node: Node, everything: bool) -> str:
    """Return a node that only one side has in a line: itself, and the names below it."""
    shown = _shown(node, everything=everything)
    below = ", ".join(_plain(child.name) for child in node.children)
    return f"{shown} [{below}]" if below and shown else shown or below or "present"


def shape(value: str) -> str:
    """Return what stays the same from message to message of a value that is new in each."""
    if re.fullmatch(r"[0-9]+", value):
        return "decimal digits"
    for pattern, word in ((r"[0-9a-f]+", "hex"), (r"[0-9A-F]+", "upper-case hex")):
        if re.fullmatch(pattern, value) and len(value) % 2 == 0:
            return f"{len(value) // 2} octets in {word}"
    return f"{len(value)} characters"
