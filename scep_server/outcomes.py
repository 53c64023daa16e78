"""The one table from what went wrong to what the client and the administrator are told.

Every error class and every refusal of the RA has exactly one row: failInfo and failInfoText of the
CertRep (or the HTTP status, where no CertRep can be addressed), the HRESULT that Microsoft's server
gives, and the id of NDES's event. The texts are a fixed vocabulary: nothing a client sent, no path,
no exception text ever gets into a reply. Refusals that must not be told apart share one text.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from ca import errors as ca_errors
from ca.records import StoreUnavailable

from . import transport
from .protocol import errors
from .protocol.messages import FailInfo

if TYPE_CHECKING:
    from collections.abc import Mapping


class Refusal(Enum):
    """Why the RA refuses; the value is the stable id that logs and journals show."""

    MESSAGE_TYPE = "message-type"
    SIGNING_TIME = "signing-time"
    CHALLENGE_ABSENT = "challenge-absent"
    CHALLENGE_UNKNOWN = "challenge-unknown"
    CHALLENGE_SPENT = "challenge-spent"
    CHALLENGE_EXPIRED = "challenge-expired"
    CHALLENGE_REVOKED = "challenge-revoked"
    CHALLENGE_WRONG_SUBJECT = "challenge-wrong-subject"
    CHALLENGE_WRONG_ENDPOINT = "challenge-wrong-endpoint"
    CHALLENGE_UNREADABLE = "challenge-unreadable"
    CHALLENGE_STRING = "challenge-string"
    CHALLENGE_BRAKE = "challenge-brake"
    TRANSACTION_COLLISION = "transaction-collision"
    TRANSACTION_OVER = "transaction-over"
    REQUEST_DENIED = "request-denied"
    REQUEST_KEY_RESERVED = "request-key-reserved"
    REQUEST_KEY_NOT_SIGNER = "request-key-not-signer"
    SIGNER_FOREIGN = "signer-foreign"
    SIGNER_FORGED = "signer-forged"
    SIGNER_UNRECORDED = "signer-unrecorded"
    SIGNER_RESERVED = "signer-reserved"
    SIGNER_NOT_YET_VALID = "signer-not-yet-valid"
    SIGNER_EXPIRED = "signer-expired"
    SIGNER_REVOKED = "signer-revoked"
    SIGNER_CANNOT_DECRYPT = "signer-cannot-decrypt"
    RENEWAL_SELF_SIGNED = "renewal-self-signed"
    RENEWAL_REQ = "renewal-req"
    RENEWAL_DISABLED = "renewal-disabled"
    RENEWAL_SUBJECT = "renewal-subject"
    RENEWAL_NAMES = "renewal-names"
    RENEWAL_TEMPLATE = "renewal-template"
    RENEWAL_TOO_EARLY = "renewal-too-early"
    PENDING_QUOTA = "pending-quota"
    POLL_UNKNOWN = "poll-unknown"
    POLL_OTHER_SIGNER = "poll-other-signer"
    QUERY_DISABLED = "query-disabled"
    QUERY_SIGNER = "query-signer"
    QUERY_OTHER_ISSUER = "query-other-issuer"
    QUERY_UNKNOWN = "query-unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A row: how one kind of ending looks from outside.

    ``fail_info`` None means that HTTP answers instead of SCEP. ``status`` is the HTTP status.
    ``event_id`` is NDES's event, None where it logs none or none is known. ``server_message`` is what
    Microsoft's attribute 1.3.6.1.4.1.311.21.38 says.
    """

    name: str
    status: int = 200
    fail_info: FailInfo | None = None
    text: str | None = None
    hresult: int = 0
    event_id: int | None = None
    retry_later: bool = False
    server_message: str | None = None


Cause = type[Exception] | Refusal

SUCCESS: Final = Outcome(name="success")
PENDING: Final = Outcome(name="pending")

BAD_REQUEST_TEXT: Final = (
    "Bad request: expected operation=GetCACaps, GetCACert, GetNextCACert or PKIOperation, "
    "the last with a SCEP pkiMessage (RFC 8894)."
)
_CHALLENGE = "The challenge password is missing or was not accepted."
_SIGNER = "The certificate that signed the request does not authenticate it."
_NOT_FOUND = "No such certificate, CRL or transaction is known here."

