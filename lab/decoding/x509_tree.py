"""Certificates, certificate requests and CRLs as trees."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from asn1crypto import core, crl, csr, x509

from ca import der, oids
from lab.trust.certificates import name_text
from lab.trust.render import serial_hex

from .tree import Node, hexadecimal
from .words import algorithm, generic, oid_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

_ENTRIES_SHOWN: Final = 20
_SHOWN_IN_LINE: Final = frozenset({"value", "bits", "usage", "keyIdentifier"})
_EXTENSION_REQUESTS: Final = frozenset(
    {oids.EXTENSION_REQUEST, oids.MICROSOFT_EXTENSION_REQUEST, oids.VERISIGN_EXTENSION_REQUEST}
)


def certificate_node(octets: bytes, label: str = "certificate") -> Node:
    """Return a certificate (RFC 5280 4.1)."""
    certificate = x509.Certificate.load(octets, strict=True)
    tbs = certificate["tbs_certificate"]
    validity = tbs["validity"]
    return Node(
        name=label,
        value=name_text(tbs["subject"]),
        children=(
            Node(name="version", value=str(int(tbs["version"]) + 1)),
            Node(name="serialNumber", value=serial_hex(tbs["serial_number"].native)),
            Node(name="issuer", value=name_text(tbs["issuer"])),
            Node(name="notBefore", value=time_text(validity["not_before"].native)),
            Node(name="notAfter", value=time_text(validity["not_after"].native)),
            Node(name="subject", value=name_text(tbs["subject"])),
            public_key_node(tbs["subject_public_key_info"]),
            *extension_nodes(tbs["extensions"]),
            algorithm(certificate["signature_algorithm"], "signatureAlgorithm"),
            Node(name="signatureValue", value=certificate["signature_value"].native.hex()),
            *_fingerprints(octets),
        ),
    )


def time_text(instant: datetime) -> str:
    """Return an instant in UTC."""
    return f"{instant:%Y-%m-%d %H:%M:%S}Z"


def reason_name(word: str) -> str:
    """Return a CRLReason (RFC 5280 5.3.1) in the RFC's spelling; ``word`` is asn1crypto's."""
    return {"ca_compromise": "cACompromise", "aa_compromise": "aACompromise"}.get(word) or _camel(word)


def _fingerprints(octets: bytes) -> Iterable[Node]:
    yield Node(name="SHA-256 fingerprint", value=hashlib.sha256(octets).hexdigest())
    yield Node(name="SHA-1 thumbprint", value=hashlib.sha1(octets, usedforsecurity=False).hexdigest())
    yield Node(name="MD5 fingerprint", value=hashlib.md5(octets, usedforsecurity=False).hexdigest())


def public_key_node(info: Any) -> Node:
    """Return a SubjectPublicKeyInfo: kind and size, the numbers it consists of, and its digest."""
    dotted = info["algorithm"]["algorithm"].dotted
    text = oid_text(dotted)
    parts: tuple[Node, ...] = (Node(name="publicKey", value=info["public_key"].contents[1:].hex()),)
    digest = Node(name="SHA-256 of the key", value=hashlib.sha256(info.dump()).hexdigest())
    if dotted == oids.RSA_ENCRYPTION:
        key = info["public_key"].parsed
        modulus, exponent = key["modulus"].native, key["public_exponent"].native
        parts = (
            Node(name="modulus", value=f"{modulus:x}"),
            Node(name="publicExponent", value=f"{exponent} (0x{exponent:x})"),
        )
        text = f"RSA {modulus.bit_length()} bits"
    elif dotted == oids.EC_PUBLIC_KEY:
        text = f"EC {oid_text(info['algorithm']['parameters'].chosen.dotted)}"
    return Node(name="subjectPublicKeyInfo", value=text, children=(*parts, digest))


def extension_nodes(extensions: Any) -> Iterable[Node]:
    """Return one node per extension; one that cannot be read is shown as its octets."""
    for extension in extensions or ():
        dotted = extension["extn_id"].dotted
        critical = "critical" if extension["critical"].native else ""
        try:
            children = tuple(_extension_value(dotted, extension["extn_value"]))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            children = (
                Node(name="unreadable", value=hexadecimal(extension["extn_value"].contents), note=str(error)),
            )
        only = children[0] if len(children) == 1 and children[0].name in _SHOWN_IN_LINE else None
        value = only.value if only is not None and not only.children else ""
        yield Node(name=oid_text(dotted), value=value, note=critical, children=() if value else children)


def _extension_value(dotted: str, value: Any) -> Iterable[Node]:
    parsed = value.parsed
    if dotted == oids.KEY_USAGE:
        yield Node(name="bits", value=", ".join(sorted(_camel(bit) for bit in parsed.native)))
    elif dotted == oids.EXTENDED_KEY_USAGE:
        yield from (Node(name="usage", value=oid_text(usage.dotted)) for usage in parsed)
    elif dotted == oids.BASIC_CONSTRAINTS:
        length = parsed["path_len_constraint"].native
        limit = "" if length is None else f", pathLenConstraint {length}"
        yield Node(name="cA", value=f"{'TRUE' if parsed['ca'].native else 'FALSE'}{limit}")
    elif dotted == oids.SUBJECT_ALT_NAME:
        yield from (general_name(name) for name in parsed)
    elif dotted == oids.SUBJECT_KEY_IDENTIFIER:
        yield Node(name="keyIdentifier", value=parsed.native.hex())
    elif dotted == oids.AUTHORITY_KEY_IDENTIFIER:
        yield from _authority_key_identifier(parsed)
    elif dotted in {oids.CRL_DISTRIBUTION_POINTS, oids.FRESHEST_CRL}:
        yield from _distribution_points(parsed)
    elif dotted == oids.AUTHORITY_INFORMATION_ACCESS:
        for access in parsed:
            located = general_name(access["access_location"])
            yield Node(name=oid_text(access["access_method"].dotted), value=located.value)
    else:
        yield generic(core.load(value.contents), "value")


def _camel(snake: str) -> str:
    first, *rest = snake.split("_")
    return first + "".join("CRL" if part == "crl" else part.capitalize() for part in rest)


def _authority_key_identifier(parsed: Any) -> Iterable[Node]:
    if parsed["key_identifier"].native is not None:
        yield Node(name="keyIdentifier", value=parsed["key_identifier"].native.hex())
    for name in parsed["authority_cert_issuer"] or ():
        yield Node(name="authorityCertIssuer", value=general_name(name).value)
    if parsed["authority_cert_serial_number"].native is not None:
        serial = parsed["authority_cert_serial_number"].native
        yield Node(name="authorityCertSerialNumber", value=serial_hex(serial))


def _distribution_points(parsed: Any) -> Iterable[Node]:
    for point in parsed:
        name = point["distribution_point"]
        if name and name.name == "full_name" and not point["reasons"] and not point["crl_issuer"]:
            yield from (general_name(entry) for entry in name.chosen)
        else:
            yield generic(core.load(point.dump()), "point")


_GENERAL_NAMES: Final = {
    "rfc822_name": "email",
    "dns_name": "DNS",
    "directory_name": "directoryName",
    "uniform_resource_identifier": "URI",
    "ip_address": "IP",
    "registered_id": "registeredID",
    "other_name": "otherName",
}


def general_name(name: Any) -> Node:
    """Return a GeneralName (RFC 5280 4.2.1.6)."""
    label = _GENERAL_NAMES.get(name.name, name.name)
    if name.name == "directory_name":
        return Node(name=label, value=name_text(name.chosen))
    if name.name == "other_name":
        other = name.chosen
        return Node(
            name=label,
            value=f"{oid_text(other['type_id'].dotted)} {generic(other['value'], 'value').value}",
        )
    if name.name in {"dns_name", "rfc822_name", "uniform_resource_identifier"}:
        return Node(name=label, value=name.chosen.contents.decode("latin-1"))  # as written, nothing undone
    return Node(name=label, value=str(name.native))


def request_node(octets: bytes, label: str = "certificate request (PKCS#10)") -> Node:
    """Return a CertificationRequest (RFC 2986)."""
    request = csr.CertificationRequest.load(octets, strict=True)
    info = request["certification_request_info"]
    return Node(
        name=label,
        value=name_text(info["subject"]) or "(empty subject)",
        children=(
            Node(name="version", value=str(int(info["version"]) + 1)),
            Node(name="subject", value=name_text(info["subject"])),
            public_key_node(info["subject_pk_info"]),
            *(_request_attribute(attribute) for attribute in info["attributes"] or ()),
            algorithm(request["signature_algorithm"], "signatureAlgorithm"),
            Node(name="signatureValue", value=request["signature"].native.hex()),
        ),
    )


def _request_attribute(attribute: Any) -> Node:
    dotted = attribute["type"].dotted
    label = oid_text(dotted)
    values = [core.load(element.raw) for element in der.one(attribute["values"].dump(), der.SET).elements()]
    if dotted == oids.CHALLENGE_PASSWORD and values:
        return Node(name=label, value=str(values[0].native), note=type(values[0]).__name__)
    if dotted in _EXTENSION_REQUESTS and values:
        asked = x509.Extensions.load(values[0].dump())
        return Node(name=label, children=tuple(extension_nodes(asked)))
    shown = tuple(generic(value, "value") for value in values)
    if len(shown) == 1 and not shown[0].children:
        return Node(name=label, value=shown[0].value, note=shown[0].note)
    return Node(name=label, children=shown)


def crl_node(octets: bytes, label: str = "certificate revocation list") -> Node:
    """Return a CRL (RFC 5280 5.1); of its entries the first twenty."""
    revocations = crl.CertificateList.load(octets, strict=True)
    tbs = revocations["tbs_cert_list"]
    entries = tbs["revoked_certificates"]
    count = len(entries) if entries else 0
    next_update = tbs["next_update"].native
    return Node(
        name=label,
        value=name_text(tbs["issuer"]),
        children=(
            Node(name="version", value=str(int(tbs["version"]) + 1) if tbs["version"] else "1"),
            Node(name="issuer", value=name_text(tbs["issuer"])),
            Node(name="thisUpdate", value=time_text(tbs["this_update"].native)),
            Node(name="nextUpdate", value=time_text(next_update) if next_update else "(none)"),
            *extension_nodes(tbs["crl_extensions"]),
            Node(name="revokedCertificates", value=str(count), children=tuple(_entries(entries, count))),
            algorithm(revocations["signature_algorithm"], "signatureAlgorithm"),
            Node(name="signatureValue", value=revocations["signature"].native.hex()),
            *_fingerprints(octets),
        ),
    )


def _entries(entries: Any, count: int) -> Iterable[Node]:
    for index in range(min(count, _ENTRIES_SHOWN)):
        entry = entries[index]
        extensions = [
            extension
            for extension in entry["crl_entry_extensions"] or ()
            if extension["extn_id"].dotted != oids.REASON_CODE
        ]
        yield Node(
            name=serial_hex(entry["user_certificate"].native),
            value=time_text(entry["revocation_date"].native),
            note=reason_name(entry.crl_reason_value.native) if entry.crl_reason_value else "",
            children=tuple(extension_nodes(extensions)),
        )
    if count > _ENTRIES_SHOWN:
        yield Node(name=f"... and {count - _ENTRIES_SHOWN} more")
