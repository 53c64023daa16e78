"""A renewal comes as RenewalReq, which NDES does not know.

RFC 8894 has messageType 17, RenewalReq, for a renewal that the old certificate signs. NDES is older: it
renews with the same PKCSReq (19) as a first request, and tells a renewal by who signs it. Clients that send
17 because they hold a certificate, or because GetCACaps says Renewal, are refused; their first enrolment
worked. How exactly NDES refuses is not documented.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scep_server.protocol.messages import FailInfo, MessageType

from .engine import Ending, Failure, Scenario, Sighting
from .engine.field import PSCE, UNCONFIRMED

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """The device holds a certificate, and renews it with a RenewalReq."""
    stage.must_succeed(stage.device.enrol())
    stage.device.renews = True
    stage.device.message_type = MessageType.RENEWAL_REQ


def apply_the_cure(stage: Stage) -> None:
    """The client is told to renew with a PKCSReq, signed with the old certificate as before."""
    stage.device.message_type = MessageType.PKCS_REQ


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="badRequest, 0x80070057; NDES event 28",
    in_the_field=(
        Sighting(
            where="Windows SDK, X509SCEPMessageType",
            text="3, 19, 20, 21, 22 and 41: there is no 17",
            source="Microsoft Learn, X509SCEPMessageType; micromdm/scep issue 108 shows 17 failing",
        ),
        Sighting(
            where="NDES",
            text="failInfo, code and event of the refusal are not known; event 28 is of failed renewals",
            source=f"{UNCONFIRMED}; event 28: certnanny/sscep issue 123; renewal by PKCSReq: {PSCE}",
        ),
    ),
    failure=Failure(
        ending=Ending.REFUSED,
        hresult=0x80070057,
        fail_info=FailInfo.BAD_REQUEST,
        http_status=200,
        refused_by="renewal-req",
        events=(28,),
        iis="200 0 0",
    ),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=(
        "ndes-lab enroll http://127.0.0.1:8080/scep --ca-file root.pem --renew-with device/certificate.pem "
        "device/key.pem --message-type pkcsreq --out device-renewed",
    ),
    on_windows=("Configure the client to renew with PKCSReq; Windows itself never sends RenewalReq.",),
)
