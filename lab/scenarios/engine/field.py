"""What Windows devices and real NDES servers show, as far as somebody has published it.

Lives here: the publications by name, and the sightings that several scenarios share. A sighting that no
publication backs says so: `UNCONFIRMED` where it is told from memory, `INFERRED` where it follows from
what is published.
"""

from __future__ import annotations

from typing import Final

from lab.hresults import hresult

from .scenario import Sighting

UNCONFIRMED: Final = "unconfirmed: no publication known"
INFERRED: Final = "inferred from what is published"

ETW: Final = "event manifests in github nasbench/EVTX-ETW-Resources"
LEARN_DEVICE: Final = "Microsoft Learn, troubleshoot-scep-certificate-device-to-ndes"
LEARN_WIN10: Final = "Microsoft Learn, scep-deployment-to-win10-devices-fails"
LEARN_80094800: Final = "Microsoft Learn, devices-receive-scep-certificates-error-0x80094800; KB4488562"
LEARN_PROFILE: Final = "Microsoft Learn, certificates-profile-scep"
LEARN_IX509: Final = "Microsoft Learn, IX509SCEPEnrollment::Initialize"
LEARN_LIMITS: Final = "Microsoft Learn, requestLimits; certnanny/sscep issue 83"
GRADENEGGER: Final = "gradenegger.eu, NDES events"
GRADENEGGER_87: Final = "gradenegger.eu, event 87 of CertificateServicesClient-CertEnroll"
DREADED: Final = "techcommunity.microsoft.com, the dreaded NDES events 2 and 10"
PSCE: Final = "github Sleepw4lker/PSCertificateEnrollment, Get-SCEPCertificate.ps1"
PSCE_PENDING: Final = "github Sleepw4lker/PSCertificateEnrollment, pull request 10"
SSCEP_PASSWORD: Final = "certnanny/sscep issues 46, 80 and 156"
SSCEP_STRING: Final = "certnanny/sscep issues 59 and 83, decoded capture"
SSCEP_RECIPIENT: Final = "certnanny/sscep issue 60; micromdm/scep issue 123"
FLEET: Final = "github fleetdm/fleet, NDES proxy and its test pages"
KB959193: Final = "KB959193"
SCEPMAN: Final = "SCEPman documentation, troubleshooting"
MICROMDM_404: Final = "micromdm/scep issue 238"
ISSUE_RA: Final = "microsoft/Intune-Resource-Access issue 87; NeySlim/ultimate-ca-manager issue 228"
STEP_INTUNE: Final = "a published set-up of step-ca with Intune, one report"
CERTUTIL: Final = "Microsoft Q&A 1003508, a run of certutil -verify -urlfetch"
PSPKI: Final = "github PKISolutions/PSPKI, Get-EnterprisePKIHealthStatus"

MDM_LOG: Final = "device, DeviceManagement-Enterprise-Diagnostics-Provider/Admin"
APPLICATION_LOG: Final = "device, Application log, CertificateServicesClient-CertEnroll"
NDES_LOG: Final = "NDES, Application log, NetworkDeviceEnrollmentService"

_OBSERVED: Final = {0x80091007, 0x8010002C, 0x80072F8F, 0x80072F78}  # by SCEPman and in issues


def event_32(code: int) -> Sighting:
    """Return event 32 of the MDM log for a code: its text where the system has one, else the number."""
    known = hresult(code)
    shown = f"Unknown Win32 Error code: 0x{code:08x}" if known.is_winhttp else known.text
    source = f"{ETW}; {SCEPMAN}" if code in _OBSERVED else f"{ETW}; the text within is {INFERRED}"
    return Sighting(
        where=f"{MDM_LOG}, event 32",
        text=f"SCEP: Certificate enroll failed. Result: ({shown}).",
        source=source,
    )


BEFORE_THE_REQUEST: Final = (
    Sighting(
        where=f"{MDM_LOG}, events 306, 32 and 307, no 36",
        text="307 reads SCEP: Failed LogError Message : (SCEPInstallCertificateWithScepHelper:Failed to "
        "Initialize SCEP enrollment with NDES Server '...', and names the CA's thumbprint",
        source=f"{SCEPMAN}; {MICROMDM_404}",
    ),
    Sighting(
        where=f"{APPLICATION_LOG}, event 86",
        text="SCEP Certificate enrollment initialization for ... via ... failed, with Method and Stage",
        source="gradenegger.eu, event 86 of CertificateServicesClient-CertEnroll",
    ),
)
"""A device that fails before it sends a request."""

AFTER_THE_REQUEST: Final = (
    Sighting(
        where=f"{MDM_LOG}, events 36 and 32",
        text="36 says that the request was generated, 32 that enrolment failed",
        source=f"{ETW}; {SCEPMAN}",
    ),
    Sighting(
        where=f"{APPLICATION_LOG}, event 87",
        text="SCEP Certificate enrollment for ... via ... failed, with PkiStatus, FailInfo and EnrollStatus",
        source=GRADENEGGER_87,
    ),
)
"""A device whose request is refused, or gets a reply that it cannot use."""

NDES_PASSWORD_EVENT: Final = Sighting(
    where=f"{NDES_LOG}, event 29",
    text="The password in the certificate request cannot be verified. It may have been used already. "
    "Obtain a new password to submit with this request.",
    source=SSCEP_PASSWORD,
)

NDES_DOES_NOT_START: Final = Sighting(
    where=f"{NDES_LOG}, events 2 and 10",
    text="The Network Device Enrollment Service cannot be started / cannot retrieve one of its required "
    "certificates (0x80070057). The parameter is incorrect.",
    source=f"{DREADED}; {GRADENEGGER}; {LEARN_DEVICE}",
)

REVOCATION_OFFLINE: Final = (
    Sighting(
        where="certutil -verify -urlfetch",
        text="The revocation function was unable to check revocation because the revocation server was "
        "offline. 0x80092013 (-2146885613 CRYPT_E_REVOCATION_OFFLINE)",
        source=CERTUTIL,
    ),
    Sighting(
        where="device, CAPI2/Operational, events 41 and 53",
        text="Verify Revocation and Retrieve Object from Network end with Result 80092013",
        source=f"{ETW}; the result of event 53 is {UNCONFIRMED}",
    ),
)