_E_FAIL = 0x80004005
_E_INVALIDARG = 0x80070057
_E_ACCESSDENIED = 0x80070005
_ERROR_NOT_FOUND = 0x80070490
_NTE_BAD_DATA = 0x80090005
_NTE_BAD_SIGNATURE = 0x80090006
_NTE_BAD_ALGID = 0x80090008
_CRYPT_E_REVOKED = 0x80092010
_CRYPT_E_NOT_FOUND = 0x80092004
_CRYPT_E_ASN1_BADTAG = 0x8009310B
_TRUST_E_CERT_SIGNATURE = 0x80096004
_TRUST_E_TIME_STAMP = 0x80096005
_CERTSRV_E_BAD_REQUESTSUBJECT = 0x80094001
_CERTSRV_E_ADMIN_DENIED_REQUEST = 0x80094014
_CERTSRV_E_UNSUPPORTED_CERT_TYPE = 0x80094800
_CERT_E_EXPIRED = 0x800B0101
_CERT_E_UNTRUSTEDROOT = 0x800B0109
_CERT_E_WRONG_USAGE = 0x800B0110
_RPC_S_SERVER_UNAVAILABLE = 0x800706BA


def _http(name: str, status: int, text: str, event_id: int | None = None, hresult: int = _E_FAIL) -> Outcome:
    return Outcome(name=name, status=status, text=text, event_id=event_id, hresult=hresult)


def _failure(
    name: str, fail_info: FailInfo, text: str | None, hresult: int, event_id: int | None = None
) -> Outcome:
    return Outcome(name=name, fail_info=fail_info, text=text, hresult=hresult, event_id=event_id)


def _denial(error: type[ca_errors.CaError], name: str, fail_info: FailInfo = FailInfo.BAD_REQUEST) -> Outcome:
    """Return the row of a denial by the CA: AD CS's own code and text, NDES's event 31."""
    return _failure(name, fail_info, error.message, error.hresult, 31)


def _refusal(
    refusal: Refusal, fail_info: FailInfo, text: str, hresult: int, event_id: int | None = None
) -> tuple[Refusal, Outcome]:
    return refusal, _failure(refusal.value, fail_info, text, hresult, event_id)


_UNAVAILABLE = Outcome(
    name="unavailable",
    status=503,
    text="The service cannot answer now; send the same request again later.",
    hresult=_RPC_S_SERVER_UNAVAILABLE,
    event_id=31,
    retry_later=True,
)

# Below SCEP: no CertRep can be addressed. One text for all of status 400.
_HTTP: dict[Cause, Outcome] = {
    transport.UnknownPath: _http("unknown-path", 404, "Not found: no SCEP endpoint has this path."),
    transport.NoNextCaCertificate: _http("no-next-ca", 404, "Not found: there is no next CA certificate."),
    transport.MethodNotAllowed: _http("method", 405, "Method not allowed: SCEP is spoken by GET and POST."),
    transport.BadQuery: _http("bad-query", 400, BAD_REQUEST_TEXT),
    transport.BadMessageEncoding: _http("bad-message-encoding", 400, BAD_REQUEST_TEXT, 16, _E_INVALIDARG),
    transport.BodyTooLarge: _http("body-too-large", 413, "Content too large."),
    transport.UrlTooLong: _http("url-too-long", 414, "URI too long."),
    transport.TooManyRequests: _http(
        "too-many-requests", 429, "Too many requests: wait as long as Retry-After says."
    ),
    transport.UnsupportedEncoding: _http(
        "content-encoding", 415, "Unsupported: the body must not have a Content-Encoding."
    ),
    errors.Unanswerable: _http("unreadable-message", 400, BAD_REQUEST_TEXT, 17, _CRYPT_E_ASN1_BADTAG),
    StoreUnavailable: _UNAVAILABLE,
    ca_errors.ServiceUnavailable: _UNAVAILABLE,
}

_MESSAGES: dict[Cause, Outcome] = {
    errors.BadAlgorithm: _failure(
        "bad-algorithm", FailInfo.BAD_ALG, "An algorithm or key is not accepted here.", _NTE_BAD_ALGID
    ),
    errors.BadMessageCheck: _failure(
        "bad-message-check",
        FailInfo.BAD_MESSAGE_CHECK,
        "The signature of the message does not verify.",
        _NTE_BAD_SIGNATURE,
    ),
    # No text: whatever is wrong with an envelope must look the same from outside (RFC 3218).
    errors.Undecryptable: _failure("undecryptable", FailInfo.BAD_MESSAGE_CHECK, None, _NTE_BAD_DATA, 18),
    errors.BadRequest: _failure(
        "bad-request",
        FailInfo.BAD_REQUEST,
        "The message is not what its messageType calls for.",
        _E_INVALIDARG,
    ),
    errors.BadTime: _failure(
        "bad-time",
        FailInfo.BAD_TIME,
        "signingTime is too far from the time of this server.",
        _TRUST_E_TIME_STAMP,
    ),
    errors.BadCertId: _failure("bad-cert-id", FailInfo.BAD_CERT_ID, _NOT_FOUND, _CRYPT_E_NOT_FOUND),
}

