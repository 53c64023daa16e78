"""The password cache is full.

NDES keeps at most five passwords that were made and not used (PasswordMax). Whoever reloads the
mscep_admin page to look at it, or a script that fetches one password too many, fills the cache, and from
then on the page has no password for anybody until one is used, one expires after 60 minutes, or IIS is
restarted. The page comes with HTTP 200, so a script that only looks at the status sees nothing wrong,
and no event is written that is known of.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from lab.http_exchange import http_exchange

from .engine import ClientSaw, Ending, Failure, Scenario, Seen, Sighting, observed
from .engine.field import FLEET, UNCONFIRMED

if TYPE_CHECKING:
    from .engine.stage import Stage

PASSWORD = re.compile(r"The enrollment challenge password is: <B> (\S*)")  # as Fleet reads the page
SENTENCE = re.compile(r"<P> ([^<]*is full\.)")


def fetch_and_enrol(stage: Stage) -> Seen:
    """The administrator fetches a password from mscep_admin, and the device enrols with it."""
    return observed(stage, lambda: _fetch_and_enrol(stage))


def _fetch_and_enrol(stage: Stage) -> ClientSaw:
    page = _admin_page(stage)
    found = PASSWORD.search(page)
    if found is None:
        said = SENTENCE.search(page)
        return ClientSaw(
            ending=Ending.NO_PASSWORD, says=said[1] if said else "the page has no password", http_status=200
        )
    stage.device.password = found[1]
    return stage.device.enrol()


def _admin_page(stage: Stage) -> str:
    ndes = stage.lab.world.ndes
    credentials = base64.b64encode(f"{ndes.user}:{ndes.password}".encode()).decode()
    url = stage.lab.running.mscep_admin_url
    reply = http_exchange("GET", url, headers={"Authorization": f"Basic {credentials}"})
    return reply.body.decode("utf-16-le")


def set_the_stage(stage: Stage) -> None:
    """Five passwords are fetched from mscep_admin, and nobody uses them."""
    for _ in range(stage.lab.world.settings.ndes.PasswordMax):
        _admin_page(stage)


def apply_the_cure(stage: Stage) -> None:
    """The service is restarted, which forgets unused passwords."""
    stage.lab.world.recycle()


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom='mscep_admin says "The password cache is full."; no event',
    in_the_field=(
        Sighting(
            where="browser, https://NDES/certsrv/mscep_admin/",
            text="The password cache is full. Network Device Enrollment Service stores unused password for "
            "later use. By default, passwords are stored for 60 minutes.",
            source=FLEET,
        ),
        Sighting(where="NDES, Application log", text="No event is known", source=UNCONFIRMED),
    ),
    failure=Failure(ending=Ending.NO_PASSWORD, http_status=200, iis="200 0 0"),
    attempt=fetch_and_enrol,
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=("ndes-lab ndes recycle",),
    on_windows=(
        "Use one of the passwords that were made, wait until they expire, or run iisreset.",
        "If five are too few, raise PasswordMax below "
        "HKLM\\SOFTWARE\\Microsoft\\Cryptography\\MSCEP\\PasswordMax and run iisreset.",
    ),
    settings={"ndes": {"basic_authentication": True}},
)
