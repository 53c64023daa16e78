"""What a CA grants of a request: its subject, its alternative names, its extensions.

Everything a client can put into a request is a wish. The subject is taken as it is or refused; the
rest is granted by the template or it is not. Does not live here: keys and validity (`ca.authority`).
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final

from . import der, extensions, names, oids
from .errors import BadRequestSubject, SubjectAltNameRequired, UnacceptableExtension

if TYPE_CHECKING:
    from .extensions import Extension, GeneralName
    from .names import NameAttribute
    from .pkcs10 import CertificateRequest
    from .templates import Template

MAXIMUM_RDNS: Final = 32
MAXIMUM_ALTERNATIVE_NAMES: Final = 100

# Upper bounds of X.520 and PKCS#9 (RFC 5280 A.1, RFC 2985 A); AD CS enforces them by default.
_UPPER_BOUNDS: Final = {
    "2.5.4.3": 64,
    "2.5.4.5": 64,
    "2.5.4.6": 2,
    "2.5.4.7": 128,
    "2.5.4.8": 128,
    "2.5.4.9": 128,
    "2.5.4.10": 64,
    "2.5.4.11": 64,
    "2.5.4.12": 64,
    "2.5.4.17": 40,
    "2.5.4.65": 128,
    "1.2.840.113549.1.9.1": 255,
    "1.2.840.113549.1.9.2": 255,
    "1.2.840.113549.1.9.8": 255,
}
_OTHER_BOUND: Final = 1024
_UNENFORCED_BOUND: Final = 8192

# Critical extensions that this CA understands: it grants or replaces them, and so may ignore the wish.
_UNDERSTOOD: Final = frozenset(
    {
        oids.KEY_USAGE,
        oids.EXTENDED_KEY_USAGE,
        oids.BASIC_CONSTRAINTS,
        oids.SUBJECT_ALT_NAME,
        oids.SUBJECT_KEY_IDENTIFIER,
        oids.AUTHORITY_KEY_IDENTIFIER,
        oids.CRL_DISTRIBUTION_POINTS,
        oids.FRESHEST_CRL,
        oids.AUTHORITY_INFORMATION_ACCESS,
        oids.CERTIFICATE_POLICIES,
        oids.OCSP_NO_CHECK,
        oids.MS_TEMPLATE,
        oids.MS_TEMPLATE_NAME,
        oids.MS_APPLICATION_POLICIES,
        oids.MS_SID,
        "2.5.29.30",
        "2.5.29.33",
        "2.5.29.36",
        "2.5.29.54",
    }
)


def grant_subject(request: CertificateRequest, *, enforce_lengths: bool) -> bytes:
    """Return the subject of the certificate: the request's, octet for octet.

    Only a value outside the repertoire of its own string type becomes UTF8String.

    Raises:
        BadRequestSubject: empty, over-long, or with characters that hide what they say.

    """
    rdns = request.subject_rdns
    if not rdns:
        raise BadRequestSubject("the request has an empty subject")
    if len(rdns) > MAXIMUM_RDNS:
        raise BadRequestSubject(f"the subject has {len(rdns)} RDNs, expected at most {MAXIMUM_RDNS}")
    for rdn in rdns:
        if len(rdn) > MAXIMUM_RDNS:
            raise BadRequestSubject(f"an RDN has {len(rdn)} attributes, expected at most {MAXIMUM_RDNS}")
        for attribute in rdn:
            _check_attribute(attribute, enforce_lengths=enforce_lengths)
    return names.well_formed(request.subject_der, rdns)


def _check_attribute(attribute: NameAttribute, *, enforce_lengths: bool) -> None:
    label, text = attribute.label, attribute.text
    if not attribute.content:
        raise BadRequestSubject(f"subject attribute {label} is empty")
    if not names.is_string(attribute.tag):
        raise BadRequestSubject(f"subject attribute {label} has tag 0x{attribute.tag:02X}, expected a string")
    if attribute.tag == der.UTF8_STRING and attribute.content != text.encode(errors="surrogatepass"):
        raise BadRequestSubject(f"subject attribute {label} is a UTF8String that is not UTF-8 (RFC 3629)")
    bound = _UPPER_BOUNDS.get(attribute.type, _OTHER_BOUND) if enforce_lengths else _UNENFORCED_BOUND
    if len(text) > bound:
        raise BadRequestSubject(
            f"subject attribute {label} has {len(text)} characters, expected at most {bound} (X.520)"
        )
    if enforce_lengths and attribute.type == "2.5.4.6" and len(text) != 2:
        raise BadRequestSubject(f"subject attribute C has {len(text)} characters, expected 2 (ISO 3166)")
    if not text.isascii() or not text.isprintable():
        _check_characters(label, text)


def _check_characters(label: str, text: str) -> None:
    for character in text:
        category = unicodedata.category(character)
        if category in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(character) in _DIRECTIONS:
            raise BadRequestSubject(
                f"subject attribute {label} has character U+{ord(character):04X}, which hides what it says"
            )


_DIRECTIONS: Final = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


def grant_extensions(
    request: CertificateRequest, template: Template
) -> tuple[tuple[Extension, ...], tuple[str, ...]]:
    """Return the extensions granted from the request, and what was dropped, in plain words.

    Raises:
        UnacceptableExtension: an alternative name the template refuses, or a critical extension
            that is neither understood nor granted.
        SubjectAltNameRequired: the template wants an alternative name, and none is granted.

    """
    granted: list[Extension] = []
    dropped: list[str] = []
    alternative_name: Extension | None = None
    for extension in request.extensions:
        if extension.oid == oids.SUBJECT_ALT_NAME:
            alternative_name = _alternative_names(extension, template, dropped)
        elif extension.oid in template.extensions.from_request:
            granted.append(extension)
        elif extension.critical and extension.oid not in _UNDERSTOOD:
            raise UnacceptableExtension(
                f"the request has critical extension {extension.oid}, which this CA does not know"
            )
        else:
            dropped.append(f"extension {extension.oid}")
    if alternative_name is not None:
        granted.append(alternative_name)
    elif template.subject_name.alternative_name_required:
        raise SubjectAltNameRequired(f"template {template.name} wants a subjectAltName, none was granted")
    return tuple(granted), tuple(dropped)


def _alternative_names(extension: Extension, template: Template, dropped: list[str]) -> Extension | None:
    wanted = extensions.read_general_names(extension.value)
    if len(wanted) > MAXIMUM_ALTERNATIVE_NAMES:
        raise UnacceptableExtension(
            f"subjectAltName has {len(wanted)} names, expected at most {MAXIMUM_ALTERNATIVE_NAMES}"
        )
    rules = template.subject_name
    granted = [name for name in wanted if rules.grants(name)]
    if len(granted) == len(wanted):
        return extension if not extension.critical else extensions.subject_alt_name(granted)
    refused = [name for name in wanted if name not in granted]
    if rules.other_alternative_names == "refuse":
        raise UnacceptableExtension(
            f"template {template.name} does not grant the {refused[0].kind} name in subjectAltName"
        )
    dropped += [f"{name.kind} name in subjectAltName" for name in refused]
    return extensions.subject_alt_name(_without_copies(granted)) if granted else None


def _without_copies(granted: list[GeneralName]) -> list[GeneralName]:
    return list(dict.fromkeys(granted))
