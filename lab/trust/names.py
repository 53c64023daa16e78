"""The names and usages in certificates: GeneralNames, name constraints, and Windows' words for usages.

Lives here: reading them, and whether a name lies within a subtree (RFC 5280 4.2.1.10). Does not live
here: which certificate is bound by which constraints (`constraints`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

UPN: Final = "1.3.6.1.4.1.311.20.2.3"
_TEXT_KINDS: Final = {
    "rfc822_name": "email",
    "dns_name": "dns",
    "uniform_resource_identifier": "uri",
}
_UNSUPPORTED_KINDS: Final = {
    "x400_address": "x400Address",
    "edi_party_name": "ediPartyName",
    "registered_id": "registeredID",
}
_USAGES: Final = {
    "2.5.29.37.0": "Any Purpose",
    "1.3.6.1.5.5.7.3.1": "Server Authentication",
    "1.3.6.1.5.5.7.3.2": "Client Authentication",
    "1.3.6.1.5.5.7.3.3": "Code Signing",
    "1.3.6.1.5.5.7.3.4": "Secure Email",
    "1.3.6.1.5.5.7.3.5": "IP security end system",
    "1.3.6.1.5.5.7.3.8": "Time Stamping",
    "1.3.6.1.5.5.7.3.9": "OCSP Signing",
    "1.3.6.1.5.5.7.3.17": "iKEIntermediate",
    "1.3.6.1.5.5.8.2.2": "IP security IKE intermediate",
    "1.3.6.1.4.1.311.20.2.1": "Certificate Request Agent",
    "1.3.6.1.4.1.311.20.2.2": "Smart Card Logon",
    "1.3.6.1.4.1.311.10.3.4": "Encrypting File System",
    "1.3.6.1.5.2.3.4": "KDC Client Authentication",
}


def usage_name(oid: str) -> str:
    """Return Windows' name of an extended key usage, or nothing if it is none we know."""
    return _USAGES.get(oid, "")


def policy_name(oid: str) -> str:
    """Return Windows' name of an issuance policy, or nothing if it is none we know."""
    return {"2.5.29.32.0": "All issuance policies"}.get(oid, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneralName:
    """One GeneralName. ``kind`` is dns, email, uri, upn, ip, directory, or RFC 5280's word for others.

    ``text`` is what a person reads; ``octets`` an address as it is encoded, ``rdns`` the comparable
    forms of a directory name's parts, most significant first.
    """

    kind: str
    text: str
    octets: bytes = b""
    rdns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subtree:
    """One GeneralSubtree; RFC 5280 wants minimum 0 and no maximum."""

    base: GeneralName
    minimum: int
    maximum: int | None

    @property
    def supported(self) -> bool:
        """Whether Windows evaluates it: usual forms and UPN, without minimum and maximum."""
        usual = self.base.kind in {"dns", "email", "uri", "ip", "directory", "upn"}
        return usual and self.minimum == 0 and self.maximum is None

    def contains(self, name: GeneralName) -> bool:
        """Tell whether ``name``, which is of the same kind, lies within (RFC 5280 4.2.1.10)."""
        if self.base.kind == "directory":
            return name.rdns[: len(self.base.rdns)] == self.base.rdns
        if self.base.kind == "ip":
            return _within_network(name.octets, self.base.octets)
        return _TEXT_MATCHES[self.base.kind](name.text, self.base.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class NameConstraints:
    """A nameConstraints extension (RFC 5280 4.2.1.10)."""

    permitted: tuple[Subtree, ...]
    excluded: tuple[Subtree, ...]


def general_names(value: Any) -> tuple[GeneralName, ...]:
    """Return the names of a parsed GeneralNames; raises ValueError and its like."""
    return tuple(general_name(entry) for entry in value)


def general_name(entry: Any) -> GeneralName:
    """Return one name of asn1crypto's GeneralName."""
    kind, chosen = entry.name, entry.chosen
    if kind in _TEXT_KINDS:
        return GeneralName(kind=_TEXT_KINDS[kind], text=chosen.contents.decode("latin-1"))
    if kind == "ip_address":
        octets = bytes(chosen.contents)
        return GeneralName(kind="ip", text=octets.hex(), octets=octets)
    if kind == "directory_name":
        return directory_name(chosen)
    if kind == "other_name":
        identifier = chosen["type_id"].dotted
        if identifier == UPN:
            return GeneralName(kind="upn", text=str(chosen["value"].native))
        return GeneralName(kind=f"otherName {identifier}", text=identifier)
    return GeneralName(kind=_UNSUPPORTED_KINDS[kind], text=chosen.dump().hex())


def directory_name(name: Any) -> GeneralName:
    """Return a Name as a GeneralName."""
    rdns = tuple(rdn.hashable for rdn in name.chosen)
    return GeneralName(kind="directory", text=name.human_friendly, rdns=rdns)


def name_constraints(value: Any) -> NameConstraints:
    """Return a parsed NameConstraints.

    Raises:
        ValueError: it is empty, or an address in it has no mask (RFC 5280 4.2.1.10).

    """
    permitted, excluded = _subtrees(value["permitted_subtrees"]), _subtrees(value["excluded_subtrees"])
    if not permitted and not excluded:
        raise ValueError("nameConstraints is empty")
    for subtree in permitted + excluded:
        if subtree.base.kind == "ip" and len(subtree.base.octets) not in {8, 32}:
            raise ValueError("an address is not of 8 or 32 octets")
    return NameConstraints(permitted=permitted, excluded=excluded)


def _subtrees(value: Iterable[Any] | None) -> tuple[Subtree, ...]:
    return tuple(
        Subtree(
            base=general_name(subtree["base"]),
            minimum=subtree["minimum"].native,
            maximum=subtree["maximum"].native,
        )
        for subtree in value or ()
    )


def _within_network(address: bytes, network: bytes) -> bool:
    half = len(network) // 2
    if len(address) != half:
        return False
    return all(
        octet & mask == wanted & mask
        for octet, wanted, mask in zip(address, network[:half], network[half:], strict=True)
    )


def _within_domain(host: str, base: str) -> bool:
    """Match a dNSName: the domain itself and what is below; with a leading dot only what is below."""
    host, base = host.lower(), base.lower()
    return not base or host == base or host.endswith(base if base.startswith(".") else f".{base}")


def _host_matches(host: str, base: str) -> bool:
    """Match the host of a mailbox or URI: exactly this one, or with a leading dot any below."""
    host, base = host.lower(), base.lower()
    return host.endswith(base) and host != base if base.startswith(".") else host == base


def _mailbox_matches(mailbox: str, base: str) -> bool:
    if "@" in base.removeprefix("@"):
        (local, _, host), (wanted, _, domain) = mailbox.rpartition("@"), base.rpartition("@")
        return local == wanted and host.lower() == domain.lower()
    return _host_matches(mailbox.rpartition("@")[2], base.removeprefix("@"))


def _uri_matches(uri: str, base: str) -> bool:
    try:
        host = urlsplit(uri).hostname
    except ValueError:
        return False
    return host is not None and _host_matches(host, base)


_TEXT_MATCHES: Final = {
    "dns": _within_domain,
    "email": _mailbox_matches,
    "upn": _mailbox_matches,
    "uri": _uri_matches,
}
