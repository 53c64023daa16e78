"""OCSP requests and responses as trees (RFC 6960 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from asn1crypto import core, ocsp

from lab.trust.certificates import name_text
from lab.trust.render import serial_hex

from .tree import Node, hexadecimal
from .words import algorithm, generic, oid_text
from .x509_tree import certificate_node, extension_nodes, reason_name, time_text

if TYPE_CHECKING:
    from collections.abc import Iterable

_STATUS: Final = {
    0: "successful",
    1: "malformedRequest",
    2: "internalError",
    3: "tryLater",
    5: "sigRequired",
    6: "unauthorized",
}
_NONCE: Final = "1.3.6.1.5.5.7.48.1.2"


def ocsp_request_node(der: bytes) -> Node:
    """Return an OCSPRequest (RFC 6960 4.1.1)."""
    request = ocsp.OCSPRequest.load(der, strict=True)
    tbs = request["tbs_request"]
    requestor = tbs["requestor_name"]
    return Node(
        name="OCSP request",
        children=(
            Node(name="version", value=str(int(tbs["version"]) + 1)),
            *(() if not requestor else (generic(core.load(requestor.chosen.dump()), "requestorName"),)),
            *(_single_request(single) for single in tbs["request_list"]),
            *_extensions(tbs["request_extensions"]),
            *_optional_signature(request["optional_signature"]),
        ),
    )


def _single_request(single: Any) -> Node:
    return Node(
        name="request",
        children=(_cert_id(single["req_cert"]), *_extensions(single["single_request_extensions"])),
    )


def _cert_id(cert_id: Any) -> Node:
    return Node(
        name="certID",
        children=(
            algorithm(cert_id["hash_algorithm"], "hashAlgorithm"),
            Node(name="issuerNameHash", value=cert_id["issuer_name_hash"].native.hex()),
            Node(name="issuerKeyHash", value=cert_id["issuer_key_hash"].native.hex()),
            Node(name="serialNumber", value=serial_hex(cert_id["serial_number"].native)),
        ),
    )


def _optional_signature(signature: Any) -> Iterable[Node]:
    if signature:
        yield algorithm(signature["signature_algorithm"], "signatureAlgorithm")
        for certificate in signature["certs"] or ():
            yield certificate_node(certificate.dump())


def _extensions(extensions: Any) -> Iterable[Node]:
    """Yield extensions; the nonce as octets, with or without the OCTET STRING of RFC 9654 around it."""
    for extension in extensions or ():
        dotted = extension["extn_id"].dotted
        octets = extension["extn_value"].contents
        if dotted == _NONCE:
            inner = octets[2:] if octets[:2] == bytes([4, len(octets) - 2 & 0xFF]) else octets
            note = "" if len(inner) != len(octets) else "no OCTET STRING (RFC 9654 2.1)"
            yield Node(name="nonce", value=inner.hex(), note=note)
        else:
            yield from extension_nodes([extension])


def ocsp_response_node(der: bytes) -> Node:
    """Return an OCSPResponse (RFC 6960 4.2.1)."""
    response = ocsp.OCSPResponse.load(der, strict=True)
    status = int(core.load(response["response_status"].dump()))
    shown = Node(name="responseStatus", value=f"{_STATUS.get(status, 'not defined')} ({status})")
    inside = response["response_bytes"]
    if not inside:
        return Node(name="OCSP response", value=shown.value, children=(shown,))
    kind = Node(name="responseType", value=oid_text(inside["response_type"].dotted))
    if inside["response_type"].dotted != "1.3.6.1.5.5.7.48.1.1":
        octets = Node(name="response", value=hexadecimal(inside["response"].contents, 256))
        return Node(name="OCSP response", value=shown.value, children=(shown, kind, octets))
    basic = inside["response"].parsed
    return Node(name="OCSP response", value=shown.value, children=(shown, kind, *_basic(basic)))


def _basic(basic: Any) -> Iterable[Node]:
    data = basic["tbs_response_data"]
    responder = data["responder_id"]
    if responder.name == "by_name":
        yield Node(name="responderID", value=f"byName {name_text(responder.chosen)}")
    else:
        yield Node(name="responderID", value=f"byKey {responder.chosen.native.hex()}")
    yield Node(name="producedAt", value=time_text(data["produced_at"].native))
    yield from (_single_response(single) for single in data["responses"])
    yield from _extensions(data["response_extensions"])
    yield algorithm(basic["signature_algorithm"], "signatureAlgorithm")
    yield Node(name="signatureValue", value=basic["signature"].native.hex())
    for certificate in basic["certs"] or ():
        yield certificate_node(certificate.dump())


def _single_response(single: Any) -> Node:
    status = single["cert_status"]
    times = [Node(name="thisUpdate", value=time_text(single["this_update"].native))]
    if single["next_update"]:
        times.append(Node(name="nextUpdate", value=time_text(single["next_update"].native)))
    return Node(
        name="response",
        value=status.name,
        children=(
            _cert_id(single["cert_id"]),
            *_revocation(status),
            *times,
            *_extensions(single["single_extensions"]),
        ),
    )


def _revocation(status: Any) -> Iterable[Node]:
    if status.name != "revoked":
        return
    revoked = status.chosen
    yield Node(name="revocationTime", value=time_text(revoked["revocation_time"].native))
    if revoked["revocation_reason"]:
        yield Node(name="revocationReason", value=reason_name(revoked["revocation_reason"].native))
