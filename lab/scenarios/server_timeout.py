"""The server does not answer in time.

Something on the way takes the request and gives nothing back: a proxy whose connector hangs, a balancer in
front of a server that has frozen, an inspection device that waits for the end of something. Where packets
are simply dropped, not even a connection comes about, and the device waits all the same. It gives up after
its own time-out; the server has never heard of it.

A port that nobody listens on is another matter: that is refused at once (server-unreachable).
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from .engine import Ending, Failure, Scenario, Sighting
from .engine.field import BEFORE_THE_REQUEST, LEARN_DEVICE, UNCONFIRMED, event_32

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """A proxy takes the device's request and does not answer; the device waits half a second."""
    stage.put_proxy().is_stuck = True
    stage.device.timeout = timedelta(seconds=0.5)


def apply_the_cure(stage: Stage) -> None:
    """The proxy is restarted and hands requests on; the device waits as long as usual."""
    stage.proxy.release()
    stage.device.timeout = timedelta(seconds=10)


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="0x80072EE2; nothing on the server",
    in_the_field=(
        event_32(0x80072EE2),
        *BEFORE_THE_REQUEST,
        Sighting(
            where="device",
            text="ERROR_WINHTTP_TIMEOUT (12002): server or firewall drops packets",
            source=f"winhttp.h; when it comes is {UNCONFIRMED}",
        ),
        Sighting(
            where="browser, Entra application proxy",
            text="Gateway Timeout, where the connector is stopped",
            source=LEARN_DEVICE,
        ),
    ),
    failure=Failure(ending=Ending.NO_ANSWER, hresult=0x80072EE2),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=(
        'curl --max-time 5 "http://127.0.0.1:8080/scep?operation=GetCACaps"',
        "ndes-lab enroll http://127.0.0.1:8080/scep --get-ca-caps --timeout 60",
    ),
    on_windows=(
        "Ask NDES past the proxy, from its own network: curl -i http://NDES/certsrv/mscep/mscep.dll; then "
        "through it.",
        "Restart the proxy or its connector (service Microsoft Entra private network connector); look for "
        "rules that drop instead of refusing.",
    ),
)
