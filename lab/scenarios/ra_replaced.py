"""The device encrypts to an RA certificate that is no longer in use.

A request is encrypted to the RA's encryption certificate, which the client has from GetCACert. Clients that
keep it in a file, as sscep does and many scripts do, go on using it after the RA certificates have been
renewed. NDES opens requests with the key of the present certificate alone: it cannot read what is asked for,
sends no SCEP reply at all, and writes event 18. The same comes of encrypting to the signing certificate or to
the CA's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .engine import Ending, Failure, Scenario, Sighting
from .engine.field import NDES_LOG, SSCEP_RECIPIENT, UNCONFIRMED
from .engine.registrars import renew_registrars

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """The device enrols once and keeps the CA certificates; then both RA certificates are renewed."""
    stage.device.asks_once = True
    stage.must_succeed(stage.device.enrol())
    renew_registrars(stage)


def apply_the_cure(stage: Stage) -> None:
    """The device fetches the CA certificates again."""
    stage.device.asks_once = False


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="0x801901F4, HTTP 500 after the request; NDES event 18",
    in_the_field=(
        Sighting(
            where=f"{NDES_LOG}, event 18",
            text="The Network Device Enrollment Service cannot decrypt the client's PKCS7 message "
            "(0x80090005). Bad Data.",
            source=SSCEP_RECIPIENT,
        ),
        Sighting(
            where="sscep",
            text="wrong (or missing) MIME content type",
            source=f"{SSCEP_RECIPIENT}; that the HTTP status is 500 is {UNCONFIRMED}",
        ),
    ),
    failure=Failure(
        ending=Ending.HTTP_STATUS,
        hresult=0x801901F4,
        http_status=500,
        refused_by="undecryptable",
        events=(18,),
        iis="500 0 0",
    ),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=("ndes-lab ra list", "ndes-lab enroll http://127.0.0.1:8080/scep --get-ca-cert"),
    on_windows=(
        "Let the client fetch GetCACert again: with sscep, sscep getca, and the certificate with "
        "keyEncipherment (-1) as -e.",
        "certutil -store My on NDES shows the serial number of the certificate in use.",
    ),
)
