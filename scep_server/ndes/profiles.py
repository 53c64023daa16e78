"""Behaviour profiles: where servers that all speak SCEP differ, one named field each.

A profile changes what is sent, never who gets a certificate. `MODERN` is RFC 8894 in the strictest
form every measured client reads. Each field names what forces it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from scep_server.protocol.algorithms import ContentCipher, DigestAlgorithm

ALL_CAPABILITIES: Final = frozenset(
    {
        "AES",
        "DES3",
        "POSTPKIOperation",
        "Renewal",
        "SHA-1",
        "SHA-256",
        "SHA-384",
        "SHA-512",
        "SCEPStandard",
        "GetNextCACert",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BehaviourProfile:
    """How replies look where RFC 8894 or its readers leave room.

    capabilities: keywords that may be advertised at all (RFC 8894 3.5.2).
    empty_content: eContent of FAILURE and PENDING. RFC 8894 3.2 has none; OpenSSL's verifiers, and
        certmonger with them, stop at "no content", so a zero-length OCTET STRING is sent. NDES sends
        one octet 00 (captured).
    include_signer: whether replies carry the RA's certificate; NDES sends none (captured).
    signing_time: whether replies carry signingTime (jscep reads it); NDES sends none (captured).
    default_digest, default_cipher: for replies to requests whose own may not be emitted
        (RFC 8894 2.9 on MD5 and single DES). Otherwise the request's are mirrored: Cisco IOS refuses
        a SHA-256 reply to its SHA-1 request.
    microsoft_attributes: whether replies carry the HRESULT in 1.3.6.1.4.1.311.21.33 and the CA's
        message in 1.3.6.1.4.1.311.21.38, as NDES's do (captured).
    unreadable_status: HTTP status where no CertRep can be addressed; NDES answers 500.
    when_unavailable: what a request gets while the store or the CA's key cannot be used.
        "retry-later": HTTP 503 with Retry-After. Nothing was recorded then, so PENDING would promise
        a transaction that a later CertPoll does not find, and FAILURE would make clients give up;
        after a 503 they send the same request again, which is safe (certmonger does so by itself).
        "pending": PENDING all the same, for clients that poll by repeating their PKCSReq.
    retry_after_seconds: value of that Retry-After.
    """

    name: str
    capabilities: frozenset[str]
    empty_content: Literal["zero-length", "absent", "nul-octet"]
    include_signer: bool
    signing_time: bool
    default_digest: DigestAlgorithm
    default_cipher: ContentCipher
    microsoft_attributes: bool
    unreadable_status: int
    when_unavailable: Literal["retry-later", "pending"]
    retry_after_seconds: int


MODERN: Final = BehaviourProfile(
    name="modern",
    capabilities=ALL_CAPABILITIES,
    empty_content="zero-length",
    include_signer=True,
    signing_time=True,
    default_digest=DigestAlgorithm.SHA_256,
    default_cipher=ContentCipher.AES_128_CBC,
    microsoft_attributes=False,
    unreadable_status=400,
    when_unavailable="retry-later",
    retry_after_seconds=30,
)

PROFILES: Final = {profile.name: profile for profile in (MODERN,)}
