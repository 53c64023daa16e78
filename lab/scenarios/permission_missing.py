"""The Enroll permission on the template is missing.

NDES requests certificates as itself: the account of its application pool needs Read and Enroll on the
template. A template that was made for another purpose, or a service account that was changed, has not got
them. The CA denies the request; the device can do nothing about it.

Who fetches a password from mscep_admin needs Enroll on the template, too; lacking it shows as a page that
says "You do not have sufficient permission to enroll with SCEP", and as event 6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scep_server.protocol.messages import FailInfo

from .engine import Ending, Failure, Scenario, Sighting
from .engine.field import INFERRED, NDES_LOG

if TYPE_CHECKING:
    from .engine.stage import Stage

TEAM = "CORP\\Network Team"
ACCOUNT = "CORP\\svc-ndes"


def set_the_stage(stage: Stage) -> None:
    """The template grants Enroll to the network team, and not to the account that NDES runs as."""
    stage.change_template(enroll=(TEAM,))


def apply_the_cure(stage: Stage) -> None:
    """The service account is given Enroll as well."""
    stage.change_template(enroll=(TEAM, ACCOUNT))


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="badRequest, 0x80094012; NDES event 31",
    in_the_field=(
        Sighting(
            where=f"{NDES_LOG}, event 31",
            text="The permissions on the certificate template do not allow the current user to enroll for "
            "this type of certificate. 0x80094012 (-2146877422 CERTSRV_E_TEMPLATE_DENIED)",
            source=f"{INFERRED}: code and text are AD CS's, the event is that of other denials",
        ),
    ),
    failure=Failure(
        ending=Ending.REFUSED,
        hresult=0x80094012,
        fail_info=FailInfo.BAD_REQUEST,
        http_status=200,
        refused_by="template-denied",
        events=(31,),
        iis="200 0 0",
    ),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=(
        "ndes-lab template show SCEP-Client-Auth",
        f"ndes-lab template change SCEP-Client-Auth --enroll '{TEAM}' --enroll '{ACCOUNT}'",
    ),
    on_windows=(
        "certtmpl.msc, the template, Security tab: Read and Enroll for the account of the application pool "
        "SCEP.",
        "Replication and caches take a while: gpupdate /force on the CA, or restart certsvc.",
    ),
    settings={"scep": {"endpoints": {"default": {"requester": ACCOUNT}}}},
)
