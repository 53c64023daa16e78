"""An expired CRL keeps the CA from issuing.

NDES hands requests in with its Enrollment Agent certificate, and the CA checks whether that has been revoked
before it believes it. When the CA's own CRL has run out, or cannot be fetched from where the CA looks for it,
the CA denies every request from NDES. A CRL that nobody thought of, because no device checks it, so stops
enrolment altogether.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from scep_server.protocol.messages import FailInfo

from .engine import Ending, Failure, Scenario, Sighting
from .engine.field import GRADENEGGER, NDES_LOG

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """Nine days pass in which the CA signs no CRL."""
    stage.lab.clock.shift(timedelta(days=9))


def apply_the_cure(stage: Stage) -> None:
    """The CA signs and publishes a CRL."""
    stage.lab.desk.publish_crls()


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="badRequest, 0x80092013; NDES event 31",
    in_the_field=(
        Sighting(
            where=f"{NDES_LOG}, event 31",
            text="The Network Device Enrollment Service cannot submit the certificate request (The "
            "revocation function was unable to check revocation because the revocation server was offline.).",
            source=GRADENEGGER,
        ),
    ),
    failure=Failure(
        ending=Ending.REFUSED,
        hresult=0x80092013,
        fail_info=FailInfo.BAD_REQUEST,
        http_status=200,
        refused_by="revocation-offline",
        events=(31,),
        iis="200 0 0",
    ),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=("ndes-lab health", "ndes-lab crl publish"),
    on_windows=(
        "On the CA: certutil -crl; certutil -verify -urlfetch on the RA's certificate, in the CA's own "
        "network.",
        "certutil -urlcache crl delete on the CA, which remembers that it could not fetch.",
    ),
    settings={"pki": {"check_request_agent_revocation": True}},
)
