"""HRESULTs as Windows shows them to an administrator: number, name and text.

Lives here: the table and its two printed forms. Does not live here: who raises which code. Names
and numbers are those of winerror.h and winhttp.h; the printed forms are certutil's and CertEnroll's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_WINHTTP_FIRST: Final = 0x80072EE0
_WINHTTP_LAST: Final = 0x80072F99


@dataclass(frozen=True, slots=True, kw_only=True)
class HResult:
    """One code. ``code`` is the unsigned 32-bit value."""

    code: int
    name: str
    text: str

    @property
    def signed(self) -> int:
        """Return the code as the signed number that Intune and certutil print."""
        return self.code - (1 << 32) if self.code >> 31 else self.code

    @property
    def is_winhttp(self) -> bool:
        """Whether the code comes from WinHTTP, which is printed in another form."""
        return _WINHTTP_FIRST <= self.code <= _WINHTTP_LAST

    def __str__(self) -> str:
        if self.is_winhttp:
            return f"{self.text} 0x{self.code:08x} (WinHttp: {self.code & 0xFFFF} {self.name})"
        return f"{self.text} 0x{self.code:08x} ({self.signed} {self.name})"


_TABLE: Final = (
    (0x00000000, "ERROR_SUCCESS", "The operation completed successfully."),
    # WinHTTP
    (0x80072EE2, "ERROR_WINHTTP_TIMEOUT", "The operation timed out"),
    (0x80072EE6, "ERROR_WINHTTP_UNRECOGNIZED_SCHEME", "The URL does not use a recognized protocol"),
    (0x80072EE7, "ERROR_WINHTTP_NAME_NOT_RESOLVED", "The server name or address could not be resolved"),
    (0x80072EFD, "ERROR_WINHTTP_CANNOT_CONNECT", "A connection with the server could not be established"),
    (
        0x80072EFE,
        "ERROR_WINHTTP_CONNECTION_ERROR",
        "The connection with the server was terminated abnormally",
    ),
    (
        0x80072F78,
        "ERROR_WINHTTP_INVALID_SERVER_RESPONSE",
        "The server returned an invalid or unrecognized response",
    ),
    (
        0x80072F0C,
        "ERROR_WINHTTP_CLIENT_AUTH_CERT_NEEDED",
        "A certificate is required to complete client authentication",
    ),
    (0x80072F8F, "ERROR_WINHTTP_SECURE_FAILURE", "A security error occurred"),
    # HTTP status
    (0x8019012D, "HTTP_E_STATUS_MOVED", "Moved permanently (301)."),
    (0x8019012E, "HTTP_E_STATUS_REDIRECT", "Found (302)."),
    (0x80190133, "HTTP_E_STATUS_REDIRECT_KEEP_VERB", "Temporary redirect (307)."),
    (0x80190190, "HTTP_E_STATUS_BAD_REQUEST", "Bad request (400)."),
    (0x80190191, "HTTP_E_STATUS_DENIED", "Unauthorized (401)."),
    (0x80190193, "HTTP_E_STATUS_FORBIDDEN", "Forbidden (403)."),
    (0x80190194, "HTTP_E_STATUS_NOT_FOUND", "Not found (404)."),
    (0x80190195, "HTTP_E_STATUS_BAD_METHOD", "Method not allowed (405)."),
    (0x8019019D, "HTTP_E_STATUS_REQUEST_TOO_LARGE", "Request entity too large (413)."),
    (0x8019019E, "HTTP_E_STATUS_URI_TOO_LONG", "Request-URI too long (414)."),
    (0x801901F4, "HTTP_E_STATUS_SERVER_ERROR", "Internal server error (500)."),
    (0x801901F6, "HTTP_E_STATUS_BAD_GATEWAY", "Bad gateway (502)."),
    (0x801901F7, "HTTP_E_STATUS_SERVICE_UNAVAIL", "Service unavailable (503)."),
    (0x801901F8, "HTTP_E_STATUS_GATEWAY_TIMEOUT", "Gateway timeout (504)."),
    # chain and revocation
    (
        0x800B0101,
        "CERT_E_EXPIRED",
        "A required certificate is not within its validity period when verifying against the current "
        "system clock or the timestamp in the signed file.",
    ),
    (
        0x800B0102,
        "CERT_E_VALIDITYPERIODNESTING",
        "The validity periods of the certification chain do not nest correctly.",
    ),
    (
        0x800B0105,
        "CERT_E_CRITICAL",
        "A certificate contains an unknown extension that is marked 'critical'.",
    ),
    (
        0x800B0109,
        "CERT_E_UNTRUSTEDROOT",
        "A certificate chain processed, but terminated in a root certificate which is not trusted by "
        "the trust provider.",
    ),
    (
        0x800B010A,
        "CERT_E_CHAINING",
        "A certificate chain could not be built to a trusted root authority.",
    ),
    (
        0x800B010C,
        "CERT_E_REVOKED",
        "A certificate was explicitly revoked by its issuer.",
    ),
    (0x800B0110, "CERT_E_WRONG_USAGE", "The certificate is not valid for the requested usage."),
    (
        0x800B0111,
        "TRUST_E_EXPLICIT_DISTRUST",
        "The certificate was explicitly marked as untrusted by the user.",
    ),
    (0x800B0113, "CERT_E_INVALID_POLICY", "The certificate has invalid policy."),
    (
        0x800B0114,
        "CERT_E_INVALID_NAME",
        "The certificate has an invalid name. The name is not included in the permitted list or is "
        "explicitly excluded.",
    ),
    (0x80092010, "CRYPT_E_REVOKED", "The certificate is revoked."),
    (
        0x80092012,
        "CRYPT_E_NO_REVOCATION_CHECK",
        "The revocation function was unable to check revocation for the certificate.",
    ),
    (
        0x80092013,
        "CRYPT_E_REVOCATION_OFFLINE",
        "The revocation function was unable to check revocation because the revocation server was offline.",
    ),
    (0x80096004, "TRUST_E_CERT_SIGNATURE", "The signature of the certificate cannot be verified."),
    (
        0x80096019,
        "TRUST_E_BASIC_CONSTRAINTS",
        "A certificate's basic constraint extension has not been observed.",
    ),
    # messages
    (0x80090005, "NTE_BAD_DATA", "Bad Data."),
    (0x80090006, "NTE_BAD_SIGNATURE", "Invalid Signature."),
    (0x80090008, "NTE_BAD_ALGID", "Invalid algorithm specified."),
    (0x80091002, "CRYPT_E_UNKNOWN_ALGO", "Unknown cryptographic algorithm."),
    (
        0x80091006,
        "CRYPT_E_AUTH_ATTR_MISSING",
        "The cryptographic message does not contain an expected authenticated attribute.",
    ),
    (0x80091007, "CRYPT_E_HASH_VALUE", "The hash value is not correct."),
    (
        0x8009200C,
        "CRYPT_E_NO_DECRYPT_CERT",
        "Cannot find the certificate and private key to use for decryption.",
    ),
    (0x8009200E, "CRYPT_E_NO_SIGNER", "Cannot find the original signer."),
    (0x80092004, "CRYPT_E_NOT_FOUND", "Cannot find object or property."),
    (0x80093102, "CRYPT_E_ASN1_EOD", "ASN1 unexpected end of data."),
    (0x8009310B, "CRYPT_E_ASN1_BADTAG", "ASN1 bad tag value met."),
    (0x8010002C, "SCARD_E_NO_SUCH_CERTIFICATE", "The requested certificate does not exist."),
    (0x8007000D, "ERROR_INVALID_DATA", "The data is invalid."),
    (0x80070005, "E_ACCESSDENIED", "Access is denied."),
    (0x80070057, "E_INVALIDARG", "The parameter is incorrect."),
    (0x80070490, "ERROR_NOT_FOUND", "Element not found."),
    (0x800706BA, "RPC_S_SERVER_UNAVAILABLE", "The RPC server is unavailable."),
    (0x80004005, "E_FAIL", "Unspecified error"),
    # AD CS
    (0x80094001, "CERTSRV_E_BAD_REQUESTSUBJECT", "The request subject name is invalid or too long."),
    (0x80094002, "CERTSRV_E_NO_REQUEST", "The request does not exist."),
    (
        0x80094003,
        "CERTSRV_E_BAD_REQUESTSTATUS",
        "The request's current status does not allow this operation.",
    ),
    (
        0x80094011,
        "CERTSRV_E_ENROLL_DENIED",
        "The permissions on this CA do not allow the current user to enroll for certificates.",
    ),
    (
        0x80094012,
        "CERTSRV_E_TEMPLATE_DENIED",
        "The permissions on the certificate template do not allow the current user to enroll for this "
        "type of certificate.",
    ),
    (
        0x80094014,
        "CERTSRV_E_ADMIN_DENIED_REQUEST",
        "The request was denied by a certificate manager or CA administrator.",
    ),
    (
        0x80094800,
        "CERTSRV_E_UNSUPPORTED_CERT_TYPE",
        "The requested certificate template is not supported by this CA.",
    ),
    (
        0x80094811,
        "CERTSRV_E_KEY_LENGTH",
        "The public key does not meet the minimum size required by the specified certificate template.",
    ),
)

_BY_CODE: Final = {code: HResult(code=code, name=name, text=text) for code, name, text in _TABLE}


def hresult(code: int) -> HResult:
    """Return what is known of ``code``, signed or unsigned; an unknown one is named as Windows does."""
    code &= 0xFFFFFFFF
    known = _BY_CODE.get(code)
    if known is not None:
        return known
    return HResult(code=code, name=f"0x{code:08X}", text=f"Unknown Win32 Error code: 0x{code:08x}")
