"""HTTP 503, because the application pool is stopped.

IIS runs mscep.dll in the application pool SCEP. IIS stops a pool that crashes five times within five
minutes, and one whose account cannot log on. From then on HTTP.sys answers in its place: 503, at once, and
with no line in IIS's log; it is in the folder LogFiles/HTTPERR of System32 instead. Known reasons for the
crashes: intermediate CA certificates in the store of trusted roots, a CRL that cannot be reached, and an
expired certificate of the Intune connector.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .engine import Ending, Failure, Scenario, Sighting
from .engine.field import BEFORE_THE_REQUEST, LEARN_DEVICE, event_32

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """The application pool is stopped."""
    stage.lab.restart({"ndes": {"application_pool": "stopped"}})


def apply_the_cure(stage: Stage) -> None:
    """The application pool is started."""
    stage.lab.restart({"ndes": {"application_pool": "started"}})


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="0x801901F7, HTTP 503; no line in IIS's log",
    in_the_field=(
        Sighting(
            where="NDES, Application log",
            text="Application Error 1000: w3wp.exe, faulting module ntdll.dll, 0xc0000005, where it crashed",
            source=LEARN_DEVICE,
        ),
        event_32(0x801901F7),
        *BEFORE_THE_REQUEST,
    ),
    failure=Failure(ending=Ending.HTTP_STATUS, hresult=0x801901F7, http_status=503, refused_by="iis-503.0"),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=(
        'lab.toml: ndes.application_pool = "started"',
        "ndes-lab up --data-dir DIR --profile ndes-2019 --config lab.toml",
    ),
    on_windows=(
        "Start-WebAppPool SCEP; if it stops again, read the Application and System logs for why.",
        "Get-ChildItem Cert:\\LocalMachine\\Root | Where-Object {$_.Issuer -ne $_.Subject} must find "
        "nothing.",
    ),
)
