"""A judged chain as ``certutil -verify -urlfetch`` prints it, and as JSON.

Only prints: every word comes from the values. Times are UTC, certutil's are local.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from lab.hresults import hresult

from .names import policy_name, usage_name
from .revocation import RevocationVerdict
from .status import TrustError, TrustInfo, bit_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from .certificates import X509Certificate
    from .chain import ChainContext, ChainElement
    from .crls import CertificateRevocationList
    from .fetch import Retrieval
    from .revocation import RevocationResult


def render_text(context: ChainContext) -> str:
    """Return the report in certutil's shape; the last line is the verdict."""
    return "\n".join(_lines(context))


def _lines(context: ChainContext) -> Iterator[str]:
    leaf = context.elements[0].certificate
    yield from _name("Issuer", leaf.issuer, leaf.issuer_der)
    yield from _name("Subject", leaf.subject, leaf.subject_der)
    yield f"Cert Serial Number: {serial_hex(leaf.serial_number)}"
    yield ""
    yield "dwFlags = CA_VERIFY_FLAGS_CONSOLE_TRACE (0x20000000)"
    yield "dwFlags = CA_VERIFY_FLAGS_DUMP_CHAIN (0x40000000)"
    if context.revocation_checked:
        yield "ChainFlags = CERT_CHAIN_REVOCATION_CHECK_CHAIN_EXCLUDE_ROOT (0x40000000)"
    yield "HCCE_LOCAL_MACHINE"
    yield f"Anchors: {context.anchors_origin}"
    yield "CERT_CHAIN_POLICY_BASE"
    yield "-------- CERT_CHAIN_CONTEXT --------"
    yield from _bits("ChainContext", context.status.info, context.status.error)
    yield ""
    yield from _bits("SimpleChain", context.status.info, context.status.error)
    yield ""
    for index, element in enumerate(context.elements):
        yield from _element(index, element)
        yield ""
    yield from _chain_hashes(context)
    yield "------------------------------------"
    yield from _verdict(context)


def _name(label: str, text: str, der: bytes) -> Iterator[str]:
    yield f"{label}:"
    for part in _split(text):
        yield f"    {part}"
    yield f"  Name Hash(sha1): {hashlib.sha1(der, usedforsecurity=False).hexdigest()}"
    yield f"  Name Hash(md5): {hashlib.md5(der, usedforsecurity=False).hexdigest()}"


def _split(name: str) -> list[str]:
    parts: list[str] = []
    quoted = False
    current = ""
    for char in name:
        quoted ^= char == '"'
        if char == "," and not quoted:
            parts.append(current.strip())
            current = ""
        else:
            current += char
    return [*parts, current.strip()]


def _bits(prefix: str, info: TrustInfo, error: TrustError) -> Iterator[str]:
    for name, value in bit_names(info):
        yield f"{prefix}.dwInfoStatus = {name} (0x{value:x})"
    for name, value in bit_names(error):
        yield f"{prefix}.dwErrorStatus = {name} (0x{value:x})"


def _element(index: int, element: ChainElement) -> Iterator[str]:
    certificate, status = element.certificate, element.status
    yield f"CertContext[0][{index}]: dwInfoStatus={status.info:x} dwErrorStatus={status.error:x}"
    yield f"  Issuer: {certificate.issuer}"
    yield f"  NotBefore: {_time(certificate.not_before)}"
    yield f"  NotAfter: {_time(certificate.not_after)}"
    yield f"  Subject: {certificate.subject}"
    yield f"  Serial: {serial_hex(certificate.serial_number)}"
    if certificate.template:
        yield f"  Template: {certificate.template}"
    yield f"  Cert: {certificate.sha1}"
    for line in _bits("Element", status.info, status.error):
        yield f"  {line}"
    for note in element.notes:
        yield f"  Reason: {note}"
    yield from _section("Certificate AIA", element.retrievals)
    if element.revocation is not None:
        yield from _section("Certificate CDP", element.revocation.retrievals)
        yield from _section("Base CRL CDP", element.revocation.delta_retrievals)
        yield from _section("Certificate OCSP", element.revocation.ocsp_retrievals)
        yield "  --------------------------------"
        for crl in (element.revocation.crl, element.revocation.delta):
            yield from _crl(crl)
        yield from _ocsp(element.revocation)
    for position, oid in enumerate(certificate.policy.policies or ()):
        yield f"  Issuance[{position}] = {oid} {policy_name(oid)}".rstrip()
    if certificate.usages is not None and index == 0:
        for position, oid in enumerate(certificate.usages):
            yield f"  Application[{position}] = {oid} {usage_name(oid)}".rstrip()


