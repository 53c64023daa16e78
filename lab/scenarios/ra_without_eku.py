"""The RA certificates have no key usage and no extended key usage.

Windows looks in GetCACert's answer for a certificate to verify replies with and one to encrypt to. An RA
certificate that says of itself neither digitalSignature or keyEncipherment nor what it is for does not
count, and Windows says that the certificate does not exist, although it is there. RA certificates of NDES's
own templates are right; those made by hand, with OpenSSL or under another product's template, often are
not.

Other clients, and RFC 8894, are content with such certificates: only the Windows devices fail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .engine import Ending, Failure, Scenario, Sighting
from .engine.field import BEFORE_THE_REQUEST, ISSUE_RA, event_32
from .engine.registrars import put_bare_registrars, renew_registrars
from .engine.windows import require_registrars

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """RA certificates without both are put in place; the device is particular, as Windows is."""
    put_bare_registrars(stage)
    stage.device.requirements = (require_registrars,)


def apply_the_cure(stage: Stage) -> None:
    """RA certificates of NDES's own templates are put in place, and the service is restarted."""
    renew_registrars(stage)


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="0x8010002C before any request; IIS's log ends with GetCACert",
    in_the_field=(
        event_32(0x8010002C),
        *BEFORE_THE_REQUEST,
        Sighting(
            where="device",
            text="Adding keyUsage digitalSignature and keyEncipherment and the EKU serverAuth or Certificate "
            "Request Agent cured it; a CA that is its own RA needs neither",
            source=ISSUE_RA,
        ),
    ),
    failure=Failure(ending=Ending.CA_NOT_TRUSTED, hresult=0x8010002C, iis="200 0 0"),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=(
        "ndes-lab ra list",
        "ndes-lab ra renew signing",
        "ndes-lab ra renew encryption",
        "ndes-lab ndes recycle",
    ),
    on_windows=(
        "On NDES: request the certificates under EnrollmentAgentOffline and CEPEncryption; run iisreset.",
        "On another SCEP server: keyUsage digitalSignature and keyEncipherment, extendedKeyUsage serverAuth "
        "or 1.3.6.1.4.1.311.20.2.1 in the RA certificate.",
    ),
)
