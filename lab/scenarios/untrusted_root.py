"""The device does not trust the root.

Before it sends a request a client asks for the CA's certificates (GetCACert) and builds their chain. If
the chain ends in a root that the device does not have, because the trusted-certificate profile is
missing, has not arrived yet, holds another root, or went into the wrong store, the client stops there.
NDES answered two questions well and hears nothing more: there is no PKIOperation in IIS's log, and no
event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.client import CaTrust
from lab.trust import TrustAnchors

from .engine import Ending, Failure, Scenario, Sighting
from .engine.field import BEFORE_THE_REQUEST, SCEPMAN, event_32
from .engine.other_ca import foreign_root

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """The device is given the root of another PKI of nearly the same name."""
    other = foreign_root("NDES Lab Old Root CA", stage.lab.clock.now())
    stage.device.trust = CaTrust(anchors=TrustAnchors.of([other], origin="another PKI's root"))


def apply_the_cure(stage: Stage) -> None:
    """The device is given the root that this CA really chains to."""
    stage.device.trust = CaTrust(anchors=stage.lab.anchors)


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="0x800B0109 before any request; IIS's log ends with GetCACert",
    in_the_field=(
        event_32(0x800B0109),
        *BEFORE_THE_REQUEST,
        Sighting(
            where="device, CAPI2/Operational, events 11 and 30",
            text="A certificate chain processed, but terminated in a root certificate which is not trusted "
            "by the trust provider. (Result 800B0109)",
            source="github Yamato-Security/WELA, test fixture",
        ),
        Sighting(
            where="NDES, Application log",
            text="nothing: the request is never sent",
            source=SCEPMAN,
        ),
    ),
    failure=Failure(ending=Ending.CA_NOT_TRUSTED, hresult=0x800B0109, iis="200 0 0"),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=("curl --silent --output root.pem http://127.0.0.1:8082/roots/0",),
    on_windows=(
        "certutil -addstore Root root.cer on the device, or deploy the trusted-certificate profile "
        '(store "Computer certificate store - Root") to the same group as the SCEP profile.',
        "certutil -verify -urlfetch on an issued certificate must then end without 0x800b0109.",
    ),
)
