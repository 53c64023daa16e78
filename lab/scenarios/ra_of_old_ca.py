"""The RA certificates are still those of the CA before its renewal.

When the issuing CA is renewed with a new key, its name stays but it is another CA for everything that is
signed. NDES keeps the RA certificates that the old key has signed, but hands them out beside the new CA's
certificate. A device finds a CA of the right name, and the signature of the RA certificates is not that
CA's.

Microsoft describes the same cause with 0x800B0109: presumably the device there still knew the old CA's
certificate, and followed the RA certificates up to a root that it did not trust. The device here knows the
root alone, and for it the signature fails.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ca.renewal import renew_issuing
from ca.root import OfflineRoot

from .engine import Ending, Failure, Scenario, Sighting
from .engine.field import BEFORE_THE_REQUEST, LEARN_WIN10, STEP_INTUNE, event_32
from .engine.registrars import renew_registrars

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """The issuing CA is renewed with a new key, and the server restarted."""
    world = stage.lab.world
    root = OfflineRoot.open(world.folder, world.pki, clock=stage.lab.clock)
    renew_issuing(world.folder, world.pki, root=root, entropy=os.urandom)
    stage.lab.restart()


def apply_the_cure(stage: Stage) -> None:
    """The new CA issues both RA certificates anew, and the service is restarted."""
    renew_registrars(stage)


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="0x80096004 before any request, after the CA was renewed",
    in_the_field=(
        event_32(0x80096004),
        *BEFORE_THE_REQUEST,
        Sighting(
            where="device",
            text="0x80096004 where the RA's certificate and the device's have different issuers",
            source=STEP_INTUNE,
        ),
        Sighting(
            where="device, CAPI2/Operational, event 30",
            text="A certificate chain processed, but terminated in a root certificate which is not trusted "
            "by the trust provider. (0x800B0109; the renewed CA is the root)",
            source=LEARN_WIN10,
        ),
    ),
    failure=Failure(ending=Ending.CA_NOT_TRUSTED, hresult=0x80096004, iis="200 0 0"),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=(
        "ndes-lab ra list",
        "ndes-lab ra renew signing",
        "ndes-lab ra renew encryption",
        "ndes-lab ndes recycle",
    ),
    on_windows=(
        "Request both RA certificates anew from the renewed CA (EnrollmentAgentOffline, CEPEncryption), give "
        "the application pool's account Read on their keys, run iisreset.",
        "Delete the old two from the machine's My store, so that NDES cannot choose them.",
    ),
)
