"""The CRL of the offline root has expired.

The root's CRL says whether the issuing CA is good. It lasts months, because each one takes somebody to the
safe; when that date is forgotten, the revocation of the issuing CA cannot be checked any more, and with it
that of every certificate below. Nothing has changed in the issuing CA, in NDES, or on the devices.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from ca.root import OfflineRoot

from .engine import Ending, Failure, Scenario, Sighting, verify
from .engine.field import PSPKI, REVOCATION_OFFLINE

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """The device enrols; 27 weeks pass, and nobody fetches the root for its half-yearly CRL."""
    stage.must_succeed(stage.device.enrol())
    stage.lab.clock.shift(timedelta(weeks=27))
    stage.lab.desk.publish_crls()


def apply_the_cure(stage: Stage) -> None:
    """The root is taken out of the safe, signs its next CRL, and that is published."""
    world = stage.lab.world
    OfflineRoot.open(world.folder, world.pki, clock=stage.lab.clock).sign_crl()
    stage.lab.desk.publish_handed_over()


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="0x80092013 at whoever verifies; the root's CDP Location: Expired",
    in_the_field=(
        *REVOCATION_OFFLINE,
        Sighting(
            where="Enterprise PKI (pkiview.msc), the root", text="CDP Location #1: Expired", source=PSPKI
        ),
    ),
    failure=Failure(
        ending=Ending.NOT_TRUSTED,
        hresult=0x80092013,
        pki_view=("NDES Lab Test Root CA: CDP Location #1: Expired",),
    ),
    attempt=verify,
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=("ndes-lab health", "ndes-lab crl sign-root"),
    on_windows=(
        "On the offline root: certutil -crl; carry the .crl to the web server, and certutil -dspublish -f it "
        "if the CDP is in Active Directory.",
        "certutil -verify -urlfetch on the issuing CA's certificate must then end without 0x80092013.",
    ),
    settings={"pki": {"root_crl_period": "26 Weeks", "root_crl_overlap": "1 Days"}},
)
