"""The challenge password is wrong.

NDES remembers every password that it has handed out until it is used or runs out. A password that it
has never handed out, be it mistyped, cut off in copying or made by another server, is simply not in its
cache. The request itself is in order, so the answer is a signed CertRep FAILURE under HTTP 200, and
IIS's log shows nothing but 200s: event 29 is the only trace.

From outside, a wrong password cannot be told from one that was used or has expired.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scep_server.protocol.messages import FailInfo

from .engine import Ending, Failure, Password, Scenario, Sighting
from .engine.field import AFTER_THE_REQUEST, NDES_PASSWORD_EVENT, PSCE, SSCEP_PASSWORD

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """The device is told a password that this server has never handed out."""
    stage.device.password = "0123456789ABCDEF"


def apply_the_cure(stage: Stage) -> None:
    """The device is given a password that this server has made."""
    stage.device.password = Password.FRESH


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="badMessageCheck, 0x80070490; NDES event 29",
    in_the_field=(
        *AFTER_THE_REQUEST,
        NDES_PASSWORD_EVENT,
        Sighting(
            where="SCEP reply",
            text="failInfo badMessageCheck (1), HRESULT 0x80070490 (-2147023728)",
            source=f"{SSCEP_PASSWORD}; {PSCE}",
        ),
    ),
    failure=Failure(
        ending=Ending.REFUSED,
        hresult=0x80070490,
        fail_info=FailInfo.BAD_MESSAGE_CHECK,
        http_status=200,
        refused_by="challenge-unknown",
        events=(29,),
        iis="200 0 0",
    ),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=("ndes-lab challenge new",),
    on_windows=(
        "Open https://NDES/certsrv/mscep_admin/ and copy the password that is shown.",
        "With Intune, check that the device asks the server whose connector made the challenge.",
    ),
)