def _section(title: str, retrievals: tuple[Retrieval, ...]) -> Iterator[str]:
    yield f"  ----------------  {title}  ----------------"
    if not retrievals:
        yield '  No URLs "None" Time: 0 (null)'
    for number, retrieval in enumerate(retrievals):
        seconds = int(retrieval.elapsed.total_seconds())
        digest = retrieval.sha1 or "(null)"
        yield f'  {retrieval.outcome} "{retrieval.what}" Time: {seconds} {digest}'
        if retrieval.sha1 is None and retrieval.error is not None:
            yield f"    Error retrieving URL: {retrieval.error}"
        if retrieval.detail:
            yield f"    {retrieval.detail}"
        yield f"    [{number}.0] {retrieval.url}"


def _crl(crl: CertificateRevocationList | None) -> Iterator[str]:
    if crl is None:
        return
    kind = "CRL" if crl.base_number is None else "Delta CRL"
    yield f"    {kind} {'' if crl.number is None else serial_hex(crl.number)}:"
    yield f"    Issuer: {crl.issuer}"
    yield f"    ThisUpdate: {_time(crl.this_update)}"
    yield f"    NextUpdate: {'(none)' if crl.next_update is None else _time(crl.next_update)}"
    yield f"    CRL: {crl.sha1}"


def _ocsp(result: RevocationResult) -> Iterator[str]:
    answer = result.ocsp
    if answer is None:
        return
    yield f"    OCSP ({answer.status.value}):"
    yield f"    Issuer: {answer.responder.subject}"
    yield f"    ThisUpdate: {_time(answer.this_update)}"
    yield f"    NextUpdate: {'(none)' if answer.next_update is None else _time(answer.next_update)}"
    yield f"    CRL: {answer.sha1}"


def _chain_hashes(context: ChainContext) -> Iterator[str]:
    ders = [element.certificate.der for element in context.elements]
    yield "Exclude leaf cert:"
    yield f"  Chain: {_digest(ders[1:])}"
    yield "Full chain:"
    yield f"  Chain: {_digest(ders)}"


def _digest(ders: list[bytes]) -> str:
    return hashlib.sha1(b"".join(ders), usedforsecurity=False).hexdigest()


def _verdict(context: ChainContext) -> Iterator[str]:
    leaf = context.elements[0]
    if not context.trusted:
        yield from _failure(context)
    yield from _policies("Issuance", context.issuance_policies, policy_name)
    yield from _policies("Application", context.application_policies, usage_name)
    yield f"Cert is {'a CA' if leaf.certificate.acts_as_ca else 'an End Entity'} certificate"
    yield from _revocation_line(leaf, context.revocation_checked)
    if context.trusted:
        yield "CertUtil: -verify command completed successfully."
    else:
        yield f"CertUtil: -verify command FAILED: {context.hresult}"


def _policies(kind: str, found: tuple[str, ...] | None, name: Callable[[str], str]) -> Iterator[str]:
    if not found:
        yield f"Verified {kind} Policies: {'All' if found is None else 'None'}"
        return
    yield f"Verified {kind} Policies:"
    for oid in found:
        yield f"    {oid} {name(oid)}".rstrip()


def _failure(context: ChainContext) -> Iterator[str]:
    if context.status.error & TrustError.IS_PARTIAL_CHAIN:
        top = context.elements[-1].certificate
        yield "Incomplete certificate chain"
        yield "Cannot find certificate:"
        yield f"    {top.issuer}"
    for text in context.explanations:
        yield f"Reason: {text}"
    yield str(context.hresult)
    yield "------------------------------------"


def _revocation_line(leaf: ChainElement, checked: bool) -> Iterator[str]:
    if not checked:
        yield "Revocation was not checked: give --crl FILE or --url-fetch"
    elif leaf.revocation is None or leaf.revocation.verdict is RevocationVerdict.GOOD:
        yield "Leaf certificate revocation check passed"
    else:
        yield f"ERROR: Verifying leaf certificate revocation status returned {_revocation_code(leaf)}"


def _revocation_code(leaf: ChainElement) -> str:
    codes = {
        RevocationVerdict.REVOKED: 0x80092010,
        RevocationVerdict.OFFLINE: 0x80092013,
        RevocationVerdict.UNKNOWN: 0x80092012,
    }
    return str(hresult(codes[leaf.revocation.verdict])) if leaf.revocation is not None else ""


