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
from .engine.templates import DEVICE_TEMPLATE, TEMPLATE_NAME

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """The template grants Enroll to the network team, and not to the account that NDES runs as."""
    stage.lab.write_template(
        TEMPLATE_NAME, f'{DEVICE_TEMPLATE}[security]\nenroll = ["CORP\\\\Network Team"]\n'
    )
    stage.lab.restart(
        {
            "ndes": {"GeneralPurposeTemplate": TEMPLATE_NAME},
            "scep": {"endpoints": {"default": {"requester": "CORP\\svc-ndes"}}},
        }
    )


def apply_the_cure(stage: Stage) -> None:
    """The service account is given Enroll as well."""
    enroll = '[security]\nenroll = ["CORP\\\\Network Team", "CORP\\\\svc-ndes"]\n'
    stage.lab.write_template(TEMPLATE_NAME, DEVICE_TEMPLATE + enroll)
    stage.lab.restart()


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
        'DIR/templates/DeviceSign.toml: security.enroll = ["CORP\\\\svc-ndes"]',
        "ndes-lab up --data-dir DIR --profile ndes-2019 --config lab.toml",
    ),
    on_windows=(
        "certtmpl.msc, the template, Security tab: Read and Enroll for the account of the application pool "
        "SCEP.",
        "Replication and caches take a while: gpupdate /force on the CA, or restart certsvc.",
    ),
)
