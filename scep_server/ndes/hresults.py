"""The words Windows has for an HRESULT: what stands as %2 in events.

They are FormatMessage's, which differ from the list in MS-ERREF where both exist: 0x80070057 reads
"The parameter is incorrect." in an event. Does not live here: who raises which code.
"""

from __future__ import annotations

from typing import Final

E_FAIL: Final = 0x80004005
_MESSAGES: Final = {
    E_FAIL: "Unspecified error",
    0x80070002: "The system cannot find the file specified.",
    0x80070005: "Access is denied.",
    0x80070057: "The parameter is incorrect.",
    0x800700EA: "More data is available.",
    0x80070490: "Element not found.",
    0x800706BA: "The RPC server is unavailable.",
    0x80090003: "Bad Key.",
    0x80090005: "Bad Data.",
    0x80090006: "Invalid Signature.",
    0x80090008: "Invalid algorithm specified.",
    0x8009000F: "Object already exists.",
    0x80090016: "Keyset does not exist",
    0x80092004: "Cannot find object or property.",
    0x80092010: "The certificate is revoked.",
    0x80092013: (
        "The revocation function was unable to check revocation because the revocation server was offline."
    ),
    0x8009310B: "ASN1 bad tag value met.",
    0x80094001: "The request subject name is invalid or too long.",
    0x80094800: "The requested certificate template is not supported by this CA.",
    0x80096004: "The signature of the certificate cannot be verified.",
    0x80096005: "The timestamp signature and/or certificate could not be verified or is malformed.",
    0x800B0101: (
        "A required certificate is not within its validity period when verifying against the current "
        "system clock or the timestamp in the signed file."
    ),
    0x800B0109: (
        "A certificate chain processed, but terminated in a root certificate which is not trusted by the "
        "trust provider."
    ),
    0x800B0110: "The certificate is not valid for the requested usage.",
}


def message_of(hresult: int) -> str:
    """Return Windows's sentence for an HRESULT, empty where none is known here."""
    return _MESSAGES.get(hresult, "")


def as_hexadecimal(hresult: int) -> str:
    """Return an HRESULT as events print it."""
    return f"0x{hresult:08x}"


def as_signed(hresult: int) -> int:
    """Return an HRESULT as the signed number that attribute 1.3.6.1.4.1.311.21.33 carries."""
    return hresult - (1 << 32) if hresult >> 31 else hresult
