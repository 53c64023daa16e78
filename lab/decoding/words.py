"""Words for object identifiers, beyond those asn1crypto has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lab.trust.names import usage_name

from .tree import Node, hexadecimal

if TYPE_CHECKING:
    from asn1crypto.core import Asn1Value

SCEP: Final = "2.16.840.1.113733.1.9."
SCEP_ATTRIBUTES: Final = {
    SCEP + "2": "messageType",
    SCEP + "3": "pkiStatus",
    SCEP + "4": "failInfo",
    SCEP + "5": "senderNonce",
    SCEP + "6": "recipientNonce",
    SCEP + "7": "transactionID",
    SCEP + "8": "extensionReq (VeriSign)",
    "1.3.6.1.5.5.7.24.1": "failInfoText",
}
_NAMES: Final = {
    **SCEP_ATTRIBUTES,
    "1.2.840.113549.1.1.1": "rsaEncryption",
    "1.2.840.113549.1.1.4": "md5WithRSAEncryption",
    "1.2.840.113549.1.1.5": "sha1WithRSAEncryption",
    "1.2.840.113549.1.1.7": "RSAES-OAEP",
    "1.2.840.113549.1.1.10": "RSASSA-PSS",
    "1.2.840.113549.1.1.11": "sha256WithRSAEncryption",
    "1.2.840.113549.1.1.12": "sha384WithRSAEncryption",
    "1.2.840.113549.1.1.13": "sha512WithRSAEncryption",
    "1.2.840.10045.2.1": "ecPublicKey",
    "1.2.840.10045.4.3.2": "ecdsa-with-SHA256",
    "1.2.840.10045.4.3.3": "ecdsa-with-SHA384",
    "1.2.840.10045.4.3.4": "ecdsa-with-SHA512",
    "1.2.840.10045.3.1.7": "P-256",
    "1.3.132.0.34": "P-384",
    "1.3.101.112": "Ed25519",
    "1.2.840.113549.2.5": "MD5",
    "1.3.14.3.2.26": "SHA-1",
    "2.16.840.1.101.3.4.2.1": "SHA-256",
    "2.16.840.1.101.3.4.2.2": "SHA-384",
    "2.16.840.1.101.3.4.2.3": "SHA-512",
    "2.16.840.1.101.3.4.2.4": "SHA-224",
    "1.3.14.3.2.7": "DES-CBC",
    "1.2.840.113549.3.7": "DES-EDE3-CBC",
    "2.16.840.1.101.3.4.1.2": "AES-128-CBC",
    "2.16.840.1.101.3.4.1.22": "AES-192-CBC",
    "2.16.840.1.101.3.4.1.42": "AES-256-CBC",
    "1.2.840.113549.1.5.12": "PBKDF2",
    "1.2.840.113549.1.9.16.3.9": "PWRI-KEK",
    "1.2.840.113549.1.7.1": "data",
    "1.2.840.113549.1.7.2": "signedData",
    "1.2.840.113549.1.7.3": "envelopedData",
    "1.2.840.113549.1.7.6": "encryptedData",
    "1.2.840.113549.1.9.2": "unstructuredName",
    "1.2.840.113549.1.9.3": "contentType",
    "1.2.840.113549.1.9.4": "messageDigest",
    "1.2.840.113549.1.9.5": "signingTime",
    "1.2.840.113549.1.9.7": "challengePassword",
    "1.2.840.113549.1.9.14": "extensionRequest",
    "1.2.840.113549.1.9.20": "friendlyName",
    "1.2.840.113549.1.9.25.3": "randomNonce",
    "1.2.840.113549.1.9.52": "CMSAlgorithmProtection",
    "2.5.29.9": "subjectDirectoryAttributes",
    "2.5.29.14": "subjectKeyIdentifier",
    "2.5.29.15": "keyUsage",
    "2.5.29.17": "subjectAltName",
    "2.5.29.18": "issuerAltName",
    "2.5.29.19": "basicConstraints",
    "2.5.29.20": "cRLNumber",
    "2.5.29.21": "reasonCode",
    "2.5.29.24": "invalidityDate",
    "2.5.29.27": "deltaCRLIndicator",
    "2.5.29.28": "issuingDistributionPoint",
    "2.5.29.29": "certificateIssuer",
    "2.5.29.30": "nameConstraints",
    "2.5.29.31": "cRLDistributionPoints",
    "2.5.29.32": "certificatePolicies",
    "2.5.29.33": "policyMappings",
    "2.5.29.35": "authorityKeyIdentifier",
    "2.5.29.36": "policyConstraints",
    "2.5.29.37": "extKeyUsage",
    "2.5.29.46": "freshestCRL",
    "2.5.29.54": "inhibitAnyPolicy",
    "1.3.6.1.5.5.7.1.1": "authorityInfoAccess",
    "1.3.6.1.5.5.7.48.1": "OCSP",
    "1.3.6.1.5.5.7.48.2": "caIssuers",
    "1.3.6.1.5.5.7.48.1.5": "OCSP no check",
    "1.3.6.1.4.1.311.2.1.14": "extensionRequest (Microsoft)",
    "1.3.6.1.4.1.311.13.2.1": "enrollment name value pair (Microsoft)",
    "1.3.6.1.4.1.311.13.2.2": "enrollment CSP (Microsoft)",
    "1.3.6.1.4.1.311.13.2.3": "OS version (Microsoft)",
    "1.3.6.1.4.1.311.20.2": "certificate template name (Microsoft)",
    "1.3.6.1.4.1.311.21.1": "CA version (Microsoft)",
    "1.3.6.1.4.1.311.21.2": "previous CA certificate hash (Microsoft)",
    "1.3.6.1.4.1.311.21.3": "virtual base CRL number (Microsoft)",
    "1.3.6.1.4.1.311.21.4": "next CRL publish (Microsoft)",
    "1.3.6.1.4.1.311.21.7": "certificate template (Microsoft)",
    "1.3.6.1.4.1.311.21.10": "application policies (Microsoft)",
    "1.3.6.1.4.1.311.21.14": "published CRL locations (Microsoft)",
    "1.3.6.1.4.1.311.21.20": "client information (Microsoft)",
    "1.3.6.1.4.1.311.21.33": "HRESULT of the CA (Microsoft)",
    "1.3.6.1.4.1.311.21.38": "text of the CA (Microsoft)",
    "1.3.6.1.4.1.311.20.2.3": "userPrincipalName (Microsoft)",
    "1.3.6.1.4.1.311.25.2": "security identifier (Microsoft)",
}


def oid_name(dotted: str) -> str:
    """Return the name of an object identifier, or nothing if it is none we know."""
    return _NAMES.get(dotted) or usage_name(dotted)


def oid_text(dotted: str) -> str:
    """Return name and number, or the number alone."""
    name = oid_name(dotted)
    return f"{name} {dotted}" if name else dotted


def algorithm(identifier: Any, label: str) -> Node:
    """Return an AlgorithmIdentifier; parameters are shown where they say something."""
    dotted = identifier["algorithm"].dotted
    parameters = identifier["parameters"]
    value = parameters.native if parameters else None
    children = tuple(_parameters(value)) if isinstance(value, dict) else ()
    note = f"parameters {hexadecimal(value)}" if isinstance(value, bytes) else ""
    if isinstance(value, str):
        note = value
    return Node(name=label, value=oid_text(dotted), note=note, children=children)


def _parameters(value: dict[str, Any]) -> list[Node]:
    return [Node(name=key, value=_native_text(item)) for key, item in value.items() if item is not None]


def _native_text(value: Any) -> str:
    if isinstance(value, bytes):
        return hexadecimal(value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {_native_text(item)}" for key, item in value.items() if item is not None)
    return str(value)


def generic(value: Asn1Value, label: str) -> Node:
    """Return any value as what its tags say: for what no schema is known."""
    from asn1crypto import core

    if isinstance(value, core.Any):
        value = value.parse()
    if isinstance(value, core.Sequence | core.Set | core.SequenceOf | core.SetOf):
        return _generic_constructed(value.dump(), label)
    if isinstance(value, core.ObjectIdentifier):
        return Node(name=label, value=oid_text(value.dotted))
    native = value.native
    text = _native_text(native) if native is not None else "NULL"
    return Node(name=label, value=text, note=type(value).__name__)


def _generic_constructed(encoded: bytes, label: str) -> Node:
    from asn1crypto import core, parser

    content = parser.parse(encoded)[4]
    children = []
    while content:
        _, _, _, header, inner, trailer = parser.parse(content)
        whole = header + inner + trailer
        children.append(generic(core.load(whole), "item"))
        content = content[len(whole) :]
    return Node(name=label, children=tuple(children))
