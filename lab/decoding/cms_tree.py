"""CMS and SCEP messages as trees (RFC 5652, RFC 8894 3)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from asn1crypto import cms, core

from ca import der
from lab.hresults import hresult
from lab.trust.certificates import UnreadableCertificate, X509Certificate, name_text
from lab.trust.render import serial_hex
from lab.trust.signatures import verify_signature
from scep_server.protocol.messages import FailInfo, MessageType, PkiStatus

from .opening import CannotOpen, EnvelopeKeys, open_enveloped_data
from .tree import Node, hexadecimal
from .words import SCEP, SCEP_ATTRIBUTES, algorithm, generic, oid_name, oid_text
from .x509_tree import certificate_node, crl_node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Explain = Callable[[bytes], Node]

_WORDS: Final = {
    SCEP + "2": {str(member.value): member.rfc_name for member in MessageType},
    SCEP + "3": {str(member.value): member.rfc_name for member in PkiStatus},
    SCEP + "4": {str(member.value): member.rfc_name for member in FailInfo},
}
_HASH_NAMES: Final = {
    "1.2.840.113549.2.5": "md5",
    "1.3.14.3.2.26": "sha1",
    "2.16.840.1.101.3.4.2.4": "sha224",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
_RSA_WITH: Final = {"md5": "4", "sha1": "5", "sha224": "14", "sha256": "11", "sha384": "12", "sha512": "13"}


def content_info_node(encoded: bytes, keys: EnvelopeKeys, explain: Explain) -> Node:
    """Return a ContentInfo; ``explain`` turns nested octets into a node."""
    info = cms.ContentInfo.load(encoded, strict=True)
    dotted = info["content_type"].dotted
    if dotted == "1.2.840.113549.1.7.2":
        return _signed_data(info["content"], explain)
    if dotted == "1.2.840.113549.1.7.3":
        return _enveloped_data(info["content"], keys, explain)
    children = () if not info["content"] else (generic(core.load(info["content"].dump()), "content"),)
    return Node(name="ContentInfo", value=oid_text(dotted), children=children)


def _signed_data(signed: Any, explain: Explain) -> Node:
    signers = list(signed["signer_infos"])
    certificates = [choice.chosen.dump() for choice in signed["certificates"] or ()]
    crls = [choice.chosen.dump() for choice in signed["crls"] or ()]
    attributes = {attribute["type"].dotted: attribute for attribute in _signed_attributes(signers)}
    encapsulated = signed["encap_content_info"]
    return Node(
        name=_title(attributes, signers),
        children=(
            Node(name="version", value=str(int(signed["version"]))),
            *(algorithm(identifier, "digestAlgorithm") for identifier in signed["digest_algorithms"]),
            _content(encapsulated, explain),
            *(_or_unreadable(certificate_node, octets, "certificate") for octets in certificates),
            *(_or_unreadable(crl_node, octets, "CRL") for octets in crls),
            *(_signer(signer, encapsulated, certificates) for signer in signers),
        ),
    )


def _or_unreadable(make: Callable[[bytes, str], Node], octets: bytes, label: str) -> Node:
    try:
        return make(octets, label)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return Node(name=label, value=hexadecimal(octets, 64), note=f"unreadable: {error}")


def _title(attributes: dict[str, Any], signers: list[Any]) -> str:
    if SCEP + "7" in attributes or SCEP + "2" in attributes:
        kind = _scep_value(SCEP + "2", attributes.get(SCEP + "2"))
        return f"SCEP pkiMessage: {kind}" if kind else "SCEP pkiMessage"
    return "SignedData" if signers else "SignedData, degenerate (certificates and CRLs only)"


def _signed_attributes(signers: list[Any]) -> Iterable[Any]:
    for signer in signers:
        yield from signer["signed_attrs"] or ()


def _content(encapsulated: Any, explain: Explain) -> Node:
    kind = oid_text(encapsulated["content_type"].dotted)
    octets = _content_octets(encapsulated)
    if octets is None:
        return Node(name="content", value=kind, note="absent")
    if octets in {b"", b"\x00"}:
        return Node(name="content", value=kind, note=f"{len(octets)} octets: no envelope (RFC 8894 3.3.2)")
    return Node(name="content", value=kind, children=(explain(octets),))


def _content_octets(encapsulated: Any) -> bytes | None:
    content = encapsulated["content"]
    if isinstance(content, core.Void):
        return None
    native = content.native
    return native if isinstance(native, bytes) else content.parsed.dump()


def _signer(signer: Any, encapsulated: Any, certificates: list[bytes]) -> Node:
    unsigned = signer["unsigned_attrs"]
    return Node(
        name="signerInfo",
        children=(
            Node(name="version", value=str(int(signer["version"]))),
            _identifier(signer["sid"], "sid"),
            algorithm(signer["digest_algorithm"], "digestAlgorithm"),
            *(_attribute(attribute) for attribute in signer["signed_attrs"] or ()),
            algorithm(signer["signature_algorithm"], "signatureAlgorithm"),
            _signature(signer, encapsulated, certificates),
            *((Node(name="unsignedAttrs", value=str(len(unsigned))),) if unsigned else ()),
        ),
    )


def _identifier(choice: Any, label: str) -> Node:
    if choice.name == "issuer_and_serial_number":
        chosen = choice.chosen
        return Node(
            name=label,
            value=f"{name_text(chosen['issuer'])}, serial {serial_hex(chosen['serial_number'].native)}",
        )
    return Node(name=label, value=f"subjectKeyIdentifier {choice.chosen.native.hex()}")


def _attribute(attribute: Any) -> Node:
    dotted = attribute["type"].dotted
    label = SCEP_ATTRIBUTES.get(dotted) or oid_text(dotted)
    values = list(attribute["values"])
    if len(values) != 1:
        shown = tuple(generic(core.load(value.dump()), "value") for value in values)
        return Node(name=label, note=f"{len(values)} values, expected 1", children=shown)
    value = core.load(values[0].dump())
    if dotted in SCEP_ATTRIBUTES:
        return Node(name=label, value=_scep_value(dotted, attribute), note=type(value).__name__)
    if dotted in {"1.3.6.1.4.1.311.21.33", "1.3.6.1.4.1.311.21.38"}:
        return Node(name=label, value=str(value.native), note=_hresult_note(str(value.native)))
    return generic(value, label)


def _hresult_note(text: str) -> str:
    try:
        return str(hresult(int(text)))
    except ValueError:
        return ""


def _scep_value(dotted: str, attribute: Any) -> str:
    if attribute is None or len(attribute["values"]) != 1:
        return ""
    native = core.load(attribute["values"][0].dump()).native
    if isinstance(native, bytes):
        return native.hex()
    words = _WORDS.get(dotted)
    if words is None:
        return str(native)
    word = words.get(str(native))
    return f"{word} ({native})" if word else f"{native} (not defined by RFC 8894 3.2.1)"


def _signature(signer: Any, encapsulated: Any, certificates: list[bytes]) -> Node:
    octets = signer["signature"].native
    note = _signature_verdict(signer, encapsulated, certificates)
    return Node(name="signature", value=f"{len(octets)} octets", note=note, children=(_octets(octets),))


def _octets(octets: bytes) -> Node:
    return Node(name="octets", value=hexadecimal(octets))


def _signature_verdict(signer: Any, encapsulated: Any, certificates: list[bytes]) -> str:
    """Return what is to be said of a signature."""
    certificate = _signing_certificate(signer["sid"], certificates)
    if certificate is None:
        return "the signer's certificate is not in the message"
    hash_name = _HASH_NAMES.get(signer["digest_algorithm"]["algorithm"].dotted)
    if hash_name is None:
        return "its digest is unknown, so it was not verified"
    content = _content_octets(encapsulated) or b""
    attributes = signer["signed_attrs"]
    note = ""
    signed = content
    if attributes:
        signed = b"\x31" + attributes.dump()[1:]
        found = next((a for a in attributes if oid_name(a["type"].dotted) == "messageDigest"), None)
        digest = hashlib.new(hash_name, content, usedforsecurity=False).digest()
        right = found is not None and len(found["values"]) == 1 and found["values"][0].native == digest
        note = "messageDigest fits" if right else "messageDigest does NOT fit the content"
    verdict = verify_signature(
        public_key_der=certificate.public_key_der,
        algorithm_der=_full_algorithm(signer, hash_name),
        signature=signer["signature"].native,
        data=signed,
    )
    words = f"{verdict.value} under the key of {certificate.subject}"
    return f"{words}; {note}" if note else words


def _full_algorithm(signer: Any, hash_name: str) -> bytes:
    """Return an algorithm that names its digest, where SignerInfo has plain rsaEncryption."""
    identifier = signer["signature_algorithm"]
    if identifier["algorithm"].dotted == "1.2.840.113549.1.1.1":
        return der.sequence(der.oid(f"1.2.840.113549.1.1.{_RSA_WITH[hash_name]}"), der.null())
    return identifier.dump()  # type: ignore[no-any-return]


def _signing_certificate(sid: Any, certificates: list[bytes]) -> X509Certificate | None:
    for octets in certificates:
        try:
            certificate = X509Certificate.read(octets)
        except UnreadableCertificate:
            continue
        if sid.name == "issuer_and_serial_number":
            chosen = sid.chosen
            wanted = (chosen["issuer"].hashable, chosen["serial_number"].native)
            if wanted == (certificate.issuer_key, certificate.serial_number):
                return certificate
        elif sid.chosen.native == certificate.subject_key_id:
            return certificate
    return None


def _enveloped_data(enveloped: Any, keys: EnvelopeKeys, explain: Explain) -> Node:
    info = enveloped["encrypted_content_info"]
    ciphertext = info["encrypted_content"].native
    return Node(
        name="EnvelopedData",
        children=(
            Node(name="version", value=str(int(enveloped["version"]))),
            *(_recipient(recipient) for recipient in enveloped["recipient_infos"]),
            Node(name="contentType", value=oid_text(info["content_type"].dotted)),
            algorithm(info["content_encryption_algorithm"], "contentEncryptionAlgorithm"),
            Node(name="encryptedContent", value=f"{len(ciphertext or b'')} octets"),
            _plaintext(enveloped, keys, explain),
        ),
    )


def _recipient(recipient: Any) -> Node:
    chosen = recipient.chosen
    if recipient.name == "ktri":
        return Node(
            name="KeyTransRecipientInfo",
            children=(
                Node(name="version", value=str(int(chosen["version"]))),
                _identifier(chosen["rid"], "rid"),
                algorithm(chosen["key_encryption_algorithm"], "keyEncryptionAlgorithm"),
                _encrypted_key(chosen),
            ),
        )
    if recipient.name == "pwri":
        return Node(
            name="PasswordRecipientInfo",
            children=(
                Node(name="version", value=str(int(chosen["version"]))),
                algorithm(chosen["key_derivation_algorithm"], "keyDerivationAlgorithm"),
                algorithm(chosen["key_encryption_algorithm"], "keyEncryptionAlgorithm"),
                _encrypted_key(chosen),
            ),
        )
    return Node(name=f"RecipientInfo {recipient.name}")


def _encrypted_key(chosen: Any) -> Node:
    octets = chosen["encrypted_key"].native
    return Node(name="encryptedKey", value=f"{len(octets)} octets", children=(_octets(octets),))


def _plaintext(enveloped: Any, keys: EnvelopeKeys, explain: Explain) -> Node:
    if not keys:
        return Node(name="plaintext", note="not opened: no key was given")
    try:
        octets, how = open_enveloped_data(enveloped, keys)
    except CannotOpen as error:
        return Node(name="plaintext", note=f"not opened: {error}")
    return Node(name="plaintext", note=how, children=(explain(octets),))
