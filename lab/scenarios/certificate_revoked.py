"""The certificate has been revoked.

Somebody has revoked the device's certificate: on purpose, or by a wrong line in a list. The device itself
notices nothing and goes on showing it; whoever checks revocation refuses it as soon as the next CRL is
there, or at once where OCSP is asked. A certificate that was put on hold can be taken off hold again; any
other reason is for ever, and the device needs a new certificate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.admin.models import RevocationOrder

from .engine import Ending, Failure, Scenario, Sighting, verify
from .engine.field import ETW

if TYPE_CHECKING:
    from .engine.stage import Stage


def set_the_stage(stage: Stage) -> None:
    """The device enrols; its certificate is put on hold, and a CRL published."""
    stage.must_succeed(stage.device.enrol())
    _revoke(stage, RevocationOrder(reason="certificateHold"))


def apply_the_cure(stage: Stage) -> None:
    """The certificate is taken off hold, and a CRL published."""
    _revoke(stage, RevocationOrder(reason="removeFromCRL"))


def _revoke(stage: Stage, order: RevocationOrder) -> None:
    stage.lab.desk.revoke_certificate(stage.device.certificate.sha1, order)


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="0x80092010 at whoever verifies",
    in_the_field=(
        Sighting(
            where="device, CAPI2/Operational, event 41",
            text='<Result value="80092010">The certificate is revoked.</Result>',
            source=f"Microsoft Learn, Always On VPN advanced features; {ETW}",
        ),
    ),
    failure=Failure(ending=Ending.NOT_TRUSTED, hresult=0x80092010),
    attempt=verify,
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=(
        "ndes-lab cert list --status revoked",
        "ndes-lab cert revoke SERIAL --reason removeFromCRL",
        "ndes-lab verify device/certificate.pem --ca-file root.pem --url-fetch",
    ),
    on_windows=(
        "On the CA: certutil -revoke SerialNumber -1 takes a certificate off hold; then certutil -crl.",
        "On whoever verifies: certutil -setreg chain\\ChainCacheResyncFiletime @now, as old CRLs and OCSP "
        "answers are remembered.",
    ),
)
