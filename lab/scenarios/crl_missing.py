"""The CRL is missing.

Every certificate says where its CA publishes the list of revoked certificates (CDP). If nothing is there,
whoever checks revocation and goes by CRLs cannot tell whether the certificate is good, and most refuse.
The list went with a rebuilt web server, or the CA publishes to a folder that is not the one that the web
server serves.

With an OCSP responder in place a device would not notice: this lab has none, as a CA without the Online
Responder role.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .engine import Ending, Failure, Scenario, Sighting, verify
from .engine.field import PSPKI, REVOCATION_OFFLINE

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """The device enrols; then the issuing CA's CRL disappears from the web server."""
    stage.must_succeed(stage.device.enrol())
    stage.lab.published_file(stage.lab.world.authority.locations.crl_file).unlink()


def apply_the_cure(stage: Stage) -> None:
    """The CA publishes a CRL."""
    stage.lab.desk.publish_crls()


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="0x80092013 at whoever verifies; CDP Location: Unable To Download",
    in_the_field=(
        *REVOCATION_OFFLINE,
        Sighting(
            where="Enterprise PKI (pkiview.msc)", text="CDP Location #1: Unable To Download", source=PSPKI
        ),
    ),
    failure=Failure(
        ending=Ending.NOT_TRUSTED,
        hresult=0x80092013,
        pki_view=("NDES Lab Test Issuing CA: CDP Location #1: Unable To Download",),
    ),
    attempt=verify,
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=("ndes-lab health", "ndes-lab crl publish", "ndes-lab health"),
    on_windows=(
        "On the CA: certutil -crl, then look whether the file is where the CDP URL points (pkiview.msc).",
        "On the device: certutil -urlcache * delete, because failures are remembered, too.",
    ),
    settings={"pki": {"ocsp": {"enabled": False}}},
)
