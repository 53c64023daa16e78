"""The challenge password has expired.

A password of NDES is good for 60 minutes (PasswordValidity), one that Intune makes likewise. A device
that got its profile and was then switched off, or was out of the network, comes too late. Intune
delivers a fresh challenge at the next synchronization; whoever copies passwords by hand has to fetch a
new one.

NDES answers as for a password that it has never heard of.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from scep_server.protocol.messages import FailInfo

from .engine import Ending, Failure, Password, Scenario, Sighting
from .engine.field import AFTER_THE_REQUEST, FLEET, INFERRED, NDES_PASSWORD_EVENT

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """A password is made, and 61 minutes pass before the device uses it."""
    stage.device.password = stage.new_challenge()
    stage.lab.clock.shift(timedelta(minutes=61))


def apply_the_cure(stage: Stage) -> None:
    """The device is given a new password and uses it at once."""
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
            text="As for an unknown password: clients cannot tell the two apart",
            source=f"{FLEET}; the HRESULT is {INFERRED}",
        ),
        Sighting(
            where="Intune, third-party CA interface",
            text="ChallengeExpired: SCEP challenge has expired. challengeExpInterval=60",
            source="Keyfactor/ejbca-ce issue 690",
        ),
    ),
    failure=Failure(
        ending=Ending.REFUSED,
        hresult=0x80070490,
        fail_info=FailInfo.BAD_MESSAGE_CHECK,
        http_status=200,
        refused_by="challenge-expired",
        events=(29,),
        iis="200 0 0",
    ),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=("ndes-lab challenge list", "ndes-lab challenge new"),
    on_windows=(
        "Fetch a new password from https://NDES/certsrv/mscep_admin/, or synchronize the device with Intune.",
        "If an hour is too short, raise PasswordValidity (minutes) below "
        "HKLM\\SOFTWARE\\Microsoft\\Cryptography\\MSCEP\\PasswordValidity and run iisreset.",
    ),
)
