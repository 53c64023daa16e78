"""The device's clock is behind.

A certificate is valid from ten minutes before it is issued. A device whose clock is further behind than
that gets a certificate that begins in what it takes for the future, and throws it away. New computers, whose
clock was set in the factory's time zone and is not synchronized before they are enrolled, are hours behind.
The server has issued the certificate and sees nothing wrong; each new attempt issues another one.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from .engine import Ending, Failure, Scenario, Sighting
from .engine.field import AFTER_THE_REQUEST, SCEPMAN, event_32

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """The PKI is a month old; the device's clock is nine hours behind."""
    stage.lab.clock.shift(timedelta(days=30))
    stage.lab.desk.publish_crls()
    stage.device.clock_error = timedelta(hours=-9)


def apply_the_cure(stage: Stage) -> None:
    """The device's clock is synchronized."""
    stage.device.clock_error = timedelta(0)


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="0x800B0101 although the certificate was issued a moment ago",
    in_the_field=(
        event_32(0x800B0101),
        *AFTER_THE_REQUEST,
        Sighting(
            where="device",
            text="The certificate is not yet valid and is discarded; Windows in OOBE up to nine hours off",
            source=SCEPMAN,
        ),
    ),
    failure=Failure(ending=Ending.REPLY_NOT_ACCEPTED, hresult=0x800B0101, check="certificate", iis="200 0 0"),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=("ndes-lab cert list --subject device",),
    on_windows=(
        "w32tm /resync on the device; w32tm /query /status shows how far it is off.",
        "Where devices come with a wrong clock, issue with an earlier notBefore: certutil -setreg "
        "CA\\ClockSkewMinutes 600, and restart certsvc.",
    ),
)
