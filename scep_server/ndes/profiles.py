"""Behaviour profiles: where servers that all speak SCEP differ, one named field each.

`MODERN` is RFC 8894 in the strictest form every measured client reads. `NDES_2012R2` and `NDES_2019`
are Microsoft's server as far as it is known. Each field says what forces it. Where no capture and no
document settles a value its text says *unconfirmed*: such a field is a guess with a name, to be put
right by whoever can measure a live server (settings ``profile_fields``) without touching code.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from typing import TYPE_CHECKING, Final, Literal

from pydantic import TypeAdapter, ValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping

ProfileName = Literal["modern", "ndes-2012r2", "ndes-2019"]
DigestWord = Literal["sha1", "sha256", "sha384", "sha512"]
CipherWord = Literal["des3", "aes128", "aes192", "aes256"]

ALL_CAPABILITIES: Final = (
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
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BehaviourProfile:
    """How a server answers where RFC 8894 or its readers leave room, or where NDES goes its own way.

    GetCACaps and GetCACert

    capabilities: keywords that may be advertised at all (RFC 8894 3.5.2), in this order. NDES's list
        is *unconfirmed* as a whole: POSTPKIOperation, Renewal and SHA-256 are seen by clients, SHA-512
        and DES3 are inferred from what a client sent after reading it, the rest and the order guessed.
    capabilities_content_type: *unconfirmed* for NDES; a 2008 R2 sends no Content-Type at all.
    capabilities_line_end: what ends each line; *unconfirmed* for NDES.
    ca_certificates: "as-settings", or "ra-first": RA signing, RA encryption, issuing CA and the chain
        with the root, as NDES sends it whatever anybody would like (numbered files of sscep).
    next_ca_certificate: whether GetNextCACert exists. NDES 2022 does not advertise it; that it is then
        answered like any unknown operation is *unconfirmed*.

    CertRep

    empty_content: eContent of FAILURE and PENDING. RFC 8894 3.2 has none; OpenSSL's verifiers, and
        certmonger with them, stop at "no content", so a zero-length OCTET STRING is sent. NDES sends
        one octet 00 in a FAILURE (captured); in a PENDING by analogy, *unconfirmed*.
    include_signer: whether replies carry the RA's certificate; NDES sends none (captured).
    signing_time: whether replies carry signingTime (jscep reads it); NDES sends none (captured).
    reply_digest: "mirror" the request's, as Cisco IOS needs, or always this one. NDES: SHA-1 in both
        captures; whether a SHA-256 request gets SHA-256 is *unconfirmed*.
    default_digest, default_cipher: for replies to requests whose own may not be emitted
        (RFC 8894 2.9 on MD5 and single DES).
    reply_cipher, reply_key_transport: "mirror", or always these. NDES: AES-128 under OAEP with SHA-1
        in the capture of 2020; that 2012 R2 answers 3DES under PKCS #1 v1.5 is *unconfirmed*, inferred
        from clients that read nothing else and work there.
    microsoft_attributes: whether replies carry the HRESULT in 1.3.6.1.4.1.311.21.33 (PrintableString,
        signed decimal) and the CA's message in 1.3.6.1.4.1.311.21.38 (UTF8String), as NDES's do.
    fail_info_text: whether a FAILURE carries failInfoText (RFC 8894 3.2.1.4); NDES's has none.
    failure_message: 21.38 of a FAILURE. "reason": the text of failInfoText. "disposition": only where
        the CA denied, in AD CS's words; seen at the client, but its place on the wire is *unconfirmed*
        and the captured FAILURE, which is no denial, has none. "none".
    pending_message: whether a PENDING carries 21.38 "Taken Under Submission"; *unconfirmed* for NDES.

    Refusals

    challenge_fail_info: failInfo of a challengePassword that is not accepted. RFC 8894 3.2.1.4 reads as
        badRequest; NDES says badMessageCheck for wrong and used ones (sscep's users); that it does for
        expired and missing ones too is *unconfirmed*.
    spent_challenge_hresult: HRESULT of a used challenge. Both 0x80070490 (it is gone from the cache)
        and 0x800B0110 are explained as "already used"; which one is *unconfirmed*.
    absent_challenge_event: event for a missing challenge; 28 or 29, *unconfirmed*. 0: none.
    challenge_strings: "any", or "printable": NDES refuses a challengePassword that is no
        PrintableString (captured, UTF8String).
    challenge_string_event: event for that; unknown, hence *unconfirmed*. 0: none.
    denial_fail_info: failInfo of what the CA denies: "by-cause" (badAlg for keys) or "badRequest", as
        NDES gives for a short key; for other denials *unconfirmed*.
    denial_event_number: what stands where event 31 should have the message, when the CA denies:
        "e-fail", 0x80004005 as in the one known sample, or the "hresult" of the denial. *unconfirmed*
        for other denials than an unsupported template.
    renewal_req: whether messageType 17 is taken unless an endpoint says otherwise. It is unknown to
        the Windows SDK, and clients that sent it failed; that it is rejected is *unconfirmed*.
    renewal_fail_info: failInfo of a renewal that is refused: "by-cause", "badRequest" or
        "badMessageCheck"; *unconfirmed* for NDES.
    signer_hresult: HRESULT of a signer that does not authenticate: "one", so that nobody learns from it
        what is on record, or "by-cause" (expired, revoked, foreign); *unconfirmed* for NDES.
    valid_challenge_beats_signature: whether a PKCSReq with a good challenge is an initial request even
        if a certificate of this CA signed it; *unconfirmed* for NDES, inferred from its policy modules.
    queries: whether GetCert and GetCRL are answered at all. That NDES rejects both is *unconfirmed*.
    brakes: whether settings that slow clients down count: rate limits, the brake on wrong challenges and
        the quotas of requests that wait. NDES is known to have none of them.

    Below SCEP

    undecodable_status: HTTP status for a message whose Base64 cannot be decoded (event 16);
        *unconfirmed* for NDES.
    unreadable_status: HTTP status where no CertRep can be addressed (event 17); that it is none with
        NDES is known, the 500 is *unconfirmed*.
    unverifiable: what a message gets whose attributes, signer, signature or digest cannot be used:
        "cert-rep" (RFC 8894 3.2.1.4), or "http" like an unreadable one; *unconfirmed* for NDES.
    undecryptable: the same for an envelope that cannot be opened (event 18). That NDES sends no CertRep
        then is known (sscep's users).
    undecryptable_status: HTTP status then; *unconfirmed* for NDES.
    when_unavailable: what a request gets while the store or the CA's key cannot be used.
        "retry-later": HTTP 503 with Retry-After. Nothing was recorded then, so PENDING would promise
        a transaction that a later CertPoll does not find, and FAILURE would make clients give up;
        after a 503 they send the same request again, which is safe (certmonger does so by itself).
        "pending": PENDING all the same, for clients that poll by repeating their PKCSReq.
        "failure": NDES while its CA is down: FAILURE with RPC_S_SERVER_UNAVAILABLE; its failInfo
        badRequest is *unconfirmed*.
    retry_after_seconds: value of that Retry-After.

    RA certificates

    unusable_ra: "refuse-to-start", or "http-500": the service is loaded by the first request, and while
        an RA certificate cannot be used every request gets HTTP 500, with events 2 and 10 (documented).
    retries_failed_start: whether each request tries to load again; *unconfirmed*.
    expired_ra_stops: whether a running server looks at its RA certificates again. That NDES does not,
        and goes on until it is restarted, is *unconfirmed*.
    retired_ra_keys: whether requests to an RA certificate that was replaced since are still opened, until
        it ends. That NDES opens none of them is *unconfirmed*.
    ra_expired_hresult, ra_foreign_hresult, ra_usage_hresult, ra_missing_hresult, ra_unreadable_hresult,
    ra_access_hresult, ra_key_hresult, ra_revoked_hresult: %1 of events 2 and 10. 0x80070057 is
        documented for expired and unusable certificates; access denied and bad key set are *unconfirmed*
        for keys, as is everything about missing, foreign and revoked ones.

    IIS

    server_header: value of Server in replies below NDES's paths; empty: that of the web server. IIS's
        versions are those of the Windows versions; what a hardened server shows is *unconfirmed*.
    iis_errors: whether refusals below SCEP look like IIS's error pages, whose markup is *unconfirmed*.
    iis_max_url, iis_max_query_string, iis_max_allowed_content_length: requestLimits of IIS (404.14, 404.15,
        413.1), 0 none. NDES's own web.config raises maxQueryString to 65536 on 2019 and 2022; a 2012 R2
        was seen to refuse beyond IIS's default of 2048. The others are IIS's defaults.
    http_sys_max_field_length, http_sys_max_request_bytes: limits of HTTP.sys (400), 0 none; that 16384 is
        the default is *unconfirmed*.
    unknown_operation: what an unknown operation gets, "bad-request" or the "information-page";
        *unconfirmed* for NDES.
    """

    name: str
    capabilities: tuple[str, ...]
    capabilities_content_type: str = "text/plain"
    capabilities_line_end: Literal["\n", "\r\n"] = "\n"
    ca_certificates: Literal["as-settings", "ra-first"] = "as-settings"
    next_ca_certificate: bool = True

    empty_content: Literal["zero-length", "absent", "nul-octet"] = "zero-length"
    include_signer: bool = True
    signing_time: bool = True
    reply_digest: Literal["mirror"] | DigestWord = "mirror"
    default_digest: DigestWord = "sha256"
    reply_cipher: Literal["mirror"] | CipherWord = "mirror"
    default_cipher: CipherWord = "aes128"
    reply_key_transport: Literal["mirror", "pkcs1v15", "oaep"] = "mirror"
    microsoft_attributes: bool = True
    fail_info_text: bool = True
    failure_message: Literal["reason", "disposition", "none"] = "reason"
    pending_message: bool = True

    challenge_fail_info: Literal["badRequest", "badMessageCheck"] = "badRequest"
    spent_challenge_hresult: int = 0x80070490
    absent_challenge_event: int = 29
    challenge_strings: Literal["any", "printable"] = "any"
    challenge_string_event: int = 0
    denial_fail_info: Literal["by-cause", "badRequest"] = "by-cause"
    denial_event_number: Literal["e-fail", "hresult"] = "e-fail"
    renewal_req: Literal["accept", "reject"] = "accept"
    renewal_fail_info: Literal["by-cause", "badRequest", "badMessageCheck"] = "by-cause"
    signer_hresult: Literal["one", "by-cause"] = "one"
    valid_challenge_beats_signature: bool = False
    queries: Literal["answer", "reject"] = "answer"
    brakes: bool = True

    undecodable_status: int = 400
    unreadable_status: int = 400
    unverifiable: Literal["cert-rep", "http"] = "cert-rep"
    undecryptable: Literal["cert-rep", "http"] = "cert-rep"
    undecryptable_status: int = 500
    when_unavailable: Literal["retry-later", "pending", "failure"] = "retry-later"
    retry_after_seconds: int = 30

    unusable_ra: Literal["refuse-to-start", "http-500"] = "refuse-to-start"
    retries_failed_start: bool = True
    expired_ra_stops: bool = False
    retired_ra_keys: bool = True
    ra_expired_hresult: int = 0x80070057
    ra_foreign_hresult: int = 0x80070057
    ra_usage_hresult: int = 0x80070057
    ra_missing_hresult: int = 0x80092004
    ra_unreadable_hresult: int = 0x80070057
    ra_access_hresult: int = 0x80070005
    ra_key_hresult: int = 0x80090016
    ra_revoked_hresult: int = 0x80092010

    server_header: str = ""
    iis_errors: bool = False
    iis_max_url: int = 0
    iis_max_query_string: int = 0
    iis_max_allowed_content_length: int = 0
    http_sys_max_field_length: int = 0
    http_sys_max_request_bytes: int = 0
    unknown_operation: Literal["bad-request", "information-page"] = "bad-request"

    @property
    def is_ndes(self) -> bool:
        """Whether the service starts as Microsoft's does: at the first request, or with HTTP 500."""
        return self.unusable_ra == "http-500"


MODERN: Final = BehaviourProfile(name="modern", capabilities=ALL_CAPABILITIES)

NDES_2019: Final = BehaviourProfile(
    name="ndes-2019",
    capabilities=("POSTPKIOperation", "Renewal", "SHA-512", "SHA-256", "SHA-1", "DES3"),
    ca_certificates="ra-first",
    next_ca_certificate=False,
    empty_content="nul-octet",
    include_signer=False,
    signing_time=False,
    reply_digest="sha1",
    default_digest="sha1",
    reply_cipher="aes128",
    reply_key_transport="oaep",
    fail_info_text=False,
    failure_message="disposition",
    challenge_fail_info="badMessageCheck",
    challenge_strings="printable",
    denial_fail_info="badRequest",
    renewal_req="reject",
    signer_hresult="by-cause",
    valid_challenge_beats_signature=True,
    queries="reject",
    brakes=False,
    undecodable_status=500,
    unreadable_status=500,
    unverifiable="http",
    undecryptable="http",
    when_unavailable="failure",
    unusable_ra="http-500",
    retired_ra_keys=False,
    server_header="Microsoft-IIS/10.0",
    iis_errors=True,
    iis_max_url=4096,
    iis_max_query_string=65_536,
    iis_max_allowed_content_length=30_000_000,
    http_sys_max_field_length=16_384,
    http_sys_max_request_bytes=16_384,
)

NDES_2012R2: Final = replace(
    NDES_2019,
    name="ndes-2012r2",
    reply_cipher="des3",
    default_cipher="des3",
    reply_key_transport="pkcs1v15",
    server_header="Microsoft-IIS/8.5",
    iis_max_query_string=2048,
)

PROFILES: Final[dict[str, BehaviourProfile]] = {
    profile.name: profile for profile in (MODERN, NDES_2012R2, NDES_2019)
}


class BadProfile(ValueError):
    """A profile's field is unknown or has a value it cannot have."""


def profile_with(name: str, changes: Mapping[str, object]) -> BehaviourProfile:
    """Return a profile by name with some of its fields set otherwise.

    Raises:
        BadProfile: no such profile or field, or a value that the field cannot have.

    """
    profile = PROFILES.get(name)
    if profile is None:
        raise BadProfile(f"there is no profile {name!r}; known: {', '.join(PROFILES)}")
    if not changes:
        return profile
    known = [field.name for field in fields(BehaviourProfile) if field.name != "name"]
    unknown = sorted(set(changes) - set(known))
    if unknown:
        raise BadProfile(f"a profile has no field {', '.join(unknown)}; known: {', '.join(known)}")
    try:
        return _adapter().validate_python({**asdict(profile), **changes})
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise BadProfile(f"profile fields: {said}") from error


@cache
def _adapter() -> TypeAdapter[BehaviourProfile]:
    return TypeAdapter(BehaviourProfile)
