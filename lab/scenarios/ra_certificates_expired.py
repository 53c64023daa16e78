"""The RA certificates have expired.

NDES has two certificates of its own, for signing (EnrollmentAgentOffline) and for encryption
(CEPEncryption). They are made when the role is set up, live two years, and nothing renews them. NDES looks
at them when it is loaded: two years later, at the next restart or reboot, it does not start any more, and
every URL answers with HTTP 500, the password page included.

A server that is not restarted goes on with its expired certificates, and it is the clients that refuse.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from .engine import Ending, Failure, Scenario, Sighting
from .engine.field import LEARN_DEVICE, NDES_DOES_NOT_START, UNCONFIRMED
from .engine.registrars import renew_registrars

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """Two years and a day pass, CRLs are published as ever, and the server is restarted."""
    stage.lab.clock.shift(timedelta(days=2 * 365 + 2))
    stage.lab.desk.publish_crls()
    stage.lab.world.recycle()


def apply_the_cure(stage: Stage) -> None:
    """Both RA certificates are renewed, and the service is restarted."""
    renew_registrars(stage)


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="0x801901F4, HTTP 500 on every URL; NDES events 2 and 10",
    in_the_field=(
        NDES_DOES_NOT_START,
        Sighting(
            where="browser, both URLs; IIS log",
            text="HTTP 500, with RA certificates expired, missing, from another CA, or keys without access",
            source=LEARN_DEVICE,
        ),
        Sighting(
            where="device",
            text="0x801901f4 HTTP_E_STATUS_SERVER_ERROR",
            source=f"{LEARN_DEVICE}; the name of the code is {UNCONFIRMED}",
        ),
    ),
    failure=Failure(
        ending=Ending.HTTP_STATUS,
        hresult=0x801901F4,
        http_status=500,
        refused_by="cannot-start",
        events=(2, 10, 2, 10),
        iis="500 0 0",
    ),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=(
        "ndes-lab ra list",
        "ndes-lab ra renew signing",
        "ndes-lab ra renew encryption",
        "ndes-lab ndes recycle",
    ),
    on_windows=(
        "certutil -store My on the NDES server shows both certificates and when they end.",
        "Request new ones under EnrollmentAgentOffline (certreq, in the machine's context) and "
        "CEPEncryption, give the application pool's account Read on their keys, run iisreset.",
    ),
    settings={"pki": {"root_crl_period": "5 Years"}},
)
