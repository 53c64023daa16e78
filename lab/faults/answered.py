"""OCSP answers changed and signed again by the responder that gave them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ca.certificates import read_certificate
from ca.ocsp import ResponseStatus

from .ca_keys import responder_credential
from .signed_ocsp import OcspParts

if TYPE_CHECKING:
    from collections.abc import Callable

    from ca.keys import SigningKey
    from ca.ocsp_responder import OcspAnswer

    from .tools import Tools


def resigned_answer(answer: OcspAnswer, tools: Tools, change: Callable[[OcspParts], OcspParts]) -> OcspAnswer:
    """Return a successful answer with something changed, signed again by the same responder."""
    return signed_answer(answer, tools, lambda parts, key: change(parts).sign(key))


def signed_answer(
    answer: OcspAnswer, tools: Tools, sign: Callable[[OcspParts, SigningKey], bytes]
) -> OcspAnswer:
    """Return a successful answer signed in another way; ``sign`` gets the responder's key."""
    if answer.status is not ResponseStatus.SUCCESSFUL:
        return answer
    parts = OcspParts.read(answer.der)
    credential = responder_credential(tools.lab, read_certificate(parts.certificates[0]))
    if credential is None:
        return answer
    parts = parts.by((credential.certificate.der,), credential.certificate.public_key_der)
    return replace(answer, der=sign(parts, credential.key))
