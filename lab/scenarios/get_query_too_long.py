"""A request by GET is longer than IIS allows.

A client that cannot POST, or does not believe GetCACaps, puts the whole request into the URL, some six
thousand characters. IIS's request filtering stops at 2048 characters of query unless it is told otherwise;
NDES's own web.config raises that since Windows Server 2019, on 2012 R2 it was seen to stop there. GetCACaps
and GetCACert are short and work. IIS says 404, and only sc-substatus 15 in its log tells it from a wrong
path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .engine import Ending, Failure, Scenario, Sighting
from .engine.field import LEARN_DEVICE, LEARN_LIMITS

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """The device sends its request by GET, to a server with IIS's limits of 2012 R2."""
    stage.device.posts = False


def apply_the_cure(stage: Stage) -> None:
    """The limits of request filtering and of HTTP.sys are raised to 65534, and the server restarted."""
    limits = {"maxUrl": 65534, "maxQueryString": 65534, "MaxFieldLength": 65534, "MaxRequestBytes": 65534}
    stage.lab.restart({"ndes": {"iis": limits}})


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="0x80190194, HTTP 404 after the request; IIS log 404 15 0",
    in_the_field=(
        Sighting(where="IIS log", text="404 15 (query string too long)", source=LEARN_LIMITS),
        Sighting(
            where="device behind a proxy, or HTTP.sys",
            text="HTTP 414: maxUrl, maxQueryString, MaxFieldLength and MaxRequestBytes to 65534, then reboot",
            source=LEARN_DEVICE,
        ),
    ),
    failure=Failure(
        ending=Ending.HTTP_STATUS,
        hresult=0x80190194,
        http_status=404,
        refused_by="iis-404.15",
        iis="404 15 0",
    ),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=(
        "lab.toml: ndes.iis = {maxQueryString = 65534, maxUrl = 65534, MaxFieldLength = 65534, "
        "MaxRequestBytes = 65534}",
        "ndes-lab up --data-dir DIR --profile ndes-2012r2 --config lab.toml",
    ),
    on_windows=(
        "appcmd set config /section:requestfiltering /requestlimits.maxquerystring:65534 "
        "/requestlimits.maxurl:65534",
        "HKLM\\SYSTEM\\CurrentControlSet\\Services\\HTTP\\Parameters: MaxFieldLength and MaxRequestBytes "
        "65534; restart the server. Better: let the client POST.",
    ),
    profile="ndes-2012r2",
)
