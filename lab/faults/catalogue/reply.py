"""Faults of what a CertRep says: validly signed, and wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lab.faults.registry import ClientMust, Seam, fault
from scep_server.protocol.messages import CertRep

if TYPE_CHECKING:
    from lab.faults.tools import Tools


@fault(seam=Seam.REPLY, takes=CertRep, clause="RFC 8894 3.2.1.5", client_must=ClientMust.REJECT)
def wrong_recipient_nonce(cert_rep: CertRep, tools: Tools) -> CertRep:
    """The recipientNonce is not the senderNonce of the request."""
    del tools
    nonce = cert_rep.recipient_nonce or bytes(16)
    return replace(cert_rep, recipient_nonce=bytes(octet ^ 0xFF for octet in nonce))
