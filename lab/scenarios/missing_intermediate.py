"""The intermediate certificate is missing.

Whoever is shown a device's certificate needs the issuing CA's certificate to get from there to the root.
It must be on the verifier already, come along, or be found at the URL in the certificate's AIA. Here the
verifier has the root alone and the file at the AIA URL is gone: it was never copied to the web server, or
went when the server was rebuilt. The chain ends after one certificate.

The device itself notices nothing, since it got the CA certificates when it enrolled: it is the VPN gateway
or the RADIUS server that refuses it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .engine import Ending, Failure, Scenario, Seen, Sighting, observed
from .engine.field import CERTUTIL, PSPKI, UNCONFIRMED

if TYPE_CHECKING:
    from .engine.stage import Stage


def verify_alone(stage: Stage) -> Seen:
    """A gateway that has only the root verifies the certificate as certutil -verify -urlfetch does."""
    return observed(stage, lambda: stage.device.verify(with_chain=False), pki_view=True)


def set_the_stage(stage: Stage) -> None:
    """The device enrols; then the issuing CA's certificate disappears from the web server."""
    stage.must_succeed(stage.device.enrol())
    stage.lab.published_file(stage.lab.world.authority.locations.certificate_file).unlink()


def apply_the_cure(stage: Stage) -> None:
    """The lab is started again, which publishes whatever is missing."""
    stage.lab.restart()


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="0x800B010A at whoever verifies; AIA Location: Unable To Download",
    in_the_field=(
        Sighting(
            where="certutil -verify -urlfetch",
            text="Incomplete certificate chain; Cannot find certificate; 0x800b010a CERT_E_CHAINING",
            source=f"{UNCONFIRMED}; the shape of the rest: {CERTUTIL}",
        ),
        Sighting(
            where="Enterprise PKI (pkiview.msc)", text="AIA Location #1: Unable To Download", source=PSPKI
        ),
    ),
    failure=Failure(
        ending=Ending.NOT_TRUSTED,
        hresult=0x800B010A,
        pki_view=("NDES Lab Test Issuing CA: AIA Location #1: Unable To Download",),
    ),
    attempt=verify_alone,
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=("ndes-lab health", "ndes-lab up  # stopped and started again"),
    on_windows=(
        "Copy the CA's .crt from C:\\Windows\\System32\\CertSrv\\CertEnroll to where the AIA URL points.",
        "Or put it on every verifier: certutil -addstore CA issuing.cer; with Intune a trusted-certificate "
        'profile for "Computer certificate store - Intermediate".',
    ),
)
