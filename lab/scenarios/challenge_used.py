"""The challenge password was used before.

A password of NDES is good for one certificate. NDES issues the certificate first and then takes the
password out of its cache; whoever sends it again, be it a second device that was given the same
password or a profile that is rolled out with one fixed challenge, is refused.

A request that the CA denies does not use its password up: the same one works once the CA has been put
right. That follows from the order in which NDES does things; nobody has published a test of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scep_server.protocol.messages import FailInfo

from .engine import Ending, Failure, Password, Scenario, Sighting
from .engine.field import AFTER_THE_REQUEST, KB959193, NDES_PASSWORD_EVENT, PSCE

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """Another device has enrolled with the password that the device is told."""
    password = stage.new_challenge()
    first = stage.another_device("first-device")
    first.password = stage.device.password = password
    stage.must_succeed(first.enrol())


def apply_the_cure(stage: Stage) -> None:
    """The device is given a password of its own."""
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
            text="HRESULT 0x80070490 (-2147023728); 0x800B0110 (-2146762480) is explained as used, too",
            source=f"{PSCE}; issued first, then removed: {KB959193}",
        ),
    ),
    failure=Failure(
        ending=Ending.REFUSED,
        hresult=0x80070490,
        fail_info=FailInfo.BAD_MESSAGE_CHECK,
        http_status=200,
        refused_by="challenge-spent",
        events=(29,),
        iis="200 0 0",
    ),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=("ndes-lab challenge list", "ndes-lab challenge new"),
    on_windows=(
        "Reload https://NDES/certsrv/mscep_admin/: each reload makes a new password.",
        "For devices that can only be given one password, set UseSinglePassword to 1 below "
        "HKLM\\SOFTWARE\\Microsoft\\Cryptography\\MSCEP and run iisreset.",
    ),
)
