"""The challenge password has the wrong string type.

RFC 2985 lets a challengePassword be a PrintableString or, where that has no room for a character, a
UTF8String. NDES takes a PrintableString only. Its own passwords are hexadecimal digits and always fit;
a shared password that an administrator has made up, with @ or ! in it, does not, so every client sends a
UTF8String. Some clients, such as strongSwan, send a UTF8String whatever the password is.

The code says "The parameter is incorrect", and there is no event that names the password.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scep_server.protocol.messages import FailInfo

from .engine import Ending, Failure, Scenario, Sighting
from .engine.field import SSCEP_STRING

if TYPE_CHECKING:
    from .engine.stage import Stage

UNFIT = "Sommer@2026!"
FIT = "Sommer-2026"


def set_the_stage(stage: Stage) -> None:
    """The shared password has characters that no PrintableString has, and the device is told it."""
    stage.device.password = UNFIT


def apply_the_cure(stage: Stage) -> None:
    """The shared password is changed to letters, digits and a hyphen, and the server restarted."""
    stage.lab.restart({"ndes": {"single_password": FIT}})
    stage.device.password = FIT


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="badRequest, 0x80070057; no NDES event",
    in_the_field=(
        Sighting(
            where="SCEP reply",
            text="failInfo badRequest (2), HRESULT 0x80070057 (-2147024809)",
            source=SSCEP_STRING,
        ),
        Sighting(
            where="NDES, Application log",
            text="Which event is written, if any, is not known",
            source="no publication known",
        ),
    ),
    failure=Failure(
        ending=Ending.REFUSED,
        hresult=0x80070057,
        fail_info=FailInfo.BAD_REQUEST,
        http_status=200,
        refused_by="challenge-string",
        iis="200 0 0",
    ),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=(f"ndes-lab up --profile ndes-2019 --single-password {FIT}",),
    on_windows=(
        "Use passwords of A-Z, a-z, 0-9, space and ' ( ) + , - . / : = ? only; those of NDES itself always "
        "fit.",
        "Configure the client to send a PrintableString, where it can.",
    ),
    settings={"ndes": {"UseSinglePassword": 1, "single_password": UNFIT}},
)
