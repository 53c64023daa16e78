"""The certificate has expired, because nobody renewed it.

A certificate that an MDM has brought is renewed by the MDM: at each synchronization it looks how much of the
lifetime is left, and below the renewal threshold (20 % unless changed) it sends the device for a new one.
A device that does not synchronize during that time, or one whose certificate came by hand, keeps its
certificate past the end, and everybody it is shown to refuses it. An expired certificate can no longer
vouch for its own renewal: the device needs a challenge password again.

The cure shows both: a new enrolment now, and then a renewal at the threshold, while the certificate is good
and no password is needed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from scep_server.protocol.messages import MessageType

from .engine import Ending, Failure, Finding, Scenario, Seen, Sighting, verify
from .engine.field import LEARN_PROFILE, PSCE, UNCONFIRMED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .engine.stage import Stage

LEFT_AT_THRESHOLD = 0.2  # of the lifetime
A_DAY = timedelta(days=1)


def set_the_stage(stage: Stage) -> None:
    """The device gets a certificate for 90 days and is switched off for 91."""
    stage.change_template(validity_period="90 Days", renewal_period="18 Days")
    stage.must_succeed(stage.device.enrol())
    _wait(stage, 91 * A_DAY)


def apply_the_cure(stage: Stage) -> None:
    """The device enrols anew with a password, and renews without one at 20 % of the lifetime."""
    stage.must_succeed(stage.device.enrol())
    replaced = stage.device.certificate
    lifetime = replaced.not_after - replaced.not_before
    _wait(stage, replaced.not_after - LEFT_AT_THRESHOLD * lifetime - stage.lab.clock.now())
    stage.device.renews, stage.device.message_type = True, MessageType.PKCS_REQ
    stage.must_succeed(stage.device.enrol())
    _wait(stage, replaced.not_after - stage.lab.clock.now() + A_DAY)
    stage.props["replaced"] = replaced


def _wait(stage: Stage, time: timedelta) -> None:
    stage.lab.clock.shift(time)
    stage.lab.desk.publish_crls()


def renewed_in_time(stage: Stage, _: Seen) -> Iterator[Finding]:
    """Yield whether the certificate before has ended, and the one in use is its renewal."""
    now, replaced = stage.lab.clock.now(), stage.props["replaced"]
    old, new = replaced.serial_number, stage.device.certificate.serial_number
    yield Finding(
        what="the certificate before has ended",
        expected="yes",
        seen="yes" if replaced.not_after < now else "no",
    )
    yield Finding(what="another one is in use", expected="yes", seen="yes" if old != new else "no")


SCENARIO = Scenario(
    module=__name__,
    document=__doc__,
    symptom="0x800B0101 at whoever verifies",
    in_the_field=(
        Sighting(
            where="certutil -verify",
            text="A required certificate is not within its validity period when verifying against the "
            "current system clock or the timestamp in the signed file. 0x800b0101 (-2146762495 "
            "CERT_E_EXPIRED)",
            source=f"winerror.h; when it comes is {UNCONFIRMED}",
        ),
        Sighting(
            where="Intune, SCEP profile",
            text="Renewal threshold (%): 20 of the lifetime remaining by default; a new key pair each time",
            source=LEARN_PROFILE,
        ),
        Sighting(
            where="NDES",
            text="A renewal is a PKCSReq that the old certificate signs, with an empty challenge password",
            source=PSCE,
        ),
    ),
    failure=Failure(ending=Ending.NOT_TRUSTED, hresult=0x800B0101),
    attempt=verify,
    set_the_stage=set_the_stage,
    apply_the_cure=apply_the_cure,
    at_the_lab=(
        "ndes-lab cert list --expiring-within 18",
        "ndes-lab enroll http://127.0.0.1:8080/scep --ca-file root.pem --renew-with device/certificate.pem "
        "device/key.pem --out device-renewed",
    ),
    on_windows=(
        "Synchronize the device: the MDM then delivers the profile again, with a new challenge.",
        "Set the threshold so that a device that is away for a holiday still comes in time.",
    ),
    also_proves=renewed_in_time,
)
