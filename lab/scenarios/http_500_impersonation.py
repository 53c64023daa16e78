"""HTTP 500, because IIS may not impersonate.

mscep.dll answers in the name of whoever asks. For that the group IIS_IUSRS needs the right "Impersonate a
client after authentication", which it has by default and loses to a hardening policy. Every request gets
500 then; IIS's log has 1346 (ERROR_BAD_IMPERSONATION_LEVEL) in sc-win32-status, and that is what tells it
from the other reasons for a 500, which come with events 2 and 10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .engine import Ending, Failure, Scenario, Sighting
from .engine.field import BEFORE_THE_REQUEST, LEARN_DEVICE, event_32

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """A hardening policy takes the right away from IIS_IUSRS, and the server restarts."""
    stage.lab.restart({"ndes": {"impersonation_right": False}})


def apply_the_cure(stage: Stage) -> None:
    """IIS_IUSRS is given the right again, and the server restarts."""
    stage.lab.restart({"ndes": {"impersonation_right": True}})


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="0x801901F4, HTTP 500; IIS log 500 0 1346, no event",
    in_the_field=(
        Sighting(where="IIS log", text="500 0 1346", source=LEARN_DEVICE),
        event_32(0x801901F4),
        *BEFORE_THE_REQUEST,
    ),
    failure=Failure(
        ending=Ending.HTTP_STATUS,
        hresult=0x801901F4,
        http_status=500,
        refused_by="iis-500.0",
        iis="500 0 1346",
    ),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=(
        "ndes-lab ndes log --last 5",
        "lab.toml: ndes.impersonation_right = true",
        "ndes-lab up --data-dir DIR --profile ndes-2019 --config lab.toml",
    ),
    on_windows=(
        "secpol.msc, Local Policies, User Rights Assignment, Impersonate a client after authentication: add "
        "IIS_IUSRS; look for the group policy that took it away; restart the server.",
    ),
)
