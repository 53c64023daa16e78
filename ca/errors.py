"""Why a CA refuses, as AD CS names it.

Each leaf knows the HRESULT, its name and the message AD CS gives (MS-ERREF); the text of the
exception says in detail what was found and expected. This module has never heard of SCEP or HTTP.
"""

from __future__ import annotations

from typing import ClassVar


class CaError(Exception):
    """A refusal by the CA; raised by its leaves only."""

    hresult: ClassVar[int] = 0x80004005
    hresult_name: ClassVar[str] = "E_FAIL"
    message: ClassVar[str] = "Unspecified error."


class BadRequestSubject(CaError):
    """The subject is missing, too long, or not what the template lets an enrollee supply."""

    hresult = 0x80094001
    hresult_name = "CERTSRV_E_BAD_REQUESTSUBJECT"
    message = "The request subject name is invalid or too long."


class NoSuchRequest(CaError):
    """No request, or no certificate, with this number."""

    hresult = 0x80094002
    hresult_name = "CERTSRV_E_NO_REQUEST"
    message = "The request does not exist."


class BadRequestStatus(CaError):
    """The request or certificate is not in a state that allows the operation."""

    hresult = 0x80094003
    hresult_name = "CERTSRV_E_BAD_REQUESTSTATUS"
    message = "The request's current status does not allow this operation."


class InvalidCaCertificate(CaError):
    """The CA's own certificate cannot be used: expired, not yet valid, or unreadable."""

    hresult = 0x80094005
    hresult_name = "CERTSRV_E_INVALID_CA_CERTIFICATE"
    message = "The CA's certificate contains invalid data."


class EnrollDenied(CaError):
    """The requester may not enrol at this CA at all."""

    hresult = 0x80094011
    hresult_name = "CERTSRV_E_ENROLL_DENIED"
    message = "The permissions on this CA do not allow the current user to enroll for certificates."


class TemplateDenied(CaError):
    """The requester has no Enroll permission on the template."""

    hresult = 0x80094012
    hresult_name = "CERTSRV_E_TEMPLATE_DENIED"
    message = (
        "The permissions on the certificate template do not allow the current user to enroll for "
        "this type of certificate."
    )


class UnsupportedCertType(CaError):
    """The template is unknown to this CA or not published on it."""

    hresult = 0x80094800
    hresult_name = "CERTSRV_E_UNSUPPORTED_CERT_TYPE"
    message = "The requested certificate template is not supported by this CA."


class SubjectAltNameRequired(CaError):
    """The template wants a subjectAltName and the request has none."""

    hresult = 0x80094803
    hresult_name = "CERTSRV_E_SUBJECT_ALT_NAME_REQUIRED"
    message = "The request is missing a required Subject Alternate name extension."


class KeyLength(CaError):
    """The key is too small, too large, or of a kind the template does not take."""

    hresult = 0x80094811
    hresult_name = "CERTSRV_E_KEY_LENGTH"
    message = "The public key does not meet the minimum size required by the specified certificate template."


class BadPublicKey(CaError):
    """The public key cannot be used: unreadable or weak."""

    hresult = 0x80090003
    hresult_name = "NTE_BAD_KEY"
    message = "Bad Key."


class KeyInUse(CaError):
    """The public key is the CA's or the RA's own, was compromised, or is certified for another subject."""

    hresult = 0x8009000F
    hresult_name = "NTE_EXISTS"
    message = "Object already exists."


class UnacceptableExtension(CaError):
    """The request asks for a name or a critical extension that the template does not grant."""

    hresult = 0x80070057
    hresult_name = "E_INVALIDARG"
    message = "One or more arguments are invalid."


class BadRequestSignature(CaError):
    """The request's own signature does not verify: no proof of possession."""

    hresult = 0x80096004
    hresult_name = "TRUST_E_CERT_SIGNATURE"
    message = "The signature of the certificate cannot be verified."


class BadRequestAlgorithm(CaError):
    """The request is signed with an algorithm that is unknown or refused."""

    hresult = 0x80090008
    hresult_name = "NTE_BAD_ALGID"
    message = "Invalid algorithm specified."


class MalformedRequest(CaError):
    """The PKCS#10 cannot be read, or contradicts itself."""

    hresult = 0x8009310B
    hresult_name = "CRYPT_E_ASN1_BADTAG"
    message = "ASN1 bad tag value met."


class RevocationOffline(CaError):
    """No CRL is in force by which the request agent's certificate could be checked."""

    hresult = 0x80092013
    hresult_name = "CRYPT_E_REVOCATION_OFFLINE"
    message = (
        "The revocation function was unable to check revocation because the revocation server was offline."
    )


class ServiceUnavailable(CaError):
    """The CA cannot do its work now: its key or its database cannot be used."""

    hresult = 0x800706BA
    hresult_name = "RPC_S_SERVER_UNAVAILABLE"
    message = "The RPC server is unavailable."
