"""The server does not send the root that the profile names.

The profile names the root's thumbprint. RFC 8894 does not ask a server to send the root with GetCACert, since
the client must have it by another way; NDES sends it. A SCEP server that leaves it out is right by the book,
works with other clients, and fails with Windows, because the device looks for the thumbprint in the answer
and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.client import CaTrust

from .engine import Ending, Failure, Scenario, Sighting
from .engine.field import BEFORE_THE_REQUEST, SCEPMAN, event_32

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """The profile names the thumbprint of the right root; the server sends RA and issuing CA alone."""
    stage.device.trust = CaTrust(fingerprints=(stage.lab.root.sha1,))
    stage.lab.restart({"scep": {"ca_certificates": {"include_root": False}}})


def apply_the_cure(stage: Stage) -> None:
    """The server sends the whole chain, and is restarted."""
    stage.lab.restart({"scep": {"ca_certificates": {"include_root": True}}})


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="0x80091007 before any request, with a server that is not NDES",
    in_the_field=(
        event_32(0x80091007),
        *BEFORE_THE_REQUEST,
        Sighting(
            where="device",
            text="The thumbprint of the profile is not in the GetCACert response: wrong trusted profile, or "
            "root missing from it",
            source=f"{SCEPMAN}; NeySlim/ultimate-ca-manager issue 228",
        ),
    ),
    failure=Failure(ending=Ending.CA_NOT_TRUSTED, hresult=0x80091007, iis="200 0 0"),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=(
        "ndes-lab enroll http://127.0.0.1:8080/scep --get-ca-cert",
        "lab.toml: scep.ca_certificates.include_root = true",
        "ndes-lab up --data-dir DIR --config lab.toml",
    ),
    on_windows=(
        "Have the SCEP server add the root to GetCACert.",
        "Or name the issuing CA in the SCEP profile, by a trusted-certificate profile that holds it.",
    ),
    profile="modern",
)
