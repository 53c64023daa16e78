"""The server cannot be reached.

Nobody listens where the URL points: the server is down, IIS is stopped, the port is wrong, or a firewall
answers in its place. The device gets no connection, and the server, of course, has logged nothing. Where a
firewall drops the packets instead of refusing them, the same cause looks like a timeout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .engine import Ending, Failure, Scenario, Sighting
from .engine.field import BEFORE_THE_REQUEST, UNCONFIRMED, event_32

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """The device has its password; then the server is stopped."""
    stage.device.password = stage.new_challenge()
    stage.lab.stop()


def apply_the_cure(stage: Stage) -> None:
    """The server is started."""
    stage.lab.start()


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="0x80072EFD; nothing on the server",
    in_the_field=(
        event_32(0x80072EFD),
        *BEFORE_THE_REQUEST,
        Sighting(
            where="device",
            text="ERROR_WINHTTP_CANNOT_CONNECT (12029): port closed, or proxy",
            source=f"winhttp.h; when it comes is {UNCONFIRMED}",
        ),
    ),
    failure=Failure(ending=Ending.NO_ANSWER, hresult=0x80072EFD),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=("ndes-lab up", "curl http://127.0.0.1:8082/health/ready"),
    on_windows=(
        "Test-NetConnection NDES -Port 443 from the network the device is in.",
        "On the server: iisreset /start; Get-WebAppPoolState SCEP; netstat -ano | findstr :443.",
    ),
)
