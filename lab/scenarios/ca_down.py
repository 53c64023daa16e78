"""The CA does not answer NDES.

NDES and the CA talk by RPC. When certsvc is stopped, the CA's machine is down, or a firewall between the two
blocks RPC, NDES takes requests and can hand them to nobody. Devices get a SCEP failure as for a request that
is wrong; event 31 on NDES has the reason. The password is not used up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scep_server.protocol.messages import FailInfo

from .engine import Ending, Failure, Scenario, Sighting
from .engine.field import GRADENEGGER, INFERRED, NDES_LOG, PSCE

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """The CA's service is stopped; the device has its password."""
    stage.device.password = stage.new_challenge()
    stage.add_fault("dependency::ca-down")


def apply_the_cure(stage: Stage) -> None:
    """The CA's service is started; the device tries again with the same password."""
    stage.clear_faults()


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="badRequest, 0x800706BA; NDES event 31",
    in_the_field=(
        Sighting(
            where=f"{NDES_LOG}, event 31",
            text="The Network Device Enrollment Service cannot submit the certificate request (0x800706ba). "
            "The RPC server is unavailable.",
            source=GRADENEGGER,
        ),
        Sighting(
            where="SCEP reply",
            text="HRESULT 0x800706BA (-2147023174) RPC_S_SERVER_UNAVAILABLE",
            source=f"{PSCE}; failInfo badRequest is {INFERRED}",
        ),
    ),
    failure=Failure(
        ending=Ending.REFUSED,
        hresult=0x800706BA,
        fail_info=FailInfo.BAD_REQUEST,
        http_status=200,
        refused_by="unavailable",
        events=(31,),
        iis="200 0 0",
    ),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=("ndes-lab fault list --rules", "ndes-lab fault clear"),
    on_windows=(
        "On the CA: Start-Service certsvc; on NDES: certutil -ping -config CAHOST\\CANAME.",
        "Open RPC (135 and the dynamic ports) and SMB from NDES to the CA.",
    ),
)
