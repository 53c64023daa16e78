"""HTTP 404, because nobody routes /pkiclient.exe.

A Windows device does not call the URL of its profile: it appends /pkiclient.exe to it. IIS hands that to
mscep.dll together with the rest of the path, so with NDES nobody notices. A reverse proxy that publishes
the one path that was written down, or a SCEP server that knows only its own, answers 404. Whoever tries the
URL with a browser, curl or another client finds it working.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .engine import Ending, Failure, Scenario, Sighting
from .engine.field import BEFORE_THE_REQUEST, LEARN_DEVICE, MICROMDM_404

if TYPE_CHECKING:
    from .engine.stage import Stage

PATH = "/certsrv/mscep/mscep.dll"


def set_the_stage(stage: Stage) -> None:
    """A reverse proxy publishes the server, under exactly the path that the profile names."""
    stage.put_proxy().publishes = lambda path: path == PATH


def apply_the_cure(stage: Stage) -> None:
    """The proxy's rule takes in what follows the path as well."""
    stage.proxy.publishes = lambda path: path == PATH or path.startswith(f"{PATH}/")


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="0x80190194, HTTP 404; nothing at NDES",
    in_the_field=(
        Sighting(
            where="device, event 307",
            text="... with NDES Server '<url>/pkiclient.exe', CA cert thumbprint '...' and server certs ''. "
            "LogError 0x80190194",
            source=MICROMDM_404,
        ),
        *BEFORE_THE_REQUEST,
        Sighting(
            where="IIS log of a server that is asked",
            text="GET /certsrv/mscep/mscep.dll/pkiclient.exe operation=GetCACaps&message=default",
            source=LEARN_DEVICE,
        ),
    ),
    failure=Failure(ending=Ending.HTTP_STATUS, hresult=0x80190194, http_status=404),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=('curl "http://127.0.0.1:8080/scep/pkiclient.exe?operation=GetCACaps"',),
    on_windows=(
        "Publish /certsrv/mscep/* at the proxy or application gateway, and not /certsrv/mscep/mscep.dll "
        "alone.",
        "Try the URL as the device does: curl -i https://NDES/certsrv/mscep/mscep.dll/pkiclient.exe?"
        "operation=GetCACaps^&message=default",
    ),
)
