"""The server's name is unknown to the device.

The URL in the profile has a name that the device's DNS does not resolve: the internal name of NDES on a
device outside, split-horizon DNS, or a slip of the pen. The device does not get as far as a connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from .engine import Ending, Failure, Scenario, Sighting
from .engine.field import BEFORE_THE_REQUEST, UNCONFIRMED, event_32

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """The profile names a host below .invalid, which no DNS ever resolves (RFC 6761 6.4)."""
    parts = urlsplit(stage.lab.url)
    stage.device.url = urlunsplit(parts._replace(netloc=f"ndes.corp.invalid:{parts.port}"))


def apply_the_cure(stage: Stage) -> None:
    """The profile names a host that the device can resolve."""
    stage.device.url = stage.lab.url


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="0x80072EE7; nothing on the server",
    in_the_field=(
        event_32(0x80072EE7),
        *BEFORE_THE_REQUEST,
        Sighting(
            where="device",
            text="ERROR_WINHTTP_NAME_NOT_RESOLVED (12007): DNS, split horizon, an internal name outside",
            source=f"winhttp.h; when it comes is {UNCONFIRMED}",
        ),
    ),
    failure=Failure(ending=Ending.NO_ANSWER, hresult=0x80072EE7),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=("ndes-lab enroll http://127.0.0.1:8080/scep --get-ca-caps",),
    on_windows=(
        "Resolve-DnsName NDES on the device, in the network it is in.",
        "Publish NDES under a name that is known outside (application proxy), and put that into the profile.",
    ),
)
