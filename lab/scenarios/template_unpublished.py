"""The certificate template is not published at the CA.

NDES asks for the template that its registry names (GeneralPurposeTemplate for a request for signature and
encryption). A CA issues only what is on its own list of templates: one that was renamed, was
never added after the CA was rebuilt, or was taken off the list is refused, although it exists in Active
Directory. The registry wants the template's name, not its display name, which is the usual way of getting
it wrong.

NDES's event 31 has the words where the number belongs, and 0x80004005 in place of the code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scep_server.protocol.messages import FailInfo

from .engine import Ending, Failure, Scenario, Sighting
from .engine.field import LEARN_80094800, NDES_LOG

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """The template that NDES is configured with is taken off the CA's list."""
    stage.change_template(published=False)


def apply_the_cure(stage: Stage) -> None:
    """The template is put on the CA's list again."""
    stage.change_template(published=True)


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="badRequest, 0x80094800; NDES event 31 with 0x80004005",
    in_the_field=(
        Sighting(
            where=f"{NDES_LOG}, event 31",
            text="The Network Device Enrollment Service cannot submit the certificate request (The requested "
            "certificate template is not supported by this CA.).  0x80004005",
            source=LEARN_80094800,
        ),
        Sighting(
            where="CA, disposition of the failed request",
            text="The request was for a certificate template that is not supported by the Active Directory "
            "Certificate Services Policy: <name>. 0x80094800 (-2146875392 CERTSRV_E_UNSUPPORTED_CERT_TYPE)",
            source=LEARN_80094800,
        ),
    ),
    failure=Failure(
        ending=Ending.REFUSED,
        hresult=0x80094800,
        fail_info=FailInfo.BAD_REQUEST,
        http_status=200,
        refused_by="unsupported-cert-type",
        events=(31,),
        iis="200 0 0",
    ),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=(
        "ndes-lab template list",
        "ndes-lab template publish SCEP-Client-Auth",
    ),
    on_windows=(
        "On the CA: certsrv.msc, Certificate Templates, New, Certificate Template to Issue; or "
        "certutil -setcatemplates +DeviceSign.",
        "On NDES: reg query HKLM\\SOFTWARE\\Microsoft\\Cryptography\\MSCEP must show the template's name "
        "(not its display name); iisreset after a change.",
    ),
)
