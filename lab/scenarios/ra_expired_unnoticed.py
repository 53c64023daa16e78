"""The RA certificates expired while the server was running.

NDES looks at its RA certificates when it is loaded and not again. A server that nobody restarts passes
their end without an event, and goes on handing them out and signing with them. Clients that check what they
get refuse: they would have to encrypt their request to an expired certificate.

It is the same cause as with HTTP 500 after a restart, but with nothing at all to be seen on the server. That
a running NDES does not notice is inferred; nobody has documented it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from .engine import Ending, Failure, Scenario, Sighting
from .engine.field import BEFORE_THE_REQUEST, INFERRED, event_32
from .engine.registrars import renew_registrars

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """A device enrols, so that the service is loaded; then two years and a day pass."""
    stage.must_succeed(stage.another_device("first-device").enrol())
    stage.lab.clock.shift(timedelta(days=2 * 365 + 2))
    stage.lab.desk.publish_crls()


def apply_the_cure(stage: Stage) -> None:
    """Both RA certificates are renewed, and the service is restarted."""
    renew_registrars(stage)


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="0x800B0101 before any request; nothing on the server",
    in_the_field=(
        event_32(0x800B0101),
        *BEFORE_THE_REQUEST,
        Sighting(where="NDES", text="nothing until it is restarted", source=INFERRED),
    ),
    failure=Failure(ending=Ending.CA_NOT_TRUSTED, hresult=0x800B0101, iis="200 0 0"),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=(
        "ndes-lab health",
        "ndes-lab ra renew signing",
        "ndes-lab ra renew encryption",
        "ndes-lab ndes recycle",
    ),
    on_windows=(
        "certutil -store My on the NDES server shows both certificates and when they end; watch that date.",
        "Request new ones under EnrollmentAgentOffline and CEPEncryption, give the application pool's "
        "account Read on their keys, run iisreset.",
    ),
    settings={"pki": {"root_crl_period": "5 Years"}},
)