_DENIALS: dict[Cause, Outcome] = {
    ca_errors.BadRequestSubject: _denial(ca_errors.BadRequestSubject, "bad-request-subject"),
    ca_errors.NoSuchRequest: _denial(ca_errors.NoSuchRequest, "no-such-request", FailInfo.BAD_CERT_ID),
    ca_errors.BadRequestStatus: _denial(ca_errors.BadRequestStatus, "bad-request-status"),
    ca_errors.InvalidCaCertificate: _denial(ca_errors.InvalidCaCertificate, "invalid-ca-certificate"),
    ca_errors.EnrollDenied: _denial(ca_errors.EnrollDenied, "enroll-denied"),
    ca_errors.TemplateDenied: _denial(ca_errors.TemplateDenied, "template-denied"),
    ca_errors.UnsupportedCertType: _denial(ca_errors.UnsupportedCertType, "unsupported-cert-type"),
    ca_errors.SubjectAltNameRequired: _denial(ca_errors.SubjectAltNameRequired, "subject-alt-name-required"),
    ca_errors.RevocationOffline: _denial(ca_errors.RevocationOffline, "revocation-offline"),
    ca_errors.KeyLength: _denial(ca_errors.KeyLength, "key-length", FailInfo.BAD_ALG),
    ca_errors.BadPublicKey: _denial(ca_errors.BadPublicKey, "bad-public-key", FailInfo.BAD_ALG),
    ca_errors.KeyInUse: _denial(ca_errors.KeyInUse, "key-in-use"),
    ca_errors.UnacceptableExtension: _denial(ca_errors.UnacceptableExtension, "unacceptable-extension"),
    ca_errors.BadRequestSignature: _denial(ca_errors.BadRequestSignature, "bad-request-signature"),
    ca_errors.BadRequestAlgorithm: _denial(
        ca_errors.BadRequestAlgorithm, "bad-request-algorithm", FailInfo.BAD_ALG
    ),
    ca_errors.MalformedRequest: _denial(ca_errors.MalformedRequest, "malformed-request"),
}

_CHECK, _REQUEST, _ID = FailInfo.BAD_MESSAGE_CHECK, FailInfo.BAD_REQUEST, FailInfo.BAD_CERT_ID

