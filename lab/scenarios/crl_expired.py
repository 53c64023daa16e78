"""The CRL has expired.

A CRL is good until its nextUpdate, a week and a little by default. The CA signs a new one in time, but
somebody has to bring it to the web server: a scheduled copy, a file share, DFS. When that stops, the old
list goes on being served, and a week later every check of revocation fails, all at once and for every
device. The CA's own event log has nothing, since the CA did what it should.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from .engine import Ending, Failure, Scenario, Sighting, verify
from .engine.field import PSPKI, REVOCATION_OFFLINE

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """The device enrols; for nine days nobody copies the CA's new CRLs to the web server."""
    stage.must_succeed(stage.device.enrol())
    served = stage.lab.published_file(stage.lab.world.authority.locations.crl_file)
    content = served.read_bytes()
    stage.lab.clock.shift(timedelta(days=9))
    stage.lab.desk.publish_crls()
    served.write_bytes(content)


def apply_the_cure(stage: Stage) -> None:
    """A new CRL is published to where it is served from."""
    stage.lab.desk.publish_crls()


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="0x80092013 at whoever verifies; CDP Location: Expired",
    in_the_field=(
        *REVOCATION_OFFLINE,
        Sighting(where="Enterprise PKI (pkiview.msc)", text="CDP Location #1: Expired", source=PSPKI),
    ),
    failure=Failure(
        ending=Ending.NOT_TRUSTED,
        hresult=0x80092013,
        pki_view=("NDES Lab Test Issuing CA: CDP Location #1: Expired",),
    ),
    attempt=verify,
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=("ndes-lab health", "ndes-lab crl publish", "ndes-lab crl show"),
    on_windows=(
        "On the CA: certutil -crl; compare the CRL in C:\\Windows\\System32\\CertSrv\\CertEnroll with the "
        "one at the CDP URL, and mend the copying.",
        "Watch nextUpdate of what is served, not of what the CA has signed.",
    ),
    settings={"pki": {"ocsp": {"enabled": False}, "crl_delta_period": "0 Days"}},
)
