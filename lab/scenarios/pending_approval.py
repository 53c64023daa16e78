"""The request waits for approval.

The template wants a certificate manager to approve each request ("CA certificate manager approval"), or the
CA is set to keep all requests pending. NDES answers with pkiStatus PENDING. That is not an error: the device
asks again, a few times, with the same transaction; if nobody approves in time it gives up, and what was
missing is a person.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ca.records import RequestStatus

from .engine import Ending, Failure, Scenario, Sighting
from .engine.field import LEARN_PROFILE, PSCE_PENDING

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """The template is changed to ask for a certificate manager's approval."""
    stage.change_template(manager_approval=True)


def apply_the_cure(stage: Stage) -> None:
    """The certificate manager approves the request; the device polls for it under the same transaction."""
    for request in stage.lab.desk.requests(RequestStatus.PENDING):
        stage.lab.desk.approve(request.id)


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="PENDING; no event",
    in_the_field=(
        Sighting(
            where="SCEP reply",
            text="HTTP 200 with pkiStatus 3; polled with GetCertInitial under the same transaction id",
            source=PSCE_PENDING,
        ),
        Sighting(
            where="device",
            text="Status 2 (pending) in the CSP; RetryCount times, RetryDelay minutes apart",
            source=f"ClientCertificateInstall CSP; {LEARN_PROFILE}",
        ),
    ),
    failure=Failure(ending=Ending.PENDING, http_status=200, iis="200 0 0"),
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=("ndes-lab request list", "ndes-lab request approve 1"),
    on_windows=(
        "On the CA: certsrv.msc, Pending Requests, All Tasks, Issue; or certutil -resubmit RequestId.",
        "For devices that enrol by themselves, switch the approval off in the template (Issuance "
        "Requirements).",
    ),
)