def _time(value: datetime) -> str:
    hour = value.hour % 12 or 12
    half = "AM" if value.hour < 12 else "PM"
    return f"{value.month}/{value.day}/{value.year} {hour}:{value.minute:02d} {half} UTC"


def serial_hex(serial: int) -> str:
    """Return a serial or CRL number as certutil prints it: whole octets, lower-case hex."""
    digits = f"{abs(serial):x}"
    return ("-" if serial < 0 else "") + digits.zfill(len(digits) + len(digits) % 2)


def as_json(context: ChainContext) -> dict[str, Any]:
    """Return the same verdict for machines."""
    return {
        "trusted": context.trusted,
        "hresult": f"0x{context.hresult.code:08x}",
        "hresult_name": context.hresult.name,
        "message": context.hresult.text,
        "error_status": int(context.status.error),
        "errors": [name for name, _ in bit_names(context.status.error)],
        "reasons": list(context.explanations),
        "checked_at": context.at.isoformat(),
        "anchors": context.anchors_origin,
        "revocation_checked": context.revocation_checked,
        "application_policies": _list(context.application_policies),
        "issuance_policies": _list(context.issuance_policies),
        "elements": [_element_json(element) for element in context.elements],
    }


def _list(policies: tuple[str, ...] | None) -> list[str] | None:
    return None if policies is None else list(policies)


def _element_json(element: ChainElement) -> dict[str, Any]:
    certificate = element.certificate
    return {
        **_certificate_json(certificate),
        "info_status": int(element.status.info),
        "info": [name for name, _ in bit_names(element.status.info)],
        "error_status": int(element.status.error),
        "errors": [name for name, _ in bit_names(element.status.error)],
        "reasons": list(element.notes),
        "aia": [_retrieval_json(retrieval) for retrieval in element.retrievals],
        "revocation": None if element.revocation is None else _revocation_json(element.revocation),
    }


def _certificate_json(certificate: X509Certificate) -> dict[str, Any]:
    return {
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "serial": serial_hex(certificate.serial_number),
        "not_before": certificate.not_before.isoformat(),
        "not_after": certificate.not_after.isoformat(),
        "template": certificate.template,
        "sha1": certificate.sha1,
        "sha256": certificate.sha256,
    }


def _revocation_json(result: RevocationResult) -> dict[str, Any]:
    entry = result.entry
    return {
        "verdict": result.verdict.value,
        "crl": _crl_json(result.crl),
        "delta_crl": _crl_json(result.delta),
        "ocsp": _ocsp_json(result),
        "revoked_at": None if entry is None else entry.revoked_at.isoformat(),
        "reason": None if entry is None else entry.reason,
        "not_used": list(result.reasons),
        "cdp": [_retrieval_json(retrieval) for retrieval in result.retrievals],
        "base_crl_cdp": [_retrieval_json(retrieval) for retrieval in result.delta_retrievals],
        "ocsp_retrievals": [_retrieval_json(retrieval) for retrieval in result.ocsp_retrievals],
    }


def _crl_json(crl: CertificateRevocationList | None) -> dict[str, Any] | None:
    if crl is None:
        return None
    return {
        "origin": crl.origin,
        "number": crl.number,
        "base_number": crl.base_number,
        "this_update": crl.this_update.isoformat(),
        "next_update": None if crl.next_update is None else crl.next_update.isoformat(),
        "sha1": crl.sha1,
    }


def _ocsp_json(result: RevocationResult) -> dict[str, Any] | None:
    answer = result.ocsp
    if answer is None:
        return None
    return {
        "status": answer.status.value,
        "responder": answer.responder.subject,
        "produced_at": answer.produced_at.isoformat(),
        "this_update": answer.this_update.isoformat(),
        "next_update": None if answer.next_update is None else answer.next_update.isoformat(),
        "nonce_repeated": answer.nonce_repeated,
        "sha1": answer.sha1,
    }


def _retrieval_json(retrieval: Retrieval) -> dict[str, Any]:
    return {
        "outcome": retrieval.outcome,
        "what": retrieval.what,
        "url": retrieval.url,
        "seconds": retrieval.elapsed.total_seconds(),
        "sha1": retrieval.sha1,
        "error": None if retrieval.error is None else f"0x{retrieval.error.code:08x}",
        "detail": retrieval.detail,
    }
