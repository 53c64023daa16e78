"""The request has no challenge password.

NDES wants a password in each first request (EnforcePassword is 1). It seems that it takes a request that has
none for a renewal, which is authenticated by the certificate that signs it; that is the device's own throw-
away certificate, which nobody has issued, so its signature proves nothing. That would explain why the error
code speaks of a signature although it is the password that is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scep_server.protocol.messages import FailInfo

from .engine import Ending, Failure, Password, Scenario, Sighting
from .engine.field import AFTER_THE_REQUEST, INFERRED, PSCE

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """The device is set up without a password."""
    stage.device.password = None


def apply_the_cure(stage: Stage) -> None:
    """The device is given a password."""
    stage.device.password = Password.FRESH


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="badMessageCheck, 0x80096004; NDES event 29",
    in_the_field=(
        *AFTER_THE_REQUEST,
        Sighting(
            where="SCEP reply",
            text="HRESULT 0x80096004 (-2146869244) TRUST_E_CERT_SIGNATURE",
            source=f"{PSCE}; failInfo badMessageCheck is {INFERRED}, and whether the event is 28 or 29 is "
            "not known",
        ),
    ),
    failure=Failure(
        ending=Ending.REFUSED,
        hresult=0x80096004,
        fail_info=FailInfo.BAD_MESSAGE_CHECK,
        http_status=200,
        refused_by="challenge-absent",
        events=(29,),
        iis="200 0 0",
    ),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=("ndes-lab challenge new",),
    on_windows=(
        "Give the device a password from https://NDES/certsrv/mscep_admin/.",
        "Where no password is wanted at all, set EnforcePassword to 0 below "
        "HKLM\\SOFTWARE\\Microsoft\\Cryptography\\MSCEP\\EnforcePassword and run iisreset: anybody can "
        "enrol then.",
    ),
)
