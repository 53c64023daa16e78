"""The key is too small for the template.

The template says how long a key must be at least (msPKI-Minimal-Key-Size). NDES hands the request on, and
the CA's policy module denies it. The device gets the CA's own words; on the server NDES writes event 31
and the CA event 53, and the request is among the Failed Requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scep_server.protocol.messages import FailInfo

from .engine import Ending, Failure, Scenario, Sighting
from .engine.field import APPLICATION_LOG, GRADENEGGER, GRADENEGGER_87, NDES_LOG

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """The profile asks for a key of 1024 bits; the template wants 2048."""
    stage.device.key_type = "rsa-1024"


def apply_the_cure(stage: Stage) -> None:
    """The profile asks for 2048 bits."""
    stage.device.key_type = "rsa-2048"


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="badRequest, 0x80094811; NDES event 31",
    in_the_field=(
        Sighting(
            where=f"{APPLICATION_LOG}, event 87",
            text="PkiStatus(2): SCEPDispositionFailure, FailInfo(2): SCEPFailBadRequest, EnrollStatus(256): "
            "EnrollDenied. The public key does not meet the minimum size required by the specified "
            "certificate template. 0x80094811 (-2146875375 CERTSRV_E_KEY_LENGTH) Denied by Policy Module",
            source=GRADENEGGER_87,
        ),
        Sighting(
            where=f"{NDES_LOG}, event 31",
            text="The Network Device Enrollment Service cannot submit the certificate request (The public "
            "key does not meet the minimum size required by the specified certificate template.).",
            source=GRADENEGGER,
        ),
    ),
    failure=Failure(
        ending=Ending.REFUSED,
        hresult=0x80094811,
        fail_info=FailInfo.BAD_REQUEST,
        http_status=200,
        refused_by="key-length",
        events=(31,),
        iis="200 0 0",
    ),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=(
        "ndes-lab challenge new > challenge.txt",
        "ndes-lab enroll http://127.0.0.1:8080/scep --ca-file root.pem --subject CN=device "
        "--challenge-file challenge.txt --key-type rsa-2048 --out device",
    ),
    on_windows=(
        "Set the key size of the SCEP profile to at least that of the template (Cryptography tab).",
        "Find the denied request: certsrv.msc, Failed Requests; or certutil -view -restrict Disposition=31.",
    ),
)
