"""The server that has the CRL cannot be reached.

The CDP of every certificate names a web server of its own, pki.corp.example say. When that machine is down,
or a firewall lets nobody through to it, the list is there and good but nobody can fetch it. The error is
the same as for a missing list; what tells them apart is the reason beside the URL: no connection, instead
of 404.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from crl_publisher.app import create_app

from .engine import Ending, Failure, Scenario, Sighting, verify
from .engine.field import PSPKI, REVOCATION_OFFLINE
from .engine.staged_lab import quiet_ports

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """The device enrols; its certificate names a web server for CRLs that is down."""
    (port,) = quiet_ports(1)
    stage.lab.restart({"pki": {"public_url": f"http://127.0.0.1:{port}"}})
    stage.must_succeed(stage.device.enrol())


def apply_the_cure(stage: Stage) -> None:
    """The web server for CRLs is started."""
    port = urlsplit(stage.lab.world.pki.public_url).port or 80
    stage.serve(create_app(stage.lab.world.publication), name="CDP", port=port)


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="0x80092013 at whoever verifies; no connection to the CDP",
    in_the_field=(
        *REVOCATION_OFFLINE,
        Sighting(
            where="Enterprise PKI (pkiview.msc)", text="CDP Location #1: Unable To Download", source=PSPKI
        ),
    ),
    failure=Failure(
        ending=Ending.NOT_TRUSTED,
        hresult=0x80092013,
        pki_view=(
            "NDES Lab Test Issuing CA: AIA Location #2: Unable To Download",
            "NDES Lab Test Issuing CA: CDP Location #2: Unable To Download",
        ),
    ),
    attempt=verify,
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=("ndes-lab health", "ndes-lab up  # started where the CDP says it is"),
    on_windows=(
        "curl the CDP URL from the network the devices are in; start the web server, or open the firewall.",
        "Name a server that devices reach from everywhere: certutil -setreg CA\\CRLPublicationURLs, restart "
        "certsvc, and issue the certificates again: those that exist keep their URL.",
    ),
    settings={"pki": {"ocsp": {"enabled": False}}},
)