_REFUSALS: dict[Cause, Outcome] = dict(
    (
        _refusal(Refusal.MESSAGE_TYPE, _REQUEST, "This messageType is not answered here.", _E_INVALIDARG),
        _refusal(
            Refusal.SIGNING_TIME,
            FailInfo.BAD_TIME,
            "signingTime is too far from the time of this server.",
            _TRUST_E_TIME_STAMP,
        ),
        _refusal(Refusal.CHALLENGE_ABSENT, _REQUEST, _CHALLENGE, _TRUST_E_CERT_SIGNATURE, 29),
        _refusal(Refusal.CHALLENGE_UNKNOWN, _REQUEST, _CHALLENGE, _ERROR_NOT_FOUND, 29),
        _refusal(Refusal.CHALLENGE_SPENT, _REQUEST, _CHALLENGE, _ERROR_NOT_FOUND, 29),
        _refusal(Refusal.CHALLENGE_EXPIRED, _REQUEST, _CHALLENGE, _ERROR_NOT_FOUND, 29),
        _refusal(Refusal.CHALLENGE_REVOKED, _REQUEST, _CHALLENGE, _ERROR_NOT_FOUND, 29),
        _refusal(Refusal.CHALLENGE_WRONG_SUBJECT, _REQUEST, _CHALLENGE, _ERROR_NOT_FOUND, 29),
        _refusal(Refusal.CHALLENGE_WRONG_ENDPOINT, _REQUEST, _CHALLENGE, _ERROR_NOT_FOUND, 29),
        _refusal(Refusal.CHALLENGE_UNREADABLE, _REQUEST, _CHALLENGE, _ERROR_NOT_FOUND, 29),
        _refusal(Refusal.CHALLENGE_STRING, _REQUEST, _CHALLENGE, _E_INVALIDARG),
        # Whoever guesses must not learn that nobody looked: all as for an unknown one.
        _refusal(Refusal.CHALLENGE_BRAKE, _REQUEST, _CHALLENGE, _ERROR_NOT_FOUND, 29),
        _refusal(
            Refusal.TRANSACTION_COLLISION,
            _REQUEST,
            "This transactionID belongs to a request for another key.",
            _E_INVALIDARG,
        ),
        _refusal(
            Refusal.TRANSACTION_OVER,
            _REQUEST,
            "This transaction is over; begin a new one.",
            _E_INVALIDARG,
        ),
        _refusal(
            Refusal.REQUEST_DENIED,
            _REQUEST,
            "The request was denied by a certificate manager.",
            _CERTSRV_E_ADMIN_DENIED_REQUEST,
        ),
        _refusal(
            Refusal.REQUEST_KEY_RESERVED, _REQUEST, "The key of the request cannot be used.", _E_INVALIDARG
        ),
        _refusal(
            Refusal.REQUEST_KEY_NOT_SIGNER,
            _REQUEST,
            "The message must be signed with the key of the request.",
            _E_INVALIDARG,
        ),
        _refusal(Refusal.SIGNER_FOREIGN, _CHECK, _SIGNER, _CERT_E_UNTRUSTEDROOT, 28),
        _refusal(Refusal.SIGNER_FORGED, _CHECK, _SIGNER, _TRUST_E_CERT_SIGNATURE, 28),
        _refusal(Refusal.SIGNER_UNRECORDED, _CHECK, _SIGNER, _CERT_E_UNTRUSTEDROOT, 28),
        _refusal(Refusal.SIGNER_RESERVED, _CHECK, _SIGNER, _CERT_E_WRONG_USAGE, 28),
        _refusal(Refusal.SIGNER_NOT_YET_VALID, _CHECK, _SIGNER, _CERT_E_EXPIRED, 28),
        _refusal(Refusal.SIGNER_EXPIRED, _CHECK, _SIGNER, _CERT_E_EXPIRED, 28),
        _refusal(Refusal.SIGNER_REVOKED, _CHECK, _SIGNER, _CRYPT_E_REVOKED, 28),
        _refusal(
            Refusal.SIGNER_CANNOT_DECRYPT,
            FailInfo.BAD_ALG,
            "No reply can be enciphered for the key that signed the request.",
            _NTE_BAD_ALGID,
            13,
        ),
        _refusal(
            Refusal.RENEWAL_SELF_SIGNED,
            _REQUEST,
            "RenewalReq must be signed with a certificate of this CA.",
            _TRUST_E_CERT_SIGNATURE,
            28,
        ),
        _refusal(
            Refusal.RENEWAL_REQ,
            _REQUEST,
            "Renew with a PKCSReq that the old certificate signs; RenewalReq is not answered here.",
            _E_INVALIDARG,
            28,
        ),
        _refusal(
            Refusal.RENEWAL_DISABLED,
            _REQUEST,
            "Renewal with an existing certificate is not offered here.",
            _E_ACCESSDENIED,
            28,
        ),
        _refusal(
            Refusal.RENEWAL_SUBJECT,
            _REQUEST,
            "A renewal must have the subject of the certificate that signs it.",
            _CERTSRV_E_BAD_REQUESTSUBJECT,
            28,
        ),
        _refusal(
            Refusal.RENEWAL_NAMES,
            _REQUEST,
            "A renewal must not add names to those of the certificate that signs it.",
            _CERTSRV_E_BAD_REQUESTSUBJECT,
            28,
        ),
        _refusal(
            Refusal.RENEWAL_TEMPLATE,
            _REQUEST,
            "Certificates of this template are not renewed here.",
            _CERTSRV_E_UNSUPPORTED_CERT_TYPE,
            28,
        ),
        _refusal(
            Refusal.RENEWAL_TOO_EARLY,
            _REQUEST,
            "It is too early to renew this certificate.",
            _E_ACCESSDENIED,
            28,
        ),
        _refusal(
            Refusal.PENDING_QUOTA,
            _REQUEST,
            "Too many requests wait for approval; try again later.",
            _E_ACCESSDENIED,
        ),
        _refusal(Refusal.POLL_UNKNOWN, _ID, _NOT_FOUND, _CRYPT_E_NOT_FOUND),
        _refusal(Refusal.POLL_OTHER_SIGNER, _ID, _NOT_FOUND, _CRYPT_E_NOT_FOUND),
        _refusal(Refusal.QUERY_DISABLED, _REQUEST, "This messageType is not answered here.", _E_INVALIDARG),
        _refusal(
            Refusal.QUERY_SIGNER,
            _REQUEST,
            "Sign this message with a valid certificate of this CA.",
            _E_ACCESSDENIED,
        ),
        _refusal(Refusal.QUERY_OTHER_ISSUER, _ID, _NOT_FOUND, _CRYPT_E_NOT_FOUND),
        _refusal(Refusal.QUERY_UNKNOWN, _ID, _NOT_FOUND, _CRYPT_E_NOT_FOUND),
    )
)

TABLE: Final[Mapping[Cause, Outcome]] = {**_HTTP, **_MESSAGES, **_DENIALS, **_REFUSALS}


def outcome_of(cause: Exception | Refusal) -> Outcome:
    """Return the row of an error or a refusal.

    Raises:
        LookupError: the table has no row for it, which is a defect of this program.

    """
    if isinstance(cause, Refusal):
        return TABLE[cause]
    for kind in type(cause).__mro__:
        if issubclass(kind, Exception) and (row := TABLE.get(kind)) is not None:
            return row
    raise LookupError(f"no outcome for {type(cause).__name__}") from cause
