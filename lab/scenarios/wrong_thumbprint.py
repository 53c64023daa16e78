"""The CA thumbprint in the profile is of another certificate.

The root that is chosen in the SCEP profile becomes its CAThumbprint. The device looks for a certificate
with that thumbprint in what GetCACert brings, and stops if there is none: the profile names the root of
another PKI or the CA from before its renewal, or the server leaves the root out of its answer.

On Windows the thumbprint is SHA-1; mscep_admin shows the MD5 of the same certificate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.client import CaTrust

from .engine import Ending, Failure, Scenario, Sighting
from .engine.field import BEFORE_THE_REQUEST, LEARN_IX509, event_32
from .engine.other_ca import foreign_root

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """The profile names the thumbprint of another root."""
    other = foreign_root("NDES Lab Old Root CA", stage.lab.clock.now())
    stage.device.trust = CaTrust(fingerprints=(other.sha1,))


def apply_the_cure(stage: Stage) -> None:
    """The profile names the thumbprint of this root."""
    stage.device.trust = CaTrust(fingerprints=(stage.lab.root.sha1,))


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="0x80091007 before any request; IIS's log ends with GetCACert",
    in_the_field=(
        event_32(0x80091007),
        *BEFORE_THE_REQUEST,
        Sighting(
            where="documentation of IX509SCEPEnrollment::Initialize",
            text="fails if a certificate is missing, or if the thumbprint doesn't match the CA certificate",
            source=LEARN_IX509,
        ),
    ),
    failure=Failure(ending=Ending.CA_NOT_TRUSTED, hresult=0x80091007, iis="200 0 0"),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=(
        "curl --silent --output root.pem http://127.0.0.1:8082/roots/0",
        "ndes-lab enroll http://127.0.0.1:8080/scep --get-ca-cert",
    ),
    on_windows=(
        "Choose the trusted-certificate profile of the root in the SCEP profile, and synchronize.",
        "Compare with what the server sends: certutil -f -split -dump GetCACert.p7b shows each Cert "
        "Hash(sha1).",
    ),
)
