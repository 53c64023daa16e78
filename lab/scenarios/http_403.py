"""HTTP 403, because the device's address is not allowed.

Somebody has restricted the site to some networks ("IP Address and Domain Restrictions"), a web application
firewall sorts by country, or IIS demands a client certificate (Require SSL). The device has none at that
point: getting one is what it has come for. IIS's log says which of them it was, in sc-substatus: 403.6 is
the address, 403.7 and 403.16 are about client certificates.

A 403.0 in a browser, without an operation, is no fault where a policy module is installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .engine import Ending, Failure, Scenario, Sighting
from .engine.field import BEFORE_THE_REQUEST, LEARN_DEVICE, UNCONFIRMED, event_32

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """Only one network may use the site, and the device is in another."""
    stage.lab.restart({"ndes": {"allowed_addresses": ["192.0.2.0/24"]}})


def apply_the_cure(stage: Stage) -> None:
    """The device's network is allowed as well."""
    stage.lab.restart({"ndes": {"allowed_addresses": ["192.0.2.0/24", "127.0.0.0/8"]}})


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="0x80190193, HTTP 403; IIS log 403 6 5",
    in_the_field=(
        event_32(0x80190193),
        *BEFORE_THE_REQUEST,
        Sighting(
            where="device",
            text="0x80190193 HTTP_E_STATUS_FORBIDDEN: WAF, geo-block, Require SSL client certificate",
            source=f"{UNCONFIRMED}; 403.0 on a bare browse as the healthy sign: {LEARN_DEVICE}",
        ),
    ),
    failure=Failure(
        ending=Ending.HTTP_STATUS, hresult=0x80190193, http_status=403, refused_by="iis-403.6", iis="403 6 5"
    ),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=(
        "ndes-lab ndes log --last 5",
        'lab.toml: ndes.allowed_addresses = ["192.0.2.0/24", "127.0.0.0/8"]',
        "ndes-lab up --data-dir DIR --profile ndes-2019 --config lab.toml",
    ),
    on_windows=(
        "IIS Manager, CertSrv/mscep, IP Address and Domain Restrictions: allow the devices' networks.",
        "IIS Manager, CertSrv/mscep, SSL Settings: client certificates Ignore.",
    ),
)
